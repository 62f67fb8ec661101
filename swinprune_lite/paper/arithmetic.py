"""The paper's numbers against each other: differences, percentages, cells printed twice, and claims about them.

Where a check fails, one of the numbers in it is wrong. Which one, the other checks tell: a number
is suspected when more of its checks fail than hold.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from swinprune_lite.paper.numbers import NOMINAL, TABLES, paper_claims, paper_table, published_elsewhere

LABELS = {
    "table1_pruned_swin": ("model", "variant"),
    "table2a_vit_variants": ("method", "image_size"),
    "table2b_vit_compression": ("method",),
    "table3_uniform_vs_dimap": ("model", "ratio_pct"),
    "table4_model_as_module": ("model",),
    "fig1_component_shares": ("model", "component"),
}
TOTALS = {"params_m", "flops_g"}  # of figure 1: printed once a model, though each of its rows holds them


NUMBER = re.compile(r"\d+\.\d+(?:e-?\d+)?")


class Cell(NamedTuple):
    """One printed number: its identifier, table, row (from 0), column, and the number as printed."""

    id: str
    table: str
    row: int
    column: str
    printed: str


class Check(NamedTuple):
    """Numbers that determine one another: the identifiers in it, in words, and whether it holds."""

    ids: tuple[str, ...]
    said: str
    holds: bool


def cells() -> list[Cell]:
    """Every number of the paper's tables and of figure 1, without the nominal ratios and image sizes."""
    found = []
    for table in TABLES:
        frame = paper_table(table, as_printed=True)
        numeric = [column for column in frame if column.endswith(("_pct", "_m", "_g")) and column not in NOMINAL]
        for row, values in frame.iterrows():
            for column in (column for column in numeric if values[column]):
                if table == "fig1_component_shares" and column in TOTALS:
                    if row == frame.index[frame.model == values.model][0]:
                        found.append(Cell(f"fig1.{values.model}.{column}", table, row, column, values[column]))
                else:
                    found.append(Cell(_id(table, row, values, column), table, row, column, values[column]))
    return found


def _id(table: str, row: int, values: pd.Series, column: str) -> str:
    label = "-".join(str(values[part]) for part in LABELS[table] if values[part])
    return f"{table.split('_')[0]}.{row + 1:02d}.{label.replace(' ', '_')}.{column}"


def cell_id(table: str, row: int, column: str) -> str:
    """Identifier of a number of a table (not of figure 1's totals)."""
    return _id(table, row, paper_table(table, as_printed=True).loc[row], column)


def elsewhere() -> pd.DataFrame:
    """Numbers of table 2 beside those that others, or the methods' own repositories, print.

    Returns:
        A row a number that was looked up: table, method, column; paper and elsewhere (as printed in each place),
        differs (whether they still do once both are rounded to the fewer decimals), source, note.

    Raises:
        ValueError: a file that is damaged.
    """
    printed, rows = {cell.id: cell for cell in cells()}, []
    for row in published_elsewhere().itertuples():
        cell = printed[row.cell]
        unit = 10.0 ** -min(decimals(cell.printed), decimals(row.elsewhere))
        off = abs(float(cell.printed) - float(row.elsewhere)) > 0.5 * unit + 1e-9
        method = paper_table(cell.table).method[cell.row]
        told = (cell.table.partition("_")[0], method, cell.column, cell.printed, row.elsewhere, off)
        rows.append((*told, row.source, row.note))
    names = ["table", "method", "column", "paper", "elsewhere", "differs", "source", "note"]
    return pd.DataFrame(rows, columns=names)


def decimals(printed: str) -> int:
    """Digits after the point."""
    return len(printed.partition(".")[2])


def checks() -> list[Check]:
    """All of them."""
    return [*_table1(), *_printed_twice(), *_gains(), *_sums()]


def suspects(found: list[Check]) -> dict[str, str]:
    """Identifier -> what is wrong, for numbers of which more checks fail than hold."""
    failed, held = Counter(), Counter()
    said: dict[str, str] = {}
    for check in found:
        (held if check.holds else failed).update(check.ids)
        if not check.holds:
            said |= {id: check.said for id in check.ids if id not in said}
    return {id: said[id] for id in failed if failed[id] > held[id]}


