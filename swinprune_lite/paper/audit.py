"""What a pruned checkpoint says of the method: sparsity, thresholds, cost, and which way it was cut."""

import pandas as pd
from torch import nn

from swinprune_lite.anatomy.layers import layers
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.paper.verdicts import compare
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.importance import importance
from swinprune_lite.pruning.masks import make_masks, nonzero_masks

LOW = 1e-3  # quantile of a layer's survivors that stands for where it was cut: fine-tuning moves the very lowest most
FITS = {"score": 1.5, "magnitude": 1.25}
"""Largest ratio between the layers of a group that still counts as one common value."""
SHARP = 0.01  # of the median survivor: a layer that was not cut by magnitude has its `LOW` quantile well below


def layer_table(model: nn.Module) -> pd.DataFrame:
    """Every prunable layer, by what is left of it.

    Equation 10's score of a survivor depends on the layer's weights at least as large, which all survived:
    it is what it was before pruning, unless the weights were fine-tuned since. Then all here is approximate.

    Returns:
        Indexed as `layers`, with weights (their number), zeros, sparsity (zeros / weights), score and
        magnitude (the survivors' `LOW` quantile; NaN if nothing was removed), threshold (their lowest score) and
        sharp (whether the smallest survivors lie well above zero, as after a cut by magnitude). A layer that was
        removed whole has NaN in all of these.

    Raises:
        ValueError: a model without prunable layers.
    """
    table, rows = layers(model), []
    if table.empty:
        raise ValueError(f"{type(model).__name__} has no prunable layers: see modules().")
    for name in table.name:
        weight = model.get_parameter(name).detach().flatten()
        kept = weight != 0
        zeros, survivors = int((~kept).sum()), weight[kept]
        row = {"weights": len(weight), "zeros": zeros, "sparsity": zeros / len(weight)}
        if zeros and len(survivors):
            scores, magnitudes = importance(survivors), survivors.abs()  # zeros have no part in the others' scores
            at = max(1, round(LOW * len(survivors)))
            low = magnitudes.kthvalue(at).values
            row |= {
                "score": scores.kthvalue(at).values.item(),
                "magnitude": low.item(),
                "threshold": scores.min().item(),
                "sharp": bool(low > SHARP * magnitudes.median()),
            }
        rows.append(row)
    columns = ["weights", "zeros", "sparsity", "score", "magnitude", "threshold", "sharp"]
    return table.join(pd.DataFrame(rows, index=table.index, columns=columns).astype({"zeros": int}))


