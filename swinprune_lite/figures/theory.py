"""Figures of the bound (equations 7, 8 and 10) and of time (figure 4)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from swinprune_lite.anatomy.modules import PRUNED_MODULES
from swinprune_lite.figures.style import LINE, MODULE_COLOURS, WIDTH

MARKERS = dict(zip(PRUNED_MODULES, "osv"))


def bound_looseness(trials: pd.DataFrame) -> Figure:
    """How far below equation 7's bound the measured change stays, by the depth of the chain.

    Args:
        trials: of `bound.bound_trials`.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")
    depths = sorted(trials.depth.unique())
    axes.boxplot([trials[trials.depth == depth].ratio for depth in depths], tick_labels=depths, whis=(0, 100),
                 medianprops={"color": "#D55E00"})  # fmt: skip
    axes.axhline(1, color=LINE, linewidth=1.5, linestyle="--")
    axes.text(0.55, 1.15, "the bound", color=LINE)
    axes.set(yscale="log", ylim=(1e-6, 4), xlabel="layers in the chain", ylabel="largest change / bound")
    return figure


def distortions(by_layer: pd.DataFrame, by_weight: pd.DataFrame) -> Figure:
    """On a Swin: relative distortion of a layer (above) and score of a weight (below) against the output's change.

    Args:
        by_layer: of `bound.layer_distortions`.
        by_weight: of `bound.weight_distortions`.
    """
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(WIDTH, 8), layout="constrained")
    for axes, table, column in ((upper, by_layer, "bound"), (lower, by_weight, "score")):
        for module in PRUNED_MODULES:
            rows = table[(table.module == module) & (table.change > 0)]
            style = {"color": MODULE_COLOURS[module], "marker": MARKERS[module], "label": module}
            axes.scatter(rows[column], rows.change, s=30, alpha=0.8, **style)
    upper.set(
        xlabel="relative distortion of the layer (equation 8)",
        ylabel="relative change of the logits",
        title="half of one layer removed",
    )
    lower.set(
        xscale="log", yscale="log", xlabel="score (equation 10)", ylabel="change of the logits (norm)",
        title="one weight removed",
    )  # fmt: skip
    upper.legend(title="module", loc="upper left")
    return figure


def speedups(measured: pd.DataFrame) -> Figure:
    """Figure 4: measured speed-up over the dense model against the theoretical one.

    Args:
        measured: of `timing.acceleration`.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4.6), layout="constrained")
    limit = measured.theory.max()
    axes.plot([1, limit], [1, limit], color=LINE, linewidth=1.5, linestyle="--", label="theory: dense MACs / MACs left")
    for way, label, colour, marker in (
        ("masked", "masked weights, dense kernels", "#0072B2", "o"),
        ("sparse", "sparse layout (CSR)", "#D55E00", "s"),
    ):
        error = np.array([measured[way] - measured[f"{way} low"], measured[f"{way} high"] - measured[way]])
        axes.errorbar(
            measured.theory, measured[way], error.clip(0), label=label, color=colour, marker=marker, capsize=3
        )
    axes.axhline(1, color=LINE, linewidth=0.8)
    axes.set(xlabel="theoretical speed-up", ylabel="measured speed-up", ylim=(0, None))
    axes.legend(loc="upper left")
    return figure
