"""The paper's claims in prose: each is decided by arithmetic on its own tables, then by what was measured."""

import re
from collections.abc import Callable
from functools import cache
from math import sqrt

import pandas as pd
from torch import nn

from swinprune_lite.anatomy.layers import layers
from swinprune_lite.clock import timing
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.models.lite import IN_A_CLONE_ALONE
from swinprune_lite.paper import bound, layerwise
from swinprune_lite.paper.arithmetic import NUMBER, Check
from swinprune_lite.paper.numbers import paper_claims, paper_table
from swinprune_lite.paper.verdicts import (
    AGAINST,
    ARITHMETIC,
    CONTRADICTED,
    DIRECTION,
    LITE,
    NOISE,
    REPRODUCED,
    UNDECIDED,
    WITHIN,
    Found,
    direction,
    lite_difference,
)
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.types import Masks


def claims(ledger, checks: dict[str, list[Check]]) -> list[tuple[str, str, str, Found]]:
    """Identifier, place, the claim, and what was found, for every claim.

    Args:
        ledger: a `ledger.Ledger`, which holds the evidence.
        checks: of `arithmetic.difference_checks`.
    """
    return [
        (claim["id"], claim["where"], claim["claim"], _decide(ledger, claim, checks.get(claim["id"], [])))
        for claim in paper_claims()
    ]


def _decide(ledger, claim: dict, found: list[Check]) -> Found:
    numbers = [float(text) for text in NUMBER.findall(claim["claim"])]
    if found:
        said = "; ".join(check.said for check in found)
        if not all(check.holds for check in found):
            return Found(said, "arithmetic", "0", ARITHMETIC, "reproduction_ledger")
        if claim["needs"] == "arithmetic":
            return Found(said, "arithmetic", "0", REPRODUCED, "reproduction_ledger")
    return DECIDERS[claim["id"]](ledger, numbers)


def _abstract_base(ledger, numbers: list[float]) -> Found:
    row = paper_table("table1_pruned_swin").set_index(["model", "variant"]).loc[("Swin-B", "DIMAP3")]
    printed = [row.top5_drop_pct, row.flops_drop_pct, row.params_drop_pct]
    said = f"table 1: {printed[0]:.2f} points, {printed[1]} % FLOPs, {printed[2]} % parameters"
    if printed != numbers:
        return Found(said, "arithmetic", "0", ARITHMETIC, "reproduction_ledger")
    return _drop(ledger, "Swin-B", "DIMAP3", "top5")


def _abstract_small(ledger, numbers: list[float]) -> Found:
    table = paper_table("table1_pruned_swin").set_index(["model", "variant"])
    dense, pruned = table.loc[("Swin-S", "dense")], table.loc[("Swin-S", "DIMAP2")]
    gain = pruned.top5_pct - dense.top5_pct
    of_accuracy, of_error = 100 * gain / dense.top5_pct, 100 * gain / (100 - dense.top5_pct)
    said = f"{gain:+.2f} points: {of_accuracy:+.2f} % of the accuracy, {of_error:.1f} % of the error"
    if [pruned.flops_drop_pct, pruned.params_drop_pct, round(of_accuracy, 1)] != numbers:
        return Found(said, "arithmetic", "0.05", ARITHMETIC, "reproduction_ledger")
    return _drop(ledger, "Swin-S", "DIMAP2", "top5")


def _drop(ledger, model: str, variant: str, kind: str) -> Found:
    table = paper_table("table1_pruned_swin").set_index(["model", "variant"])
    row = table.loc[(model, variant)]
    drop, half = ledger.evidence.drop(LITE[model], "dimap", row.nominal_ratio_pct / 100, ledger.steps, kind)
    verdict = direction(row[f"{kind}_drop_pct"], drop, half)
    return Found(f"drop {drop:+.2f} ± {half:.2f}", "lite", f"{half:.2f}", verdict, "table1_pruned_swin")


def _beats(ledger, pruned: str, dense: str) -> Found:
    ratio = paper_table("table1_pruned_swin").nominal_ratio_pct.max() / 100
    ours = ledger.evidence.measurements(LITE[pruned], "dimap", ratio, ledger.steps)
    theirs = ledger.evidence.measurements(LITE[dense], "dense", 0.0)
    gain, half = paired_difference([one.top1 for one in ours], [one.top1 for one in theirs])
    return lite_difference(1, gain, half, "table1_pruned_swin")


def _gains_printed(ledger, numbers: list[float]) -> Found:
    table = paper_table("table3_uniform_vs_dimap")
    computed = (table.dimap_top1_pct - table.uniform_top1_pct).round(2)
    off = table[computed != table.printed_gain_pct]
    said = "; ".join(f"{row.model} at {row.ratio_pct} %: {computed[row.Index]:.2f}" for row in off.itertuples())
    verdict = ARITHMETIC if len(off) else REPRODUCED
    return Found(said or f"all {len(table)}", "arithmetic", "0", verdict, "table3_uniform_vs_dimap")


def _ratio(claim_id: str) -> float:
    """The first whole percentage in a claim's text, as a share."""
    (text,) = (claim["claim"] for claim in paper_claims() if claim["id"] == claim_id)
    return int(re.search(r"\b(\d+) ?%", text)[1]) / 100


