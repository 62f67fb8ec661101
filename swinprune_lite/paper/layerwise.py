"""Layer by layer: magnitudes (figure 2), kept shares and thresholds (figure 5), the masks themselves (figure 6)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.layers import layers
from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules
from swinprune_lite.pruning.importance import importance
from swinprune_lite.types import Masks


def shares_below(model: nn.Module, threshold: float) -> pd.Series:
    """Percent of each layer's weights whose magnitude is below a threshold; indexed as `layers`."""
    parameters = dict(model.named_parameters())
    return layers(model)["name"].map(lambda name: 100 * (parameters[name].abs() < threshold).float().mean().item())


def threshold_removing(model: nn.Module, share: float, kinds: tuple[str, ...], blocks: int) -> float:
    """The magnitude below which `share` of the weights of these kinds of layer lie, in the first `blocks` blocks."""
    parameters, table = dict(model.named_parameters()), layers(model)
    chosen = table[table.layer.isin(kinds) & (table.block <= blocks)]
    return torch.cat([parameters[name].detach().abs().flatten() for name in chosen.name]).quantile(share).item()


def histograms(model: nn.Module, threshold: float, blocks: int = 2, bins: int = 64) -> pd.DataFrame:
    """How the weights of each layer of the first blocks are distributed (figure 2), to eight thresholds from zero.

    Args:
        model: a Swin or its like.
        threshold: of magnitude, above zero.
        blocks: the first so many.
        bins: of one width.

    Returns:
        A row a bin: block, layer, left (edge of the bin), percent (of the layer's weights that lie in it).
    """
    table, limit = layers(model), 8 * threshold
    edges, rows = np.linspace(-limit, limit, bins + 1), []
    for row in table[table.block <= blocks].itertuples():
        values = model.get_parameter(row.name).detach().double().flatten().cpu().numpy()
        percent = 100 * np.histogram(values, edges)[0] / len(values)
        rows.append(pd.DataFrame({"block": row.block, "layer": row.layer, "left": edges[:-1], "percent": percent}))
    return pd.concat(rows, ignore_index=True)


def kept_shares(model: nn.Module, masks: Masks) -> pd.DataFrame:
    """`layers` with the share of weights that a layer keeps, in percent."""
    table = layers(model)
    return table.assign(kept_pct=[100 * masks[name].float().mean().item() for name in table.name])


def thresholds(model: nn.Module, masks: Masks) -> dict[str, float]:
    """The lowest score (equation 10) that each module keeps; NaN for one that keeps nothing."""
    parameters = dict(model.named_parameters())
    found = {}
    for module in PRUNED_MODULES:
        kept = [importance(parameters[name])[masks[name]] for name in modules(model)[module]]
        found[module] = min((scores.min().item() for scores in kept if len(scores)), default=math.nan)
    return found


def common_thresholds(weights: Sequence[torch.Tensor], bins: int, steps: int) -> list[dict]:
    """One threshold over several layers, on the magnitude and on equation 10, moved from nothing removed to almost all.

    Args:
        weights: of each layer, any shape.
        bins: of a histogram, equal in the logarithm; what lies below the lowest 0.2 % of all is in the first.
        steps: of the threshold: at step s, s / steps of all the weights go.

    Returns:
        For the magnitude and for the score: name; bars (a layer a list, height of each bin, the highest 100); at (the
        threshold at each step, as text); place (the same in the histogram, 0 left to 1 right); lost (a layer a list,
        percent that lies below the threshold at each step).

    Raises:
        ValueError: a weight that is empty, no floating numbers, or not finite.
    """
    scored = {
        "magnitude": [weight.detach().double().abs().flatten() for weight in weights],
        "score of equation 10": [importance(weight).flatten() for weight in weights],
    }
    views = []
    for name, layers_values in scored.items():
        values = [np.sort(one.cpu().numpy()) for one in layers_values]
        every = np.sort(np.concatenate(values))
        floor, top = max(every[len(every) // 500], np.finfo(float).tiny), every[-1]
        edges = np.geomspace(floor, top, bins + 1)
        counts = [np.histogram(one.clip(floor), edges)[0] for one in values]
        at = [float(every[round(len(every) * step / steps)]) for step in range(steps)]  # the lowest that stays
        views.append({
            "name": name,
            "bars": [(100 * count / count.max()).round(1).tolist() for count in counts],
            "at": [f"{value:.2g}" for value in at],
            "place": [round(math.log(max(value, floor) / floor) / math.log(top / floor), 3) for value in at],
            "lost": [[round(100 * int(one.searchsorted(value)) / len(one), 1) for value in at] for one in values],
        })  # fmt: skip
    return views


def first_block(model: nn.Module, masks: Masks) -> dict[str, np.ndarray]:
    """The masks of the first block's layers (figure 6): "QKV", "PRJ", "FC1", "FC2" -> bool (outputs, inputs)."""
    table = layers(model)
    return {row.layer: masks[row.name].cpu().numpy() for row in table[table.block == 1].itertuples(index=False)}


def mask_table(block: dict[str, np.ndarray]) -> pd.DataFrame:
    """Density of each mask and of its q, k and v bands (percent kept), rows and columns removed whole.

    The last two columns are the spread (standard deviation in points) of the rows' and the columns' density.
    """
    pieces = {}
    for name, mask in block.items():
        pieces[name] = mask
        if name == "QKV":
            pieces |= {f"QKV: {band}": part for band, part in zip(("query", "key", "value"), np.split(mask, 3))}
    return pd.DataFrame({
        name: {
            "rows": mask.shape[0],
            "columns": mask.shape[1],
            "kept %": 100 * mask.mean(),
            "whole rows removed": int((~mask.any(1)).sum()),
            "whole columns removed": int((~mask.any(0)).sum()),
            "row spread": 100 * mask.mean(1).std(),
            "column spread": 100 * mask.mean(0).std(),
        }
        for name, mask in pieces.items()
    }).T.astype({"rows": int, "columns": int, "whole rows removed": int, "whole columns removed": int})  # fmt: skip
