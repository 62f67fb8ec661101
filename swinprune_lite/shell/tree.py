"""What a model is made of, by stage, block and layer: what `swinprune inspect` shows."""

import math

import torch
from torch import nn

from swinprune_lite.anatomy.counting import count_products
from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.anatomy.modules import blocks, mapped, unpruned_layers
from swinprune_lite.anatomy.parts import parts
from swinprune_lite.anatomy.units import is_auxiliary, is_depthwise
from swinprune_lite.types import InputSize

BLOCKS = (4, 8, 16, 32)
"""Sides of the square blocks of zeros that are looked for."""


def tree(model: nn.Module, input_size: InputSize | None = None) -> dict[str, object]:
    """Stages of blocks of layers, with what each costs and what is zero in it.

    Args:
        model: any network; it is left as it is.
        input_size: of the image that MACs are counted for; None: the model's own.

    Returns:
        "stages": a list of {"stage", "blocks"}, of which each is {"block", "path", "layers"}, of which each is as
        `layer` gives it, with its module and role. "rest": the other layers with a weight, and "why" each would not
        be pruned. "elsewhere": MACs in which no weight takes part (attention's own products). "groups": heads and
        hidden units that can leave whole, by path.

    Raises:
        ValueError: an input size that the model does not take.
    """
    products = count_products(model, image_shape(model, input_size))
    places, numbers, odd = mapped(model), blocks(model), None
    stages: dict[int, dict[str, list]] = {}
    for name, place in places.items():
        row = layer(name, model.get_parameter(name), products) | {"module": place.kind.module, "role": place.kind.label}
        stages.setdefault(numbers[place.block][0], {}).setdefault(place.block, []).append(row)
    odd = set(unpruned_layers(model, list(places)))
    rest = []
    for path, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            name = f"{path}.{leaf}".lstrip(".")
            if name not in places and parameter.ndim > 1:
                rest.append(layer(name, parameter, products) | {"why": _why(path, leaf, module, path in odd)})
    everything = {name: torch.zeros(model.get_parameter(name).shape, dtype=torch.bool) for name in products.weights}
    return {
        "stages": [
            {
                "stage": stage,
                "blocks": [{"block": numbers[path][1], "path": path, "layers": rows} for path, rows in found.items()],
            }
            for stage, found in sorted(stages.items())
        ],
        "rest": rest,
        "elsewhere": products.macs - products.lost(everything),
        "groups": {part.path: {"kind": part.kind, "count": part.count} for part in parts(model)},
    }


def layer(name: str, parameter: nn.Parameter, products) -> dict[str, object]:
    """Of one weight: its name, shape, parameters, MACs, and the share of it that is zero.

    "two_four" is whether at most two of every four weights of a row are other than zero, and "block" the side of the
    largest square blocks, of `BLOCKS`, that all zeros are made of; both are None where hardly anything is zero.
    """
    shape = tuple(parameter.shape)
    nothing = {name: torch.zeros(shape, dtype=torch.bool)}
    zero = parameter.detach().cpu() == 0
    sparsity = zero.float().mean().item() if zero.numel() else 0.0
    matrix = zero.flatten(1) if zero.ndim > 1 else zero[None]
    return {
        "name": name,
        "shape": list(shape),
        "parameters": math.prod(shape),
        "macs": products.lost(nothing) if name in products.weights else 0,
        "sparsity": sparsity,
        "two_four": two_four(matrix) if sparsity > 0.01 else None,
        "block": block_of(matrix) if sparsity > 0.01 else None,
    }


def two_four(zero: torch.Tensor) -> bool:
    """Whether of every four neighbours in each row of a bool matrix two or more are True."""
    return zero.shape[1] % 4 == 0 and bool((zero.view(len(zero), -1, 4).sum(2) >= 2).all())


def block_of(zero: torch.Tensor) -> int | None:
    """Side of the largest blocks, of `BLOCKS`, each of which is True throughout or False throughout; None: none."""
    found = None
    for side in BLOCKS:
        rows, columns = zero.shape
        if rows % side == 0 and columns % side == 0:
            share = zero.view(rows // side, side, columns // side, side).float().mean((1, 3))
            if bool(((share == 0) | (share == 1)).all()):
                found = side
    return found


def _why(path: str, leaf: str, module: nn.Module, odd: bool) -> str:
    """Why a weight would not be pruned, in a few words."""
    if odd:
        return "in an attention or MLP that is built in a way of its own"
    if is_depthwise(module):
        return "a depthwise kernel: each channel by itself"
    if isinstance(module, nn.Embedding) or not isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
        return "no weight matrix: a table or a token"
    if is_auxiliary(path):
        return "outside attention and MLPs: position tables, patches or their merging, or the head"
    return "outside attention and MLPs"
