"""Figures of what a repair gives back."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LINE, METHOD_STYLES, WIDTH, short_name


def cut_and_repaired(
    models: Sequence[str],
    methods: Sequence[str],
    ratios: Sequence[float],
    accuracy: Callable[[str, str, float, bool], tuple[float, float]],
) -> Figure:
    """Top-1 against the ratio, a panel a model: pale and dashed as cut, full as repaired.

    Args:
        models: a panel each.
        methods: a colour each.
        ratios: shares removed.
        accuracy: from model, method, ratio and whether it is repaired to mean top-1 in percent and half its interval;
            a LookupError leaves the point out. Of "dense" the ratio is 0.
    """
    figure, grid = plt.subplots(
        (len(models) + 1) // 2, 2, figsize=(WIDTH, 2.7 * ((len(models) + 1) // 2) + 0.8), sharex=True, sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, model in zip(grid.flat, models):
        axes.axhline(accuracy(model, "dense", 0.0, False)[0], color=LINE, linewidth=1, linestyle=":", label="dense")
        for method in methods:
            style = METHOD_STYLES[method]
            for repaired in (False, True):
                places, means, halves = [], [], []
                for ratio in ratios:
                    try:
                        mean, half = accuracy(model, method, ratio, repaired)
                    except LookupError:
                        continue
                    places, means, halves = [*places, 100 * ratio], [*means, mean], [*halves, half]
                label = f"{style['label']}, {'repaired' if repaired else 'cut'}"
                axes.errorbar(
                    places, means, halves, color=style["color"], marker=style["marker"], markersize=5, capsize=2,
                    linestyle="-" if repaired else "--", alpha=1 if repaired else 0.5, label=label,
                )  # fmt: skip
        axes.set(title=short_name(model), ylim=(0, 90))
    for axes in grid[:, 0]:
        axes.set_ylabel("top-1 (%)")
    for axes in grid[-1]:
        axes.set_xlabel("weights removed (%)")
    for axes in list(grid.flat)[len(models) :]:
        axes.set_visible(False)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
