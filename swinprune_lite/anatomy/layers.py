"""The prunable layers of a network, one after the other: module, kind, stage and block."""

import pandas as pd
from torch import nn

from swinprune_lite.anatomy.modules import blocks, mapped


def layers(model: nn.Module) -> pd.DataFrame:
    """The prunable layers of a Swin in the paper's counting (figure 5): 1, 2, 3, 4 are QKV, PRJ, FC1, FC2 of block 1.

    Args:
        model: any network in which `prunable` finds something; for its stages see `modules.blocks`.

    Returns:
        Indexed by number from 1: name, module, layer (QKV, PRJ, FC1, FC2), stage, block (of the whole network).
    """
    numbers = blocks(model)
    counted = {block: number for number, block in enumerate(numbers, 1)}
    rows = [
        {
            "name": name,
            "module": place.kind.module,
            "layer": place.kind.label,
            "stage": numbers[place.block][0],
            "block": counted[place.block],
        }
        for name, place in mapped(model).items()
    ]
    return pd.DataFrame(rows, index=range(1, len(rows) + 1))
