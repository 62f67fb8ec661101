"""Equation 10: how much of its layer's surviving energy a weight carries.

    Imp(w_j) = w_j^2 / sum_{i <= j} w_i^2,     the layer's weights sorted by decreasing magnitude

The largest weight scores 1. Within a layer the order is that of magnitude; across layers scores are
comparable, since each is relative to its own layer. It is the LAMP score (Lee et al., ICLR 2021).

`relative_energy` is its one definition. `importance` applies it to a whole layer; `make_masks` takes it as the
criterion of "dimap" and "lamp", and `selection` calls it for those weights whose place is not known without it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

NOT_FINITE = "{} holds NaN or infinity; prune a checkpoint whose weights are all finite."


@contextmanager
def denormals() -> Iterator[None]:
    """Denormal numbers count meanwhile, in this thread, where `torch.set_flush_denormal` made them zeros."""
    flushed = sys.float_info.min / 2 == 0
    if flushed:
        torch.set_flush_denormal(False)
    try:
        yield
    finally:
        if flushed:
            torch.set_flush_denormal(True)


@denormals()
def importance(weight: torch.Tensor) -> torch.Tensor:
    """Equation 10 for one layer.

    Args:
        weight: the layer's weights, any shape, any floating type. Of equal magnitudes the earlier
            (in row-major order) counts as the larger.

    Returns:
        float64 tensor of the weight's shape, values in [0, 1]: 1 for the largest, 0 for weights
        that are zero (and so everywhere in a layer of zeros) or so small, below some 1e-162 of the
        largest, that float64 does not hold their score.

    Raises:
        ValueError: an empty or sparse tensor, a type that is not floating, the meta device, NaN or infinity.
    """
    check_weight("weight", weight)
    magnitude = scaled(weight.detach().flatten()).abs()
    ordered, positions = magnitude.sort(descending=True, stable=True)
    square = ordered.square()
    scores = torch.empty_like(square)
    scores[positions] = relative_energy(square, square.cumsum(0))
    return scores.view(weight.shape)


@denormals()
def scaled(weight: torch.Tensor) -> torch.Tensor:
    """The weights in float64, times a power of two that brings the largest near 1: no digit is lost, and the squares
    of float64 weights stay in range.
    """
    weight = weight.to(torch.float64)
    return torch.ldexp(weight, -torch.frexp(weight.abs().max()).exponent)


def relative_energy(square: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """Equation 10: Imp(w_j) = w_j^2 / sum_{i <= j} w_i^2.

    Args:
        square: w_j^2, float64 of any shape, finite and not negative.
        energy: sum of the squares of the layer's weights at least as large as w_j, itself included; of
            that shape.

    Returns:
        float64 tensor of that shape, values in [0, 1]; 0 where the square is 0.
    """
    return torch.where(square > 0, square / energy, 0)


def check_weight(name: str, weight: torch.Tensor) -> None:
    """Raise ValueError, naming the weight, unless it is a non-empty floating tensor of finite numbers."""
    check_type(name, weight)
    if not torch.isfinite(weight if weight.element_size() > 1 else weight.float()).all():
        raise ValueError(NOT_FINITE.format(name))


def check_type(name: str, weight: torch.Tensor) -> None:
    """Raise ValueError, naming the weight, unless it is a non-empty, dense floating tensor that holds numbers."""
    check_dense(name, weight)
    if weight.numel() == 0 or not weight.is_floating_point():
        raise ValueError(f"{name} must be a non-empty floating tensor; got {tuple(weight.shape)} of {weight.dtype}.")
    check_loaded(name, weight)


def check_dense(name: str, tensor: torch.Tensor) -> None:
    """Raise ValueError, naming the tensor, if it is stored as a sparse one."""
    if tensor.layout != torch.strided:
        layout = str(tensor.layout).removeprefix("torch.")
        raise ValueError(f"{name} is a sparse tensor ({layout}), and only dense ones are taken; call to_dense on it.")


def check_stored(model: nn.Module) -> None:
    """Raise ValueError, naming it, if a parameter or buffer of the model is stored as a sparse tensor."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        check_dense(name, tensor)


def check_loaded(name: str, weight: torch.Tensor) -> None:
    """Raise ValueError, naming the weight, if it is on the meta device."""
    if weight.is_meta:
        raise ValueError(f"{name} is on the meta device, which holds no numbers; load the weights first.")
