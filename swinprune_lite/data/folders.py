"""Images in folders, a folder a class, as a pretrained timm model takes them.

They come in one fixed, shuffled order, so that the first so many of them are a sample of all classes.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from PIL import UnidentifiedImageError
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset
from timm.models import PretrainedCfg
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader

_EXTENSIONS = (".jpeg", ".jpg", ".png")
CACHED_BYTES = 2**30  # decoded test images are kept in memory up to this
MANY = 500  # images from which on worker processes are worth starting


@dataclass(frozen=True)
class Transform:
    """What images a model takes: timm's own words for it.

    Attributes:
        input_size: (channels, height, width) in pixels.
        interpolation: of the resizing.
        crop_pct: the crop's side over the resized image's shorter one.
        crop_mode: where the crop is taken.
        mean, std: of each channel, pixels in [0, 1].
    """

    input_size: tuple[int, int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: PretrainedCfg, crop_pct: float | None = None) -> "Transform":
        """The transform that the weights were made for; with another crop if given."""
        size, mean, std = (tuple(values) for values in (config.input_size, config.mean, config.std))
        own = cls(size, config.interpolation, config.crop_pct, config.crop_mode, mean, std)
        return own if crop_pct is None else replace(own, crop_pct=crop_pct)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) to float32, normalised as torchvision does."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std


@dataclass(frozen=True)
class FolderImages:
    """Batches of images and their classes in the model's own numbering; iterate them as often as you like.

    Each batch is float32 (B, C, H, W), normalised, and int64 (B,).
    """

    dataset: Dataset
    order: tuple[int, ...]
    transform: Transform
    batch_size: int

    @property
    def images(self) -> int:
        """Images in one pass."""
        return len(self.order)

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        whole = self.images == len(self.dataset)
        small = self.images * math.prod(self.transform.input_size) <= CACHED_BYTES
        decoded = _decoded(self) if whole and small else _decode(self)
        for pixels, classes in decoded:
            yield self.transform.normalise(pixels), classes


def evaluation_images(
    folder: Path, config: PretrainedCfg, transform: Transform, batch_size: int, images: int | None = None
) -> FolderImages:
    """The images of a folder, in a fixed order without classes in it.

    Args:
        folder: with a folder for every class.
        config: of the model, which says how its classes are numbered.
        transform: see `Transform.of`.
        batch_size: images a batch.
        images: the first so many; None: all.

    Raises:
        FileNotFoundError: no such folder, or no images in it.
        ValueError: classes that are not the model's.
    """
    augment = create_transform(
        transform.input_size, use_prefetcher=True, interpolation=transform.interpolation,
        crop_pct=transform.crop_pct, crop_mode=transform.crop_mode,
    )  # fmt: skip
    dataset = open_folder(folder, config, augment)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    return FolderImages(dataset, tuple(order[:images]), transform, batch_size)


def open_folder(folder: Path, config: PretrainedCfg, transform=None) -> ImageFolder:
    """A folder of images whose classes are numbered as the model numbers them.

    Folders named by WordNet ids are mapped to an ImageNet model's classes by their ids, and may be some
    of them; others must be as many as the model's classes and are numbered in alphabetical order.

    Args:
        folder: with a folder for every class.
        config: of the model.
        transform: of each image.

    Raises:
        FileNotFoundError: no such folder, no folder of a class in it, or a class without images.
        ValueError: classes that are not the model's.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; give one that holds a folder of images for every class.")
    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{folder} must hold a folder of images for every class, none of them empty: "
            f"{' '.join(str(error).split())[:200]} If it was not wholly unpacked, unpack it again."
        ) from error
    numbers = class_numbers(found.classes, config, folder)
    return ImageFolder(str(folder), transform, target_transform=numbers.__getitem__, loader=_load)


def class_numbers(names: Sequence[str], config: PretrainedCfg, where: object = "The data") -> list[int]:
    """The model's number of each class, see `open_folder`.

    Raises:
        ValueError: classes that are not the model's.
    """
    subset = infer_imagenet_subset(config.to_dict())
    ids = ImageNetInfo(subset).label_names() if subset else []
    if set(names) <= set(ids):
        return [ids.index(name) for name in names]
    if len(names) != config.num_classes:
        unknown = [name for name in names if name not in set(ids)][:3]
        raise ValueError(
            f"{where} has {len(names)} classes and {config.architecture} tells {config.num_classes} apart. Give a "
            "folder with as many classes as the model has or, for an ImageNet model, one whose folders are named by "
            f"WordNet ids (these are not: {', '.join(unknown)})."
        )
    return list(range(len(names)))


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
        with os.scandir(folder / wnid) as entries:
            images = [entry for entry in entries if _is_image(entry)]
        if not images:
            raise ValueError(f"the class folder {folder.name}/{wnid} holds no image")
        if empty := [image.name for image in images if not image.stat().st_size]:
            raise ValueError(f"{len(empty)} image(s) in {folder.name}/{wnid} are empty files, such as {empty[0]}")
        found[wnid] = [image.name for image in images]
    return found


@cache
def listing_digest(folder: Path) -> str:
    """SHA-256 over the names and sizes of all files of a folder of classes: cheap, and another for other images."""
    lines = [
        f"{entry.name}/{image.name} {image.stat().st_size}"
        for entry in os.scandir(folder) if entry.is_dir()
        for image in os.scandir(entry)
    ]  # fmt: skip
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _is_image(entry: os.DirEntry) -> bool:
    return entry.name.lower().endswith(_EXTENSIONS) and not entry.name.startswith(".") and entry.is_file()


def _load(path: str):
    """As torchvision's loader, with a message that names the file."""
    try:
        return default_loader(path)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is not a whole image ({error}); replace it, or unpack the archive again.") from error


def workers(images: int) -> int:
    """Worker processes to decode so many images with."""
    return min(8, os.cpu_count() or 1) if images >= MANY else 0


def _decode(test: FolderImages) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    loader = DataLoader(Subset(test.dataset, test.order), test.batch_size, num_workers=workers(test.images))
    try:
        yield from loader
    except ValueError as error:  # a worker process puts its traceback before what it has to say
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from error


_DECODED: dict[tuple, list[tuple[torch.Tensor, torch.Tensor]]] = {}


def _decoded(test: FolderImages) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All batches, decoded once in a process: a table evaluates dozens of pruned models on the same images."""
    root = Path(test.dataset.root)
    key = (root, listing_digest(root), tuple(test.dataset.class_to_idx), test.transform, test.batch_size)
    if key not in _DECODED:
        _DECODED[key] = list(_decode(test))
    return _DECODED[key]
