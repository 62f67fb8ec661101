"""Equations 1 to 10 as things to compute: the bound on a chain of layers, and what becomes of it on a Swin."""

import copy
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules, prunable
from swinprune_lite.pruning.importance import importance

Chain = list[torch.Tensor]


def random_chain(generator: torch.Generator, depth: int = 5, width: int = 24) -> Chain:
    """Weights (rows, columns) of a bias-free float64 chain, of random widths up to `width` and very different scale."""
    sizes = torch.randint(2, width + 1, (depth + 1,), generator=generator).tolist()
    scales = 10 ** torch.empty(depth).uniform_(-2, 2, generator=generator)
    return [
        scale.double() * torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        for scale, columns, rows in zip(scales, sizes, sizes[1:])
    ]


def chain_output(weights: Chain, x: torch.Tensor, activation=torch.relu) -> torch.Tensor:
    """Equation 1: f(x), the activation between the layers and not after the last; x is (columns, inputs)."""
    for weight in weights[:-1]:
        x = activation(weight @ x)
    return weights[-1] @ x


def keep_largest(weight: torch.Tensor, keep: int) -> torch.Tensor:
    """Equation 4's best mask: the weight with all but the `keep` largest magnitudes set to zero."""
    order = weight.abs().flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[order[:keep]] = True
    return weight * mask.view(weight.shape)


def bound(weights: Chain, layer: int, pruned: torch.Tensor) -> float:
    """Equation 7: ||W - W~||_F of the pruned layer times the product of the other layers' norms."""
    others = math.prod(weight.norm().item() for index, weight in enumerate(weights) if index != layer)
    return (weights[layer] - pruned).norm().item() * others


def bound_trials(trials: int, seed: int = 0, inputs: int = 64, activation=torch.relu) -> pd.DataFrame:
    """Prune one random layer of a random chain to a random share, again and again, and compare with the bound.

    Returns:
        One row a trial: depth, layer, kept (share), change (largest output change over random inputs
        of norm 1), bound, ratio (change / bound; above 1 would violate equation 7).

    Raises:
        ValueError: fewer trials or inputs than 1.
    """
    if trials < 1 or inputs < 1:
        raise ValueError(f"trials and inputs must be 1 or more; got {trials!r} and {inputs!r}.")
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(trials):
        weights = random_chain(generator, depth=int(torch.randint(2, 7, (), generator=generator)))
        layer = int(torch.randint(len(weights), (), generator=generator))
        keep = int(torch.randint(weights[layer].numel(), (), generator=generator))
        pruned = [*weights]
        pruned[layer] = keep_largest(weights[layer], keep)
        x = torch.randn(weights[0].shape[1], inputs, generator=generator, dtype=torch.float64)
        x /= x.norm(dim=0)
        before, after = chain_output(weights, x, activation), chain_output(pruned, x, activation)
        change, limit = (before - after).norm(dim=0).max().item(), bound(weights, layer, pruned[layer])
        rows.append({
            "depth": len(weights),
            "layer": layer + 1,
            "kept": keep / weights[layer].numel(),
            "change": change,
            "bound": limit,
            "ratio": change / limit,
        })  # fmt: skip
    return pd.DataFrame(rows)


