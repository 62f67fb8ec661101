"""The one listing of a folder of classes that everything that reads or checks images goes by.

A class is a folder; an image is a file in it, or in folders below it, whose name ends as torchvision's `IMG_EXTENSIONS`
do, in small letters or capitals. What is hidden (its name begins with a dot) or a system's (`_SYSTEM`) is left out
wherever it lies, and so are other files. Links are followed.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

_SYSTEM = {"__macosx", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found",
           "system volume information", "__pycache__"}  # fmt: skip
"""Folders that operating systems, storage and tools leave among others, in small letters."""


def list_folder(folder: Path) -> dict[str, dict[str, int]]:
    """The images of every class.

    Returns:
        class -> image -> its size in bytes, in the order of the names; an image below a folder of the class's own
        is named by its path from there.

    Raises:
        OSError: an image that is a link to nothing, or a folder that may not be read.
    """
    return {name: images_below(folder / name) for name in class_names(folder)}


def class_names(folder: Path) -> list[str]:
    """The names of a folder's classes, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _visible(entry.name) and os.path.isdir(entry.path))


def class_images(folder: Path, wnids: Iterable[str]) -> dict[str, list[str]]:
    """Names of the images of every class.

    Args:
        folder: with a folder for every class.
        wnids: the classes' names.

    Raises:
        ValueError: a class without a folder or without images, or an image that is an empty file; says no more.
    """
    found = {}
    for wnid in wnids:
        if not (folder / wnid).is_dir():
            raise ValueError(f"the class folder {folder.name}/{wnid} is missing")
        images = images_below(folder / wnid)
        if not images:
            raise ValueError(f"the class folder {folder.name}/{wnid} holds no image")
        require_content(images, f"{folder.name}/{wnid}")
        found[wnid] = list(images)
    return found


def require_content(images: dict[str, int], where: str) -> None:
    """Raise ValueError if an image is an empty file; says no more.

    Args:
        images: with their sizes, see `list_folder`.
        where: they are.
    """
    if empty := [name for name, size in images.items() if not size]:
        raise ValueError(f"{len(empty)} image(s) in {where} are empty files, such as {empty[0]}")


def listing_digest(folder: Path) -> str:
    """SHA-256 over the names and sizes of all images of a folder of classes: cheap, and another for other images."""
    lines = [f"{name}/{image} {size}" for name, images in list_folder(folder).items() for image, size in images.items()]
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def images_below(folder: Path) -> dict[str, int]:
    """Image -> its size in bytes, of all images in a folder and in folders below it."""
    found = sorted(_walk(str(folder)), key=lambda image: os.path.split(image[0]))  # as torchvision's ImageFolder
    return dict(found)


def _walk(folder: str, inside: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    real = os.path.realpath(folder)
    if real in above:  # a link back
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _visible(entry.name):
                continue
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                yield from _walk(entry.path, f"{inside}{entry.name}/", (*above, real))
            elif entry.name.lower().endswith(IMG_EXTENSIONS):
                try:
                    about = entry.stat()
                except OSError as error:
                    raise FileNotFoundError(f"The image {entry.path} is a link to nothing; remove it.") from error
                if stat.S_ISREG(about.st_mode):
                    yield inside + entry.name, about.st_size


def _visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEM
