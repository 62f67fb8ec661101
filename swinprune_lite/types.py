"""What the parts of the library hand to each other, named once."""

from collections.abc import Callable, Iterable, Sequence

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

Values = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From a weight, and what was measured of its layer (None: nothing), to numbers of the weight's shape."""

Grouping = Callable[[nn.Module], list[list[str]]]
"""From a model to its prunable weights' names, each in exactly one list: those of a list compete."""

Budget = Callable[[nn.Module, Sequence[Sequence[str]], float], list[int]]
"""From a model, the names of each group's weights and the ratio to the number of weights that each group loses."""
