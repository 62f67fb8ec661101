"""Drawn surfaces, and the lite models that were adapted to them or not yet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from numbers import Integral
from typing import ClassVar

import torch
from torch import nn

from swinprune_lite.data.folders import require_counts
from swinprune_lite.data.surfaces import KINDS
from swinprune_lite.models.surfaces import View, load_surface_model, surface_card, surface_seeds, view_of
from swinprune_lite.sources.surface_sets import (
    SPLITS,
    SurfaceBatches,
    SurfaceSet,
    digest_of_record,
    normalised,
    surface_batches,
    surface_set,
)


@dataclass(frozen=True)
class Surfaces:
    """Models of one view and what they see.

    Attributes:
        split: that accuracy is measured on, "test" or "held-out".
        labelled: the first so many training surfaces are used; 0: all.
    """

    split: str = "test"
    labelled: int = 0
    ships: ClassVar[bool] = True
    device: ClassVar[str] = "cpu"
    batch_size: ClassVar[int] = 120

    def resolve(self, models: Sequence[str]) -> tuple[str, ...]:
        """The models' names, checked: known, and of one view."""
        if len({view_of(model) for model in models}) > 1:
            raise ValueError(f"These models see surfaces differently: {', '.join(models)}; give those of one view.")
        return tuple(models)

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The model; one that is not adapted has a head of zeros."""
        return load_surface_model(model, training_seed)

    def training_seeds(self, model: str) -> list[int]:
        """Seeds of the trainings of which the weights are there."""
        return surface_seeds(model)

    def test_batches(self, models: Sequence[str], images: int | None = None) -> SurfaceBatches:
        """What accuracy is measured on: all of it, or the first so many surfaces, of every class in turn."""
        data = _seen(self.split, self._view(models))
        if images is None:
            return data
        _check_images(images, data.images)
        return replace(data, pixels=data.pixels[:images], classes=data.classes[:images])

    def training_batches(self, models: Sequence[str], batch_size: int, seed: int, steps: int | None) -> Iterable:
        """So many batches, the classes as often as one another; None: as many as hold each surface once."""
        require_counts(steps=steps)
        data = surface_batches(self._training(), self._view(models), batch_size)
        return _Balanced(data, seed, len(data) if steps is None else steps)

    def calibration_batches(self, models: Sequence[str], images: int) -> SurfaceBatches:
        """The first so many training surfaces, in the shares of the line."""
        return surface_batches(first(self._training(), images), self._view(models), self.batch_size)

    def digests(self, models: Sequence[str], model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the weights and of the surfaces; how many train, if not all do."""
        used = {self.split: digest_of_record(self.split)}
        if training:
            used["train"] = digest_of_record("train")
            used |= {"labelled": str(self.labelled)} if self.labelled else {}
        return {"weights": surface_card(model, training_seed)["sha256"], **used}

    def say(self, models: Sequence[str], live_images: int) -> str:
        """What the numbers are, and what they are not."""
        return (
            "swin_lite_micro's architecture, trained on garments for this project and adapted to drawn surfaces.\n"
            f"Accuracy: on up to {SPLITS[self.split]:,} surfaces, as many of each class.\n"
            "The surfaces are synthetic; these are not results of a factory, nor of ImageNet."
        )

    def identity(self) -> str:
        """There are no other images."""
        return ""

    def _training(self) -> SurfaceSet:
        return first(surface_set("train"), self.labelled or None)

    def _view(self, models: Sequence[str]) -> View:
        return view_of(self.resolve(models)[0])


@cache
def _seen(split: str, view: View) -> SurfaceBatches:
    return surface_batches(surface_set(split), view, Surfaces.batch_size)


def _check_images(images: int, most: int) -> None:
    whole = isinstance(images, Integral) and not isinstance(images, bool)
    if not whole or not 0 < images <= most:
        raise ValueError(f"Give a number of surfaces from 1 to {most}; got {images!r}.")


def first(surfaces: SurfaceSet, images: int | None) -> SurfaceSet:
    """The first so many surfaces; None: all.

    Raises:
        ValueError: fewer than one, or more than there are.
    """
    if images is None:
        return surfaces
    _check_images(images, len(surfaces.classes))
    return replace(surfaces, **{name: part[:images] for name, part in vars(surfaces).items()})


@dataclass
class _Balanced:
    """Batches in which every class that there is comes as often, flipped and turned; in every epoch others."""

    data: SurfaceBatches
    seed: int
    steps: int
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        drawn = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        places = [found for kind in range(len(KINDS)) if len(found := (self.data.classes == kind).nonzero()[:, 0])]
        for _ in range(self.steps):
            kinds = torch.randint(len(places), (self.data.batch_size,), generator=drawn, device="cpu")
            numbers = torch.randint(2**31, (self.data.batch_size,), generator=drawn, device="cpu")
            flips = torch.randint(2, (3, self.data.batch_size, 1, 1), generator=drawn, device="cpu").bool()
            chosen = torch.stack([places[kind][number % len(places[kind])] for kind, number in zip(kinds, numbers)])
            pixels = self.data.pixels[chosen]
            for flip, turned in zip(flips, (lambda x: x.flip(1), lambda x: x.flip(2), lambda x: x.transpose(1, 2))):
                pixels = torch.where(flip, turned(pixels), pixels)
            yield normalised(pixels), self.data.classes[chosen]
