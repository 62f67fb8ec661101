"""Rules of repair: from a layer's weight and mask to the weights that stay.

A mask takes scale before it takes information: what is left of a row gives less variance than the row did. If the
layer's inputs x have covariance S, a row w gives the variance w S w^T, and what the mask leaves of it, v, gives
v S v^T; times the root of their ratio, v gives what w gave. For white inputs (S = 1) that is the ratio of the rows'
norms. Where one direction of the inputs dominates and the row lies along it, it is the square of that ratio: removed
weights are small, but they add up, since their inputs vary together. Measured factors lie between.

S is what weights and drawn images tell of it (`covariance`), or measured on real ones (`calibration.statistics`).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from swinprune_lite.pruning.criteria import damped
from swinprune_lite.repairing.covariance import DAMPING, mean_of, told_by_weights
from swinprune_lite.repairing.refit import least_squares, variance
from swinprune_lite.types import InputMoments


class Layer(NamedTuple):
    """What a rule sees of a layer.

    Attributes:
        weight: before it was cut, float64 (rows, columns).
        mask: bool (rows, columns), True = kept.
        moments: of its inputs on real images; None: none was used.
        written_by: the matrix whose rows write its inputs, float64 (columns, columns of the writer); None: unknown.
        drawn: gives the moments of its inputs on drawn images; None: there are none.
        row_groups: equal parts of the rows: each head's q, k and v; 1 where there are none.
        column_groups: equal parts of the columns: what each head gives; 1 where there are none.
    """

    weight: torch.Tensor
    mask: torch.Tensor
    moments: InputMoments | None = None
    written_by: torch.Tensor | None = None
    drawn: Callable[[], InputMoments] | None = None
    row_groups: int = 1
    column_groups: int = 1

    @property
    def cut(self) -> torch.Tensor:
        """The weight with zeros where the mask prunes, float64 (rows, columns)."""
        return self.weight.masked_fill(~self.mask, 0)

    @property
    def covariance(self) -> torch.Tensor:
        """Of the inputs, float64 (columns, columns): on real images, or as told without; see `covariance`."""
        if self.moments:
            return damped(self.moments.covariance, DAMPING)
        told = [told_by_weights(self.weight, self.written_by)]
        if self.drawn and (moments := self.drawn()).varies:
            told.append(moments.covariance)
        return mean_of(told)


Rule = Callable[[Layer], torch.Tensor]
"""From a layer to the weights that take the place of the cut ones, float64 (rows, columns); zeros where it is cut."""


def norms(dims: int | tuple[int, int], power: float = 2.0, exponent: float = 1.0) -> Rule:
    """Give rows, columns or whole layers back the norm that cutting took.

    Args:
        dims: that the norm is taken over: 1 for each row's, 0 for each column's, (0, 1) for the layer's.
        power: p of the norm, (sum |w|^p)^(1/p).
        exponent: of the ratio of the norms before and after.
    """

    def rule(layer: Layer) -> torch.Tensor:
        before, after = (
            matrix.abs().pow(power).sum(dims, keepdim=True).pow(1 / power) for matrix in (layer.weight, layer.cut)
        )
        return layer.cut * _ratio(before, after) ** exponent

    return rule


def heads(layer: Layer) -> torch.Tensor:
    """Give what writes or reads a head (its q, k and v apart) its norm back, and a layer of an MLP its own."""
    shape = (layer.row_groups, len(layer.weight) // layer.row_groups, layer.column_groups, -1)
    before, after = (
        matrix.reshape(shape).square().sum((1, 3), keepdim=True).sqrt() for matrix in (layer.weight, layer.cut)
    )
    return (layer.cut.reshape(shape) * _ratio(before, after)).reshape(layer.weight.shape)


def variances(layer: Layer) -> torch.Tensor:
    """Give each row's output its variance back, (w S w^T / v S v^T)^(1/2), S the inputs' covariance."""
    return _with_variance(layer, layer.cut, layer.covariance)


def least_squares_alone(layer: Layer) -> torch.Tensor:
    """Refit the weights that stay to what the row gave, in the least-squares sense; see `refit.least_squares`."""
    return least_squares(layer.weight, layer.mask, layer.covariance)


def refit(layer: Layer) -> torch.Tensor:
    """Refit the weights that stay, then give each row's output its variance back: least squares shrinks it."""
    covariance = layer.covariance
    return _with_variance(layer, least_squares(layer.weight, layer.mask, covariance), covariance)


def _with_variance(layer: Layer, left: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    ratio = _ratio(variance(layer.weight, covariance), variance(left, covariance))
    return left * ratio.sqrt()[:, None]


def _ratio(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """before / after; 1 where nothing is left."""
    return torch.where(after > 0, before / after.where(after > 0, 1), 1)


RULES: dict[str, Rule] = {
    "refit": refit,
    "variances": variances,
    "least squares": least_squares_alone,
    "rows": norms(1),
    "rows^1.5": norms(1, exponent=1.5),
    "rows, root of L1": norms(1, power=1.0, exponent=0.5),
    "columns": norms(0),
    "heads": heads,
    "layer": norms((0, 1)),
}
