"""Figures layer by layer: magnitudes (figure 2), kept shares (figure 5), masks (figure 6)."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LAYER_STYLES, LINE, MODULE_COLOURS, WIDTH


def weight_histograms(table: pd.DataFrame, threshold: float) -> Figure:
    """Figure 2: the weights of QKV, PRJ, FC1 and FC2 in the first blocks, a panel each, and a magnitude threshold.

    Args:
        table: of `layerwise.histograms`.
        threshold: drawn on both sides of zero.
    """
    blocks = table.block.unique()
    size = (WIDTH, 3 * len(blocks) + 0.6)
    figure, grid = plt.subplots(len(blocks), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    panels = grid[:, 0]
    for axes, block in zip(panels, blocks):
        for layer, rows in table[table.block == block].groupby("layer", sort=False):
            left = rows.left.to_numpy()
            edges = [*left, 2 * left[-1] - left[-2]]  # bins are of one width
            axes.hist(left, edges, weights=rows.percent, histtype="step", linewidth=1.6, label=layer,
                      **LAYER_STYLES[layer])  # fmt: skip
        for side in (-threshold, threshold):
            axes.axvline(side, color=LINE, linewidth=1, linestyle=":")
        axes.set(title=f"block {block}", ylabel="weights in a bin (%)")
    panels[-1].set_xlabel("weight (dotted: plus and minus the threshold)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def heat_map(table: pd.DataFrame, values: pd.Series, label: str) -> Figure:
    """A value for every layer: kinds of layer down, blocks across, stage boundaries white.

    The colours reach from the ten below the smallest value to the ten above the largest.

    Args:
        table: of `anatomy.layers`.
        values: percent, indexed alike.
        label: of the colour bar, with the unit.
    """
    wide = table.assign(value=values).pivot(index="layer", columns="block", values="value").loc[list(LAYER_STYLES)]
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6), layout="constrained")
    low, high = 10 * np.floor(wide.min(axis=None) / 10), 10 * np.ceil(wide.max(axis=None) / 10)
    image = axes.imshow(wide, cmap="cividis", aspect="auto", vmin=low, vmax=max(high, low + 10))
    stages = table.drop_duplicates("block").set_index("block").stage
    for block in stages.index[stages.diff() > 0]:
        axes.axvline(block - 1.5, color="white", linewidth=2)
    axes.set_yticks(range(len(wide)), wide.index)
    axes.set_xticks(range(len(wide.columns)), wide.columns)
    axes.grid(visible=False)
    axes.set_xlabel("block (lines: stage boundaries)")
    figure.colorbar(image, label=label)
    return figure


def keep_ratios(kept: pd.DataFrame) -> Figure:
    """Figure 5: the kept share of every layer, coloured by module, with the stage boundaries.

    Args:
        kept: of `layerwise.kept_shares`.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
    for module, rows in kept.groupby("module", sort=False):
        axes.bar(rows.index, rows.kept_pct, width=0.85, color=MODULE_COLOURS[module], label=module)
    for number in kept.index[kept.stage.diff() > 0]:
        axes.axvline(number - 0.5, color=LINE, linewidth=1, linestyle=":")
    for stage, rows in kept.groupby("stage"):
        axes.text(rows.index.to_numpy().mean(), 102, stage, ha="center", fontsize=10)
    axes.set_title("stage", loc="left", fontsize=10, pad=2)
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="layer (QKV, PRJ, FC1, FC2 of each block in turn)", ylabel="weights kept (%)", ylim=(0, 110))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def masks(block: Mapping[str, np.ndarray]) -> Figure:
    """Figure 6: the masks of the first block's four layers; dark is kept, white removed.

    Args:
        block: of `layerwise.first_block`.
    """
    figure, panels = plt.subplots(2, 2, figsize=(WIDTH, 8.5), layout="constrained", height_ratios=[3, 2])
    for axes, name in zip(panels.flat, ("QKV", "FC1", "PRJ", "FC2")):
        mask = block[name]
        axes.imshow(mask, cmap=ListedColormap(["white", LAYER_STYLES[name]["color"]]), vmin=0, vmax=1,
                    interpolation="nearest", aspect="auto")  # fmt: skip
        axes.grid(visible=False)
        axes.set(title=f"{name}: {100 * mask.mean():.0f} % kept", xlabel="input", ylabel="output")
        if name == "QKV":
            third = mask.shape[0] // 3
            for part in (1, 2):
                axes.axhline(part * third - 0.5, color="#D55E00", linewidth=2)
            axes.set_yticks(
                [third * (part + 0.5) for part in range(3)], ["query", "key", "value"], rotation=90, va="center"
            )
    return figure
