"""Figures of what data is worth: accuracy against the number of images that a criterion sees, and against alpha."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LINE, WIDTH

CRITERION_STYLES = {
    "relative_energy": {"label": "equation 10, no data", "color": "#56B4E9", "marker": "", "linestyle": "--"},
    "magnitude": {"label": "magnitude, no data", "color": "#000000", "marker": "", "linestyle": "-."},
    "wanda": {"label": "Wanda", "color": "#E69F00", "marker": "s", "linestyle": "-"},
    "taylor": {"label": "Taylor", "color": "#CC79A7", "marker": "D", "linestyle": "-"},
    "fisher": {"label": "Fisher", "color": "#D55E00", "marker": "^", "linestyle": "-"},
    "obs": {"label": "OBS score", "color": "#999999", "marker": "v", "linestyle": "-"},
    "activation_energy": {"label": "equation 10, activations", "color": "#0072B2", "marker": "o", "linestyle": "-"},
    "sparsegpt": {"label": "SparseGPT", "color": "#009E73", "marker": "P", "linestyle": "-"},
    "repair": {"label": "images in the repair alone", "color": "#000000", "marker": "X", "linestyle": ":"},
}


def accuracy_against_images(rows: pd.DataFrame, dense: float) -> Figure:
    """Top-1 against the number of real images, cut (left) and repaired (right). Bars and bands: 95 % intervals.

    Args:
        rows: of `studies.criteria.curves`.
        dense: top-1 of the dense model in percent.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 5.4), sharey=True, layout="constrained")
    counts = sorted(rows.images[rows.images > 0].unique())
    shown = {}
    for axes, repaired in zip(panels, (False, True)):
        axes.axhline(dense, color=LINE, linewidth=1, linestyle=":", label="dense")
        for name, style in CRITERION_STYLES.items():
            where = (
                rows["where"] == "repair" if name == "repair" else rows.criterion.eq(name) & (rows["where"] != "repair")
            )
            found = rows[where & (rows.repaired == repaired)].sort_values("images")
            if found.empty:
                continue
            if (found.images == 0).all():
                mean, half = found.top1.item(), found.half.item()
                axes.plot(counts, [mean] * len(counts), **style)
                axes.fill_between(counts, mean - half, mean + half, color=style["color"], alpha=0.15, linewidth=0)
            else:
                axes.errorbar(found.images, found.top1, found.half, capsize=3, markersize=6, **style)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [f"{count}" for count in counts])
        axes.set(title="cut and repaired" if repaired else "cut", xlabel="real images")
        shown |= dict(zip(*axes.get_legend_handles_labels()[::-1]))
    panels[0].set_ylabel("top-1 (%)")
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, fontsize=10)
    return figure


def accuracy_against_alpha(rows: pd.DataFrame) -> Figure:
    """Top-1 of equation 10 on activations to the power of alpha: 0 uses no data. Bars: 95 % intervals.

    Args:
        rows: of `studies.criteria.by_alpha`.
    """
    style = CRITERION_STYLES["activation_energy"]
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    axes.errorbar(rows.alpha, rows.top1, rows.half, color=style["color"], marker=style["marker"], capsize=3)
    axes.set(xlabel="alpha: from no data (0) to activations in full (1)", ylabel="top-1 (%)")
    return figure