def _vote(said: list[str], holds: list[bool], tolerance: str, source: str) -> Found:
    """A claim looked at on every training seed: decided only where all of them agree."""
    verdict = DIRECTION if all(holds) else NOISE if any(holds) else AGAINST
    text = (
        "; ".join(f"seed {seed}: {one}" for seed, one in enumerate(said)) if len(said) > 1 else f"{said[0]} (one seed)"
    )
    return Found(text, "lite", tolerance, verdict, source)


def _models(profile: Profile, name: str) -> list[nn.Module]:
    """Those trainings whose weights an installed package has too, so that a claim gets one verdict everywhere."""
    seeds = [seed for seed in profile.training_seeds(LITE[name]) if (LITE[name], seed) not in IN_A_CLONE_ALONE]
    return [profile.load(LITE[name], seed) for seed in seeds]


@cache
def _pruned(profile: Profile, name: str, ratio: float) -> list[tuple[nn.Module, Masks]]:
    """Every training of a model with its DIMAP masks; several claims look at the same."""
    return [(model, make_masks(model, ratio)) for model in _models(profile, name)]


def _magnitudes(ledger, numbers: list[float]) -> Found:
    return _shares_below(ledger.evidence.profile, _ratio("fig2-1"))


@cache
def _shares_below(profile: Profile, wanted: float) -> Found:
    said, holds = [], []
    for model in _models(profile, "Swin-B"):
        share = layerwise.shares_below(model, layerwise.threshold_removing(model, wanted, ("QKV", "PRJ"), 2))
        first = layers(model).assign(share=share).query("block <= 2")
        fc = first[first.layer.isin(["FC1", "FC2"])].share
        said.append(f"where {wanted:.0%} of QKV and PRJ go, {fc.min():.0f} to {fc.max():.0f} % of FC1 and FC2 go")
        holds.append(fc.mean() > 100 * wanted)
    return _vote(said, holds, "order", "figure2_weight_distributions")


@cache
def _kept(profile: Profile, ratio: float) -> list[pd.DataFrame]:
    return [layerwise.kept_shares(model, masks) for model, masks in _pruned(profile, "Swin-S", ratio)]


@cache
def _lowest_scores(profile: Profile, name: str, ratio: float) -> list[list[float]]:
    return [list(layerwise.thresholds(model, masks).values()) for model, masks in _pruned(profile, name, ratio)]


def _thresholds(ledger, numbers: list[float]) -> Found:
    values = _lowest_scores(ledger.evidence.profile, "Swin-S", _ratio("fig5-1"))
    holds = [sorted(range(3), key=one.__getitem__) == sorted(range(3), key=numbers.__getitem__) for one in values]
    return _vote([", ".join(f"{v:.1e}" for v in one) for one in values], holds, "order", "figure5_keep_ratios")


def _lower_keep_more(ledger, numbers: list[float]) -> Found:
    said, holds = [], []
    for kept in _kept(ledger.evidence.profile, _ratio("fig5-1")):
        groups = kept.groupby("module", sort=False)
        trend = {module: rows.kept_pct.rank().corr(rows.index.to_series().rank()) for module, rows in groups}
        said.append("rank correlation with depth " + ", ".join(f"{m} {value:.2f}" for m, value in trend.items()))
        holds.append(max(trend.values()) < 0)
    return _vote(said, holds, "sign", "figure5_keep_ratios")


def _keeps_more(ledger, more: list[int], less: list[int]) -> Found:
    tables = _kept(ledger.evidence.profile, _ratio("fig5-1"))
    pairs = [(kept.kept_pct[more].mean(), kept.kept_pct[less].mean()) for kept in tables]
    said = [f"{a:.1f} % against {b:.1f} %" for a, b in pairs]
    return _vote(said, [a > b for a, b in pairs], "order", "figure5_keep_ratios")


@cache
def _masks(profile: Profile, ratio: float) -> list[pd.DataFrame]:
    pruned = _pruned(profile, "Swin-B", ratio)
    return [layerwise.mask_table(layerwise.first_block(model, masks)) for model, masks in pruned]


def _queries_and_keys(ledger, numbers: list[float]) -> Found:
    """As if each weight were kept or removed independently of the others: a rough interval."""
    table = _masks(ledger.evidence.profile, _ratio("fig6-1"))[0].loc[["QKV: query", "QKV: key", "QKV: value"]]
    query, key, value = table["kept %"]
    half = 1.96 * sqrt(2 * value * (100 - value) / (table["rows"].iloc[0] * table["columns"].iloc[0]))
    said = f"query {query:.1f} %, key {key:.1f} %, value {value:.1f} % kept (one seed)"
    return Found(said, "lite", f"{half:.1f}", direction(1, min(query, key) - value, half), "figure6_masks")


def _whole_rows(ledger, numbers: list[float]) -> Found:
    tables = _masks(ledger.evidence.profile, _ratio("fig6-1"))
    rows = [table.loc["FC1", "whole rows removed"] for table in tables]
    return _vote([f"{n:.0f} rows of FC1 removed whole" for n in rows], [n > 0 for n in rows], "0", "figure6_masks")


