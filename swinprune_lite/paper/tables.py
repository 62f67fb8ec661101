"""The notebooks' tables: numbers measured here and the paper's, each in columns of their own."""

import pandas as pd

from swinprune_lite.paper.numbers import LITE_COUNTERPARTS, counterpart, paper_table

LITE = "measured here (lite, from the store)"
REAL = "measured here (pretrained weights)"
PAPER = "paper (ImageNet-1k)"


def methods(results: pd.DataFrame) -> pd.DataFrame:
    """Top-1 of every method at every ratio: mean over the seeds ± half of the 95 % interval.

    Args:
        results: of `frames.stored`.
    """
    pruned = results[results.method != "dense"]
    text = [_with_half(top1, half) for top1, half in zip(pruned.top1_mean, pruned.top1_half)]
    wide = pruned.assign(text=text).pivot(index=["model", "method"], columns="ratio", values="text")
    wide.columns = [_removed(ratio) for ratio in wide.columns]
    order = pd.MultiIndex.from_frame(pruned[["model", "method"]].drop_duplicates())
    return wide.loc[order]


def gain_table(found: pd.DataFrame) -> pd.DataFrame:
    """Differences by ratio and model: "+3.10 ± 0.80 *", a star where it is outside its interval.

    Args:
        found: of `frames.gains`.
    """
    text = [_with_half(row.gain, row.half, "+") + (" *" if row.clear else "") for row in found.itertuples()]
    wide = found.assign(text=text).pivot(index="ratio", columns="model", values="text")
    wide.index = [_removed(ratio) for ratio in wide.index]
    return wide[list(found.model.unique())].rename_axis(index="ratio", columns=None)


def recovery(lost: pd.DataFrame, tuned: pd.DataFrame, won: pd.DataFrame) -> pd.DataFrame:
    """Points of top-1 lost before and after fine-tuning by the same replicates, and what was won back.

    Args:
        lost: of `frames.drops` beside the fine-tuning.
        tuned: of `frames.drops` after it.
        won: of `frames.recoveries`.

    Returns:
        Text cells, indexed by ratio and model: both losses and their difference in points, a star where
        the difference is outside its interval, and how many fine-tunings there are.
    """
    rows = {}
    for before, after, back in zip(lost.itertuples(), tuned.itertuples(), won.itertuples()):
        rows[(_removed(back.ratio), back.model)] = {
            "lost, one shot": _with_half(before.drop, before.half),
            "lost, tuned": _with_half(after.drop, after.half),
            "won back": _with_half(back.won, back.half, "+") + (" *" if abs(back.won) > back.half else ""),
            "fine-tunings": str(back.replicates),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["ratio", "model"])
    return frame.loc[sorted(rows, key=lambda row: float(row[0].removesuffix(" %")))]


