"""Criteria: the score of a weight.

A criterion makes numbers of a weight, and of what was measured of its layer if it wants that. By itself these are
the scores. With a `Score` their squares are scored, given the energy of all in the layer that are at least as
large: equation 10, defined in `importance`, is such a score, and selection has a fast path for them. Ten lines make
a criterion of one's own:

```python
def wanda(weight, moments):
    return weight.abs() * moments.norms

masks = sp.make_masks(model, 0.5, criterion=wanda, statistics=input_moments(model, batches))
```

What is measured comes from `calibration.statistics`, of the whole model, once: nothing is measured again after a layer
has been cut. All criteria here that use data score by a square, so that any of them may take equation 10 as its score:
`CRITERIA["fisher"]._replace(score=relative_energy)`.
"""

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import torch

from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.types import Gradients, InputMoments, Score, Statistic, Values

GATHERED_BY = {InputMoments: ("input moments", "input_moments"), Gradients: ("gradients", "gradients")}
OBS_DAMPING = 0.01  # of the mean second moment, added to each input's (Frantar and Alistarh, 2023)


class Criterion(NamedTuple):
    """How weights are scored.

    Attributes:
        values: the numbers that are compared; their sign counts unless there is a `score`.
        score: of their squares and energies; None: the numbers are the scores.
        draws: whether the statistic is a random number in [0, 1) for every weight.
        wants: which statistic the values are made of; None: none, or one that only they know.
        name: for messages.
    """

    values: Values
    score: Score | None = None
    draws: bool = False
    wants: type[InputMoments] | type[Gradients] | None = None
    name: str = "given"

    def check(self, weights: Mapping[str, torch.Tensor], statistics: Mapping[str, Statistic] | None) -> None:
        """Raise ValueError unless the statistics have what the criterion wants of each of the weights."""
        if self.wants:
            check_statistics(f"The criterion {self.name}", self.wants, weights, statistics)
        elif statistics is not None:
            _check_names(weights, statistics)


def check_statistics(
    who: str,
    wanted: type[InputMoments] | type[Gradients],
    weights: Mapping[str, torch.Tensor],
    given: object,
    argument: str = "statistics",
) -> None:
    """Raise ValueError, in one sentence, unless the statistics are what is wanted, finite, and fit every weight.

    Args:
        who: wants them, for the message.
        wanted: their type.
        weights: parameter name -> weight.
        given: parameter name -> statistic, or whatever stands in its place.
        argument: what it is called where it was given.
    """
    words, function = GATHERED_BY[wanted]
    each = [given] if not isinstance(given, Mapping) else given.values()
    if wrong := [one for one in each if not isinstance(one, wanted)]:
        instead = "" if wrong[0] is None else f", not {type(wrong[0]).__name__}"
        raise ValueError(f"{who} wants {words}: give {argument}={function}(model, batches){instead}.")
    _check_names(weights, given)
    for name, weight in weights.items():
        if wanted is InputMoments:
            columns = weight.shape[1:].numel()  # of a kernel all that an output reads
            tensors, right = (given[name].mean, given[name].second), ((columns,), (columns, columns))
        else:
            tensors, right = (given[name].mean, given[name].square), (weight.shape, weight.shape)
        if tuple(tensor.shape for tensor in tensors) != right:
            raise ValueError(
                f"The {words} of {name} do not fit its shape {tuple(weight.shape)}; gather them on this model."
            )
        if not all(torch.isfinite(tensor).all() for tensor in tensors):
            raise ValueError(f"The {words} of {name} hold NaN or infinity; gather them on images that are finite.")
        squares = tensors[1].diagonal() if wanted is InputMoments else tensors[1]
        if (squares < 0).any():
            raise ValueError(f"The {words} of {name} hold a negative mean of squares; gather them on this model.")


def _check_names(weights: Mapping[str, torch.Tensor], given: Mapping[str, Statistic]) -> None:
    if missing := [name for name in weights if name not in given]:
        raise ValueError(f"The statistics have nothing for {missing[0]}; gather them for every prunable weight.")


def weights(weight: torch.Tensor, statistic: Statistic | None) -> torch.Tensor:
    """The weights themselves."""
    return weight


