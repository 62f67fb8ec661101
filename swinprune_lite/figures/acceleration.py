"""Figures of what a clock can see: speed-up against theory, accuracy against time, MACs against time."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LINE, WIDTH

WAY_STYLES = {
    "masked": {"label": "masks of single weights, dense kernels", "color": "#0072B2", "marker": "o"},
    "masks": {"label": "masks of single weights, dense kernels", "color": "#0072B2", "marker": "o"},
    "2:4": {"label": "2:4, dense kernels", "color": "#E69F00", "marker": "^"},
    "blocks": {"label": "blocks, sparse kernels", "color": "#D55E00", "marker": "s"},
    "blocks 16": {"label": "blocks 16 × 16, sparse kernels", "color": "#CC79A7", "marker": "D"},
    "blocks 32": {"label": "blocks 32 × 32, sparse kernels", "color": "#D55E00", "marker": "s"},
    "compact": {"label": "compact", "color": "#009E73", "marker": "P"},
}


def speedup_against_theory(rows: pd.DataFrame) -> Figure:
    """Figure 4 done anew: a panel a batch size, a point a model and runtime, bars for quartiles.

    Args:
        rows: of `runtimes.speedups`, with several models, batches and runtimes.
    """
    batches = sorted(rows.batch.unique())
    figure, panels = plt.subplots(len(batches), 1, figsize=(WIDTH, 3.4 * len(batches)), layout="constrained",
                                  squeeze=False, sharex=True)  # fmt: skip
    limit = 1.05 * rows.theory.max()
    for axes, batch in zip(panels[:, 0], batches):
        axes.plot([1, limit], [1, limit], color=LINE, linewidth=1.5, linestyle="--", label="theory")
        for way, style in WAY_STYLES.items():
            found = rows[(rows.way == way) & (rows.batch == batch)]
            if found.empty:
                continue
            error = np.array([found.speedup - found.low, found.high - found.speedup]).clip(0)
            axes.errorbar(found.theory, found.speedup, error, linestyle="", capsize=3, alpha=0.8, **style)
        axes.axhline(1, color=LINE, linewidth=0.8)
        images = "one image" if batch == 1 else f"{batch} images"
        axes.set(ylabel="measured speed-up", ylim=(0, None), title=f"{images} at a time")
    panels[-1, 0].set_xlabel("theoretical speed-up: dense MACs / MACs left")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=10)
    return figure


def accuracy_against_time(rows: pd.DataFrame) -> Figure:
    """Top-1 after fine-tuning against the measured time; up and to the left is better. Bars: 95 % over seeds.

    Args:
        rows: of `studies.acceleration.against_time`.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4.8), layout="constrained")
    dense = rows[rows.way == "dense"].iloc[0]
    axes.axhline(dense.top1, color=LINE, linestyle="--", linewidth=1.5)
    axes.axhspan(dense.top1 - 1, dense.top1, color=LINE, alpha=0.12, linewidth=0)
    axes.plot(1, dense.top1, color="#000000", marker="*", markersize=13, linestyle="", label="dense")
    for way, style in WAY_STYLES.items():
        found = rows[rows.way == way].sort_values("time")
        if not found.empty:
            axes.errorbar(found.time, found.top1, found.spread, capsize=3, linestyle=":", **style)
    for row in rows[rows.way == "compact"].itertuples():
        axes.annotate(
            f"{100 * row.removed:.0f} %", (row.time, row.top1), (4, -14), textcoords="offset points", fontsize=10
        )
    axes.axvline(1, color=LINE, linewidth=0.8)
    axes.set(xlabel="time of a forward pass / the dense model's", ylabel="top-1 after fine-tuning, %", xscale="log")
    axes.set_xticks([0.3, 0.5, 1, 2, 4], ["0.3", "0.5", "1", "2", "4"], minor=False)
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    return figure


def mac_and_time_shares(shares: pd.DataFrame) -> Figure:
    """Share of the MACs beside share of the time, by what takes them.

    Args:
        shares: rows of `time_shares.shares` of one model: group, MACs, time (percent).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4), layout="constrained")
    places = np.arange(len(shares))
    axes.barh(places - 0.2, shares["MACs"], 0.38, color="#0072B2", label="share of the MACs")
    axes.barh(
        places + 0.2, shares["time"], 0.38, color="#E69F00", hatch="//", edgecolor="white", label="share of the time"
    )
    axes.set_yticks(places, shares["group"])
    axes.invert_yaxis()
    axes.set(xlabel="%")
    axes.legend()
    return figure