def table3(results: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """One-shot top-1 of uniform pruning and DIMAP, beside the paper's table 3.

    Args:
        results: of `frames.stored` with methods "uniform" and "dimap".
        found: of `frames.gains`, DIMAP minus uniform.

    Returns:
        Text cells, indexed by ratio and size (T, S, B), columns grouped by where they come from.
        "uniform" and "DIMAP" are seed 0 on all test images; ", seeds" the mean over the seeds ± half
        its 95 % interval, on fewer images. The paper's printed gain stands beside the one that its own
        columns give. Cells that the paper does not have are empty.
    """
    printed = paper_table("table3_uniform_vs_dimap").set_index(["ratio_pct", "model"])
    cells = results.set_index(["model", "method", "ratio"])
    rows = {}
    for row in found.sort_values("ratio", kind="stable").itertuples():
        cell = _printed(printed, row.ratio, counterpart(row.model))
        uniform, dimap = (cells.loc[(row.model, method, row.ratio)] for method in ("uniform", "dimap"))
        ours = _text({"uniform": uniform.top1, "DIMAP": dimap.top1}, 2)
        ours["uniform, seeds"] = _with_half(uniform.top1_mean, uniform.top1_half)
        ours["DIMAP, seeds"] = _with_half(dimap.top1_mean, dimap.top1_half)
        theirs = {
            "uniform": cell.uniform_top1_pct,
            "DIMAP": cell.dimap_top1_pct,
            "gain printed": cell.printed_gain_pct,
            "DIMAP − uniform": cell.dimap_top1_pct - cell.uniform_top1_pct,
        }
        ours["gain"] = _with_half(row.gain, row.half, "+")
        rows[_row(row.ratio, row.model)] = _group(row.model, ours, _text(theirs, 2))
    return _frame(rows)


def table1_accuracy(one_shot: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the dense model and of DIMAP, beside the paper's table 1.

    Args:
        one_shot: of `frames.stored` with method "dimap".
        tuned: the same after fine-tuning.

    Returns:
        Text cells in percent, indexed by ratio and size: seed 0 on all test images; "tuned" is after
        fine-tuning (the paper prints no other), ", seeds" the mean over the seeds ± half its 95 %
        interval, for the dense model its own. Rows at ratios that the paper does not have leave its
        columns empty.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    after = tuned.set_index(["model", "ratio"])
    rows = {}
    for row in one_shot.sort_values("ratio", kind="stable").itertuples():
        cell = _printed(printed, row.ratio, counterpart(row.model))
        ours = _text({"top-1": row.top1, "top-5": row.top5}, 2)
        if row.ratio:
            late = after.loc[(row.model, row.ratio)]
            ours |= _text({"tuned top-1": late.top1, "tuned top-5": late.top5}, 2)
            ours["tuned top-1, seeds"] = _with_half(late.top1_mean, late.top1_half)
        else:
            ours |= dict.fromkeys(("tuned top-1", "tuned top-5"), "")
            ours["tuned top-1, seeds"] = _with_half(row.top1_mean, row.top1_half)
        theirs = _text({"top-1": cell.top1_pct, "top-5": cell.top5_pct}, 2)
        rows[_row(row.ratio, row.model)] = _group(row.model, ours, theirs)
    return _frame(rows)


def table1_cost(results: pd.DataFrame) -> pd.DataFrame:
    """Parameters and MACs that are not pruned away, beside the paper's table 1.

    Args:
        results: of `frames.stored` with method "dimap".

    Returns:
        Text cells indexed by ratio and size; "removed" is in percent of the dense model's.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    dense = results[results.ratio == 0].set_index("model")
    rows = {}
    for row in results.sort_values("ratio", kind="stable").itertuples():
        cell = _printed(printed, row.ratio, counterpart(row.model))
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
        texts = _text(ours, 1) | {"params M": f"{ours['params M']:.2f}"}  # a lite model is too small for one decimal
        rows[_row(row.ratio, row.model)] = _group(row.model, texts, _text(theirs, 1))
    return _frame(rows)


def table4(results: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Three modules against one after fine-tuning, beside the paper's table 4.

    Args:
        results: of `frames.stored` after fine-tuning, methods "dimap" and "lamp", one ratio.
        found: of `frames.gains`, "dimap" minus "lamp".

    Returns:
        Text cells indexed by size.
    """
    printed = paper_table("table4_model_as_module")
    printed.index = printed.model.str.extract(r"Swin-(\w)-", expand=False)
    cells = results.set_index(["model", "method"])
    rows = {}
    for row in found.itertuples():
        size = counterpart(row.model).removeprefix("Swin-")
        three, one = (cells.loc[(row.model, method)] for method in ("dimap", "lamp"))
        ours = {
            "three modules": _with_half(three.top1_mean, three.top1_half),
            "one module": _with_half(one.top1_mean, one.top1_half),
            "difference": _with_half(row.gain, row.half, "+"),
        }
        cell = printed.reindex([size]).iloc[0]
        theirs = {
            "three modules": cell.multiple_modules_top1_pct,
            "one module": cell.single_module_top1_pct,
            "difference": cell.difference_pct,
        }
        rows[_row(row.ratio, row.model)] = _group(row.model, ours, _text(theirs, 2))
    return _frame(rows)


def parameter_check(left: pd.DataFrame) -> pd.DataFrame:
    """Remaining parameters of the paper's own architectures beside table 1, digit for digit.

    Args:
        left: rows of `counts.remaining`.

    Returns:
        Text cells; "agrees" compares after rounding to the one decimal that the paper prints, and is
        empty where the paper has no such ratio.
    """
    printed = paper_table("table1_pruned_swin").set_index(["nominal_ratio_pct", "model"])
    rows = {}
    for row in left.itertuples():
        cell = _printed(printed, row.ratio, row.model)
        ours = _text({"params M": row.params / 1e6, "removed %": 100 * (1 - row.params / row.dense)}, 1)
        theirs = _text({"params M": cell.params_m, "removed %": cell.params_drop_pct}, 1)
        rows[(row.model, _removed(row.ratio))] = {
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
    return _removed(ratio) if ratio else "dense", counterpart(model).removeprefix("Swin-")


def _removed(ratio: float) -> str:
    return f"{100 * ratio:g} %"


def _with_half(value: float, half: float, sign: str = "") -> str:
    return f"{value:{sign}.2f} ± {half:.2f}"


def _text(cells: dict[str, float], decimals: int) -> dict[str, str]:
    return {column: "" if pd.isna(value) else f"{value:.{decimals}f}" for column, value in cells.items()}


def _group(model: str, ours: dict[str, str], theirs: dict[str, str]) -> dict[tuple[str, str], str]:
    measured = LITE if model in LITE_COUNTERPARTS else REAL
    return {
        (origin, column): text
        for origin, cells in ((measured, ours), (PAPER, theirs))
        for column, text in cells.items()
    }


def _frame(rows: dict[tuple[str, str], dict]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["ratio", "size"]))
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return frame
