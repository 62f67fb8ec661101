"""Imagenette: ten classes of ImageNet, fetched, unpacked and checked.

Where its archives are and what their digests must be is torchvision's knowledge, read at run time.
"""

import csv
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from torchvision.datasets import Imagenette
from tqdm import tqdm

from swinprune_lite.data.fetch import DAMAGED, download, require_space
from swinprune_lite.data.listing import class_images
from swinprune_lite.files import home

IMAGENETTE_SIZES = {size: Path(url).stem for size, (url, _) in Imagenette._ARCHIVES.items()}
"""The sizes of Imagenette's images, and the name of the folder that holds them."""

SPLITS = ("train", "val")
_PREFERRED = ("320px", "full", "160px")
_LISTING = "noisy_imagenette.csv"
_AGAIN = "remove it and fetch it again with 'swinprune fetch imagenette'"


def fetch_imagenette(
    folder: Path | None = None, size: str = "320px", url: str | None = None, md5: str | None = None, keep: bool = False
) -> Path:
    """The folder of Imagenette, fetched and unpacked where it is not there yet.

    Several processes may ask at once: one fetches, the others wait. What a killed one left is continued.

    Args:
        folder: where Imagenette's folder goes; None: `home()`.
        size: see `IMAGENETTE_SIZES`.
        url: another source of the same archive.
        md5: its digest, where the archive is not the official one.
        keep: keep the archive, beside the folder.

    Raises:
        ConnectionError: the archive is not to be had.
        OSError: no space, or no permission.
        ValueError: an unknown size, another digest, a damaged archive or a damaged folder.
    """
    official, digest = imagenette_source(size)
    folder = home() if folder is None else Path(folder)
    target = folder / IMAGENETTE_SIZES[size]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{target.name}.lock"):
            if not target.exists():
                archive = download(url or official, folder / f"{target.name}.tgz", md5 or digest)
                _unpack(archive, target)
                if not keep:
                    archive.unlink()
    check_imagenette(target)
    return target


def imagenette_source(size: str) -> tuple[str, str]:
    """Url and MD5 of the archive with images of a size, see `IMAGENETTE_SIZES`.

    Raises:
        ValueError: an unknown size.
    """
    if size not in IMAGENETTE_SIZES:
        raise ValueError(f"Unknown size {size!r} of Imagenette; it has {', '.join(IMAGENETTE_SIZES)}.")
    return Imagenette._ARCHIVES[size]


def find_imagenette(folder: str | Path) -> Path | None:
    """The folder of Imagenette below a folder, of whichever size; None if there is none."""
    places = [Path(folder) / IMAGENETTE_SIZES[size] for size in _PREFERRED]
    return next((place for place in places if place.is_dir()), None)


def check_imagenette(folder: str | Path, splits: Sequence[str] = SPLITS) -> dict[str, int]:
    """Images in each split.

    Args:
        folder: with `train` and `val`, and in each a folder for every class, named by its WordNet id.
        splits: those that are needed.

    Raises:
        ValueError: not whole: a split, a class or images are missing, or an image is an empty file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; fetch Imagenette with 'swinprune fetch imagenette'.")
    try:
        return _count(folder, splits)
    except ValueError as error:
        raise ValueError(f"{folder} is not a whole Imagenette: {error}; {_AGAIN}.") from error


def _count(folder: Path, splits: Sequence[str]) -> dict[str, int]:
    """As `check_imagenette`, with errors that say no more than what is wrong."""
    if absent := [split for split in splits if not (folder / split).is_dir()]:
        raise ValueError(f"it has no folder {' and no folder '.join(absent)}")
    found = {split: class_images(folder / split, Imagenette._WNID_TO_CLASS) for split in splits}
    there = {f"{split}/{wnid}/{name}" for split in splits for wnid, names in found[split].items() for name in names}
    if (folder / _LISTING).is_file():
        listed = {path for path in _listed(folder / _LISTING) if path.partition("/")[0] in splits}
        if missing := sorted(listed - there):
            count = f"{len(missing):,} of the {len(listed):,} images"
            raise ValueError(f"{count} that {_LISTING} lists are missing, such as {missing[0]}")
    return {split: sum(map(len, classes.values())) for split, classes in found.items()}


def _listed(path: Path) -> set[str]:
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        listed = {row.get("path") for row in csv.DictReader(file)}
    if not listed or not all(listed):
        raise ValueError(f"its {path.name} is damaged (no column 'path', or an empty row)")
    return listed


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive of Imagenette; the folder gets its name when it is whole."""
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
    temporary.mkdir()
    try:
        require_space(temporary, archive.stat().st_size)
        with tarfile.open(archive) as tar:
            for member in tqdm(tar, f"unpacking {archive.name}", unit=" files", delay=1, leave=False):
                tar.extract(member, temporary, filter="data")
        _count(temporary / target.name, SPLITS)
        (temporary / target.name).rename(target)
    except DAMAGED as error:
        raise ValueError(f"{archive} is a damaged archive ({error}); remove it, so that it is fetched anew.") from error
    except ValueError as error:
        raise ValueError(f"{archive} holds no whole {target.name}: {error}; remove it, use another source.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
