"""Layer by layer: magnitudes (figure 2), kept shares and thresholds (figure 5), the masks themselves (figure 6)."""

import math
import re

import numpy as np
import pandas as pd
import torch
from torch import nn

from swinprune_lite.importance import importance
from swinprune_lite.masks import Masks
from swinprune_lite.modules import PRUNED_MODULES, modules

LABELS = {"attn.qkv": "QKV", "attn.proj": "PRJ", "mlp.fc1": "FC1", "mlp.fc2": "FC2"}


def layers(model: nn.Module) -> pd.DataFrame:
    """The prunable layers of a Swin in the paper's counting (figure 5): 1, 2, 3, 4 are QKV, PRJ, FC1, FC2 of block 1.

    Returns:
        Indexed by number from 1: name, module, layer (QKV, PRJ, FC1, FC2), stage, block (of the whole network).
    """
    rows, blocks = [], {}
    kinds = {name: module for module in PRUNED_MODULES for name in modules(model)[module]}
    for name, _ in model.named_parameters():
        if name in kinds:
            place, layer = re.match(r"(.*)\.(attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.weight", name).groups()
            stage = int(match[1]) + 1 if (match := re.search(r"layers\.(\d+)\.", name)) else 1
            block = blocks.setdefault(place, len(blocks) + 1)
            rows.append({"name": name, "module": kinds[name], "layer": LABELS[layer], "stage": stage, "block": block})
    return pd.DataFrame(rows, index=range(1, len(rows) + 1))


def shares_below(model: nn.Module, threshold: float) -> pd.Series:
    """Percent of each layer's weights whose magnitude is below a threshold; indexed as `layers`."""
    parameters = dict(model.named_parameters())
    return layers(model)["name"].map(lambda name: 100 * (parameters[name].abs() < threshold).float().mean().item())


def threshold_removing(model: nn.Module, share: float, kinds: tuple[str, ...], blocks: int) -> float:
    """The magnitude below which `share` of the weights of these kinds of layer lie, in the first `blocks` blocks."""
    parameters, table = dict(model.named_parameters()), layers(model)
    chosen = table[table.layer.isin(kinds) & (table.block <= blocks)]
    return torch.cat([parameters[name].detach().abs().flatten() for name in chosen.name]).quantile(share).item()


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
