"""Drawn figures of the primers: windows and stages of a Swin, MACs, masks, scores. Narrow, to be read on a phone."""

import html
import json
from collections.abc import Mapping, Sequence
from string import Template

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from swinprune_lite.anatomy.windows import window_numbers
from swinprune_lite.figures.style import LINE
from swinprune_lite.files import SHIPPED
from swinprune_lite.paper import layerwise

NARROW = 5.0  # inches: on a phone of 390 pixels a letter of 10 points is then 9 pixels high
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
WINDOWS = ("#CFE3F1", "#FBE3CF", "#D3EDE3", "#F3DDEA", "#F7F0C8", "#E3E3E3", "#D9EEF9", "#F6D9CC")
"""Fills of neighbouring windows, light enough for text."""


def patches_and_windows(image: np.ndarray, patch: tuple[int, int], window: tuple[int, int]) -> Figure:
    """An image cut into patches (thin lines) and these into windows (thick lines).

    Args:
        image: (height, width), or (height, width, 3) with values in [0, 1].
        patch: its height and width in pixels.
        window: its height and width in patches.
    """
    height, width = image.shape[:2]
    figure, axes = plt.subplots(figsize=(NARROW, NARROW * height / width + 0.4), layout="constrained")
    axes.imshow(image, cmap="gray", extent=(0, width, height, 0))
    for step, line in ((1, 0.6), (window, 2.4)):
        sides = np.multiply(patch, step)
        colour = ORANGE if line > 1 else BLUE
        axes.hlines(np.arange(0, height + 1, sides[0]), 0, width, colour, linewidth=line)
        axes.vlines(np.arange(0, width + 1, sides[1]), 0, height, colour, linewidth=line)
    axes.grid(visible=False)
    axes.set(xlabel="pixels", xlim=(-0.5, width + 0.5), ylim=(height + 0.5, -0.5))
    axes.set_xticks([0, patch[1], patch[1] * window[1], width])
    axes.set_yticks([0, patch[0], patch[0] * window[0], height])
    return figure


def shifted_windows(
    rows: int, columns: int, window: tuple[int, int], shift: tuple[int, int], token: tuple[int, int]
) -> Figure:
    """The windows of a block (above) and of the next one, shifted (below); a cross marks one token in both.

    Args:
        rows: of tokens; so also `columns`.
        columns: see `rows`.
        window: its height and width in tokens.
        shift: of the second block, rows and columns of tokens.
        token: row and column of the marked one; what it sees is framed.
    """
    figure, panels = plt.subplots(2, 1, figsize=(NARROW, NARROW * 1.25), layout="constrained")
    for axes, move, title in zip(panels, ((0, 0), shift), ("a block: windows", "the next block: windows shifted")):
        numbers = window_numbers(rows, columns, window, move)
        fills = ListedColormap(WINDOWS)
        axes.pcolormesh(numbers % len(WINDOWS), cmap=fills, vmin=0, vmax=len(WINDOWS), edgecolor="white", linewidth=1)
        seen = np.argwhere(numbers == numbers[token])
        (top, left), (bottom, right) = seen.min(0), seen.max(0) + 1
        frame = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=ORANGE, linewidth=2.5)
        axes.add_patch(frame)
        axes.plot(token[1] + 0.5, token[0] + 0.5, "x", color=ORANGE, markersize=10, markeredgewidth=2.5)
        _bare(axes, (rows, columns), title)
    return figure


def stages(table: pd.DataFrame) -> Figure:
    """The tokens of each stage on the same image: they get fewer, and each holds more channels.

    Args:
        table: a row a stage: rows and columns (of tokens), channels, blocks.
    """
    aspect = table["rows"].iloc[0] / table["columns"].iloc[0]
    below = int(np.ceil(len(table) / 2))
    size = (NARROW, (0.45 * NARROW * aspect + 0.75) * below)
    figure, panels = plt.subplots(below, 2, figsize=size, layout="constrained")
    for number, (axes, row) in enumerate(zip(panels.flat, table.to_dict("records")), 1):
        sides = np.linspace(0, 1, row["columns"] + 1), np.linspace(0, aspect, row["rows"] + 1)
        axes.pcolormesh(
            *sides,
            np.zeros((row["rows"], row["columns"])),
            cmap=ListedColormap(["#CFE3F1"]),
            edgecolor=BLUE,
            linewidth=0.8,
        )
        said = f"{row['blocks']} blocks\n{row['rows']} × {row['columns']} tokens\n{row['channels']} channels"
        _bare(axes, (aspect, 1), f"stage {number}: {said}")
    for axes in panels.flat[len(table) :]:
        axes.set_axis_off()
    return figure


