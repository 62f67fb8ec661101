"""The one listing of a folder of classes that everything that reads or checks images goes by, and their numbers.

A class is a folder; an image is a file in it, or in folders below it, whose name ends as torchvision's `IMG_EXTENSIONS`
do, in small letters or capitals. What is hidden (its name begins with a dot) or a system's (`_SYSTEM`) is left out
wherever it lies, and so are other files. Links are followed.
"""

import hashlib
import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import PretrainedCfg
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


def class_numbers(names: Sequence[str], config: PretrainedCfg, where: object = "The data") -> list[int]:
    """The model's number of each class.

    Classes that the model has by name, by the WordNet id of an ImageNet model or by its `label_names`, get the
    number of that name, and may be some of the model's. Others must be as many as the model's classes and are
    numbered in alphabetical order, capital and small letters alike; a warning says so where that makes a difference.

    Raises:
        ValueError: classes that are not the model's.
    """
    if (numbers := _numbers_by_name(names, config)) is not None:
        return [numbers[name] for name in names]
    known = _names(config)
    if len(names) != config.num_classes:
        unknown = [name for name in names if name not in known[0]][:3]
        raise ValueError(
            f"{where} has {len(names)} classes and {config.architecture} tells {config.num_classes} apart. Give a "
            "folder with as many classes as the model has or, for an ImageNet model, one whose folders are named by "
            f"WordNet ids (these are not: {', '.join(unknown)})."
        )
    if own := known[1]:
        unknown = [name for name in names if name not in own][:3]
        raise ValueError(
            f"{where} has classes that {config.architecture} does not have by name: {', '.join(unknown)}. Its own are "
            f"{', '.join(own[:5])}{', ...' if own[5:] else ''}; name the folders so."
        )
    order = sorted(names, key=lambda name: (name.casefold(), name))
    if order != sorted(names):
        warnings.warn(
            f"{where}: classes are numbered by alphabet, capital and small letters alike: {', '.join(order[:3])}, ... "
            "If the model numbers them otherwise (torchvision puts capitals first), give it label_names in its config.",
            stacklevel=2,
        )
    return [order.index(name) for name in names]


def _names(config: PretrainedCfg) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The WordNet ids of a model's classes and its `label_names`, each in the model's order; empty without."""
    subset = infer_imagenet_subset(config.to_dict())
    return tuple(ImageNetInfo(subset).label_names()) if subset else (), tuple(config.label_names or ())


def _numbers_by_name(names: Iterable[str], config: PretrainedCfg) -> dict[str, int] | None:
    """The model's numbers by the names that it has for its classes, its own before WordNet's; None unless all of these
    are among them.
    """
    for known in reversed(_names(config)):
        numbers = {name: number for number, name in enumerate(known)}
        if numbers.keys() >= set(names):
            return numbers
    return None


def require_same_classes(first: Path, second: Path, config: PretrainedCfg) -> None:
    """Raise ValueError unless two splits have the same classes, or the model has all of them by name.

    Args:
        first, second: folders with a folder for every class.
        config: of the model.
    """
    ours, theirs = set(class_names(first)), set(class_names(second))
    if ours == theirs or _numbers_by_name(ours | theirs, config) is not None:
        return
    parts = [
        f"only {folder} has {', '.join(sorted(names)[:5])}{f' and {len(names) - 5} more' if names[5:] else ''}"
        for folder, names in ((first, sorted(ours - theirs)), (second, sorted(theirs - ours))) if names
    ]  # fmt: skip
    raise ValueError(
        "The splits must have folders of the same names, letter for letter, since they say what class an image is of: "
        f"{' and '.join(parts)}. Rename or add folders."
    )


def split_folder(folder: Path, split: str) -> Path:
    """The folder of a split of the reader's own images; one without a `val` is itself what accuracy is measured on.

    Args:
        folder: with a folder of classes for every split, or with the classes themselves.
        split: "train", "val" or what else it is called.

    Raises:
        FileNotFoundError: no such split.
    """
    there = set(class_names(folder)) if folder.is_dir() else set()
    if split in there:
        return folder / split
    if split == "val" and not (there and there <= {"train", "test", "valid", "validation"}):
        return folder
    if split == "val":
        raise FileNotFoundError(
            f"{folder} has no val folder, but {', '.join(sorted(there))}; name the split that accuracy is measured on "
            "val."
        )
    what = ", so there is nothing to fine-tune on" if split == "train" else ""
    raise FileNotFoundError(
        f"{folder} has no {split} folder{what}; put one there, with a folder of images for every class."
    )
