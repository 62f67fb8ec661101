"""The prunable layers of a network, one after the other: module, kind, stage and block."""

import re

import pandas as pd
from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules

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
