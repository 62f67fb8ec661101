"""Layer by layer: magnitudes (figure 2), kept shares and thresholds (figure 5), the masks themselves (figure 6)."""

import math

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
