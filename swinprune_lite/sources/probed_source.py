"""A real pretrained transformer whose weights are fetched, on images that ship: results ship, weights do not."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import ClassVar

import torch
from torch import nn

from swinprune_lite.data.garments import SingleGarments, single_garments
from swinprune_lite.data.pairs import DIGESTS, GARMENTS
from swinprune_lite.models.dinov2 import SHA256, dinov2_transform
from swinprune_lite.models.probe import IMAGE_SIZE, NAME, TRAINING, load_probed, probe_card


@dataclass(frozen=True)
class Probed:
    """DINOv2's ViT-S/14 under its linear probe, and single garments of Fashion-MNIST.

    Attributes:
        each: test garments of each kind that accuracy is measured on.
        device: "cpu" or "cuda", where models are put.
    """

    each: int = 100
    device: str = "cpu"
    batch_size: ClassVar[int] = 50
    ships: ClassVar[bool] = True

    def resolve(self, models: Sequence[str]) -> tuple[str, ...]:
        """The models' names, checked: there is one."""
        for model in models:
            _check(model)
        return tuple(models)

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The backbone, as it was published, under the shipped head."""
        _check(model)
        if training_seed:
            raise ValueError(f"{model} has one set of weights, training seed 0; got {training_seed!r}.")
        return copy.deepcopy(_loaded()).to(self.device)

    def training_seeds(self, model: str) -> list[int]:
        """There is one set of weights."""
        return [0]

    def test_batches(self, models: Sequence[str], images: int | None = None) -> SingleGarments:
        """What accuracy is measured on: all of it, or the first so many garments, of every kind in turn."""
        data = single_garments("test", dinov2_transform(IMAGE_SIZE), self.each, self.batch_size)
        return data if images is None else replace(data, garments=data.garments[:images], labels=data.labels[:images])

    def training_batches(self, models: Sequence[str], batch_size: int, seed: int, steps: int | None) -> "_Passes":
        """The first `steps` batches of a pass, in every epoch in another order; None: of a whole pass."""
        return _Passes(single_garments("calibration", dinov2_transform(IMAGE_SIZE), TRAINING, batch_size), seed, steps)

    def calibration_batches(self, models: Sequence[str], images: int) -> Iterator:
        """The first so many garments of "calibration", of every kind in turn."""
        each = -(-images // len(GARMENTS))
        data = single_garments("calibration", dinov2_transform(IMAGE_SIZE), each, self.batch_size)
        return iter(replace(data, garments=data.garments[:images], labels=data.labels[:images]))

    def digests(self, models: Sequence[str], model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the fetched weights, of the head and of the images; how many of these, and the transform."""
        found = {
            "weights": SHA256,
            "head": probe_card()["sha256"],
            "test": DIGESTS["test"],
            "images": f"the first {self.each} of each kind",
            "transform": str(dinov2_transform(IMAGE_SIZE)),
        }
        return found | ({"train": DIGESTS["train"]} if training else {})

    def say(self, models: Sequence[str], live_images: int) -> str:
        """What the numbers are, and what they are not."""
        recipe = probe_card()["recipe"]
        return (
            f"DINOv2's ViT-S/14, real pretrained weights, under a linear head fitted once on the {recipe['features']}\n"
            f"of {recipe['training_garments']:,} training garments. The weights are fetched, head and images ship.\n"
            f"Accuracy: on up to {self.test_batches(models).images:,} test garments of ten kinds, enlarged to "
            f"{IMAGE_SIZE} pixels, from the results store.\n"
            "These are not ImageNet results, and the model is none of the paper's."
        )

    def identity(self) -> str:
        """There are no other images."""
        return ""


@dataclass
class _Passes:
    """Garments, in every epoch in another order, the first `steps` batches of a pass."""

    data: SingleGarments
    seed: int
    steps: int | None
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return min(len(self.data), self.steps or len(self.data))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        drawn = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(self.data.images, generator=drawn, device="cpu")
        shuffled = replace(self.data, garments=self.data.garments[order], labels=self.data.labels[order])
        return islice(iter(shuffled), len(self))


def _check(model: str) -> None:
    if model != NAME:
        raise ValueError(f"Unknown model {model!r}; the pretrained profile has {NAME}.")


@cache
def _loaded() -> nn.Module:
    return load_probed()
