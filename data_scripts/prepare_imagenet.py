"""Make ImageNet's validation folder, and its training folder if wanted, from the official archives.

    python data_scripts/prepare_imagenet.py --val-tar ILSVRC2012_img_val.tar --devkit ILSVRC2012_devkit_t12.tar.gz
    python data_scripts/prepare_imagenet.py --sorted /data/imagenet/val     # 1,000 folders of 50 images are there

The archives need a registration at image-net.org; their digests are torchvision's. The result is `val/<wnid>/*.JPEG`,
50,000 images of 1,000 classes, and `train/<wnid>/*.JPEG`, 1,281,167 images. A folder has its name when it is whole.
Started again after a kill, validation images start anew and training images go on at the class where they were.
"""

import io
import re
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

import scipy.io
import typer
from scipy.io.matlab import MatReadError
from timm.data import ImageNetInfo
from torchvision.datasets.imagenet import ARCHIVE_META
from tqdm import tqdm

from swinprune_lite.fetch import DAMAGED, check_md5, require_space
from swinprune_lite.files import home
from swinprune_lite.folders import class_images, class_names

PER_CLASS = 50  # validation images
TRAINING_IMAGES = 1_281_167
VAL, DEVKIT = (Path(ARCHIVE_META[part][0]) for part in ("val", "devkit"))
CHECKED = ".checked"
ANEW = "remove it and start this again"


def check_classes(folder: Path, wnids: Sequence[str], each: int | None, advice: str, of: object = None) -> int:
    """Images in a folder of ImageNet's classes.

    Args:
        folder: with a folder for every class.
        wnids: the classes.
        each: images that every class must have; None: one or more.
        advice: what to do if the folder is not whole; part of the error.
        of: what the error blames; None: the folder.

    Raises:
        ValueError: a class is missing or unknown, has another number of images, or an image is an empty file.
    """
    try:
        if not folder.is_dir():
            raise ValueError("it is not a folder")
        there = set(class_names(folder))
        if missing := sorted(set(wnids) - there):
            held = f"of {len(wnids):,} class folders it has {len(wnids) - len(missing):,}"
            raise ValueError(f"{held} and lacks {', '.join(missing[:3])}{', ...' if missing[3:] else ''}")
        if unknown := sorted(there - set(wnids)):
            raise ValueError(f"{len(unknown)} folder(s) in it are none of its classes, such as {unknown[0]}")
        images = class_images(folder, wnids)
        wrong = [wnid for wnid, names in images.items() if each is not None and len(names) != each]
        if wrong:
            count = f"{wrong[0]} has {len(images[wrong[0]])} images instead of {each}"
            raise ValueError(
                count + (f", and {len(wrong) - 1} other classes are not right either" if wrong[1:] else "")
            )
    except ValueError as error:
        raise ValueError(f"{of or folder} is not a whole ImageNet: {error}; {advice}.") from error
    return sum(map(len, images.values()))


def archive_file(path: Path, part: str, any_digest: bool = False) -> Path:
    """The official archive of "val", "devkit" or "train"; FileNotFoundError without it, ValueError if it is another."""
    name, md5 = ARCHIVE_META[part]
    if not path.is_file():
        source = f"get ImageNet's official {name} from image-net.org, where it needs a registration"
        raise FileNotFoundError(f"{path} is missing: {source}, and say where it is (see --help).")
    check_md5(path, None if any_digest else md5, f"fetch the official {name} again")
    return path


def read_devkit(path: Path) -> list[str]:
    """The WordNet id of every validation image, in the order of their numbers.

    Classes of the challenge are the devkit's synsets without children, as torchvision reads them.

    Raises:
        ValueError: it is damaged, or not the devkit.
    """
    with _archive(path) as tar:
        texts = {
            PurePosixPath(member.name).name: tar.extractfile(member).read() for member in tar
            if member.isfile() and re.search(r"data/(meta\.mat|ILSVRC2012_validation_ground_truth\.txt)$", member.name)
        }  # fmt: skip
    try:
        synsets = scipy.io.loadmat(io.BytesIO(texts["meta.mat"]), squeeze_me=True)["synsets"]
        leaves = synsets[synsets["num_children"].astype(int) == 0]
        wnids = {int(number): str(wnid) for number, wnid in zip(leaves["ILSVRC2012_ID"], leaves["WNID"])}
        return [wnids[int(line)] for line in texts["ILSVRC2012_validation_ground_truth.txt"].split()]
    except (KeyError, IndexError, TypeError, ValueError, MatReadError) as error:
        raise ValueError(f"{path} is not ImageNet's devkit ({error}); fetch {DEVKIT} again.") from error


