"""The notebooks' tables: numbers measured here and the paper's, each in columns of their own."""

import math

import pandas as pd

from swinprune_lite.paper import LITE_COUNTERPARTS, paper_table

LITE = "measured here (lite)"
PAPER = "paper (ImageNet-1k)"


def interval(percent: float, images: int) -> float:
    """Half the width, in points, of the 95 % confidence interval of an accuracy of `percent` on `images` images."""
    share = percent / 100
    return 100 * 1.96 * math.sqrt(share * (1 - share) / images)


def table3(results: pd.DataFrame) -> pd.DataFrame:
    """One-shot top-1 of uniform pruning and DIMAP, beside the paper's table 3.

    Args:
        results: rows of `experiments.one_shot` with methods "uniform" and "dimap".

    Returns:
        Text cells, two decimals; a row for each ratio and model, columns grouped by where they come
        from. "gain" is DIMAP minus uniform; the paper's printed gain stands beside the one that its
        own columns give. Cells that the paper does not have are empty.
    """
    pruned = results[results.method != "dense"]
    measured = pruned.pivot(index=["ratio", "model"], columns="method", values="top1")
    printed = paper_table("table3_uniform_vs_dimap").set_index(["ratio_pct", "model"])
    rows = {}
    for (ratio, model), row in measured.iterrows():
        key = (round(100 * ratio), LITE_COUNTERPARTS[model])
        ours = {"model": model} | _format({"uniform": row.uniform, "DIMAP": row.dimap, "gain": row.dimap - row.uniform})
        theirs = {"model": "", "uniform": "", "DIMAP": "", "gain printed": "", "DIMAP − uniform": ""}
        if key in printed.index:
            cell = printed.loc[key]
            theirs = {"model": key[1]} | _format({
                "uniform": cell.uniform_top1_pct,
                "DIMAP": cell.dimap_top1_pct,
                "gain printed": cell.printed_gain_pct,
                "DIMAP − uniform": cell.dimap_top1_pct - cell.uniform_top1_pct,
            })  # fmt: skip
        rows[(f"{100 * ratio:g} %", model)] = _group(ours, theirs)
    return _frame(rows, "ratio")


def table1(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and cost of the dense model and of DIMAP, beside the paper's table 1.

    Args:
        results: rows of `experiments.pruned_and_finetuned`.

    Returns:
        Text cells. Parameters and MACs are those not pruned away; "removed" is in percent of the
        dense model's. The paper prints results after fine-tuning only. Rows at ratios that the
        paper does not have leave its columns empty.
    """
    printed = paper_table("table1_pruned_swin").set_index(["model", "nominal_ratio_pct"])
    dense = results[results.ratio == 0].set_index("model")
    rows = {}
    for row in results.itertuples():
        whole = dense.loc[row.model]
        ours = {"model": row.model} | _format({
            "top-1": row.top1,
            "top-5": row.top5,
            "tuned top-1": row.tuned_top1,
            "tuned top-5": row.tuned_top5,
            "params M": row.params / 1e6,
            "removed %": 100 * (1 - row.params / whole.params),
            "MACs M": row.macs / 1e6,
            "MACs removed %": 100 * (1 - row.macs / whole.macs),
        })  # fmt: skip
        key = (LITE_COUNTERPARTS[row.model], round(100 * row.ratio))
        rows[(f"{100 * row.ratio:g} %" if row.ratio else "dense", row.model)] = _group(ours, _paper_row(printed, key))
    return _frame(rows, "ratio")


def _paper_row(printed: pd.DataFrame, key: tuple[str, int]) -> dict[str, str]:
    columns = {"top-1": "top1_pct", "top-5": "top5_pct", "params M": "params_m", "removed %": "params_drop_pct",
               "FLOPs G": "flops_g", "FLOPs removed %": "flops_drop_pct"}  # fmt: skip
    if key not in printed.index:
        return dict.fromkeys(["model", *columns], "")
    cell, one_decimal = printed.loc[key], ("params M", "removed %", "FLOPs G", "FLOPs removed %")
    return {"model": key[0]} | {
        column: "" if pd.isna(cell[source]) else f"{cell[source]:.{1 if column in one_decimal else 2}f}"
        for column, source in columns.items()
    }


def parameter_check(counts: pd.DataFrame) -> pd.DataFrame:
    """Remaining parameters of the paper's own architectures beside table 1, digit for digit.

    Args:
        counts: rows of `experiments.table1_parameters`.

    Returns:
        Text cells; "agrees" compares after rounding to the one decimal that the paper prints.
    """
    printed = paper_table("table1_pruned_swin").set_index(["model", "nominal_ratio_pct"])
    rows = {}
    for row in counts.itertuples():
        cell = printed.loc[(row.model, round(100 * row.ratio))]
        ours = {"params M": f"{row.params / 1e6:.1f}", "removed %": f"{100 * (1 - row.params / row.dense):.1f}"}
        theirs = {"params M": f"{cell.params_m:.1f}", "removed %": f"{cell.params_drop_pct:.1f}"}
        rows[(row.model, f"{100 * row.ratio:g} %")] = {
            **{("timm's architecture", key): text for key, text in ours.items()},
            **{("paper", key): text for key, text in theirs.items()},
            **{("agrees", key): "yes" if ours[key] == theirs[key] else "no" for key in ours},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "ratio"])


def _format(values: dict[str, float]) -> dict[str, str]:
    return {key: "" if pd.isna(value) else f"{value:.2f}" for key, value in values.items()}


def _group(ours: dict[str, str], theirs: dict[str, str]) -> dict[tuple[str, str], str]:
    return {(LITE, key): text for key, text in ours.items()} | {(PAPER, key): text for key, text in theirs.items()}


def _frame(rows: dict[tuple[str, str], dict], index: str) -> pd.DataFrame:
    """Rows keyed (ratio, model); the model stands in the columns, the ratio becomes the index."""
    frame = pd.DataFrame(list(rows.values()), index=[ratio for ratio, _ in rows])
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return frame.rename_axis(index)
