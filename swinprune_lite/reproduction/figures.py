"""The notebooks' figures: one palette for the modules and methods, safe for the colour-blind, on white."""

import re
from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import nn

from swinprune_lite.modules import modules
from swinprune_lite.reproduction.paper import LITE_COUNTERPARTS, paper_table
from swinprune_lite.reproduction.tables import interval

# Okabe and Ito's palette
MODULE_COLOURS = {"QKV-M": "#0072B2", "PRJ-M": "#E69F00", "MLP-M": "#009E73", "AUX-M": "#999999"}
METHOD_STYLES = {
    "dimap": {"label": "DIMAP", "color": "#0072B2", "marker": "o", "linestyle": "-"},
    "uniform": {"label": "uniform", "color": "#D55E00", "marker": "s", "linestyle": "--"},
}


def set_style() -> None:
    """Vector graphics in notebooks, seaborn's white grid, text large enough for a phone."""
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg")
    sns.set_theme(context="notebook", style="whitegrid", rc={"figure.facecolor": "white", "svg.hashsalt": "swinprune"})


def module_map(model: nn.Module, title: str) -> Figure:
    """Figure 3: parameters of every block, stacked by module, from the input (left) to the head (right).

    Args:
        model: a Swin of timm's, or another network that names its blocks `layers.<stage>.blocks.<block>`.
        title: stands above the axes.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    counts: dict[str, dict[str, int]] = {}
    for module, names in modules(model).items():
        for name in names:
            place = counts.setdefault(_place(name), dict.fromkeys(MODULE_COLOURS, 0))
            place[module] += sizes[name]
    order = list(dict.fromkeys(_place(name) for name in sizes))
    frame = pd.DataFrame.from_dict(counts, orient="index").loc[order] / 1e6

    figure, axes = plt.subplots(figsize=(max(7, 0.42 * len(frame) + 1.5), 4), layout="constrained")
    frame.plot.bar(stacked=True, ax=axes, color=MODULE_COLOURS, width=0.8, edgecolor="white", linewidth=0.5)
    for position, (before, after) in enumerate(pairwise(order)):
        if "." in after and before.split(".")[0] != after.split(".")[0]:
            axes.axvline(position + 0.5, color="#555555", linewidth=0.8, linestyle=":")
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="place in the network (stage.block)", ylabel="parameters (millions)", title=title)
    axes.tick_params(axis="x", rotation=60)
    axes.legend(title="module", loc="upper left")
    return figure


def _place(name: str) -> str:
    """Where a parameter stands: "2.1" for block 1 of stage 2, else what part of the network it is."""
    if match := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name):
        return f"{int(match[1]) + 1}.{int(match[2]) + 1}"
    if match := re.match(r"layers\.(\d+)\.downsample", name):
        return f"{int(match[1]) + 1}.merge"
    return {"patch_embed": "embed", "norm": "norm", "head": "head"}.get(name.split(".")[0], name.split(".")[0])


def accuracy_against_ratio(results: pd.DataFrame) -> Figure:
    """Table 3 drawn: top-1 against the ratio removed, measured here (above) and printed in the paper (below).

    Args:
        results: rows of `experiments.one_shot`. Bands are 95 % confidence intervals over images.
    """
    models = list(results.model.unique())
    figure, grid = plt.subplots(
        2,
        len(models),
        figsize=(4 * len(models) + 0.5, 7),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    printed = paper_table("table3_uniform_vs_dimap")
    for column, model in enumerate(models):
        rows = results[results.model == model]
        dense = rows[rows.method == "dense"].top1.item()
        grid[0, column].axhline(dense, color="#555555", linewidth=1, linestyle=":", label="dense")
        paper_model = LITE_COUNTERPARTS[model]
        for method, style in METHOD_STYLES.items():
            ours = rows[rows.method == method]
            if ours.empty:
                continue
            half = [interval(top1, images) for top1, images in zip(ours.top1, ours.images)]
            grid[0, column].plot(100 * ours.ratio, ours.top1, **style)
            grid[0, column].fill_between(
                100 * ours.ratio, ours.top1 - half, ours.top1 + half, color=style["color"], alpha=0.2
            )
            theirs = printed[printed.model == paper_model].sort_values("ratio_pct")
            grid[1, column].plot(theirs.ratio_pct, theirs[f"{method}_top1_pct"], **style)
        grid[0, column].set_title(f"{model}\n(measured here)")
        grid[1, column].set_title(f"{paper_model}\n(the paper, ImageNet-1k)")
        grid[1, column].set_xlabel("prunable weights removed (%)")
    for row in grid:
        row[0].set_ylabel("top-1 (%), no fine-tuning")
    grid[0, 0].legend(loc="lower left")
    return figure