def module_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every module: weights, sparsity, the nominal ratio of table 1 nearest to it, threshold.

    Args:
        table: of `layer_table`.

    Returns:
        Indexed by module; "exact" says whether exactly round(nominal · weights) are gone; threshold is the
        lowest score of equation 10 that survived.
    """
    groups = table.groupby("module", sort=False)
    found = groups[["weights", "zeros"]].sum().assign(threshold=groups.threshold.min())
    found["sparsity"] = found.zeros / found.weights
    found["nominal"] = found.sparsity.map(nominal)
    found["exact"] = found.zeros == [round(r * n) for r, n in zip(found.nominal, found.weights)]
    return found[["weights", "zeros", "sparsity", "nominal", "exact", "threshold"]]


def nominal(sparsity: float) -> float:
    """The ratio of table 1 (0, 0.15, 0.35, 0.55) that is nearest to a share of zeros."""
    ratios = paper_table("table1_pruned_swin").nominal_ratio_pct.unique() / 100
    return min(ratios, key=lambda ratio: abs(ratio - sparsity))


def hypotheses(table: pd.DataFrame) -> pd.DataFrame:
    """Which way of choosing weights the masks look like.

    The removed weights' values are gone, so no mask can be checked weight by weight. But a threshold that
    layers share leaves its trace: each layer's lowest survivors lie just above it. So for every method the
    quantity that its layers must share (the score of equation 10, the magnitude, or the sparsity) is compared
    across the layers of its group. With one common threshold the largest is the smallest within a few percent;
    what differs by more than `FITS` was not cut so. Fine-tuning blurs the trace: at 55 % removed survivors may
    each move by 5 %, at 15 % by less. So a method that fits is evidence for it, and that none fits is evidence of
    nothing; where the weights from before pruning are there, `against_dense` decides. DIMAP and one magnitude a
    module must also take the same share from each module, and uniform from each layer, which no fine-tuning blurs.

    Args:
        table: of `layer_table`.

    Returns:
        Indexed by method: shares (the quantity), within (its group), spread (largest / smallest, in the worst
        group; 1 where all are equal, NaN where nothing was removed, or everything), fits. LAMP is a DIMAP whose
        modules have the same threshold, and a global threshold is the same for every module: where the narrower
        one fits, so does the wider. A layer that was removed whole has no survivor to leave a trace, and no score
        of equation 10 removes it, since a layer's largest is 1.
    """
    cut = table[table.zeros > 0]
    left = cut[cut.zeros < cut.weights]
    whole = pd.Series("the model", index=cut.index)
    kinds = {
        "dimap": ("score", "a module", cut.module),
        "lamp": ("score", "the model", whole),
        "module-magnitude": ("magnitude", "a module", cut.module),
        "global": ("magnitude", "the model", whole),
        "uniform": ("sparsity", "the model", whole),
    }
    by_module = table.groupby("module")[["zeros", "weights"]].sum()
    shares = {"dimap": by_module, "module-magnitude": by_module, "uniform": table}
    rows = {}
    for method, (quantity, within, group) in kinds.items():
        values = cut.groupby(group)[quantity]
        most, least = values.max(), values.min()
        spread = (most / least).where(most != least, 1.0).max() if len(cut) else float("nan")
        fits = len(cut) == len(table) and bool(left.sharp.all()) and spread <= FITS.get(quantity, float("inf"))
        fits = fits and len(left) > 0 and (quantity != "score" or len(left) == len(cut))
        if method in shares:
            fits = fits and equal_shares(shares[method])
        rows[method] = {"shares": quantity, "within": within, "spread": spread, "fits": fits}
    return pd.DataFrame.from_dict(rows, orient="index")


def equal_shares(counts: pd.DataFrame) -> bool:
    """Whether all groups lost one share of their weights, up to rounding; held masks keep it through fine-tuning.

    Args:
        counts: a row a group, with zeros and weights. A group of n weights may be one off, and n / N of as many as
            there are groups, since the share itself is known from N rounded counts only.
    """
    off = (counts.zeros - counts.weights * counts.zeros.sum() / counts.weights.sum()).abs()
    return bool((off <= 1 + len(counts) * counts.weights / counts.weights.sum()).all())


def against_dense(model: nn.Module, dense: nn.Module) -> pd.Series:
    """Share of the prunable weights whose fate is the one each method chooses on the weights before pruning.

    Where held masks were fine-tuned this is still exact, if `dense` is what was pruned: 1 for the method used.

    Args:
        model: pruned, of `checkpoints.load`.
        dense: the same architecture with the weights from before pruning.

    Raises:
        ValueError: another architecture, or nothing or everything removed, which every method does alike.
    """
    kept = nonzero_masks(model)
    if {name: dense.get_parameter(name).shape for name in prunable(dense)} != {n: m.shape for n, m in kept.items()}:
        raise ValueError("The dense weights are of another architecture than the pruned ones.")
    total = sum(mask.numel() for mask in kept.values())
    ratio = 1 - sum(int(mask.sum()) for mask in kept.values()) / total
    if ratio in (0, 1):
        what = "Everything" if ratio else "Nothing"
        raise ValueError(f"{what} was removed from the prunable weights, which every method would do alike.")
    agree = {}
    for method in ("dimap", "lamp", "uniform", "global", "module-magnitude"):
        chosen = make_masks(dense, ratio, method)
        agree[method] = sum(int((mask == chosen[name]).sum()) for name, mask in kept.items()) / total
    return pd.Series(agree, name="agree")


def verdict(table: pd.DataFrame) -> str:
    """In words: the narrowest of `hypotheses` that fits, or why there is none."""
    if not table.zeros.sum():
        return "dense: nothing was removed"
    if (table.zeros == 0).any():
        return f"none: {int((table.zeros == 0).sum())} of {len(table)} layers are whole"
    left = table[table.zeros < table.weights]
    if left.empty:
        return "none: everything was removed, so nothing tells which way"
    if not left.sharp.all():
        return "none: in some layers the smallest survivors reach down to zero, so they were not cut by magnitude"
    fits = hypotheses(table).fits
    names = [method for method in ("uniform", "global", "lamp", "module-magnitude", "dimap") if fits[method]]
    return names[0] if names else "none: no method's layers share what they must"


def against_table1(name: str, model: nn.Module, table: pd.DataFrame) -> pd.DataFrame:
    """Parameters and MACs that are left, beside the row of table 1 with the nearest nominal ratio.

    Args:
        name: the paper's model, or "" if it is none.
        model: of `checkpoints.load`.
        table: of `layer_table`.

    Returns:
        Rows "parameters (M)", "MACs (G)"; columns found, removed % and, for the paper's models, paper, paper
        removed %, verdict (by the ledger's rule).
    """
    left = cost(model)
    found = pd.DataFrame({
        "found": [left.nonzero_params / 1e6, left.nonzero_macs / 1e9],
        "removed %": [100 * (1 - left.nonzero_params / left.params), 100 * (1 - left.nonzero_macs / left.macs)],
    }, index=["parameters (M)", "MACs (G)"])  # fmt: skip
    if not name:
        return found
    printed = paper_table("table1_pruned_swin", as_printed=True).set_index(["model", "nominal_ratio_pct"])
    printed = printed.loc[(name, f"{100 * nominal(table.zeros.sum() / table.weights.sum()):.0f}")]
    found["paper"] = [printed.params_m, printed.flops_g]
    found["paper removed %"] = [printed.params_drop_pct, printed.flops_drop_pct]
    found["verdict"] = [compare(text, ours)[0] for text, ours in zip(found.paper, found.found)]
    return found