def magnitude(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """The square itself: it orders as the magnitude does."""
    return square


def wanda(weight: torch.Tensor, moments: InputMoments) -> torch.Tensor:
    """Wanda (Sun et al., ICLR 2024): |w_ij| E[x_j^2]^(1/2), x_j what the weight reads.

    The paper has the root of the sum over positions, which orders a layer's weights alike, and compares the weights
    of a row only; here the mean, so that layers of many positions weigh no more, and whatever the grouping compares.
    """
    return _by_columns(weight, moments.norms)


def taylor(weight: torch.Tensor, gradients: Gradients) -> torch.Tensor:
    """First-order Taylor: |w E[g]|, g one image's gradient of the loss: what the loss changes by, to first order.

    Molchanov et al. (CVPR 2019) sum it over a filter's weights and square it, which for single weights is the same
    order. Where the loss is at its minimum E[g] is zero, and what is left of it is noise.
    """
    return _wide(weight) * gradients.mean


def fisher(weight: torch.Tensor, gradients: Gradients) -> torch.Tensor:
    """Diagonal empirical Fisher in Optimal Brain Damage's saliency: w^2 F / 2, F = E[g^2] over images one by one.

    LeCun, Denker and Solla (NeurIPS 1989) have the diagonal of the loss's Hessian; Theis et al. (2018) put the Fisher
    matrix in its place. Empirical: g is taken at the images' true classes.
    """
    return _wide(weight) * (gradients.square / 2).sqrt()


def obs(weight: torch.Tensor, moments: InputMoments) -> torch.Tensor:
    """SparseGPT's score (Frantar and Alistarh, ICML 2023): w_ij^2 / [H^-1]_jj, H = E[x x^T] damped.

    It is what the squared error of the layer's output grows by when the weight leaves and the others of its row are
    refitted (Hassibi and Stork's Optimal Brain Surgeon, NeurIPS 1992). For the refit see `repairing.sparsegpt`.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped(moments.second, OBS_DAMPING)))
    return _wide(weight) / inverse.diagonal().sqrt().view(weight.shape[1:])


def between(alpha: float) -> Criterion:
    """Equation 10 on w_ij E[x_j^2]^(alpha/2): alpha 0 is the paper's, which uses no data; 1 is "activation_energy".

    The paper bounds the change of a layer's output over a ball, |(W - V) x| <= |W - V|_F |x|, and scores a weight by
    its part in that. With the inputs' second moment S = E[x x^T] known, let R = diag(S)^(1/2) and S = R C R. Then

        E|(W - V) x|^2 = tr (W - V) R C R (W - V)^T <= c |(W - V) R|_F^2 = c sum_removed w_ij^2 E[x_j^2],

    c the largest eigenvalue of C, between 1 and the number of inputs. For uncorrelated inputs C = 1, and with c = 1
    it is an equality; so it is for any inputs if one weight leaves. The layers above pass the change on as in
    equation 7, times their norms. As there, divide by the layer's own part, |W R|_F^2, then let weights leave one by
    one, the smallest first: equations 8 to 10 follow with w_ij^2 E[x_j^2] in the place of w_ij^2.

    Two things are weaker than in the paper. The bound holds for the mean over images, not for each. And what is left
    out in comparing layers, c |W R|_F^2 times the norms above, is no longer the same product for all layers: each
    layer's change is taken relative to the bound on its own output.

    Alpha between 0 and 1 puts the second moments' geometric mean with the ball's, 1 for all inputs, in their place.
    No normalisation is needed: a factor that all inputs share cancels in the score.

    Args:
        alpha: 0 or more.

    Returns:
        A `Criterion`, which wants input moments unless alpha is 0.

    Raises:
        ValueError: an alpha that is no finite number of 0 or more.
    """
    if not isinstance(alpha, Real) or isinstance(alpha, bool) or not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be a finite number, 0 (no data) or more; got {alpha!r}.")
    if alpha == 0:
        return Criterion(weights, relative_energy, name="between(0)")

    def values(weight: torch.Tensor, moments: InputMoments) -> torch.Tensor:
        return _by_columns(weight, moments.norms**alpha)

    return Criterion(values, relative_energy, wants=InputMoments, name=f"between({alpha})")


def between_of(name: object) -> Criterion | None:
    """The criterion that a name such as "between(0.5)" stands for; None: it is no such name."""
    found = re.fullmatch(r"between\((\d+(?:\.\d+)?)\)", name) if isinstance(name, str) else None
    return between(float(found[1])) if found else None


def damped(second: torch.Tensor, damping: float) -> torch.Tensor:
    """Second moments or a covariance (columns, columns) with `damping` times the mean of the diagonal added to each of
    its numbers, so that there is an inverse, of a layer that reads only zeros too.
    """
    mean = second.diagonal().mean().clamp_min(1e-200)
    return second + damping * mean * torch.eye(len(second), dtype=second.dtype, device=second.device)


def _by_columns(weight: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The weight, each of its columns, or of a kernel's numbers, times the factor of what it reads."""
    return _wide(weight) * factors.view(weight.shape[1:])


def _wide(weight: torch.Tensor) -> torch.Tensor:
    return weight.cpu().double()


CRITERIA: dict[str, Criterion] = {
    criterion.name: criterion
    for criterion in (
        Criterion(weights, relative_energy, name="relative_energy"),
        Criterion(weights, magnitude, name="magnitude"),
        Criterion(lambda weight, chance: chance, draws=True, name="random"),
        Criterion(wanda, magnitude, wants=InputMoments, name="wanda"),
        Criterion(taylor, magnitude, wants=Gradients, name="taylor"),
        Criterion(fisher, magnitude, wants=Gradients, name="fisher"),
        Criterion(obs, magnitude, wants=InputMoments, name="obs"),
        between(1)._replace(name="activation_energy"),
    )
}
"""Name -> criterion, as `make_masks` takes it; one of your own needs no name."""
