"""Masks in patterns that hardware can use: 2 of every 4 weights, and blocks.

Within a layer the order is magnitude's. What equation 10 decides is which layers, or which blocks of all
layers of a module, carry the pattern.
"""

from numbers import Integral

import torch
from torch import nn

from swinprune_lite.anatomy.modules import prunable, tell_of_unpruned
from swinprune_lite.pruning.groupings import by_module
from swinprune_lite.pruning.importance import check_type, check_weight, relative_energy, scaled
from swinprune_lite.pruning.selection import select
from swinprune_lite.types import Masks


def two_four_masks(model: nn.Module, ratio: float = 0.5) -> Masks:
    """2:4 masks: in some layers the two smaller of every four weights of a row go, the others stay whole.

    Each module gives the pattern to the layers that it distorts least (equation 8: the share of the layer's
    energy that goes), until the module has lost `ratio` of its weights.

    Args:
        model: any network in which `prunable` finds something; it is left as it is.
        ratio: share of the prunable weights to remove, in [0, 0.5]; met from above, by the next layer.

    Returns:
        parameter name -> bool tensor of its shape, True = kept.

    Warns:
        UserWarning: layers of an attention or MLP stay whole; see `modules.listed`.

    Raises:
        ValueError: a ratio outside [0, 0.5], rows that are no multiple of four, nothing prunable, or weights
            that hold NaN or infinity.
    """
    if not isinstance(ratio, (int, float)) or not 0 <= ratio <= 0.5:
        raise ValueError(f"ratio must be a number in [0, 0.5], since 2:4 removes half of a layer; got {ratio!r}.")
    tell_of_unpruned(model, prunable(model))
    masks = {}
    for weights in _by_module(model, lambda shape: shape[1] % 4 == 0, "rows of a multiple of 4 weights"):
        patterns = {name: _two_of_four(weight) for name, weight in weights.items()}
        distortion = {name: _distortion(weight, patterns[name]) for name, weight in weights.items()}
        left = ratio * sum(weight.numel() for weight in weights.values())
        for name in sorted(weights, key=distortion.__getitem__):
            masks[name] = patterns[name] if left > 0 else torch.ones_like(patterns[name])
            left -= int((~masks[name]).sum())
    return {name: masks[name].view(model.get_parameter(name).shape) for name in prunable(model)}


def block_masks(model: nn.Module, ratio: float, block: tuple[int, int] = (16, 16)) -> Masks:
    """Masks of whole blocks: equation 10 on the energy of blocks, ranked over all layers of a module.

    Args:
        model: any network in which `prunable` finds something; it is left as it is.
        ratio: share of each module's blocks to remove, in [0, 1).
        block: (rows, columns), 1 or more each; every weight matrix must be a multiple of it.

    Returns:
        parameter name -> bool tensor of its shape, True = kept.

    Warns:
        UserWarning: layers of an attention or MLP stay whole; see `modules.listed`.

    Raises:
        ValueError: a ratio outside [0, 1), another block or one that does not divide a matrix, nothing prunable, or
            weights that are sparse or hold NaN or infinity.
    """
    if not isinstance(ratio, (int, float)) or not 0 <= ratio < 1:
        raise ValueError(f"ratio must be a number in [0, 1), the share of blocks to remove; got {ratio!r}.")
    if not isinstance(block, (tuple, list)) or len(block) != 2 or not all(map(_is_side, block)):
        raise ValueError(f"block must be (rows, columns), two whole numbers, 1 or more; got {block!r}.")
    tell_of_unpruned(model, prunable(model))
    rows, columns = block
    masks = {}
    for weights in _by_module(
        model, lambda shape: shape[0] % rows == 0 and shape[1] % columns == 0, f"blocks of {rows} x {columns}"
    ):
        norms = {name: _blocks(scaled(weight), block).square().sum((1, 3)).sqrt() for name, weight in weights.items()}
        kept = select(norms, round(ratio * sum(norm.numel() for norm in norms.values())), relative_energy)
        for name, keep in kept.items():
            masks[name] = keep.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return {name: masks[name].view(model.get_parameter(name).shape) for name in prunable(model)}


def _is_side(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and number > 0


def _by_module(model: nn.Module, fits, pattern: str) -> list[dict[str, torch.Tensor]]:
    """Name -> weight of each module, checked; a kernel as the matrix (outputs, all that one output reads)."""
    for name in prunable(model):
        check_type(name, model.get_parameter(name))
    modules = [{name: model.get_parameter(name).detach().flatten(1) for name in names} for names in by_module(model)]
    for name, weight in (pair for weights in modules for pair in weights.items()):
        check_weight(name, weight)
        if not fits(weight.shape):
            raise ValueError(f"{name} of shape {tuple(weight.shape)} has no {pattern}; choose another pattern.")
    return modules


def _distortion(weight: torch.Tensor, mask: torch.Tensor) -> float:
    """Share of a layer's energy that a mask removes; of a layer of zeros none."""
    energy = scaled(weight).square()
    total = energy.sum()
    return float((energy * ~mask).sum() / total) if total else 0.0


def _blocks(weight: torch.Tensor, block: tuple[int, int]) -> torch.Tensor:
    """(rows, columns) to (blocks down, rows a block, blocks across, columns a block)."""
    return weight.unflatten(1, (-1, block[1])).unflatten(0, (-1, block[0]))


def _two_of_four(weight: torch.Tensor) -> torch.Tensor:
    """True for the two larger magnitudes of every four weights of a row; of equal ones the earlier."""
    fours = weight.abs().unflatten(1, (-1, 4))
    order = fours.sort(dim=-1, descending=True, stable=True).indices[..., :2]
    return torch.zeros_like(fours, dtype=torch.bool).scatter_(-1, order, True).flatten(1)
