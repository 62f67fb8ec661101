"""Sets of drawn surfaces: those of record, more that a reader draws, and folders of images; and their batches."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from swinprune_lite.data.folders import load_image, require_counts
from swinprune_lite.data.listing import list_folder
from swinprune_lite.data.surfaces import KINDS, ON, SIDE, TEXTURES, Drawn, draw_surface, seen_by
from swinprune_lite.files import RESTORE, SHIPPED, read_json
from swinprune_lite.models.surfaces import View

SHARES = {"clean": 0.6, "scratch": 0.15, "stain": 0.1, "pit": 0.08, "crack": 0.05, "missing thread": 0.02}
"""How often each class comes along the line, and is in the training set."""

SIZES = tuple(range(2, 31))
TEST_SIZES = (2, 3, 4, 6, 9, 14, 20, 30)
SPLITS = {"train": 2400, "held-out": 480, "test": 1920}
CARD = SHIPPED / "surfaces.json"
MEAN, STD = 0.49, 0.25  # of pixels in [0, 1]; so wide, that textures stay small beside defects

_CHANCES = list(accumulate(math.lcm(*SIZES) // size for size in SIZES))


class Surface(NamedTuple):
    """What `draw_surface` takes: seed, texture, kind of defect and its size in pixels, 0 where there is none."""

    seed: int
    texture: str
    kind: str
    size: float


@dataclass(frozen=True, eq=False)
class SurfaceSet:
    """Surfaces and what is on them.

    Attributes:
        pixels: uint8 (images, SIDE, SIDE), as the finest camera sees them.
        classes: int64 (images,), in the order of `KINDS`.
        sizes: float64 (images,), of the defect in pixels of the finest camera; 0 of a clean surface, nan if unknown.
    """

    pixels: np.ndarray
    classes: np.ndarray
    sizes: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 over pixels, classes and sizes."""
        found = hashlib.sha256(np.ascontiguousarray(self.pixels))
        for each, kind in ((self.classes, "<i8"), (self.sizes, "<f8")):
            found.update(each.astype(kind).tobytes())
        return found.hexdigest()


