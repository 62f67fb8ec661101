"""Size of a pruned checkpoint on disk, by the way it is stored."""

import gzip
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import zstandard
from safetensors.torch import save
from torch import nn

from swinprune_lite.acceleration import information_bound, save_pruned
from swinprune_lite.pruning.masks import make_masks

GZIP_LEVEL, ZSTD_LEVEL = 6, 9  # their best take several times as long for a percent or two


def sizes(model: nn.Module, ratios: Sequence[float], method: str = "dimap") -> pd.DataFrame:
    """Megabytes of a model's weights in float16, by the share of prunable weights removed.

    Columns: dense, the masked weights (zeros in place) under gzip and zstd, `save_pruned`, the information
    bound H(p) + 16 (1 - p) bits a prunable weight and 16 bits for any other number, and two quotients.

    Raises:
        ValueError: ratios that are the same in whole percent, which name the rows.
    """
    if len({f"{ratio:.0%}" for ratio in ratios}) < len(ratios):
        raise ValueError(f"Ratios must differ by a percent or more, which name the rows; got {[*ratios]}.")
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    dense = len(save(state))
    rows = {}
    for ratio in ratios:
        masks = make_masks(model, ratio, method)
        masked = save({name: tensor * masks[name] if name in masks else tensor for name, tensor in state.items()})
        with tempfile.TemporaryDirectory() as folder:
            save_pruned(model, Path(folder) / "pruned.safetensors", masks)
            pruned = (Path(folder) / "pruned.safetensors").stat().st_size
        others = sum(tensor.numel() for name, tensor in state.items() if name not in masks)
        bound = information_bound(masks, others)
        rows[f"{ratio:.0%}"] = {
            "dense": dense / 1e6,
            "masked, gzip": len(gzip.compress(masked, GZIP_LEVEL)) / 1e6,
            "masked, zstd": len(zstandard.compress(masked, ZSTD_LEVEL)) / 1e6,
            "save_pruned": pruned / 1e6,
            "bound": bound / 1e6,
            "save_pruned / bound": pruned / bound,
            "dense / save_pruned": dense / pruned,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("removed")
