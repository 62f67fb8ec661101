"""SparseGPT (Frantar and Alistarh, ICML 2023): a weight that leaves is made up for by those of its row still to come.

The squared error of a layer, tr (W - V) H (W - V)^T with H = E[x x^T], grows least if after each weight that leaves the
others of its row are refitted, by Optimal Brain Surgeon's formula, for which each row needs an inverse of its own.
SparseGPT goes through the columns in order and refits only those after: then all rows share the inverses, and all of
them are read off one Cholesky factor U, with U^T U = H^-1. The inverse of H without its first j rows and columns has
U[j, j] U[j, j:] as its first row.
"""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.pruning.criteria import OBS_DAMPING, check_statistics, damped, magnitude
from swinprune_lite.pruning.importance import check_weight
from swinprune_lite.pruning.masks import check_asked, tell_of_unpruned
from swinprune_lite.pruning.selection import select
from swinprune_lite.repairing.apply import hold_with
from swinprune_lite.types import InputMoments, Masks

SPARSE_GPT = "sparsegpt"  # its name beside those of methods and criteria
BLOCK = 128  # columns whose mask is chosen together, as in the paper


def sparse_gpt(model: nn.Module, ratio: float, moments: Mapping[str, InputMoments]) -> Masks:
    """Prune a model by SparseGPT, each layer alone; the weights that stay are changed and the masks are held.

    It takes the weights as they are, and nothing undoes it: keep a copy of the dense model if you want it back.
    The moments are those of the dense model, measured once; the paper measures each layer's after those before it
    are pruned.

    Args:
        model: the network that the moments were gathered on.
        ratio: share of every layer's weights to remove, in [0, 1): round(ratio * n) of n.
        moments: of what each prunable layer reads, from `input_moments`.

    Returns:
        The masks: parameter name -> bool tensor of its shape, True = kept.

    Warns:
        UserWarning: see `make_masks`.

    Raises:
        ValueError: a ratio outside [0, 1), a model with nothing prunable, weights that are not floating numbers, hold
            NaN or infinity, would after the pruning, or cannot be held, or moments that are missing or do not fit;
            the model is as it was.
    """
    check_asked(ratio, "uniform")
    weights = {name: model.get_parameter(name) for name in prunable(model)}
    for name, weight in weights.items():
        check_weight(name, weight)
    tell_of_unpruned(model, list(weights))
    check_statistics("SparseGPT", InputMoments, weights, moments, "moments")
    masks, values = {}, {}
    for name, weight in weights.items():
        matrix = weight.detach().cpu().double().flatten(1)
        mask, left = sparsegpt(matrix, moments[name].second, round(ratio * weight.numel()))
        masks[name] = mask.view(weight.shape).to(weight.device)
        values[name] = left.view(weight.shape).to(weight.dtype)
        check_weight(f"{name} after SparseGPT", values[name])
    hold_with(model, masks, values)
    return masks


def sparsegpt(
    weight: torch.Tensor, second: torch.Tensor, removed: int, block: int = BLOCK, damping: float = OBS_DAMPING
) -> tuple[torch.Tensor, torch.Tensor]:
    """One layer: which weights stay, and what they are then (the paper's algorithm 1).

    Every block of columns loses its share of the weights, those of the least w^2 / U[j, j]^2 when the block is reached.

    Args:
        weight: W, float64 (rows, columns).
        second: E[x x^T], float64 (columns, columns).
        removed: how many weights go, from 0 to all.
        block: columns whose mask is chosen together, 1 or more.
        damping: times the mean of the second moments' diagonal, added to it; 0 or more.

    Returns:
        Bool (rows, columns), True = kept, and float64 (rows, columns), zero where it is not.

    Raises:
        ValueError: shapes that do not fit, another type, a number out of its range, or second moments that even damped
            are not positive definite.
    """
    if not isinstance(removed, int) or not 0 <= removed <= weight.numel():
        raise ValueError(f"removed must be a whole number from 0 to {weight.numel()}, the weights; got {removed!r}.")
    factor = _factor(weight, second, block, damping)
    columns = len(second)

    def lowest(left: torch.Tensor, start: int, end: int) -> torch.Tensor:
        scores = {"": left[:, start:end] / factor.diagonal()[start:end]}
        return select(scores, round(removed * end / columns) - round(removed * start / columns), magnitude)[""]

    return _sweep(weight, factor, block, lowest)