def _table1() -> Iterator[Check]:
    name = "table1_pruned_swin"
    table = paper_table(name, as_printed=True)
    dense = {row.model: (index, row) for index, row in table.iterrows() if row.variant == "dense"}
    for index, row in table[table.variant != "dense"].iterrows():
        whole_index, whole = dense[row.model]
        for kind in ("top1", "top5"):
            column, drop = f"{kind}_pct", f"{kind}_drop_pct"
            ids = (_id(name, whole_index, whole, column), _id(name, index, row, column), _id(name, index, row, drop))
            yield _difference(ids, whole[column], row[column], row[drop])
        for column, drop in (("params_m", "params_drop_pct"), ("flops_g", "flops_drop_pct")):
            ids = (_id(name, whole_index, whole, column), _id(name, index, row, column), _id(name, index, row, drop))
            (low, high), (least, most) = _rounded_from(row[column]), _rounded_from(whole[column])
            smallest, largest = 100 * (1 - high / least), 100 * (1 - low / most)
            printed_low, printed_high = _rounded_from(row[drop])
            said = f"{row[column]} of {whole[column]} is {smallest:.1f} to {largest:.1f} % less; printed {row[drop]}"
            yield Check(ids, said, printed_low <= largest and smallest <= printed_high)


def _printed_twice() -> Iterator[Check]:
    """Numbers of table 1 that tables 2b and 4 and figure 1 print again."""
    one, two = (paper_table(name, as_printed=True) for name in ("table1_pruned_swin", "table2b_vit_compression"))
    four = paper_table("table4_model_as_module", as_printed=True)
    for index, row in one.iterrows():
        name = f"{row.model}-{row.variant}"
        own = {column: _id("table1_pruned_swin", index, row, column) for column in ("params_m", "flops_g", "top1_pct")}
        for other, again in two[two.method == name].iterrows():
            for column in own:
                there = _id("table2b_vit_compression", other, again, column)
                yield _equal((own[column], there), row[column], again[column])
        for other, again in four[four.model == name].iterrows():
            column = "multiple_modules_top1_pct"
            there = _id("table4_model_as_module", other, again, column)
            yield _equal((own["top1_pct"], there), row.top1_pct, again[column])
        if row.variant == "dense":
            for column in sorted(TOTALS):
                if held := totals_held(row.model, column):
                    other = next((value for value in held if float(value) != float(row[column])), held[0])
                    yield _equal((own[column], f"fig1.{row.model}.{column}"), row[column], other)


def totals_held(model: str, column: str) -> list[str]:
    """What the rows of a model in figure 1's data hold for a total, which the figure prints once.

    Args:
        model: such as "Swin-B".
        column: one of `TOTALS`.
    """
    table = paper_table("fig1_component_shares", as_printed=True)
    return table.loc[table.model == model, column].to_list()


def torn() -> dict[str, str]:
    """Identifier -> what is wrong, for totals of figure 1 whose copies in the data differ."""
    models = paper_table("fig1_component_shares", as_printed=True).model.unique()
    held = {f"fig1.{model}.{column}": totals_held(model, column) for model in models for column in TOTALS}
    return {
        id: f"{', '.join(values)}, the rows that hold one printed number"
        for id, values in held.items()
        if len(set(values)) > 1
    }


def _gains() -> Iterator[Check]:
    for name, columns in (
        ("table3_uniform_vs_dimap", ("dimap_top1_pct", "uniform_top1_pct", "printed_gain_pct")),
        ("table4_model_as_module", ("multiple_modules_top1_pct", "single_module_top1_pct", "difference_pct")),
    ):
        for index, row in paper_table(name, as_printed=True).iterrows():
            yield _difference(tuple(_id(name, index, row, column) for column in columns), *(row[c] for c in columns))


def _sums() -> Iterator[Check]:
    """The shares of a network whose components are all printed add up to 100 %."""
    name = "fig1_component_shares"
    table = paper_table(name, as_printed=True)
    for model, rows in table.groupby("model"):
        if set(rows.component) == {"fc", "att", "conv"}:
            for column in ("params_share_pct", "flops_share_pct"):
                total = sum(map(float, rows[column]))
                ids = tuple(_id(name, index, row, column) for index, row in rows.iterrows())
                yield Check(
                    ids,
                    f"{model}: {' + '.join(rows[column])} = {total:.1f}",
                    abs(total - 100) <= 0.05 * len(rows) + 1e-9,
                )


