"""Criteria: the score of a weight.

A criterion scores squares, given the energy of all in their layer that are at least as large (see `Criterion`).
Equation 10 is one, defined in `importance`. The squares are those of the weights, unless the criterion is made
`of` something else: random numbers here, and likewise a weight times what images say about its input.
"""

from collections.abc import Callable

import torch

from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.types import Criterion, Statistic

__all__ = ["magnitude", "of", "random", "relative_energy", "statistic"]


def of(scored: Statistic) -> Callable[[Criterion], Criterion]:
    """Make a criterion one of `scored` in place of the weights.

    ```python
    @of(lambda name, weight, generator: weight * input_norms[name])
    def wanda(square, energy):
        return square
    ```
    """

    def mark(criterion: Criterion) -> Criterion:
        criterion.statistic = scored
        return criterion

    return mark


def statistic(criterion: Criterion) -> Statistic:
    """What the criterion scores: the weight itself unless it was made `of` something else."""
    return getattr(criterion, "statistic", lambda name, weight, generator: weight)


def magnitude(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """The square itself: it orders as the magnitude does."""
    return square


def _chance(weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(weight.shape, generator=generator, dtype=torch.float32, device="cpu")


@of(lambda name, weight, generator: _chance(weight, generator))
def random(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """Chance, in [0, 1), in place of the weight."""
    return square