def _looks(ledger, numbers: list[float]) -> Found:
    """Likeness as the unevenness of rows and of columns: as drawn, and with FC2 turned so that hidden units match."""
    spread = _masks(ledger.evidence.profile, _ratio("fig6-1"))[0][["row spread", "column spread"]].T
    turned = spread.assign(FC2=spread.FC2.to_numpy()[::-1])
    said, alike = [], []
    for name, table in (("as drawn", spread), ("by hidden units", turned)):
        far = {pair: (table[pair[0]] - table[pair[1]]).abs().sum() for pair in (("FC1", "FC2"), ("PRJ", "FC1"))}
        said.append(f"{name}: FC1 to FC2 {far['FC1', 'FC2']:.1f}, PRJ to FC1 {far['PRJ', 'FC1']:.1f}")
        alike.append(far["FC1", "FC2"] < far["PRJ", "FC1"])
    verdict = DIRECTION if all(alike) else AGAINST
    if len(set(alike)) > 1:
        verdict = f"{UNDECIDED}: needs the paper's measure of likeness; ours disagree"
    return Found(f"{'; '.join(said)} (one seed)", "lite", "order", verdict, "figure6_masks")


def _three_modules(ledger, numbers: list[float]) -> Found:
    printed = paper_table("table4_model_as_module").difference_pct
    if [printed.min(), printed.max()] != numbers:
        said = f"table 4: {printed.min()} to {printed.max()}"
        return Found(said, "arithmetic", "0", ARITHMETIC, "reproduction_ledger")
    ratio = paper_table("table1_pruned_swin").nominal_ratio_pct.max() / 100
    gains = {name: ledger.evidence.gain(name, "dimap", "lamp", ratio, ledger.steps) for name in LITE.values()}
    verdicts = {direction(1, *gain) for gain in gains.values()}
    verdict = AGAINST if AGAINST in verdicts else NOISE if NOISE in verdicts else DIRECTION
    said = ", ".join(f"{name} {gain:+.2f} ± {half:.2f}" for name, (gain, half) in gains.items())
    return Found(said, "lite", "95 % interval", verdict, "table4_model_as_module")


def _times(ledger) -> tuple[str, pd.DataFrame, str]:
    found = timing.recorded(ledger.evidence.store.folder / timing.ACCELERATION)
    rows = ", ".join(f"{row.masked:.2f}x for {row.theory:.2f}x" for row in found["rows"].itertuples())
    return f"{found['device']}, masked weights, measured for theoretical: {rows}", found["rows"], found["device"]


def _drawing(ledger, numbers: list[float]) -> Found:
    """Figure 4 prints no number, so nothing that is measured can decide it."""
    verdict = f"{UNDECIDED}: needs the values of figure 4, which only a drawing shows"
    return Found(_times(ledger)[0], "timing", "", verdict, "figure4_acceleration")


def _no_acceleration(ledger, numbers: list[float]) -> Found:
    said, rows, device = _times(ledger)
    faster = bool((rows["masked low"] > 1.1).any())
    verdict = f"{UNDECIDED}: needs a GPU" if device.lower().startswith("cpu") else CONTRADICTED if faster else WITHIN
    return Found(said, "timing", "1.1x", verdict, "figure4_acceleration")


@cache
def _bound_ratios() -> pd.Series:
    return bound.bound_trials(1000).ratio


def _bound(ledger, numbers: list[float]) -> Found:
    ratio = _bound_ratios()
    said = f"change / bound at most {ratio.max():.2f}, median {ratio.median():.3f}, in {len(ratio)} random chains"
    verdict = WITHIN if ratio.max() <= 1 + 1e-9 else CONTRADICTED
    return Found(said, "arithmetic", "1e-9", verdict, "equations_1_to_10")


DECIDERS: dict[str, Callable[..., Found]] = {
    "abs-1": _abstract_base,
    "abs-2": _abstract_small,
    "s4.2-1": lambda ledger, numbers: _drop(ledger, "Swin-B", "DIMAP1", "top1"),
    "s4.2-2": lambda ledger, numbers: _drop(ledger, "Swin-S", "DIMAP2", "top5"),
    "s4.2-3": lambda ledger, numbers: _beats(ledger, "Swin-B", "Swin-S"),
    "s4.2-4": lambda ledger, numbers: _beats(ledger, "Swin-S", "Swin-T"),
    "t3-1": _gains_printed,
    "fig2-1": _magnitudes,
    "fig5-1": _thresholds,
    "fig5-2": _lower_keep_more,
    "fig5-3": lambda ledger, numbers: _keeps_more(ledger, [1, 2, 5, 6], [3, 4, 7, 8]),
    "fig5-4": lambda ledger, numbers: _keeps_more(ledger, [8], [4]),
    "fig6-1": _queries_and_keys,
    "fig6-2": _whole_rows,
    "fig6-3": _looks,
    "t4-1": _three_modules,
    "fig4-1": _drawing,
    "s5-1": _no_acceleration,
    "bound-1": _bound,
}