def plan(split: str) -> Iterator[Surface]:
    """What a set of record is drawn of, in order, so that the first so many are a sample of all.

    "train" has the classes in `SHARES`, in whatever number of first images, and of `SIZES` one the less often, the
    larger it is: as often as its inverse says. "held-out" and "test" have as many of each class, and of each of
    `TEST_SIZES`.

    Raises:
        ValueError: an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    first = 1_000_000 * list(SPLITS).index(split)
    drawn, counts = Drawn(first + 999_999), dict.fromkeys(KINDS, 0)
    for number in range(SPLITS[split]):
        if split == "train":  # the class that lags behind its share most
            kind = max(KINDS, key=lambda each: round(100 * SHARES[each]) * (number + 1) - 100 * counts[each])
            size = SIZES[int(np.searchsorted(_CHANCES, drawn.below(_CHANCES[-1]), side="right"))]
        else:
            kind = KINDS[number % len(KINDS)]
            size = TEST_SIZES[counts[kind] % len(TEST_SIZES)]
        counts[kind] += 1
        textures = ON.get(kind, TEXTURES)
        yield Surface(first + number, textures[drawn.below(len(textures))], kind, 0 if kind == "clean" else size)


def draw_set(surfaces: Iterable[Surface]) -> SurfaceSet:
    """Surfaces drawn now.

    Args:
        surfaces: what is drawn, one or more; each as `draw_surface` takes it.

    Raises:
        ValueError: none, or one that cannot be drawn.
    """
    surfaces = list(surfaces)
    if not surfaces:
        raise ValueError("There is nothing to draw; give one surface or more.")
    pixels = np.stack([draw_surface(*each) for each in surfaces])
    classes = np.array([KINDS.index(each[2]) for each in surfaces], dtype=np.int64)
    return SurfaceSet(pixels, classes, np.array([each[3] for each in surfaces], dtype=np.float64))


@cache
def surface_set(split: str) -> SurfaceSet:
    """A set of record, drawn now and compared with its digest.

    Args:
        split: "train" (to adapt to), "held-out" (to choose on) or "test" (to report).

    Raises:
        ValueError: an unknown split, or pixels that are not those of record.
        FileNotFoundError: the card with the digests is missing.
    """
    found = draw_set(list(plan(split)))
    if found.digest != digest_of_record(split):
        raise ValueError(
            f"The surfaces of {split!r} that are drawn here do not have the digest in {CARD}, so they are not those "
            f"that results are of; {RESTORE}."
        )
    return found


def digest_of_record(split: str) -> str:
    """SHA-256 of a set of record, from its card.

    Raises:
        FileNotFoundError: the card is missing.
        ValueError: it is damaged.
    """
    if not CARD.is_file():
        raise FileNotFoundError(f"{CARD} is missing; {RESTORE}.")
    card = read_json(CARD, RESTORE)
    digests = card.get("sha256") if isinstance(card, dict) else None
    if not isinstance(digests, dict) or not isinstance(digests.get(split), str):
        raise ValueError(f"{CARD} has no digest of {split!r}; {RESTORE}.")
    return digests[split]


def read_surfaces(folder: str | Path) -> SurfaceSet:
    """Images of one's own: a folder for every class, named as in `KINDS`; each has `SIDE` pixels a side.

    Args:
        folder: with at least one of these folders and no other. Colour becomes grey.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: other classes, no images, one that cannot be read or has more than 8 bits a channel, or one of
            another size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; give one with a folder of images for every class.")
    listed = list_folder(folder)
    if not listed or not set(listed) <= set(KINDS):
        found = f"the classes {', '.join(listed)}" if listed else "no folders of classes"
        raise ValueError(f"{folder} has {found}, and surfaces have {', '.join(KINDS)}; name the folders so.")
    pixels, classes = [], []
    for name, images in listed.items():
        for path in (folder / name / image for image in images):
            grey = np.asarray(load_image(str(path)).convert("L"))
            if grey.shape != (SIDE, SIDE):
                raise ValueError(
                    f"{path} has {grey.shape[1]} × {grey.shape[0]} pixels, and surfaces have {SIDE} × {SIDE}; resize "
                    "or cut it."
                )
            pixels.append(grey)
            classes.append(KINDS.index(name))
    if not pixels:
        raise ValueError(f"There are no images in the folders of {folder}.")
    sizes = np.where(np.array(classes) == 0, 0.0, math.nan)
    return SurfaceSet(np.stack(pixels), np.array(classes, dtype=np.int64), sizes)


@dataclass(frozen=True, eq=False)
class SurfaceBatches:
    """Batches of surfaces as a model of a view takes them; iterate it as often as you like.

    Attributes:
        pixels: uint8 tensor (N, side, side).
        classes: int64 tensor (N,).
        batch_size: surfaces a batch.

    Each batch is float32 (B, 1, side, side), normalised, and int64 (B,).
    """

    pixels: torch.Tensor
    classes: torch.Tensor
    batch_size: int = 120

    @property
    def images(self) -> int:
        """Surfaces in one pass."""
        return len(self.classes)

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for pixels, classes in zip(self.pixels.split(self.batch_size), self.classes.split(self.batch_size)):
            yield normalised(pixels), classes


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (B, side, side) to float32 (B, 1, side, side)."""
    return (pixels.float()[:, None] / 255 - MEAN) / STD


def surface_batches(surfaces: SurfaceSet, view: View, batch_size: int = 120) -> SurfaceBatches:
    """Surfaces as a camera sees them and a model takes them.

    Args:
        surfaces: of record, drawn or read.
        view: camera and model's input.
        batch_size: surfaces a batch.

    Raises:
        ValueError: a batch size below 1, or a view whose sizes do not divide one another.
    """
    require_counts(batch_size=batch_size)
    seen = seen_by(surfaces.pixels, view.camera, view.side)
    return SurfaceBatches(torch.from_numpy(seen), torch.from_numpy(surfaces.classes), batch_size)
