"""The ledger: one row for every number and every claim of the paper, with what became of it here.

Nothing in it is typed: a verdict follows from the paper's number (`shipped/paper/`), ours (architecture
counts, or measurements from the results store) and a tolerance. What needs the ImageNet weights, or ImageNet
as well, is decided where the reader's profile has them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from swinprune_lite.files import atomic
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.paper import counts
from swinprune_lite.paper.arithmetic import (
    Cell,
    cells,
    checks,
    decimals,
    difference_checks,
    suspects,
    torn,
)
from swinprune_lite.paper.claims import claims
from swinprune_lite.paper.numbers import counterpart, paper_table
from swinprune_lite.paper.verdicts import (
    ARITHMETIC,
    CONTRADICTED,
    LITE,
    NEEDS_IMAGENET,
    NEEDS_THEIRS,
    NEEDS_WEIGHTS,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    Found,
    compare,
    lite_difference,
)
from swinprune_lite.sources.pretrained_source import TOLERANCE

READING = {"stated in the text": 0.1, "read off the figure": 0.5}  # points that a share of figure 1 may be off by
OTHER_CODE = 0.01  # share by which another implementation of the same network may differ


@dataclass(frozen=True)
class Row:
    """One line of the ledger, all text."""

    id: str
    where: str
    paper: str
    ours: str
    profile: str
    tolerance: str
    verdict: str
    source: str


class Ledger:
    """Evidence for every cell, computed once."""

    def __init__(self, evidence: Evidence, real: Evidence | None = None) -> None:
        self.evidence = evidence
        self.steps = self.evidence.profile.finetune_steps
        self.real = real
        models = real.profile.models if real else ()
        self.weights = {counterpart(model): model for model in models}
        self.imagenet = self.weights if real and real.profile.name == "imagenet" else {}

    @cached_property
    def left(self) -> pd.DataFrame:
        """`counts.remaining` at table 1's ratios."""
        ratios = sorted(set(paper_table("table1_pruned_swin").nominal_ratio_pct / 100))
        return pd.DataFrame(counts.remaining(ratios)).set_index(["model", "ratio"])

    @cached_property
    def figure1(self) -> pd.DataFrame:
        """Figure 1 counted, Swin-B by the rule nearest to the paper's split."""
        printed = paper_table("fig1_component_shares").set_index(["model", "component"])
        nearest = counts.nearest_rules(*printed.loc[("Swin-B", "att"), ["params_share_pct", "flops_share_pct"]], 1)
        rule = dict.fromkeys(nearest["left out"][0].split(", "), "none")
        rule |= dict.fromkeys(nearest.attention[0].split(", "), "att")
        return counts.figure1(rule).set_index(["model", "component"])

    def find(self, cell: Cell) -> Found:
        """What there is for one printed number."""
        table = paper_table(cell.table)
        return FINDERS[cell.table](self, cell, table.loc[cell.row])

    def rows(self) -> list[Row]:
        """Every number, then every claim."""
        in_claims = difference_checks()
        suspected = suspects(checks() + [check for checked in in_claims.values() for check in checked])
        rows, copies = [], torn()
        for cell in cells():
            found = self.find(cell)
            if cell.id in copies or (cell.id in suspected and found.verdict != REPRODUCED):
                said = copies.get(cell.id) or suspected[cell.id]
                found = Found(f"one of the numbers in {said}", "arithmetic", "0", ARITHMETIC, "reproduction_ledger")
            rows.append(Row(cell.id, _where(cell), cell.printed, **asdict(found)))
        return rows + [Row(*claim[:3], **asdict(claim[3])) for claim in claims(self, in_claims)]


