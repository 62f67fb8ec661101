"""The numbers that the pages state, computed again from the store, the recorded times, the ledger and the library."""

import re
from collections.abc import Iterable
from functools import cache

import nbformat
import pandas as pd
from prose import PAGES, ROOT

import swinprune_lite as sp
from swinprune_lite import figures
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.clock import runtimes, timing
from swinprune_lite.measurements import frames
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import spread
from swinprune_lite.models.lite import LIKE_THE_PAPERS
from swinprune_lite.paper import bound, layerwise
from swinprune_lite.paper.numbers import paper_claims, paper_table
from swinprune_lite.studies import acceleration as accuracy
from swinprune_lite.studies.profiles import PROFILES, evidence_for, get_profile

T, S, B = MODELS = LIKE_THE_PAPERS
LOW, HIGH = (0.19, 0.28, 0.38, 0.5), (0.7, 0.8, 0.9, 0.95)
MAGNITUDES = tuple(method for method in sp.METHODS if method != "random")


@cache
def evidence() -> Evidence:
    return evidence_for(get_profile("lite"))


STEPS = PROFILES["lite"].finetune_steps


@cache
def gain(model: str, other: str, ratio: float, steps: int = 0) -> pd.Series:
    """DIMAP minus another method: gain, half, clear."""
    return frames.gains(evidence(), [model], "dimap", other, [ratio], steps).iloc[0]


def stars(other: str, ratios: Iterable[float]) -> dict[tuple[str, float], bool]:
    """Where DIMAP and another method are apart by more than the interval, and whether DIMAP is ahead there."""
    found = {(model, ratio): gain(model, other, ratio) for model in MODELS for ratio in ratios}
    return {where: one.gain > 0 for where, one in found.items() if one.clear}


@cache
def shot(model: str, ratio: float) -> pd.Series:
    """Lost in one shot by what was fine-tuned: drop, half."""
    return frames.drops(evidence(), [model], "dimap", [ratio], beside=STEPS).iloc[0]


@cache
def tuned(model: str, ratio: float) -> pd.Series:
    return frames.drops(evidence(), [model], "dimap", [ratio], STEPS).iloc[0]


@cache
def won(model: str, ratio: float) -> pd.Series:
    return frames.recoveries(evidence(), [model], "dimap", [ratio], STEPS).iloc[0]


@cache
def lost(model: str, method: str, ratio: float) -> pd.Series:
    return frames.drops(evidence(), [model], method, [ratio]).iloc[0]


def won_share(ratio: float) -> list[float]:
    return [100 * (shot(model, ratio)["drop"] - tuned(model, ratio)["drop"]) / shot(model, ratio)["drop"]
            for model in MODELS]  # fmt: skip


@cache
def apart(model: str, ratio: float) -> list[float]:
    """DIMAP minus uniform, training by training."""
    return list(frames.gains_by_training(evidence(), [model], "dimap", "uniform", [ratio]).loc[ratio])


@cache
def mean(model: str, method: str, ratio: float) -> float:
    return evidence().accuracy(model, method, ratio)[0]


def cards(model: str) -> list[float]:
    return [sp.lite_card(model, seed)["top1"] for seed in sp.lite_seeds(model)]


def removed(model: str, what: str, ratio: float = 0.55) -> float:
    """Percent of a model's "params" or "macs" that DIMAP removes."""
    whole, left = (evidence().measurements(model, *pair)[0] for pair in (("dense", 0.0), ("dimap", ratio)))
    return 100 * (1 - getattr(left, what) / getattr(whole, what))


@cache
def ledger() -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / "ledger.csv", keep_default_na=False).set_index("id")


def verdicts(start: str) -> int:
    return int(ledger().verdict.str.partition(":")[0].eq(start).sum())


def undecided_accuracies() -> int:
    """Undecided rows that are accuracies in percent, or differences of these."""
    left = ledger()[ledger().verdict.str.startswith("not decided")]
    return int(left.index.str.fullmatch(r".*(top[15]|gain|top[15]_drop|difference)_pct").sum())


def ours(*ids: str) -> list[float]:
    return [float(ledger().ours[one]) for one in ids]


def theirs(claim: str) -> list[float]:
    """The numbers in a claim of the paper."""
    (text,) = (one["claim"] for one in paper_claims() if one["id"] == claim)
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?!\w)", text)]


@cache
def table1(model: str, variant: str) -> pd.Series:
    return paper_table("table1_pruned_swin").set_index(["model", "variant"]).loc[(model, variant)]


@cache
def cells(page: str) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in nbformat.read(PAGES[page], as_version=4).cells}


def code(page: str) -> str:
    return "\n".join(cell.source for cell in cells(page).values() if cell.cell_type == "code")


def printed(page: str, cell: str, row: str = "") -> list[float]:
    """The numbers that a cell printed, in its first line that begins so; nbval holds the outputs to a new run."""
    outputs = cells(page)[cell].outputs
    texts = [one.get("text") or one.data["text/plain"] for one in outputs]
    line = next(line for text in texts for line in text.splitlines() if line.startswith(row))
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", line.removeprefix(row))]


