"""Figures of accuracy: against the ratio (tables 1 and 3), and differences with their intervals (table 4)."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from swinprune_lite.figures.style import LINE, METHOD_STYLES, WIDTH, short_name
from swinprune_lite.paper.numbers import counterpart, paper_table

BANDS = ("dimap", "uniform")  # eight bands on top of each other would hide everything


def accuracy_against_ratio(results: pd.DataFrame) -> Figure:
    """Table 3 drawn, a row of panels a model: measured here (left), and printed in the paper (right).

    Args:
        results: of `frames.stored`; means over seeds, and bands of the 95 % interval for `BANDS`. If the paper has
            none of the models, the right panels are left out.
    """
    models = list(results.model.unique())
    printed = paper_table("table3_uniform_vs_dimap")
    columns = 1 + bool({*map(counterpart, models)} & {*printed.model})
    figure, grid = plt.subplots(
        len(models), columns, figsize=(WIDTH, 3.1 * len(models) + 1), sharex=True, sharey=True, squeeze=False,
        layout="constrained", width_ratios=[3, 2][:columns],
    )  # fmt: skip
    top = 90 if results.top1_mean.max() < 88 else 102  # Imagenette is easy
    for panels, model in zip(grid, models):
        left, rows, paper_model = panels[0], results[results.model == model], counterpart(model)
        left.axhline(
            rows[rows.method == "dense"].top1_mean.item(), color=LINE, linewidth=1, linestyle=":", label="dense"
        )
        theirs = printed[printed.model == paper_model].sort_values("ratio_pct")
        for method, style in METHOD_STYLES.items():
            ours = rows[rows.method == method]
            if len(ours):
                left.plot(100 * ours.ratio, ours.top1_mean, markersize=5, **style)
            if method in BANDS:
                low, high = ours.top1_mean - ours.top1_half, ours.top1_mean + ours.top1_half
                left.fill_between(100 * ours.ratio, low, high, color=style["color"], alpha=0.15)
            if columns > 1 and f"{method}_top1_pct" in theirs:
                panels[1].plot(theirs.ratio_pct, theirs[f"{method}_top1_pct"], markersize=5, **style)
        left.set(title=f"{short_name(model)} (measured)", ylabel="top-1 (%)", ylim=(0, top))
        if columns > 1:
            panels[1].set_title(f"{paper_model} (the paper)")
    for axes in grid[-1]:
        axes.set_xlabel("weights removed (%)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def leads(gains: pd.DataFrame) -> Figure:
    """DIMAP minus other methods, a panel a model; above zero DIMAP is ahead. The ratios stand at equal distances.

    Args:
        gains: of `frames.gains`, the methods' rows below each other, with a column method: the one taken away.
    """
    models, methods, ratios = (list(gains[column].unique()) for column in ("model", "method", "ratio"))
    figure, grid = plt.subplots(
        len(models), figsize=(WIDTH, 2.4 * len(models) + 0.8), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, model in zip(grid[:, 0], models):
        axes.axhline(0, color=LINE, linewidth=1, linestyle=":")
        for number, method in enumerate(methods):
            rows = gains[(gains.model == model) & (gains.method == method)]
            places = [ratios.index(ratio) + 0.18 * (number - (len(methods) - 1) / 2) for ratio in rows.ratio]
            style = {key: METHOD_STYLES[method][key] for key in ("label", "color", "marker")}
            axes.errorbar(places, rows.gain, yerr=rows.half, linestyle="", markersize=5, capsize=2, **style)
        axes.set(title=short_name(model), ylabel="lead of DIMAP (points)")
        axes.set_xticks(range(len(ratios)), [f"{100 * ratio:g}" for ratio in ratios])
        axes.grid(axis="x", visible=False)
    grid[-1, 0].set_xlabel("weights removed (%)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, title="over")
    return figure


def before_and_after(one_shot: pd.DataFrame, tuned: pd.DataFrame) -> Figure:
    """Table 1 drawn: DIMAP's loss of top-1 against the ratio, before and after the short fine-tuning.

    Args:
        one_shot: of `frames.drops`.
        tuned: the same after fine-tuning. Bars are 95 % intervals of the paired difference.
    """
    models = list(one_shot.model.unique())
    figure, panels = plt.subplots(
        len(models), 1, figsize=(WIDTH, 2.5 * len(models) + 1), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, model in zip(panels[:, 0], models):
        axes.axhline(0, color=LINE, linewidth=1, linestyle=":", label="dense")
        for label, table, style in (
            ("one shot", one_shot, {"color": "#D55E00", "marker": "s", "linestyle": "--"}),
            ("fine-tuned", tuned, {"color": "#0072B2", "marker": "o", "linestyle": "-"}),
        ):
            rows = table[table.model == model]
            axes.errorbar(100 * rows.ratio, -rows["drop"], rows.half, label=label, capsize=3, **style)
        axes.set(title=short_name(model), ylabel="top-1 − dense\n(points)", yscale="symlog")
        axes.set_yticks(ticks := [1, 0, -1, -10, -50], [str(tick) for tick in ticks])
    panels[-1, 0].set_xlabel("prunable weights removed (%)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def differences(ours: pd.DataFrame, printed: pd.Series) -> Figure:
    """Table 4 drawn: three modules minus one, measured (with intervals) and printed in the paper.

    Args:
        ours: of `frames.gains`, one ratio.
        printed: the paper's differences, indexed by its model names (Swin-T, ...).
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained", width_ratios=[3, 2])
    places = range(len(ours))
    left.errorbar(ours.gain, places, xerr=ours.half, fmt="o", color=METHOD_STYLES["dimap"]["color"], capsize=4)
    left.set_yticks(places, ours.model.map(short_name))
    shown = printed.reindex([counterpart(model) for model in ours.model])
    right.plot(shown, places, "D", color="#D55E00")
    right.set_yticks(places, shown.index)
    for axes, title in ((left, "measured"), (right, "the paper")):
        axes.axvline(0, color=LINE, linewidth=1, linestyle=":")
        axes.invert_yaxis()
        axes.margins(y=0.3)
        axes.set(title=title, xlabel="top-1: three − one (points)")
    return figure
