"""The notebooks' tables: numbers measured here and the paper's, each in columns of their own."""

import math

import pandas as pd

from swinprune_lite.reproduction.paper import LITE_COUNTERPARTS, paper_table

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
        Text cells, two decimals, indexed by ratio and size (T, S, B), columns grouped by where they
        come from. "gain" is DIMAP minus uniform; the paper's printed gain stands beside the one that
        its own columns give. Cells that the paper does not have are empty.
    """
    pruned = results[results.method != "dense"]
    measured = pruned.pivot(index=["ratio", "model"], columns="method", values="top1")
    printed = paper_table("table3_uniform_vs_dimap").set_index(["ratio_pct", "model"])
    rows = {}
    for (ratio, model), row in measured.iterrows():
        cell = _printed(printed, ratio, LITE_COUNTERPARTS[model])
        ours = {"uniform": row.uniform, "DIMAP": row.dimap, "gain": row.dimap - row.uniform}
        theirs = {
            "uniform": cell.uniform_top1_pct,
            "DIMAP": cell.dimap_top1_pct,
            "gain printed": cell.printed_gain_pct,
            "DIMAP − uniform": cell.dimap_top1_pct - cell.uniform_top1_pct,
        }
        rows[_row(ratio, model)] = _group(ours, theirs, 2)
    return _frame(rows)


def table1_accuracy(results: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the dense model and of DIMAP, beside the paper's table 1.

    Args:
        results: rows of `experiments.pruned_and_finetuned`.

    Returns:
        Text cells in percent, two decimals, indexed by ratio and size. "tuned" is after fine-tuning;
        the paper prints no other. Rows at ratios that the paper does not have leave its columns empty.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    rows = {}
    for row in results.sort_values("ratio", kind="stable").itertuples():
        cell = _printed(printed, row.ratio, LITE_COUNTERPARTS[row.model])
        ours = {"top-1": row.top1, "top-5": row.top5, "tuned top-1": row.tuned_top1, "tuned top-5": row.tuned_top5}
        theirs = {"top-1": cell.top1_pct, "top-5": cell.top5_pct}
        rows[_row(row.ratio, row.model)] = _group(ours, theirs, 2)
    return _frame(rows)


def table1_cost(results: pd.DataFrame) -> pd.DataFrame:
    """Parameters and MACs that are not pruned away, beside the paper's table 1.

    Args:
        results: rows of `experiments.pruned_and_finetuned`.

    Returns:
        Text cells indexed by ratio and size; "removed" is in percent of the dense model's.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    dense = results[results.ratio == 0].set_index("model")
    rows = {}
    for row in results.sort_values("ratio", kind="stable").itertuples():
        cell = _printed(printed, row.ratio, LITE_COUNTERPARTS[row.model])
        whole = dense.loc[row.model]
        ours = {
            "params M": row.params / 1e6,
            "removed %": 100 * (1 - row.params / whole.params),
            "MACs M": row.macs / 1e6,
            "MACs removed %": 100 * (1 - row.macs / whole.macs),
        }
        theirs = {
            "params M": cell.params_m,
            "removed %": cell.params_drop_pct,
            "FLOPs G": cell.flops_g,
            "FLOPs removed %": cell.flops_drop_pct,
        }
        rows[_row(row.ratio, row.model)] = _group(ours, theirs, 1) | {
            (LITE, "params M"): f"{ours['params M']:.2f}",  # a lite model is too small for one decimal
        }
    return _frame(rows)


def parameter_check(counts: pd.DataFrame) -> pd.DataFrame:
    """Remaining parameters of the paper's own architectures beside table 1, digit for digit.

    Args:
        counts: rows of `experiments.table1_parameters`.

    Returns:
        Text cells; "agrees" compares after rounding to the one decimal that the paper prints, and is
        empty where the paper has no such ratio.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    rows = {}
    for row in counts.itertuples():
        cell = _printed(printed, row.ratio, row.model)
        ours = _text({"params M": row.params / 1e6, "removed %": 100 * (1 - row.params / row.dense)}, 1)
        theirs = _text({"params M": cell.params_m, "removed %": cell.params_drop_pct}, 1)
        rows[(row.model, f"{100 * row.ratio:g} %")] = {
            **{("timm's architecture", key): text for key, text in ours.items()},
            **{("paper", key): text for key, text in theirs.items()},
            **{("agrees", key): theirs[key] and ("no", "yes")[ours[key] == theirs[key]] for key in ours},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "ratio"])


def _printed(printed: pd.DataFrame, ratio: float, model: str) -> pd.Series:
    """The paper's row, or empty cells where it has none; the index is (percent, model)."""
    key = (round(100 * ratio, 6), model)
    if key in printed.index:
        return printed.loc[key]
    return pd.Series(float("nan"), index=printed.columns)


def _row(ratio: float, model: str) -> tuple[str, str]:
    return f"{100 * ratio:g} %" if ratio else "dense", LITE_COUNTERPARTS[model].removeprefix("Swin-")


def _text(cells: dict[str, float], decimals: int) -> dict[str, str]:
    return {column: "" if pd.isna(value) else f"{value:.{decimals}f}" for column, value in cells.items()}


def _group(ours: dict[str, float], theirs: dict[str, float], decimals: int) -> dict[tuple[str, str], str]:
    return {
        (origin, column): text
        for origin, cells in ((LITE, ours), (PAPER, theirs))
        for column, text in _text(cells, decimals).items()
    }


def _frame(rows: dict[tuple[str, str], dict]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["ratio", "size"]))
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return frame