def update(
    weight: torch.Tensor,
    mask: torch.Tensor,
    second: torch.Tensor,
    block: int = BLOCK,
    damping: float = OBS_DAMPING,
) -> torch.Tensor:
    """The same with a mask that is given: only the weights that stay change.

    The layer's error is never below that of `refit.least_squares`, which refits the columns before a weight too. On
    trained layers it is below that of cutting alone; but nothing bounds it by that, and for single rows it often lies
    above: a column that stays is refitted to the weights before it, whatever those after it will ask of it. As a rule
    of `repair`: `lambda layer: update(layer.weight, layer.mask, layer.covariance)`.

    Args:
        weight: W, float64 (rows, columns).
        mask: bool (rows, columns), True = kept.
        second: E[x x^T], or a covariance, float64 (columns, columns).
        block: columns whose updates of the others are summed up first; it changes the result by rounding alone.
        damping: see `sparsegpt`.

    Returns:
        float64 (rows, columns), zero where the mask prunes.

    Raises:
        ValueError: see `sparsegpt`.
    """
    if mask.shape != weight.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"The mask must be a bool tensor of the weight's shape {tuple(weight.shape)}; got {tuple(mask.shape)} of "
            f"{mask.dtype}."
        )
    factor = _factor(weight, second, block, damping)
    return _sweep(weight, factor, block, lambda left, start, end: mask[:, start:end])[1]


def _factor(weight: torch.Tensor, second: torch.Tensor, block: int, damping: float) -> torch.Tensor:
    """U, upper triangular float64 (columns, columns), with U^T U the inverse of the damped second moments."""
    types = {weight.dtype, second.dtype}
    if weight.ndim != 2 or second.shape != 2 * weight.shape[1:] or types != {torch.float64}:
        raise ValueError(
            "SparseGPT takes a weight (rows, columns) and second moments (columns, columns), both float64; got "
            f"{tuple(weight.shape)} of {weight.dtype} and {tuple(second.shape)} of {second.dtype}."
        )
    if not isinstance(block, int) or block < 1 or not 0 <= damping < float("inf"):
        raise ValueError(
            f"block must be a whole number of 1 or more, and damping finite and 0 or more; got {block!r}, {damping!r}."
        )
    lower, failed = torch.linalg.cholesky_ex(damped(second, damping))
    if not failed:
        factor, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    if failed or not torch.isfinite(factor).all():
        raise ValueError(f"The second moments are not positive definite with damping {damping!r}; give a larger one.")
    return factor


def _sweep(
    weight: torch.Tensor,
    factor: torch.Tensor,
    block: int,
    choose: Callable[[torch.Tensor, int, int], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Through the columns, block by block: the mask that `choose` gives for a block of what is left by then, and the
    weights; see `sparsegpt`.
    """
    left, mask = weight.clone(), torch.empty(weight.shape, dtype=torch.bool, device=weight.device)
    for start in range(0, left.shape[1], block):
        end = min(start + block, left.shape[1])
        mask[:, start:end] = choose(left, start, end)
        errors = torch.zeros_like(left[:, start:end])
        for j in range(start, end):
            errors[:, j - start] = torch.where(mask[:, j], 0, left[:, j] / factor[j, j])
            left[:, j:end] -= torch.outer(errors[:, j - start], factor[j, j:end])
        left[:, end:] -= errors @ factor[start:end, end:]
    return mask, left.masked_fill(~mask, 0)
