"""Masks: which weights stay, by one of the `METHODS`. No image is used."""

import hashlib
import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules, prunable, unpruned_layers
from swinprune_lite.pruning.criteria import statistic
from swinprune_lite.pruning.importance import check_type
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.pruning.selection import select
from swinprune_lite.types import Masks


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
        UserWarning: one of the three pruned modules is empty, or layers of an attention or MLP stay whole; it
            names them all.

    Raises:
        ValueError: a ratio outside [0, 1) or too high for "uniform+", an unknown method, a model with
            nothing prunable, or weights that are not floating numbers, or hold NaN or infinity.
    """
    if not isinstance(ratio, (int, float)) or not 0 <= ratio < 1 or math.isnan(ratio):
        raise ValueError(f"ratio must be a number in [0, 1), the share of weights to remove; got {ratio!r}.")
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    parameters = dict(model.named_parameters())
    for name in (names := prunable(model)):
        check_type(name, parameters[name])
    tell_of_unpruned(model, names)
    criterion, grouping, budget = METHODS[method]
    scored, generator = statistic(criterion), torch.Generator("cpu").manual_seed(seed)
    masks = {}
    competing = grouping(model)
    removals = budget([[parameters[name].shape for name in group] for group in competing], ratio)
    for group, remove in zip(competing, removals):
        masks |= select({name: scored(name, parameters[name], generator) for name in group}, remove, criterion)
    return {name: masks[name].to(parameters[name].device) for name in names}


def tell_of_unpruned(model: nn.Module, pruned: list[str]) -> None:
    """Warn, in the name of the caller's caller, of what stays whole though it lies in an attention or MLP.

    Args:
        model: the network.
        pruned: names of the parameters that are pruned.

    Warns:
        UserWarning: layers of an attention or MLP are left out, all of which it names, or one of the three
            pruned modules is empty.

    Raises:
        ValueError: nothing is pruned.
    """
    name, layers = type(model).__name__, unpruned_layers(model, pruned)
    groups = modules(model)
    empty = [module for module in PRUNED_MODULES if not groups[module]]
    if not pruned:
        kept = f" These layers of its attention and MLPs are not named so: {', '.join(layers)}." if layers else ""
        raise ValueError(
            f"{name} has nothing to prune: no parameter is named attn.qkv, attn.proj, mlp.fc1 or "
            f"mlp.fc2 as in timm's Swin and ViT models.{kept}"
        )
    told = []
    if empty:
        told.append(f"{name} has nothing in {', '.join(empty)}: its layers are not all named as timm's.")
    if layers:
        told.append(
            f"These layers of attention or MLPs in {name} stay whole, since their weights are not parameters "
            f"named as timm's (attn.qkv, attn.proj, mlp.fc1, mlp.fc2): {', '.join(layers)}."
        )
    if told:
        warnings.warn(" ".join(told), stacklevel=3)


def digest(masks: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names and bits of masks: the same for equal masks, whatever device and order they come in."""
    found = hashlib.sha256()
    for name, mask in sorted(masks.items()):
        found.update(f"{name}{tuple(mask.shape)}".encode())
        found.update(np.packbits(mask.cpu().numpy().reshape(-1)).tobytes())
    return found.hexdigest()
