"""Criteria: the score of a weight.

A criterion scores squares, given the energy of all in their layer that are at least as large (see `Criterion`).
Equation 10 is one, defined in `importance`. The squares are those of the weights, unless the criterion is made
`of` something else: random numbers here, and likewise a weight times what images say about its input.
"""

from collections.abc import Callable

import torch

from swinprune_lite.importance import relative_energy

__all__ = ["Criterion", "Statistic", "magnitude", "of", "random", "relative_energy", "statistic"]

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Score of a weight from its square and the energy (sum of squares) of its layer's weights at least as
large, itself included: float64 (n,) each. It must grow with the first and not grow with the second."""

Statistic = Callable[[str, torch.Tensor, torch.Generator], torch.Tensor]
"""From a weight's name, the weight and a generator to the numbers, of the weight's shape, that are scored for it."""


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


@of(lambda name, weight, generator: torch.rand(weight.shape, generator=generator, device="cpu"))
def random(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """Chance, in [0, 1), in place of the weight."""
    return square