def _difference(ids: tuple[str, ...], first: str, second: str, printed: str, verb: str = "printed") -> Check:
    value = f"{float(first) - float(second):.{decimals(printed)}f}"
    return Check(ids, f"{first} − {second} = {value}; {verb} {printed}", float(value) == float(printed))


def _equal(ids: tuple[str, ...], first: str, second: str) -> Check:
    return Check(ids, f"printed {first} in one place and {second} in another", float(first) == float(second))


def _rounded_from(printed: str) -> tuple[float, float]:
    """The interval of numbers that round to this one."""
    half = 0.5 * 10 ** -decimals(printed)
    return float(printed) - half, float(printed) + half


Place = tuple[str, int, str]
"""A table, the row (from 0) and the column of a printed number."""


def _one(model: str, variant: str, column: str) -> Place:
    table = paper_table("table1_pruned_swin")
    return "table1_pruned_swin", table.index[(table.model == model) & (table.variant == variant)][0], column


def _two(part: str, method: str, column: str, occurrence: int = 0) -> Place:
    name = {"a": "table2a_vit_variants", "b": "table2b_vit_compression"}[part]
    table = paper_table(name)
    return name, table.index[table.method == method][occurrence], column


def differences() -> dict[str, list[tuple[Place, Place]]]:
    """For claims that are differences of printed numbers: the pairs, in the order of the numbers in the claim."""
    top1, params, flops = "top1_pct", "params_m", "flops_g"
    base, small = ("Swin-B", "DIMAP3"), ("Swin-S", "DIMAP3")
    return {
        "s4.2-1": [(_one("Swin-B", "DIMAP1", top1), _one("Swin-B", "dense", top1))],
        "s4.2-2": [(_one("Swin-S", "DIMAP2", "top5_pct"), _one("Swin-S", "dense", "top5_pct"))],
        "s4.2-3": [
            (_one(*base, top1), _one("Swin-S", "dense", top1)),
            (_one("Swin-S", "dense", params), _one(*base, params)),
        ],
        "s4.2-4": [
            (_one(*small, top1), _one("Swin-T", "dense", top1)),
            (_one("Swin-T", "dense", params), _one(*small, params)),
        ],
        "s4.3-1": [
            (_one(*small, top1), _two("a", "Slide-Swin-T", top1)),
            (_two("a", "Slide-Swin-T", flops), _one(*small, flops)),
        ],
        "s4.3-2": [
            (_two("b", "VTP", params), _one(*base, params)),
            (_two("b", "VTP", flops), _one(*base, flops)),
            (_one(*base, top1), _two("b", "VTP", top1)),
        ],
        "s4.3-3": [(_two("b", "UVC", flops), _one(*base, flops)), (_one(*base, top1), _two("b", "UVC", top1))],
        "s4.3-4": [
            (_one(*base, top1), _two("b", "SViTE", top1, 1)),
            (_two("b", "SViTE", params, 1), _one(*base, params)),
            (_two("b", "SViTE", flops, 1), _one(*base, flops)),
        ],
        "s4.3-5": [
            (_one("Swin-S", "DIMAP2", top1), _two("b", "X-Pruner", top1, 1)),
            (_two("b", "X-Pruner", flops, 1), _one("Swin-S", "DIMAP2", flops)),
        ],
    }


def difference_checks() -> dict[str, list[Check]]:
    """The checks of `differences`, with the identifiers of the cells in them."""
    texts = {claim["id"]: NUMBER.findall(claim["claim"]) for claim in paper_claims()}
    found = {}
    for name, pairs in differences().items():
        found[name] = []
        for printed, places in zip(texts[name], pairs, strict=True):
            first, second = (paper_table(table, as_printed=True).loc[row, column] for table, row, column in places)
            ids = tuple(cell_id(*place) for place in places)
            found[name].append(_difference(ids, first, second, printed, "claimed"))
    return found
