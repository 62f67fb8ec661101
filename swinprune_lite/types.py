"""What the parts of the library hand to each other, named once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

Masks = dict[str, torch.Tensor]
"""Parameter name -> bool tensor of the parameter's shape, True = kept."""

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]
"""Pairs of images (B, C, H, W) and classes (B,)."""

InputSize = int | tuple[int, int] | tuple[int, int, int]
"""Of an image in pixels: its side, (height, width) or (channels, height, width)."""

Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the square of a number and the energy (sum of squares) of its layer's numbers at least as large, itself
included, to its score: float64 (n,) each. It must grow with the first and not grow with the second, and be finite
where both are 0."""


@dataclass(frozen=True)
class InputMoments:
    """First and second moments of a layer's inputs x (columns,), over all positions of all images.

    Attributes:
        mean: E[x], float64 (columns,).
        second: E[x x^T], float64 (columns, columns).
        positions: tokens or pixels that they were taken over.
    """

    mean: torch.Tensor
    second: torch.Tensor
    positions: int

    @property
    def norms(self) -> torch.Tensor:
        """Root mean square of each input, float64 (columns,): Wanda's norm, divided by the root of the positions."""
        return self.second.diagonal().clamp_min(0).sqrt()

    @property
    def varies(self) -> bool:
        """Whether the covariance is more than what rounding leaves of the difference of the two moments."""
        return bool(self.covariance.diagonal().sum() > 1e-10 * self.second.diagonal().sum())

    @property
    def covariance(self) -> torch.Tensor:
        """E[(x - mean)(x - mean)^T], float64 (columns, columns)."""
        return self.second - torch.outer(self.mean, self.mean)


@dataclass(frozen=True)
class Gradients:
    """Gradients of the loss with respect to one weight, image by image.

    Attributes:
        mean: over the images, float64 of the weight's shape.
        square: mean of the squares, float64 of the weight's shape: the diagonal of the empirical Fisher matrix.
        images: that they were taken over.
    """

    mean: torch.Tensor
    square: torch.Tensor
    images: int


Statistic = InputMoments | Gradients | torch.Tensor
"""What was measured of one layer."""

Values = Callable[[torch.Tensor, Statistic | None], torch.Tensor]
"""From a weight, and what was measured of its layer (None: nothing), to numbers of the weight's shape."""

Grouping = Callable[[nn.Module], list[list[str]]]
"""From a model to its prunable weights' names, each in exactly one list: those of a list compete."""

Budget = Callable[[nn.Module, Sequence[Sequence[str]], float], list[int]]
"""From a model, the names of each group's weights and the ratio to the number of weights that each group loses."""
