"""What a profile asks of where its models and images come from."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

from torch import nn

from swinprune_lite.types import Batches


class Source(Protocol):
    """What a profile asks of where its models and images come from."""

    ships: ClassVar[bool]
    """Whether images and results come with the package; weights may have to be fetched, to measure anew."""

    device: str
    """ "cpu" or "cuda", where models are put."""

    batch_size: int
    """Images evaluated at a time."""

    def resolve(self, models: Sequence[str]) -> tuple[str, ...]:
        """The models' full names, checked: known, and all taking the same images."""

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The trained model, in evaluation mode."""

    def training_seeds(self, model: str) -> list[int]:
        """Seeds of the trainings that can be measured, or were."""

    def test_batches(self, models: Sequence[str], images: int | None = None) -> Batches:
        """What accuracy is measured on: all of it, or the first so many images; `images` says how many they are."""

    def training_batches(self, models: Sequence[str], batch_size: int, seed: int, steps: int | None) -> Iterable:
        """The first `steps` batches of an epoch, the same in every call with this seed; None: of a whole epoch."""

    def calibration_batches(self, models: Sequence[str], images: int) -> Batches:
        """Training images that statistics are gathered on, so many, the same in every call."""

    def digests(self, models: Sequence[str], model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the weights and of the images, with the training images if they are used."""

    def say(self, models: Sequence[str], live_images: int) -> str:
        """What the numbers are, and what they are not."""

    def identity(self) -> str:
        """A short name for the images, so that results on others are kept apart; "" where there are no others."""
