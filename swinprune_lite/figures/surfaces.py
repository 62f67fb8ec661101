"""Figures of surfaces with defects, and of what pruning costs on them."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LINE, WIDTH

COLOURS = ("#000000", "#56B4E9", "#0072B2", "#E69F00", "#009E73", "#D55E00")
MARKERS = "sovD^P"


def gallery(rows: Mapping[str, Sequence[np.ndarray]], columns: Sequence[str]) -> Figure:
    """Images side by side, as they are.

    Args:
        rows: a name each, and as many uint8 images (height, width) as there are columns.
        columns: what stands above each.
    """
    figure, grid = plt.subplots(
        len(rows), len(columns), figsize=(WIDTH, WIDTH * len(rows) / len(columns) + 0.3), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, (name, images) in zip(grid, rows.items()):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=10)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=10)
    return figure


def dots(
    groups: Mapping[str, pd.DataFrame],
    label: str,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Values with intervals, a line each from top to bottom, in one colour a group.

    Args:
        groups: name -> frame by name of the line, with columns value and half, in the same order of lines.
        label: of the axis.
        reference: drawn as a dotted line.
        limits: of the axis; None: what the intervals need.
    """
    names = list(dict.fromkeys(name for frame in groups.values() for name in frame.index))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.42 * len(names)), layout="constrained")
    for number, (group, frame) in enumerate(groups.items()):
        places = [names.index(name) + 0.16 * (number - (len(groups) - 1) / 2) for name in frame.index]
        axes.errorbar(
            frame.value, places, xerr=frame.half, linestyle="", color=COLOURS[number], marker=MARKERS[number],
            markersize=5, capsize=2, label=group,
        )  # fmt: skip
    if reference is not None:
        axes.axvline(reference, color=LINE, linewidth=1, linestyle=":")
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel=label, xlim=limits)
    if len(groups) > 1:
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def recall_by_size(found: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Recall against the defect's size, a panel a view and a colour a state.

    Args:
        found: view, state, size, recall and half; rows of size 0, of no defect, are left out.
        titles: view -> title of its panel.
    """
    found = found[found["size"] > 0]
    figure, grid = plt.subplots(
        -(-len(titles) // 2), 2, figsize=(WIDTH, 2.6 * -(-len(titles) // 2) + 0.6), sharex=True, sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, (view, title) in zip(grid.flat, titles.items()):
        for number, (state, rows) in enumerate(found[found["view"] == view].groupby("state", sort=False)):
            places = rows["size"] * 1.04 ** (number - 1.5)  # side by side
            axes.errorbar(
                places, rows.recall, rows.half, color=COLOURS[number], marker=MARKERS[number], markersize=4,
                capsize=2, label=state,
            )  # fmt: skip
        axes.set(title=title.replace(", ", ",\n"), xscale="log", ylim=(0, 100))
        axes.set_xticks(found["size"].unique(), [str(size) for size in found["size"].unique()], minor=False)
        axes.minorticks_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("recall (%)")
    for axes in grid[-1]:
        axes.set_xlabel("size of the defect (pixels)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def recovery(found: pd.DataFrame, dense: float) -> Figure:
    """Accuracy against steps of light fine-tuning, a line a number of labelled surfaces.

    Args:
        found: labelled, steps, top1 and half.
        dense: accuracy before pruning, in percent.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
    axes.axhline(dense, color=LINE, linewidth=1, linestyle=":", label="dense")
    for number, (labelled, rows) in enumerate(found.groupby("labelled", sort=False)):
        axes.errorbar(
            np.log2(1 + rows.steps), rows.top1, rows.half, color=COLOURS[number + 1], marker=MARKERS[number],
            markersize=5, capsize=2, label=f"{labelled:,} labelled",
        )  # fmt: skip
    steps = found.steps.unique()
    axes.set_xticks(np.log2(1 + steps), [str(each) for each in steps])
    axes.set(xlabel="steps of fine-tuning", ylabel="accuracy (%)", ylim=(0, None))
    axes.legend(ncols=2)
    return figure
