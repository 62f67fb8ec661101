"""The lite models and Fashion-Pairs-100, which come with the package."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

import torch
from torch import nn

from swinprune_lite.data.pairs import DIGESTS, FashionPairs, lite_data
from swinprune_lite.models.lite import LITE_MODELS, lite_card, load_lite, measured_seeds


@dataclass(frozen=True)
class Shipped:
    """The lite models and Fashion-Pairs-100, which come with the package.

    Attributes:
        split: of `lite_data`, what accuracy is measured on.
    """

    split: str
    ships: ClassVar[bool] = True
    device: ClassVar[str] = "cpu"
    batch_size: ClassVar[int] = 100

    def resolve(self, models: Sequence[str]) -> tuple[str, ...]:
        """The models' names, checked."""
        for model in models:
            if model not in LITE_MODELS:
                raise ValueError(f"Unknown lite model {model!r}; choose from {', '.join(LITE_MODELS)}.")
        return tuple(models)

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The trained model."""
        return load_lite(model, training_seed)

    def training_seeds(self, model: str) -> list[int]:
        """Seeds of the trainings that were measured; an installed package has not the weights of all."""
        return measured_seeds(model)

    def test_batches(self, models: Sequence[str], images: int | None = None) -> FashionPairs:
        """What accuracy is measured on: all of it, or the first so many images."""
        data = lite_data(self.split)
        return data if images is None else replace(data, right=data.right[:images])

    def training_batches(self, models: Sequence[str], batch_size: int, seed: int, steps: int | None) -> Iterable:
        """The first `steps` batches of a pass, in every epoch of another one; None: of a whole pass.

        What is measured on held-out pairs learns from none of their garments.
        """
        split = "calibration" if self.split == "held-out" else "train"
        return _Passes(**vars(lite_data(split, batch_size, seed)), steps=steps)

    def calibration_batches(self, models: Sequence[str], images: int) -> Iterable:
        """The first so many pairs of "calibration", in one batch: training garments that are not held out."""
        return islice(lite_data("calibration", images), 1)

    def digests(self, models: Sequence[str], model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the weights and of the images, with the training images if they are used; another split's name."""
        held_out = self.split == "held-out"
        used = {name: value for name, value in DIGESTS.items() if name == "test" or training or held_out}
        return {"weights": lite_card(model, training_seed)["sha256"], **used} | (
            {"split": self.split} if held_out else {}
        )

    def say(self, models: Sequence[str], live_images: int) -> str:
        """What the numbers are, and what they are not."""
        return (
            "Trained for this project on Fashion-Pairs-100; the weights are the shipped ones.\n"
            f"Accuracy: on {live_images:,} test images if computed in this build, on up to "
            f"{lite_data('test').images:,} if from the results store.\nThese are not ImageNet results."
        )

    def identity(self) -> str:
        """There are no other images."""
        return ""


@dataclass
class _Passes(FashionPairs):
    """Garment pairs, in every epoch others, the first `steps` batches of a pass."""

    steps: int | None = None

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return min(super().__len__(), self.steps or super().__len__())

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return islice(super().__iter__(), len(self))
