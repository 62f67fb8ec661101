"""Images in folders, a folder a class, as a pretrained timm model takes them.

They come in one fixed, shuffled order, so that the first so many of them are a sample of all classes.
"""

import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import torch
from PIL import Image, ImageFile
from timm.data import create_transform
from timm.models import PretrainedCfg
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from swinprune_lite.data.listing import class_numbers, list_folder, require_content

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

    def share(self, index: int, count: int) -> "FolderImages":
        """Every `count`-th batch from the one of this index on."""
        firsts = range(index * self.batch_size, self.images, count * self.batch_size)
        return replace(self, order=sum((self.order[first : first + self.batch_size] for first in firsts), ()))

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
        super().__init__(str(folder), transform, numbers.__getitem__, load_image)
        del self._found

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        return list(self._found), {name: index for index, name in enumerate(self._found)}

    def make_dataset(self, directory: str, class_to_idx: dict[str, int], **_) -> list[tuple[str, int]]:
        return [
            (os.path.join(directory, name, image), class_to_idx[name])
            for name, images in self._found.items()
            for image in images
        ]


class DamagedImage(ValueError):
    """An image that cannot be read; says which in one sentence, also out of a worker process of a DataLoader."""

    def __init__(self, said: str) -> None:
        super().__init__(said.rstrip().rpartition("DamagedImage: ")[2])  # torch puts the worker's traceback before it


def load_image(path: str) -> Image.Image:
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


def undisturbed(worker: int) -> None:
    """What a worker process begins with: Ctrl-C reaches it too, and the main process is the one to end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _decode(test: FolderImages) -> DataLoader:
    chosen, count = Subset(test.dataset, test.order), workers(test.images)
    return DataLoader(chosen, test.batch_size, num_workers=count, worker_init_fn=undisturbed)


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
