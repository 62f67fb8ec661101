"""The prunable layers of a network, one after the other: module, kind, stage and block."""

import pandas as pd
from torch import nn

from swinprune_lite.anatomy.modules import kind_of, place, prunable


def layers(model: nn.Module) -> pd.DataFrame:
    """The prunable layers of a Swin in the paper's counting (figure 5): 1, 2, 3, 4 are QKV, PRJ, FC1, FC2 of block 1.

    Args:
        model: any network in which `prunable` finds something; one without stages has a single one.

    Returns:
        Indexed by number from 1: name, module, layer (QKV, PRJ, FC1, FC2), stage, block (of the whole network).
    """
    rows, blocks = [], {}
    for name in prunable(model):
        path = name.removesuffix(".weight")
        kind = kind_of(path)
        block = blocks.setdefault(path.removesuffix(kind.path), len(blocks) + 1)
        stage, _ = place(name) or (1, block)
        rows.append({"name": name, "module": kind.module, "layer": kind.label, "stage": stage, "block": block})
    return pd.DataFrame(rows, index=range(1, len(rows) + 1))
