"""Masks: which weights stay, by one of the `METHODS`."""

import math
import warnings

import torch
from torch import nn

from swinprune_lite.criteria import magnitude, relative_energy, statistic
from swinprune_lite.groupings import by_layer, by_module, whole_model
from swinprune_lite.methods import METHODS, Method
from swinprune_lite.modules import PRUNED_MODULES, modules, prunable
from swinprune_lite.selection import select

__all__ = [
    "METHODS",
    "Masks",
    "Method",
    "by_layer",
    "by_module",
    "magnitude",
    "make_masks",
    "relative_energy",
    "whole_model",
]

Masks = dict[str, torch.Tensor]


def make_masks(model: nn.Module, ratio: float, method: str = "dimap", seed: int = 0) -> Masks:
    """Masks of all prunable weights; the model is left as it is and no image is used.

    Args:
        model: any network in which `modules` finds something to prune.
        ratio: share of the prunable weights to remove, in [0, 1), met exactly: round(ratio * n) of
            a group's n weights, or of the model's for "erk" and "uniform+", which share them out
            unevenly.
        method: "dimap", "lamp" (the whole model as one module), "uniform" (magnitude, each layer
            alone), "global" (one magnitude threshold), "module-magnitude" (a magnitude threshold a
            module), "random", "erk" or "uniform+" (uneven budgets a layer, see `budgets`).
        seed: of "random"; the others need none.

    Returns:
        parameter name -> bool tensor of its shape, True = kept. Of equal scores the earlier is kept.

    Warns:
        UserWarning: one of the three pruned modules is empty, so some layers may have gone unnoticed.

    Raises:
        ValueError: a ratio outside [0, 1) or too high for "uniform+", an unknown method, a model with
            nothing prunable, or weights that hold NaN or infinity.
    """
    if not isinstance(ratio, (int, float)) or not 0 <= ratio < 1 or math.isnan(ratio):
        raise ValueError(f"ratio must be a number in [0, 1), the share of weights to remove; got {ratio!r}.")
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    groups = modules(model)
    empty = [module for module in PRUNED_MODULES if not groups[module]]
    if len(empty) == len(PRUNED_MODULES):
        raise ValueError(
            f"{type(model).__name__} has nothing to prune: no parameter is named attn.qkv, attn.proj, mlp.fc1 or "
            "mlp.fc2 as in timm's Swin and ViT models."
        )
    if empty:
        warnings.warn(
            f"{type(model).__name__} has nothing in {', '.join(empty)}: its layers are not all named as timm's, "
            "and those that are not stay whole.",
            stacklevel=2,
        )
    criterion, grouping, budget = METHODS[method]
    parameters = dict(model.named_parameters())
    scored, generator = statistic(criterion), torch.Generator().manual_seed(seed)
    masks = {}
    competing = grouping(model)
    removals = budget([[parameters[name].shape for name in group] for group in competing], ratio)
    for group, remove in zip(competing, removals):
        layers = {name: scored(name, parameters[name], generator) for name in group}
        masks |= select(layers, remove, criterion)
    return {name: masks[name].to(parameters[name].device) for name in prunable(model)}
