"""Distillation: a pruned model learns what the dense one says, so that its training images need no labels."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import image_type


@torch.no_grad()
def told(teacher: nn.Module, images: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """A teacher's probabilities (B, classes) of images (B, C, H, W), on its own device; see `Taught`."""
    device, dtype = image_type(teacher)
    return (teacher(images.to(device, dtype)) / temperature).softmax(-1)


@dataclass
class Taught:
    """Batches in which the classes give way to a teacher's probabilities; for `finetune`.

    Attributes:
        batches: sized iterable of (images (B, C, H, W), classes), which are not looked at.
        teacher: the dense model, in evaluation mode; images to logits (B, classes).
        temperature: the logits are divided by it before the softmax; above 1 the teacher tells more of
            the classes it finds unlikely. It must be above zero.

    Each batch is (images, probabilities (B, classes)). Cross-entropy with them differs from the
    Kullback-Leibler divergence to the teacher by a constant (Hinton, Vinyals and Dean, 2015).
    """

    batches: Iterable
    teacher: nn.Module
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be a number above zero; got {self.temperature!r}.")

    def __len__(self) -> int:
        """Batches in one pass."""
        return len(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """The number of the next pass, for batches that are drawn by it."""
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, _ in self.batches:
            yield images, told(self.teacher, images, self.temperature)
