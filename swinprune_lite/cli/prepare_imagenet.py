"""Make ImageNet's validation folder, and its training folder if wanted, from the official archives.

    python -m swinprune_lite.cli.prepare_imagenet --val-tar ILSVRC2012_img_val.tar --devkit ILSVRC2012_devkit_t12.tar.gz
    python -m swinprune_lite.cli.prepare_imagenet --sorted /data/imagenet/val     # 1,000 folders of 50 images are there

The archives need a registration at image-net.org; their digests are torchvision's. The result is `val/<wnid>/*.JPEG`,
50,000 images of 1,000 classes, and `train/<wnid>/*.JPEG`, 1,281,167 images. A folder has its name when it is whole.
Started again after a kill, validation images start anew and training images go on at the class where they were.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from timm.data import ImageNetInfo

from swinprune_lite.data.imagenet import (
    ANEW,
    DEVKIT,
    PER_CLASS,
    VAL,
    archive_file,
    check_classes,
    checked_once,
    partial_folder,
    read_devkit,
    take_sorted,
    unpack_train,
    unpack_val,
)
from swinprune_lite.files import home


def _make(target: Path, wnids: Sequence[str], each: int | None, sources: list[Path], make: Callable, dry: bool) -> str:
    """Make the target unless it is there, or only look; what became of it, or would."""
    if target.exists() or target.is_symlink():
        return f"{target} is whole: {check_classes(target, wnids, each, ANEW):,} images. Nothing to do."
    if not dry:
        return f"{target}: {make(target):,} images of {len(wnids):,} classes."
    lines = [f"would read  {path}, {_state(path)}" for path in sources]
    partial = f"; {partial_folder(target)} is there from an earlier run" if partial_folder(target).is_dir() else ""
    return "\n".join([*lines, f"would make  {target}, which is not there{partial}"])


def _state(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return f"{path.stat().st_size:,} bytes" if path.is_file() else "which is missing"


def main(
    output: Annotated[Path | None, typer.Option(help="Default: imagenet in $SWINPRUNE_HOME or its default.")] = None,
    val_tar: Annotated[Path, typer.Option(help="The official validation images.")] = VAL,
    devkit: Annotated[Path, typer.Option(help="The official development kit, which has their classes.")] = DEVKIT,
    sorted_folder: Annotated[
        Path | None, typer.Option("--sorted", help="A folder of 1,000 classes instead; it is checked and linked.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the --sorted folder, do not link it.")] = False,
    train_tar: Annotated[Path | None, typer.Option(help="The official training images, if wanted too.")] = None,
    any_digest: Annotated[bool, typer.Option("--any-digest", help="Do not check the archives' digests.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Make OUTPUT/val and, with --train-tar, OUTPUT/train; nothing is done for one that is there and whole."""
    output, wnids = output or home() / "imagenet", ImageNetInfo().label_names()

    def make_val(val: Path) -> int:
        if sorted_folder:
            return take_sorted(sorted_folder, val, wnids, copy)
        archive_file(val_tar, "val", any_digest=True)  # is there one? its digest takes longer than the devkit
        labels = read_devkit(archive_file(devkit, "devkit", any_digest))
        return unpack_val(archive_file(val_tar, "val", any_digest), labels, val, wnids)

    def make_train(train: Path) -> int:
        if any_digest:
            return unpack_train(archive_file(train_tar, "train", any_digest), train, wnids, None)
        return unpack_train(checked_once(train_tar, train), train, wnids)

    try:
        sources = [sorted_folder] if sorted_folder else [val_tar, devkit]
        print(_make(output / "val", wnids, PER_CLASS, sources, make_val, dry_run))
        if train_tar:
            print(_make(output / "train", wnids, None, [train_tar], make_train, dry_run))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
