"""Images in folders, a folder a class, as a pretrained timm model takes them.

They come in one fixed, shuffled order, so that the first so many of them are a sample of all classes.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import torch
from PIL import Image, ImageFile
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset
from timm.models import PretrainedCfg
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from swinprune_lite.data.listing import class_names, list_folder, require_content

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

    def resizing(self) -> Callable[[Image.Image], torch.Tensor]:
        """From an image to its pixels, uint8 (C, H, W), resized and cropped as timm does it."""
        how = {"interpolation": self.interpolation, "crop_pct": self.crop_pct, "crop_mode": self.crop_mode}
        return create_transform(self.input_size, use_prefetcher=True, **how)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) to float32, normalised as torchvision does."""
        values = torch.tensor([self.mean, self.std], dtype=torch.float32, device=pixels.device)
        mean, std = values[:, :, None, None]
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
        ValueError: classes that are not the model's, an image that is an empty file, or a number below one; a
            damaged image when it is its turn.
    """
    require_counts(batch_size=batch_size, images=images)
    dataset = open_folder(folder, config, transform.resizing())
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0), device="cpu").tolist()
    return FolderImages(dataset, tuple(order[:images]), transform, batch_size)


def open_folder(folder: Path, config: PretrainedCfg, transform=None) -> ImageFolder:
    """A folder of images whose classes are numbered as the model numbers them, see `class_numbers`.

    It stays that folder, with the images that it has now, whatever becomes the working directory.

    An image is turned into RGB as timm and torchvision do: a palette and CMYK are converted, transparency and an
    orientation in EXIF are left out. One of 16 bits a pixel in grey, which that would clip, is refused.

    Args:
        folder: with a folder for every class, see `folders`.
        config: of the model.
        transform: of each image.

    Raises:
        FileNotFoundError: no such folder, no folder of a class in it, or a class without images.
        ValueError: classes that are not the model's, or an image that is an empty file.
    """
    if not (folder := Path(folder)).is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; give one that holds a folder of images for every class.")
    found = list_folder(folder)
    if not all(found.values()) or not found:
        empty = next((f"{name} holds none" for name in found if not found[name]), "it holds no folder")
        raise FileNotFoundError(
            f"{folder} must hold a folder of images for every class, none of them empty, and {empty} "
            f"({', '.join(IMG_EXTENSIONS)}). If it was not wholly unpacked, unpack it again."
        )
    for name, images in found.items():
        require_content(images, f"{folder}/{name}")
    return _Classes(folder.absolute(), found, class_numbers(list(found), config, folder), transform)


class _Classes(ImageFolder):
    """torchvision's, of the images that `list_folder` found."""

    def __init__(self, folder: Path, found: dict[str, dict[str, int]], numbers: list[int], transform) -> None:
        self._found = found
        super().__init__(str(folder), transform, numbers.__getitem__, load_rgb)
        del self._found

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        return list(self._found), {name: index for index, name in enumerate(self._found)}

    def make_dataset(self, directory: str, class_to_idx: dict[str, int], **_) -> list[tuple[str, int]]:
        return [
            (os.path.join(directory, name, image), class_to_idx[name])
            for name, images in self._found.items()
            for image in images
        ]


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
    """The model's numbers by the names that it has for its classes; None unless all of these are among them."""
    for known in _names(config):
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


class DamagedImage(ValueError):
    """An image that cannot be read; says which in one sentence, also out of a worker process of a DataLoader."""

    def __init__(self, said: str) -> None:
        super().__init__(said.rstrip().rpartition("DamagedImage: ")[2])  # torch puts the worker's traceback before it


def load_rgb(path: str) -> Image.Image:
    """In RGB, as torchvision's loader has it; what is not whole is refused whatever Pillow was told before."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with open(path, "rb") as file:
            image = Image.open(file)
            if image.mode in ("I", "F") or image.mode.startswith("I;"):
                raise ValueError(f"its pixels, of Pillow's mode {image.mode}, would be clipped")
            return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedImage(
            f"{path} is not a whole image of 8 bits a channel ({reason}); replace it, or unpack the archive again."
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def require_counts(**numbers: int | None) -> None:
    """Raise ValueError unless every number that is given is a whole one above 0."""
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, Integral) or isinstance(number, bool) or number < 1):
            raise ValueError(f"{name} must be a whole number, 1 or more; got {number!r}.")


def workers(images: int) -> int:
    """Worker processes to decode so many images with."""
    return min(8, os.cpu_count() or 1) if images >= MANY else 0


def _decode(test: FolderImages) -> DataLoader:
    return DataLoader(Subset(test.dataset, test.order), test.batch_size, num_workers=workers(test.images))


_DECODED: dict[tuple, tuple[list, list[tuple[torch.Tensor, torch.Tensor]]]] = {}


def _decoded(test: FolderImages) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All batches, decoded anew only where a file changed: a table evaluates dozens of models on the same images."""
    data = test.dataset
    numbers = tuple(map(data.target_transform, range(len(data.classes))))
    key = (os.path.realpath(data.root), tuple(data.classes), numbers, test.transform, test.batch_size)
    files = [(path.removeprefix(data.root), *_stamp(path)) for path, _ in data.samples]
    if key not in _DECODED or _DECODED[key][0] != files:
        _DECODED.pop(key, None)  # before there are two in memory
        _DECODED[key] = (files, list(_decode(test)))
    return _DECODED[key][1]


def _stamp(path: str) -> tuple[int, ...]:
    """Size and times of a file, () if it is gone. Unpacking anew sets back the first time, not the second."""
    about = os.stat(path) if os.path.exists(path) else None
    return (about.st_size, about.st_mtime_ns, about.st_ctime_ns) if about else ()