def _table1(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    left = ledger.left.loc[(row.model, row.nominal_ratio_pct / 100)]
    if cell.column in ("params_m", "params_drop_pct"):
        ours = left.params / 1e6 if cell.column == "params_m" else 100 * (1 - left.params / left.dense)
        verdict, tolerance = compare(cell.printed, ours)
        return Found(f"{ours:.3f}", "architecture", tolerance, verdict, "figure3_modules")
    if cell.column in ("flops_g", "flops_drop_pct"):
        return _flops(ledger, cell, row, left)
    return _accuracy_of_table1(ledger, cell, row)


def _flops(ledger: Ledger, cell: Cell, row: pd.Series, left: pd.Series) -> Found:
    """MACs depend on which layers lose the weights, so without the weights only their range is known."""
    source = "table1_pruned_swin"
    if row.variant == "dense":
        verdict, tolerance = compare(cell.printed, left.dense_macs / 1e9)
        return Found(f"{left.dense_macs / 1e9:.3f}", "architecture", tolerance, verdict, source)
    if row.model in ledger.weights:
        (found,) = ledger.real.measurements(ledger.weights[row.model], "dimap", row.nominal_ratio_pct / 100)
        ours = found.macs / 1e9 if cell.column == "flops_g" else 100 * (1 - found.macs / left.dense_macs)
        verdict, tolerance = compare(cell.printed, ours)
        return Found(f"{ours:.3f}", "pretrained weights", tolerance, verdict, source)
    ends = [left[f"{end}_macs"] for end in ("least", "most", "alike")]
    if cell.column == "flops_g":
        low, high, alike = (macs / 1e9 for macs in ends)
    else:
        high, low, alike = (100 * (1 - macs / left.dense_macs) for macs in ends)
    half = 0.5 * 10 ** -decimals(cell.printed)
    possible = low - half <= float(cell.printed) <= high + half
    ours = f"possible {low:.1f} to {high:.1f}; {alike:.1f} if every layer lost the same share"
    return Found(ours, "architecture", f"{half:g}", NEEDS_WEIGHTS if possible else CONTRADICTED, source)


def _accuracy_of_table1(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    model, kind, source = LITE[row.model], cell.column.split("_")[0], "table1_pruned_swin"
    method, steps = ("dense", 0) if row.variant == "dense" else ("dimap", ledger.steps)
    ratio = row.nominal_ratio_pct / 100
    if row.model in ledger.imagenet and method == "dense":
        return _on_imagenet(ledger, cell, row.model, method, 0.0, kind, source)
    if cell.column.endswith("_drop_pct"):
        drop = ledger.evidence.drop(model, method, ratio, steps, kind)
        return lite_difference(row[cell.column], *drop, source)
    mean, half, _ = ledger.evidence.accuracy(model, method, ratio, steps, kind)
    return _absolute(cell, mean, half, source)


def _absolute(cell: Cell, mean: float, half: float, source: str) -> Found:
    """A lite accuracy beside an ImageNet accuracy: shown, never compared; only what is outside 0 to 100 is refused."""
    verdict = NEEDS_IMAGENET if 0 <= float(cell.printed) <= 100 else CONTRADICTED
    return Found(f"{mean:.2f} ± {half:.2f}", "lite", "", verdict, source)


def _on_imagenet(ledger: Ledger, cell: Cell, model: str, method: str, ratio: float, kind: str, source: str) -> Found:
    """A one-shot accuracy, or the gain of DIMAP over uniform pruning, measured as the paper did."""
    ours = ledger.imagenet[model]
    if method == "printed":  # the column of gains
        value = ledger.real.gain(ours, "dimap", "uniform", ratio)[0]
    else:
        value = ledger.real.accuracy(ours, method, ratio, kind=kind)[0]
    verdict, tolerance = compare(cell.printed, value, slack=TOLERANCE)
    return Found(f"{value:.2f}", "ImageNet-1k", tolerance, verdict, source)


def _table2(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    model, _, variant = row.method.rpartition("-")
    if variant.startswith("DIMAP"):
        one = paper_table("table1_pruned_swin")
        return _table1(ledger, cell, one[(one.model == model) & (one.variant == variant)].iloc[0])
    source = "table2_state_of_the_art"
    if cell.column == "top1_pct":
        verdict = f"{UNDECIDED}: needs that model's weights and ImageNet-1k"
        return Found("", "", "", verdict if 0 <= float(cell.printed) <= 100 else CONTRADICTED, source)
    ours = counts.table2(row.to_frame().T)[cell.column].item()
    if pd.isna(ours):
        return Found("", "", "", NEEDS_THEIRS, source)
    verdict, tolerance = compare(cell.printed, ours, _slack(cell, row))
    return Found(f"{ours:.3f}", "architecture", tolerance, verdict, source)


def _table3(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    model, ratio, source = LITE[row.model], row.ratio_pct / 100, "table3_uniform_vs_dimap"
    if row.model in ledger.imagenet:
        return _on_imagenet(ledger, cell, row.model, cell.column.split("_")[0], ratio, "top1", source)
    if cell.column == "printed_gain_pct":
        gain = ledger.evidence.gain(model, "dimap", "uniform", ratio)
        return lite_difference(float(cell.printed), *gain, source)
    mean, half, _ = ledger.evidence.accuracy(model, cell.column.split("_")[0], ratio)
    return _absolute(cell, mean, half, source)


def _table4(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    name, _, variant = row.model.rpartition("-")
    one = paper_table("table1_pruned_swin")
    ratio = one[(one.model == name) & (one.variant == variant)].nominal_ratio_pct.item() / 100
    model, source = LITE[name], "table4_model_as_module"
    if cell.column == "difference_pct":
        gain = ledger.evidence.gain(model, "dimap", "lamp", ratio, ledger.steps)
        return lite_difference(float(cell.printed), *gain, source)
    method = "dimap" if cell.column.startswith("multiple") else "lamp"
    mean, half, _ = ledger.evidence.accuracy(model, method, ratio, ledger.steps)
    return _absolute(cell, mean, half, source)


def _slack(cell: Cell, row: pd.Series) -> float:
    if cell.column.endswith("_pct"):
        return READING[row.confidence]
    return max(10 ** -decimals(cell.printed), OTHER_CODE * float(cell.printed))


def _figure1(ledger: Ledger, cell: Cell, row: pd.Series) -> Found:
    ours = ledger.figure1.loc[(row.model, row.component), cell.column]
    verdict, tolerance = compare(cell.printed, ours, _slack(cell, row))
    return Found(f"{ours:.3f}", "architecture", tolerance, verdict, "figure1_components")


FINDERS: dict[str, Callable[[Ledger, Cell, pd.Series], Found]] = {
    "table1_pruned_swin": _table1,
    "table2a_vit_variants": _table2,
    "table2b_vit_compression": _table2,
    "table3_uniform_vs_dimap": _table3,
    "table4_model_as_module": _table4,
    "fig1_component_shares": _figure1,
}


def _where(cell: Cell) -> str:
    table, _, rest = cell.id.partition(".")
    name = table.replace("table", "table ").replace("fig", "figure ")
    label = rest.removesuffix(f".{cell.column}")
    number, _, row = label.partition(".")
    return f"{name}, {row or number}, {cell.column}"


def ledger(evidence: Evidence, real: Evidence | None = None) -> pd.DataFrame:
    """The whole ledger: 315 rows with columns id, where, paper, ours, profile, tolerance, verdict, source.

    Args:
        evidence: of the lite models.
        real: of the paper's models with their weights, for the rows that need these: MACs, and in the imagenet
            profile the accuracies without fine-tuning; None: those rows stay undecided.

    Raises:
        LookupError: a measurement is not in the results store.
    """
    return pd.DataFrame(map(asdict, Ledger(evidence, real).rows()))


def totals(table: pd.DataFrame) -> pd.DataFrame:
    """How many numbers and claims got each verdict."""
    short = table.verdict.str.partition(":")[0]
    counted = short.value_counts().reindex(list(VERDICTS), fill_value=0)
    return counted.rename_axis("verdict").to_frame("rows")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the ledger as CSV; the file is replaced as a whole."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