@cache
def trials() -> pd.DataFrame:
    return bound.bound_trials(1000)


def median_ratio(depth: int) -> float:
    return trials().ratio[trials().depth == depth].median()


@cache
def below(model: str) -> pd.DataFrame:
    """Figure 2: the share of every layer below one threshold."""
    net = evidence().profile.load(model)
    cut = layerwise.threshold_removing(net, theirs("fig2-1")[1] / 100, ("QKV", "PRJ"), 2)
    return layers(net).assign(share=layerwise.shares_below(net, cut))


def shares(model: str, kinds: str, query: str = "stage > 0") -> pd.Series:
    return below(model).query(query).loc[lambda table: table.layer.isin(kinds.split())].share


def stage_means(kinds: str, stage: int | None = None) -> list[float]:
    tables = [below(model).query(f"stage == {stage}" if stage else "stage > 0") for model in MODELS]
    tables = [table[table.layer.isin(kinds.split())].groupby(["stage", "layer"]).share.mean() for table in tables]
    return span(pd.concat(tables))


@cache
def kept(seed: int) -> pd.DataFrame:
    """Figure 5: the kept shares of a training of lite small."""
    net = evidence().profile.load(S, seed)
    return layerwise.kept_shares(net, sp.make_masks(net, 0.45))


def kept_stage(stage: int) -> list[float]:
    return span(kept(0)[kept(0).stage == stage].groupby("layer").kept_pct.mean())


@cache
def first_block() -> pd.DataFrame:
    """Figure 6."""
    net = evidence().profile.load(B)
    return layerwise.mask_table(layerwise.first_block(net, sp.make_masks(net, 0.5)))


def band(name: str) -> float:
    """A band's density minus that of the values."""
    return first_block()["kept %"][f"QKV: {name}"] - first_block()["kept %"]["QKV: value"]


@cache
def times() -> dict:
    return runtimes.recorded()


def speed(ways: str, model: str | None = None, **only) -> pd.DataFrame:
    rows = times()["speedups"]
    rows = rows[rows.way.isin(ways.split()) & ((rows.model == model) if model else True)]
    for name, value in only.items():
        rows = rows[rows[name] == value]
    return rows


@cache
def compact_losses() -> pd.DataFrame:
    """What compact and patterned lite models lost: rows (model, way, teacher), columns seeds; half of the MACs gone."""
    rows = accuracy.results().query("removed == 0.5").set_index(["model", "way", "teacher", "seed"]).sort_index()
    return pd.DataFrame({"one": rows.dense_top1 - rows.one_shot_top1, "tuned": rows.dense_top1 - rows.tuned_top1})


def losses(way: str = "compact", teacher: str = "dense", model: str = T) -> pd.Series:
    return compact_losses().tuned.loc[(model, way, teacher)]


def with_spread(values: pd.Series) -> list[float]:
    return [values.mean(), spread(list(values))]


def fronts(cost: str) -> list[int]:
    rows = pd.concat([paper_table("table2a_vit_variants"), paper_table("table2b_vit_compression")])
    names = figures.pareto_front(rows, cost).method
    return [int(names.str.contains("DIMAP").sum()), len(names)]


@cache
def counted() -> pd.DataFrame:
    """Table 2a's counted cells: printed, ours, off (share)."""
    rows = ledger()[ledger().index.str.match(r"table2a.*(params_m|flops_g)") & ledger().ours.str.fullmatch(r"[\d.]+")]
    table = rows[["paper", "ours"]].astype(float).assign(row=rows.index.str.rsplit(".", n=1).str[0])
    return table.assign(off=(table.ours / table.paper - 1).abs())


def span(values: Iterable[float]) -> list[float]:
    return [min(values), max(values)]


@cache
def slower() -> dict[float, float]:
    """How many times as long the recorded forward pass takes in the sparse layout as dense, by ratio."""
    return {row.ratio: 1 / row.sparse for row in timing.recorded()["rows"].itertuples()}


def column(page: str, cell: str, name: str) -> list[float]:
    """A column of a table that a cell printed."""
    (html,) = (output.data["text/html"] for output in cells(page)[cell].outputs if "data" in output)
    lines = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]
    place = rows[0].index(name) - len(rows[0])
    return [float(row[place]) for row in rows[1:] if re.fullmatch(r"-?[\d.]+|NaN", row[place])]


def masked_speed() -> pd.Series:
    """The recorded speed-ups of masked weights in dense kernels."""
    return timing.recorded()["rows"].masked


def misprint() -> list[float]:
    """Table 3's gain of Swin-T at 38 %: as its columns give it, and as printed."""
    (row,) = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 38 and model == 'Swin-T'").itertuples()
    return [row.dimap_top1_pct - row.uniform_top1_pct, row.printed_gain_pct]