def multiply_accumulates(weight: np.ndarray, inputs: np.ndarray, row: int) -> Figure:
    """A small matrix times a vector, number by number: each cell of the matrix is one MAC; one row is marked.

    Args:
        weight: (outputs, inputs).
        inputs: (inputs,).
        row: the output whose products are written out above.
    """
    outputs = weight @ inputs
    figure, axes = plt.subplots(figsize=(NARROW, 0.62 * len(weight) + 1.5), layout="constrained")
    right = weight.shape[1] + 1.2
    for place in np.ndindex(*weight.shape):
        _cell(axes, place[1], place[0] + 1.6, f"{weight[place]:g}", WINDOWS[1] if place[0] == row else "white")
    for number, value in enumerate(inputs):
        _cell(axes, number, 0, f"{value:g}", WINDOWS[0])
    for number, value in enumerate(outputs):
        _cell(axes, right, number + 1.6, f"{value:g}", WINDOWS[1] if number == row else "white")
        start = weight.shape[1] + 0.2
        axes.arrow(start, number + 2.1, right - start - 0.4, 0, color=LINE, head_width=0.15, length_includes_head=True)
    said = " + ".join(f"{one:g} · {other:g}" for one, other in zip(weight[row], inputs)).replace("+ -", "− ")
    axes.text(0, -0.35, f"{said} = {outputs[row]:g}".replace("-", "−"), fontsize=11)
    for place, text in ((-0.15, "inputs"), (1.45, "weights")):
        axes.text(-0.25, place + 0.65, text, ha="right", fontsize=11)
    axes.text(right + 1.1, 2.1, "outputs", va="center", fontsize=11)
    axes.set(xlim=(-1.6, right + 2.5), ylim=(len(weight) + 1.7, -0.9), aspect="equal")
    axes.set_axis_off()
    return figure


def mask_of(weight: np.ndarray, kept: np.ndarray) -> Figure:
    """A matrix of weights, its mask, and their product, cell by cell.

    Args:
        weight: (outputs, inputs), few of each.
        kept: bool of that shape, True = kept.
    """
    rows = weight.shape[0]
    figure, panels = plt.subplots(3, 1, figsize=(NARROW, 3 * (0.38 * rows + 0.4)), layout="constrained")
    texts = ("{0:.2f}", "{1:d}", "{2}")
    for axes, title, text in zip(panels, ("weights", "mask: 1 stays, 0 goes", "weights times mask"), texts):
        for place in np.ndindex(*weight.shape):
            stays = kept[place]
            value = f"{weight[place]:.2f}" if stays else "0"
            fill = "white" if title == "weights" or stays else "#E3E3E3"
            _cell(axes, place[1], place[0], text.format(weight[place], int(stays), value), fill)
        _bare(axes, weight.shape, title, aspect="auto")
    return figure


def shot_and_tuning(table: pd.DataFrame) -> Figure:
    """Top-1 of the whole model, after the cut, and after fine-tuning: a line a share removed, with 95 % intervals.

    Args:
        table: ratio (share removed), state ("whole", "one shot", "fine-tuned"), top1 and half (percent, points).
    """
    figure, axes = plt.subplots(figsize=(NARROW, 3.6), layout="constrained")
    states = list(dict.fromkeys(table.state))
    looks = zip(("#009E73", "#E69F00", BLUE, ORANGE), "osDv")
    for (ratio, rows), (colour, marker) in zip(table.groupby("ratio"), looks):
        rows = rows.set_index("state").loc[states]
        axes.errorbar(
            range(len(states)), rows.top1, rows.half, color=colour, marker=marker, capsize=3, label=f"{100 * ratio:g} %"
        )
    axes.set_xticks(range(len(states)), states)
    axes.set(ylabel="top-1 (%)", xlim=(-0.2, len(states) - 0.8))
    axes.grid(axis="x", visible=False)
    figure.legend(title="weights removed", loc="outside upper center", ncols=3)
    return figure


def zeros_or_smaller(kept: np.ndarray, rows: Sequence[int]) -> Figure:
    """The same matrix with zeros scattered in it (above), and without whole rows (below).

    Args:
        kept: bool (outputs, inputs), True = kept: the scattered zeros.
        rows: the outputs that stay in the smaller matrix.
    """
    figure, panels = plt.subplots(2, 1, figsize=(NARROW, 4.6), layout="constrained")
    smaller = np.ones((len(rows), kept.shape[1]), bool)
    for axes, matrix, name in zip(panels, (kept, smaller), ("zeros", "a smaller matrix")):
        axes.imshow(matrix, cmap=ListedColormap(["#E3E3E3", BLUE] if not matrix.all() else [BLUE]), vmin=0, vmax=1)
        axes.set_xticks(np.arange(-0.5, kept.shape[1]), minor=True)
        axes.set_yticks(np.arange(-0.5, kept.shape[0]), minor=True)
        axes.grid(visible=False)
        axes.grid(which="minor", color="white", linewidth=1.2)
        said = f"{name}: {matrix.sum()} weights left,\n{matrix.size} products at each position"
        _bare(axes, matrix.shape, said, start=-0.5)
        axes.set_ylim(kept.shape[0] - 0.5, -0.5)
    return figure