def unpack_val(archive: Path, labels: Sequence[str], target: Path, wnids: Sequence[str], each: int = PER_CLASS) -> int:
    """Sort the validation images into a folder a class, and count them.

    Args:
        archive: with images named by their numbers.
        labels: the class of every number, see `read_devkit`.
        target: the folder to make.
        wnids: the classes.
        each: images of each.

    Raises:
        OSError: no space, or no permission.
        ValueError: a damaged archive, one with other images, or classes that are not ImageNet's.
    """
    if unknown := sorted(set(labels) - set(wnids)):
        raise ValueError(f"{len(unknown)} classes of the devkit are not ImageNet-1k's, such as {unknown[0]}.")
    with _whole(target) as temporary, _archive(archive) as tar:
        require_space(temporary, archive.stat().st_size)
        for wnid in wnids:
            (temporary / wnid).mkdir()
        for name, member in tqdm(_members(tar), "validation images", total=len(labels), unit=" images"):
            number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
            if number is None or not 0 < int(number[1]) <= len(labels):
                raise ValueError(f"{archive} is not ImageNet's {VAL} for this devkit: it holds {name}.")
            _write(tar, member, temporary / labels[int(number[1]) - 1] / name)
        return check_classes(temporary, wnids, each, "fetch it again", archive)


def unpack_train(archive: Path, target: Path, wnids: Sequence[str], images: int | None = TRAINING_IMAGES) -> int:
    """Unpack an archive of archives, one a class, and count the images; classes that are there are not unpacked again.

    Args:
        archive: with `<wnid>.tar`.
        target: the folder to make; until it is whole it is called `.<name>.part`.
        wnids: the classes.
        images: in all of them; None: any number.

    Raises:
        OSError: no space, or no permission.
        ValueError: a damaged archive, or one with other classes or another number of images.
    """
    partial = _partial(target)
    partial.mkdir(parents=True, exist_ok=True)
    done = {wnid for wnid in wnids if (partial / wnid).is_dir()}
    require_space(partial, archive.stat().st_size * (len(wnids) - len(done)) // len(wnids))
    with _archive(archive) as outer:
        for name, member in tqdm(_members(outer), "training classes", total=len(wnids), unit=" classes"):
            wnid = name.removesuffix(".tar")
            if wnid not in wnids:
                raise ValueError(f"{archive} is not ImageNet's {ARCHIVE_META['train'][0]}: it holds {name}.")
            if wnid in done:
                continue
            with _whole(partial / wnid) as folder, tarfile.open(fileobj=outer.extractfile(member)) as inner:
                for image, inside in _members(inner):
                    _write(inner, inside, folder / image)
    found = check_classes(partial, wnids, None, ANEW)
    if images not in (None, found):
        raise ValueError(f"{partial} has {found:,} images and must have {images:,}; {ANEW}.")
    (partial / CHECKED).unlink(missing_ok=True)
    partial.rename(target)
    return found


def take_sorted(source: Path, target: Path, wnids: Sequence[str], copy: bool = False, each: int = PER_CLASS) -> int:
    """Link or copy a folder that is sorted already, and count its images.

    Args:
        source: with a folder for every class, or with `val` that has.
        target: the link or folder to make.
        wnids: the classes.
        copy: a copy, no link.
        each: images of each class.

    Raises:
        OSError: no space, no permission, or no links on this file system.
        ValueError: a class, or images, are missing.
    """
    source = source / "val" if (source / "val").is_dir() else source
    found = check_classes(source, wnids, each, f"give --sorted a folder with {len(wnids):,} folders of {each} images")
    if not copy:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve(), target_is_directory=True)
        return found
    with _whole(target) as temporary:
        for wnid, images in tqdm(class_images(source, wnids).items(), "copying", unit=" classes"):
            for image in images:
                (temporary / wnid / image).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / wnid / image, temporary / wnid / image)
    return found


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A temporary folder beside the target, which gets the target's name on success and goes on failure."""
    temporary = _partial(target)
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as tar:
            yield tar
    except DAMAGED as error:
        raise ValueError(f"{path} is a damaged archive ({error}); fetch it again.") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Files in an archive that are not hidden, under their bare names, so that none can be written anywhere else."""
    files = ((PurePosixPath(member.name).name, member) for member in tar if member.isfile())
    return ((name, member) for name, member in files if not name.startswith("."))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    with tar.extractfile(member) as read, open(path, "wb") as written:
        shutil.copyfileobj(read, written)


def _checked_once(archive: Path, target: Path) -> Path:
    """The training archive, whose 138 GB are not read again for their digest when a killed run goes on."""
    mark = _partial(target) / CHECKED
    state = f"{archive.stat().st_size} {archive.stat().st_mtime_ns}" if archive.is_file() else ""
    if not (state and mark.is_file() and mark.read_text() == state):
        archive_file(archive, "train")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(state)
    return archive


def _make(target: Path, wnids: Sequence[str], each: int | None, sources: list[Path], make: Callable, dry: bool) -> str:
    """Make the target unless it is there, or only look; what became of it, or would."""
    if target.exists() or target.is_symlink():
        return f"{target} is whole: {check_classes(target, wnids, each, ANEW):,} images. Nothing to do."
    if not dry:
        return f"{target}: {make(target):,} images of {len(wnids):,} classes."
    lines = [f"would read  {path}, {_state(path)}" for path in sources]
    partial = f"; {_partial(target)} is there from an earlier run" if _partial(target).is_dir() else ""
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
        return unpack_train(_checked_once(train_tar, train), train, wnids)

    try:
        sources = [sorted_folder] if sorted_folder else [val_tar, devkit]
        print(_make(output / "val", wnids, PER_CLASS, sources, make_val, dry_run))
        if train_tar:
            print(_make(output / "train", wnids, None, [train_tar], make_train, dry_run))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
