"""Criteria: the score of a weight.

A criterion makes numbers of a weight, and of what was measured of its layer if it wants that. By itself these are
the scores. With a `Score` their squares are scored, given the energy of all in the layer that are at least as
large: equation 10, defined in `importance`, is such a score, and selection has a fast path for them. Ten lines make
a criterion of one's own:

```python
def wanda(weight, norms):  # norms (columns,): of each input
    return weight.abs() * norms

masks = sp.make_masks(model, 0.5, criterion=wanda, statistics=norms_by_weight)
```
"""

from typing import NamedTuple

import torch

from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.types import Score, Values


class Criterion(NamedTuple):
    """How weights are scored.

    Attributes:
        values: the numbers that are compared; their sign counts unless there is a `score`.
        score: of their squares and energies; None: the numbers are the scores.
        draws: whether the statistic is a random number in [0, 1) for every weight.
    """

    values: Values
    score: Score | None = None
    draws: bool = False


def weights(weight: torch.Tensor, statistic: torch.Tensor | None) -> torch.Tensor:
    """The weights themselves."""
    return weight


def magnitude(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """The square itself: it orders as the magnitude does."""
    return square


CRITERIA: dict[str, Criterion] = {
    "relative_energy": Criterion(weights, relative_energy),
    "magnitude": Criterion(weights, magnitude),
    "random": Criterion(lambda weight, chance: chance, draws=True),
}