def scores_by_layer(scores: Mapping[str, Sequence[float]], threshold: float) -> Figure:
    """Scores as bars, layer by layer, on a logarithmic axis, with one threshold for all.

    Args:
        scores: name of a layer -> its scores, above 0.
        threshold: the lowest score that stays.
    """
    figure, axes = plt.subplots(figsize=(NARROW, 3.4), layout="constrained")
    place, ticks = 0, {}
    for name, values in scores.items():
        places = place + np.arange(len(values))
        stays = np.array([value >= threshold for value in values])
        axes.bar(places[stays], np.asarray(values)[stays], color=BLUE)
        axes.bar(places[~stays], np.asarray(values)[~stays], color="white", edgecolor=ORANGE, hatch="///")
        for at, value in zip(places, values):
            axes.text(at, value * 1.08, f"{value:.2g}", ha="center", fontsize=10)
        ticks[places.mean()] = name
        place = places[-1] + 2
    axes.axhline(threshold, color=LINE, linestyle="--", linewidth=1.5)
    axes.set_xticks(list(ticks), ticks.values())
    axes.set(yscale="log", ylabel="score (equation 10)", ylim=(0.02, 2))
    axes.grid(axis="x", visible=False)
    return figure


def one_threshold(scores: Mapping[str, torch.Tensor], threshold: float) -> Figure:
    """The sorted scores of layers against the share of each layer's weights, and one threshold through all of them.

    Args:
        scores: label -> scores, of any shape, above 0.
        threshold: the lowest score that stays.
    """
    figure, axes = plt.subplots(figsize=(NARROW, 3.6), layout="constrained")
    for (label, values), colour, dash in zip(scores.items(), (BLUE, ORANGE), ("-", "--")):
        ranked = values.flatten().sort(descending=True).values
        kept = 100 * (ranked >= threshold).double().mean().item()
        shown = torch.linspace(0, len(ranked) - 1, min(len(ranked), 200)).long()
        axes.plot(100 * (shown + 1) / len(ranked), ranked[shown], colour, linestyle=dash,
                  label=f"{label}: {len(ranked):,} weights, keeps {kept:.0f} %")  # fmt: skip
        axes.vlines(kept, 0, threshold, colour, linestyle=":")
    axes.axhline(threshold, color=LINE, linewidth=1.5)
    axes.text(1, threshold * 0.7, "below the threshold\nweights go", va="top", fontsize=10)
    lowest = min(values.quantile(0.05).item() for values in scores.values())
    axes.set(yscale="log", ylim=(lowest, 2), xlim=(0, 100))
    axes.set(xlabel="weights of the layer, the largest first (%)", ylabel="score (equation 10)")
    figure.legend(loc="outside upper left")
    return figure


def threshold_explorer(layers: Mapping[str, torch.Tensor], bins: int = 48, steps: int = 50) -> str:
    """A piece of HTML in which a slider moves one threshold over two layers, by magnitude and by equation 10.

    All numbers are computed here. The page needs no network; without a script what it shows stands in its table.

    Args:
        layers: label -> weight, two of them, of any shape and scale.
        bins: of each histogram.
        steps: positions of the slider, from nothing removed to almost all; a multiple of 10.

    Returns:
        HTML with its own style and script.

    Raises:
        ValueError: another number of layers than two, or a weight that holds no finite numbers.
    """
    if len(layers) != 2:
        raise ValueError(f"The explorer shows two layers; got {len(layers)}.")
    views = layerwise.common_thresholds(list(layers.values()), bins, steps)
    shown = range(0, steps, steps // 10)
    rows = "".join(
        f'<tr><th scope="row">{100 * step / steps:g} %</th>'
        + "".join(f"<td>{lost[step]:.0f} %</td>" for view in views for lost in view["lost"])
        + "</tr>"
        for step in shown
    )
    first, second = map(html.escape, layers)
    data = json.dumps({"layers": list(layers), "steps": steps, "views": views}).replace("</", "<\\/")
    page = Template((SHIPPED / "threshold.html").read_text())
    return page.substitute(data=data, rows=rows, first=first, second=second, last=steps - 1, middle=steps // 2)


def _cell(axes: Axes, column: float, row: float, text: str, fill: str) -> None:
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=GREY))
    axes.text(column + 0.5, row + 0.5, text.replace("-", "−"), ha="center", va="center", fontsize=11)


def _bare(axes: Axes, size: Sequence[float], title: str, aspect: str = "equal", start: float = 0) -> None:
    """Axes of rows and columns without ticks, a border or a grid."""
    axes.set(xlim=(start, start + size[1]), ylim=(start + size[0], start), aspect=aspect)
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
