"""Figures that need no weights: components (figure 1), the module map (figure 3), the state of the art (table 2)."""

import re
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from swinprune_lite.anatomy.modules import blocks, modules
from swinprune_lite.figures.style import (
    COMPONENT_COLOURS,
    LINE,
    METHOD_STYLES,
    MODULE_COLOURS,
    PRODUCTS,
    WIDTH,
    short_name,
)


def components(counted: pd.DataFrame, printed: pd.DataFrame) -> Figure:
    """Figure 1: shares of parameters (above) and FLOPs (below), counted here and printed in the paper (hatched).

    Args:
        counted: of `counts.figure1`.
        printed: the paper's, `paper_table("fig1_component_shares")`.
    """
    figure, both = plt.subplots(2, 1, figsize=(WIDTH, 7.2), sharex=True, layout="constrained")
    models = list(counted.model.unique())
    for axes, column, title in zip(both, ("params_share_pct", "flops_share_pct"), ("parameters", "FLOPs (MACs)")):
        for offset, table, hatch in ((-0.2, counted, None), (0.2, printed, "///")):
            left = np.zeros(len(models))
            for component, colour in COMPONENT_COLOURS.items():
                share = table[table.component == component].set_index("model")[column].reindex(models).fillna(0)
                places = np.arange(len(models)) + offset
                axes.barh(places, share, 0.36, left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.8)
                left += share.to_numpy()
        axes.set_yticks(range(len(models)), models)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(title=title, xlim=(0, 100))
    both[1].set_xlabel("share (%); upper bar counted here, lower (hatched) printed in the paper")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COMPONENT_COLOURS.values()]
    figure.legend(handles, ["fully connected", "attention", "convolution"], loc="outside upper center", ncols=3)
    return figure


def module_map(model: nn.Module, title: str) -> Figure:
    """Figure 3: parameters of every block, stacked by module, from the input (left) to the head (right).

    Args:
        model: a Swin of timm's, or another network that names its blocks `layers.<stage>.blocks.<block>`.
        title: stands above the axes.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    numbers = blocks(model)
    counts: dict[str, dict[str, int]] = {}
    for module, names in modules(model).items():
        for name in names:
            place = counts.setdefault(_place(name, numbers), dict.fromkeys(MODULE_COLOURS, 0))
            place[module] += sizes[name]
    order = list(dict.fromkeys(_place(name, numbers) for name in sizes))
    frame = pd.DataFrame.from_dict(counts, orient="index").loc[order] / 1e6

    figure, axes = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
    frame.plot.bar(stacked=True, ax=axes, color=MODULE_COLOURS, width=0.8, edgecolor="white", linewidth=0.5)
    for position, (before, after) in enumerate(pairwise(order)):
        if "." in after and before.split(".")[0] != after.split(".")[0]:
            axes.axvline(position + 0.5, color=LINE, linewidth=0.8, linestyle=":")
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="place in the network (stage.block)", ylabel="parameters (millions)", title=short_name(title))
    axes.tick_params(axis="x", rotation=60)
    axes.legend(title="module", loc="upper left")
    return figure


def _place(name: str, numbers: dict[str, tuple[int, int]]) -> str:
    """Where a parameter stands: "2.1" for block 1 of stage 2, else what part of the network it is."""
    if block := next((path for path in numbers if name.startswith(f"{path}.")), None):
        return "{}.{}".format(*numbers[block])
    if match := re.match(r"layers\.(\d+)\.downsample", name):
        return f"{int(match[1]) + 1}.merge"
    return {"patch_embed": "embed", "norm": "norm", "head": "head"}.get(name.split(".")[0], name.split(".")[0])


def shares_by_module(weights: pd.DataFrame, macs: pd.DataFrame) -> Figure:
    """Shares of several networks' weights (left) and MACs (right) by module.

    Args:
        weights: a row a network, a column a module, in percent; see `clock.architectures.shares`.
        macs: likewise, with the products that no weight takes part in.
    """
    figure, both = plt.subplots(1, 2, figsize=(WIDTH, 0.32 * len(weights) + 1.2), sharey=True, layout="constrained")
    for axes, table, title in zip(both, (weights, macs), ("weights", "MACs")):
        left = np.zeros(len(table))
        for module, colour in (MODULE_COLOURS | PRODUCTS).items():
            if module in table:
                axes.barh(table.index, table[module], 0.75, left, color=colour, edgecolor="white", label=module)
                left += table[module].to_numpy()
        axes.grid(axis="y", visible=False)
        axes.set(title=title, xlabel="share (%)", xlim=(0, 100))
    both[0].invert_yaxis()
    figure.legend(*both[1].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def pareto_front(table: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The rows that no other row beats: none is cheaper and at least as accurate.

    Args:
        table: with columns `cost` and top1_pct.
        cost: name of the column to be small.
    """
    known = table.dropna(subset=[cost]).sort_values([cost, "top1_pct"], ascending=[True, False])
    return known[known.top1_pct > known.top1_pct.astype(float).cummax().shift(fill_value=-np.inf)]


def state_of_the_art(variants: pd.DataFrame, compressed: pd.DataFrame) -> Figure:
    """Table 2 drawn: the paper's accuracies against FLOPs (above) and parameters (below), with the Pareto front.

    Args:
        variants: `paper_table("table2a_vit_variants")`.
        compressed: `paper_table("table2b_vit_compression")`.
    """
    ours = compressed.method.str.contains("DIMAP")
    kinds = [
        ("other architectures", variants, {"marker": "o", "color": "#999999"}),
        ("compressed by others", compressed[~ours], {"marker": "s", "color": "#D55E00"}),
        ("DIMAP", compressed[ours], {"marker": "^", "color": METHOD_STYLES["dimap"]["color"], "zorder": 4}),
    ]
    whole = pd.concat([variants, compressed], ignore_index=True)
    figure, both = plt.subplots(2, 1, figsize=(WIDTH, 9), layout="constrained")
    for axes, cost, label in zip(both, ("flops_g", "params_m"), ("FLOPs (G MACs)", "parameters (millions)")):
        front = pareto_front(whole, cost)
        axes.step(
            front[cost], front.top1_pct, where="post", color=LINE, linewidth=1, linestyle=":", label="Pareto front"
        )
        for name, rows, style in kinds:
            axes.scatter(rows[cost], rows.top1_pct, label=name, s=45, **style)
        for row in front.itertuples():
            place = (getattr(row, cost), row.top1_pct)
            name = re.sub(r"^Swin-(\w)-DIMAP(\d)$", r"\1\2", row.method)  # the whole names would cover each other
            axes.annotate(name, place, (-6, 3), textcoords="offset points", fontsize=10, ha="right")
        axes.set_xscale("log")
        axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50, 100, 200], [f"{tick}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel="top-1 (%), printed", xlim=(0.35 * whole[cost].min(), 1.2 * whole[cost].max()))
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