@torch.inference_mode()
def layer_distortions(model: nn.Module, ratio: float, images: torch.Tensor) -> pd.DataFrame:
    """Prune each layer of a real network alone and measure how far its output moves.

    Args:
        model: the network.
        ratio: share of the layer's weights that goes, smallest magnitudes first.
        images: (B, C, H, W).

    Returns:
        One row a layer: name, module, bound (equation 8 without its constant: the relative distortion
        of the layer; 0 for a layer of zeros, which loses nothing) and change (of the logits, relative to
        their norm, mean over images).

    Raises:
        ValueError: nothing to prune, a ratio outside [0, 1], no images, or logits that are all zero or not finite,
            to which no change is relative.
    """
    _check_what_is_measured(model, images)
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio must be a number in [0, 1], the share of a layer's weights to remove; got {ratio!r}.")
    model = copy.deepcopy(model).double()
    images = images.double()
    whole = model(images)
    norms = whole.norm(dim=1)
    if not (torch.isfinite(norms) & (norms > 0)).all():
        raise ValueError(
            f"{type(model).__name__} gives logits that are all zero or not finite for {int((~(norms > 0)).sum())} of "
            f"{len(images)} images, so no change is relative to them; give a model whose head is trained, or random."
        )
    rows = []
    for module in PRUNED_MODULES:
        for name in modules(model)[module]:
            weight = model.get_parameter(name)
            kept = weight.clone()
            weight.copy_(keep_largest(kept, kept.numel() - round(ratio * kept.numel())))
            energy = kept.norm()
            relative = ((kept - weight).norm() / energy).item() if energy else 0.0
            change = ((model(images) - whole).norm(dim=1) / norms).mean().item()
            weight.copy_(kept)
            rows.append({"name": name, "module": module, "bound": relative, "change": change})
    return pd.DataFrame(rows)


@torch.inference_mode()
def weight_distortions(model: nn.Module, count: int, images: torch.Tensor, seed: int = 0) -> pd.DataFrame:
    """Remove single weights of a real network, one at a time, as equation 10 has it, and measure the output change.

    From `count` layers, drawn at random, one weight each at a random rank; the smaller weights of its
    layer are gone before it goes.

    Returns:
        One row a weight: module, score (equation 10), magnitude, change (mean norm of the change of
        the logits).

    Raises:
        ValueError: nothing to prune, a count below 1, or no images.
    """
    _check_what_is_measured(model, images)
    if count < 1:
        raise ValueError(f"count must be 1 or more; got {count!r}.")
    model = copy.deepcopy(model).double()
    images = images.double()
    generator = torch.Generator().manual_seed(seed)
    layers = [(module, name) for module in PRUNED_MODULES for name in modules(model)[module]]
    rows = []
    for pick in torch.randint(len(layers), (count,), generator=generator).tolist():
        module, name = layers[pick]
        weight = model.get_parameter(name)
        whole = weight.clone()
        rank = int(torch.rand((), generator=generator) * whole.numel())
        position = whole.abs().flatten().argsort(descending=True, stable=True)[rank]
        weight.copy_(keep_largest(whole, rank + 1))
        with_it = model(images)
        weight.view(-1)[position] = 0
        change = (model(images) - with_it).norm(dim=1).mean().item()
        rows.append({
            "module": module,
            "score": importance(whole).flatten()[position].item(),
            "magnitude": whole.flatten()[position].abs().item(),
            "change": change,
        })  # fmt: skip
        weight.copy_(whole)
    return pd.DataFrame(rows)


def rank_correlations(found: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Spearman's rank correlation of each column with "change", over all rows and within each module.

    NaN where there is no order to compare: fewer than two rows, or a column in which all values are equal.

    Args:
        found: rows with module, change and the columns.
        columns: which.

    Raises:
        ValueError: a column that is missing, or holds a value that is not finite.
    """
    for column in ("module", "change", *columns):
        if column not in found:
            raise ValueError(f"There is no column {column!r} to correlate; there are {', '.join(map(str, found))}.")
        if column != "module" and not np.isfinite(found[column].astype(float)).all():
            raise ValueError(f"The column {column!r} holds a value that is not finite, which has no rank.")
    groups = {"all": found} | {module: found[found.module == module] for module in PRUNED_MODULES}
    return pd.DataFrame({
        group: {column: _rank_correlation(rows[column], rows["change"]) for column in columns}
        for group, rows in groups.items()
    }).T  # fmt: skip


def _rank_correlation(first: pd.Series, second: pd.Series) -> float:
    if first.nunique() < 2 or second.nunique() < 2:
        return math.nan
    return first.rank().corr(second.rank())


def _check_what_is_measured(model: nn.Module, images: torch.Tensor) -> None:
    if not prunable(model):
        raise ValueError(f"{type(model).__name__} has nothing to prune: see modules().")
    if not len(images):
        raise ValueError("There are no images to measure a change on; give one or more.")
