"""How a page shows the tables of a notebook: in names that one reads, numbers written one way, and no wider than it.

Notebooks show pandas' tables, whose labels are those that code takes ("swin_lite_tiny", "top1_half"). Here the table is
read back from its HTML and written anew. The columns X and X_half become one, "X ± half"; where a table would still be
wider than a page, ± goes below its number, and one table of several models becomes one for each.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from bs4 import BeautifulSoup, Tag

from swinprune_lite.figures.style import METHOD_STYLES, MODEL_NAMES, short_name

PAGE = 720
"""Pixels that a table may take in a window 1280 pixels wide."""
DIGIT, GAP = 7.4, 13
"""Estimated pixels of a character and between two columns."""
SHORT = 10
"""Characters of a row's name that is not wrapped."""
TEXT = 15
"""Characters to which a column of text may be narrowed: it wraps."""

WORDS = {
    "params_m": "parameters (M)",
    "flops_g": "FLOPs (G)",
    "top1": "top-1 (%)",
    "top5": "top-5 (%)",
    "top1_pct": "top-1 (%)",
    "top5_pct": "top-5 (%)",
    "top1_mean": "top-1, mean (%)",
    "top5_mean": "top-5, mean (%)",
    "uniform_top1_pct": "uniform, top-1 (%)",
    "dimap_top1_pct": "DIMAP, top-1 (%)",
    "printed_gain_pct": "gain",
    "multiple_modules_top1_pct": "three modules, top-1 (%)",
    "single_module_top1_pct": "one module, top-1 (%)",
    "difference_pct": "difference",
    "params_m (paper)": "paper (M)",
    "params_m differs": "differs",
    "flops_g (paper)": "paper (G)",
    "flops_g differs": "differs",
    "params_share_pct": "share of parameters (%)",
    "flops_share_pct": "share of FLOPs (%)",
    "params_drop_pct": "parameters removed (%)",
    "flops_drop_pct": "FLOPs removed (%)",
    "top1_drop_pct": "top-1 lost",
    "top5_drop_pct": "top-5 lost",
    "removed_pct": "removed (%)",
    "kept_pct": "kept (%)",
    "below_pct": "below it (%)",
    "least_macs": "at least",
    "alike_macs": "every layer alike",
    "most_macs": "at most",
    "lite_gain": "lite gain",
    "cut_rate": "rate, as cut",
    "repaired_rate": "rate, repaired",
    "image_size": "image (pixels)",
    "test_images": "test images",
    "heads_share": "share of the heads",
    "params": "parameters",
    "macs": "MACs",
    "dense ms": "dense (ms)",
    "relative_energy": "relative energy",
    "activation_energy": "activation energy",
    "whole_model": "whole model",
    "by_module": "by module",
    "by_layer": "by layer",
    "same_share": "same share",
    "erdos_renyi_kernel": "Erdős–Rényi kernel",
    "uniform_plus": "Uniform+",
    "wanda": "Wanda",
    "taylor": "Taylor",
    "fisher": "Fisher",
    "obs": "OBS",
    "sparsegpt": "SparseGPT",
    "fc": "linear",
    "att": "attention",
    "conv": "convolution",
    "table1": "table 1",
    "table2a": "table 2a",
    "table2b": "table 2b",
    "table3": "table 3",
    "table4": "table 4",
    "fig1": "figure 1",
}
"""What is called otherwise on a page than in code: columns, criteria, the paper's tables."""
UNITS = {r" %$": " (%)", r" M$": " (M)", r" G$": " (G)"}
"""Ends of a column's name that are a unit."""
MISSING = {"", "NaN", "nan", "<NA>", "None", "NaT"}
RATIOS = {"ratio", "removed"}
NUMBER = re.compile(r"[+−-]?[\d,]+(\.\d+)?(e-?\d+)?( %)?( ± [\d.]+)?( \*)?|–|[+−-]?\d+(\.\d+)? ± –")
CHAPTER = re.compile(r"(table|figure)\d_\w+|equations_1_to_10|reproduction_ledger|beyond_\w+|idea_\w+")
_NAMES = re.compile(rf"\b({'|'.join(map(re.escape, sorted(MODEL_NAMES, key=len, reverse=True)))})\b")
_SNAKE = re.compile(rf"\b({'|'.join(word for word in WORDS if '_' in word)})\b")


@dataclass(frozen=True)
class Table:
    """A table's texts: labels of the columns and of the rows by level, the levels' names, and the cells by row."""

    columns: list[tuple[str, ...]]
    rows: list[tuple[str, ...]]
    cells: list[list[str]]
    column_names: tuple[str, ...]
    row_names: tuple[str, ...]


def said(text: str) -> str:
    """What a program printed, with the names of models and the percent signs of the page."""
    text = re.sub(r"\n?(Name: .*, )?dtype: \w+\s*$", "", text)  # the last line of a pandas series
    return re.sub(r"(?<=\d)%(?!\w)", " %", _NAMES.sub(lambda name: short_name(name[0]), text))


def chapter_name(stem: str) -> str:
    """What a table calls a notebook: "table 3" of "table3_uniform_vs_dimap", "beyond pretrained" of another."""
    return re.sub(r"^(table|figure)(\d)_.*", r"\1 \2", stem).replace("_", " ")


def shown(html: str, caption: str | None = None) -> str:
    """The HTML of a notebook's output with each pandas table in it as a page shows it.

    Args:
        html: an output's text/html; one without a pandas table is returned as it is.
        caption: what the tables hold, and in what unit.
    """
    page = BeautifulSoup(html, "html.parser")
    found = page.select("table.dataframe")
    if not found:
        return html
    for style in page.select("style"):
        style.decompose()
    for one in found:
        table = _paired(_readable(_read(one)))
        one.replace_with(BeautifulSoup(_written(table, caption), "html.parser"))
    return str(page)


def _read(table: Tag) -> Table:
    heads = [_spread(row.find_all(["th", "td"]), "colspan") for row in table.thead.find_all("tr")]
    body, above = [], {}
    for row in table.tbody.find_all("tr"):
        cells = iter(row.find_all(["th", "td"]))
        line = []
        while len(line) < len(heads[0]):
            if len(line) in above:  # a label that spans rows
                text, left = above.pop(len(line))
            else:
                cell = next(cells)
                text, left = _text(cell), int(cell.get("rowspan", 1))
            if left > 1:
                above[len(line)] = (text, left - 1)
            line.append(text)
        body.append(line)
    levels = len(table.tbody.tr.find_all("th"))
    row_names = ("",) * levels
    if len(heads) > 1 and not any(heads[-1][levels:]):
        row_names = tuple(heads.pop()[:levels])
    names = tuple(head[levels - 1] if levels else "" for head in heads)
    return Table(
        list(zip(*(head[levels:] for head in heads))),
        [tuple(line[:levels]) for line in body],
        [line[levels:] for line in body],
        names,
        row_names,
    )


def _text(cell: Tag) -> str:
    return " ".join(cell.get_text().split())


def _spread(cells: Sequence[Tag], span: str) -> list[str]:
    return [_text(cell) for cell in cells for _ in range(int(cell.get(span, 1)))]


def _readable(table: Table) -> Table:
    """With the names and numbers of the page, and without the numbers that pandas gives rows which have no names."""
    counted = [
        level
        for level, name in enumerate(table.row_names)
        if not name and all(row[level].isdecimal() for row in table.rows)
    ]

    def kept(row: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for level, text in enumerate(row) if level not in counted)

    names = kept(table.row_names)
    lines = list(zip(*table.cells))
    lines = [[_cell(text, column[-1], whole=_whole(line, column)) for text in line] for column, line in
             zip(table.columns, lines)]  # fmt: skip
    return Table(
        [
            tuple(_label(text, name or "ratio") for text, name in zip(column, table.column_names))
            for column in table.columns
        ],
        [tuple(_label(text, name) for text, name in zip(kept(row), names)) for row in table.rows],
        [list(row) for row in zip(*lines)],
        tuple(map(_name, table.column_names)),
        tuple(map(_name, names)),
    )


def _whole(line: Sequence[str], column: tuple[str, ...]) -> bool:
    """Whether a column of counts was made one of floats by pandas."""
    return column[-1] in {"count", "compact", "dense"} and all(re.fullmatch(r"\d+\.0", text) for text in line)


def _name(text: str) -> str:
    """A column's name or a label of text."""
    text = WORDS.get(text, text)
    if text in METHOD_STYLES:
        return METHOD_STYLES[text]["label"]
    for end, unit in UNITS.items():
        text = re.sub(end, unit, text)
    return said(_SNAKE.sub(lambda word: WORDS[word[0]], text))


def _label(text: str, of: str) -> str:
    if of in RATIOS and re.fullmatch(r"0\.\d+|0\.0", text):
        return f"{100 * float(text):g} %"
    if re.fullmatch(r"\d+ ?%", text):
        return said(text)
    return _number(text) if NUMBER.fullmatch(text) else _name(text)


def _cell(text: str, column: str, whole: bool) -> str:
    if text in MISSING:
        return "–"
    if text in ("True", "False"):
        return {"True": "yes", "False": "no"}[text]
    if whole:
        return text.removesuffix(".0")
    if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.+]+", text):  # a moment
        return text[:16].replace("T", " ")
    return _label(text, column)


def _number(text: str) -> str:
    """With a minus sign, thousands apart, and no negative zero."""
    text = re.sub(r"(?<![\d,.])\d{5,}(?![\d.])", lambda digits: f"{int(digits[0]):,}", text)
    text = re.sub(r"^-(?=0\.?0*( |$))", "", text)
    return re.sub(r"^-", "−", text)


def _paired(table: Table) -> Table:
    """With each column "half", "X_half" or "±" behind ± in the column before it."""
    half = [place for place, column in enumerate(table.columns) if re.search(r"(^|_)half$|^±$", column[-1])]
    cells = [
        [
            f"{text} ± {row[place + 1]}" if place + 1 in half else text
            for place, text in enumerate(row)
            if place not in half
        ]
        for row in table.cells
    ]
    return replace(table, columns=[c for place, c in enumerate(table.columns) if place not in half], cells=cells)


def _width(table: Table, stacked: bool) -> float:
    """Estimated pixels."""
    widths = []
    for label, line in zip(table.columns, zip(*table.cells)):
        parts = [part for text in line for part in (re.split(" (?=±)", text) if stacked else [text])]
        widths.append(_column(parts, _is_text(line), label[-1]))
    for name, line in zip(table.row_names, zip(*table.rows)):
        widths.append(_column(line, True, name))
    return sum(widths)


def _column(texts: Sequence[str], wraps: bool, label: str) -> float:
    widest = max(map(len, texts), default=0)
    head = max(map(len, re.split("[ _]", label)))
    return DIGIT * max(min(widest, TEXT) if wraps else widest, head) + GAP


def _is_text(line: Sequence[str]) -> bool:
    return not all(NUMBER.fullmatch(text) or text in ("yes", "no") for text in line)


def _written(table: Table, caption: str | None) -> str:
    stacked = _width(table, False) > PAGE
    models = list(dict.fromkeys(column[0] for column in table.columns))
    several = len(models) > 1 and set(models) <= {*map(short_name, MODEL_NAMES)} and len(table.columns[0]) > 1
    if several and _width(table, stacked) > PAGE:
        parts = [_part(table, model) for model in models]
        return "\n".join(
            _figure(part, f"{caption.rstrip('.')}: {model}." if caption else model, _width(part, False) > PAGE)
            for model, part in zip(models, parts)
        )
    return _figure(table, caption, stacked)


def _part(table: Table, model: str) -> Table:
    """The columns of one model."""
    places = [place for place, column in enumerate(table.columns) if column[0] == model]
    return replace(
        table,
        columns=[table.columns[place][1:] for place in places],
        cells=[[row[place] for place in places] for row in table.cells],
        column_names=table.column_names[1:],
    )


def _figure(table: Table, caption: str | None, stacked: bool) -> str:
    head = _head(table)
    text = [_is_text(line) for line in zip(*table.cells)]
    body, levels = [], len(table.row_names)
    for place, (labels, cells) in enumerate(zip(table.rows, table.cells)):
        row = [
            f'<th scope="row" class="label-{level}"{_span("row", table.rows, place, level)}>'
            f"{_whole_label(labels[level])}</th>"
            for level in range(levels)
            if level == levels - 1 or not place or table.rows[place - 1][: level + 1] != labels[: level + 1]
        ]
        row += [f'<td class="text">{_broken(one)}</td>' if is_text else f"<td>{_half(one)}</td>"
                for one, is_text in zip(cells, text)]  # fmt: skip
        body.append(f"<tr>{''.join(row)}</tr>")
    said_of = f"<figcaption>{escape(caption, quote=False)}</figcaption>" if caption else ""
    kind = "numbers stacked" if stacked else "numbers"
    return (
        f'<figure class="{kind}">{said_of}<div class="scrolls"><table class="dataframe">'
        f"<thead>{head}</thead>\n<tbody>\n{chr(10).join(body)}\n</tbody></table></div></figure>"
    )


def _head(table: Table) -> str:
    """Rows of labels; the rows' names stand beside the lowest, or below it if that has a name of its own."""
    levels, deep = len(table.row_names), len(table.column_names)
    bare = [name if all(re.fullmatch(r"[\d.,]+( %)?", column[level]) for column in table.columns) else ""
            for level, name in enumerate(table.column_names)]  # fmt: skip
    apart = bool(any(table.row_names) and bare[-1])
    lines = []
    for level in range(deep):
        line = []
        if levels and level == deep - 1 and not apart and any(table.row_names):
            line += [f'<th scope="col">{_broken(name)}</th>' if name else "<td></td>" for name in table.row_names]
        elif levels:
            over = f' colspan="{levels}"' if levels > 1 else ""
            line.append(f'<th scope="row"{over}>{bare[level]}</th>' if bare[level] else f"<td{over}></td>")
        for place, column in enumerate(table.columns):
            if level == deep - 1 or not place or table.columns[place - 1][: level + 1] != column[: level + 1]:
                span = "" if level == deep - 1 else _span("col", table.columns, place, level)
                line.append(
                    f'<th scope="col"{span}>{_broken(column[level])}</th>' if column[level] else f"<td{span}></td>"
                )
        lines.append(f"<tr>{''.join(line)}</tr>")
    if apart:
        names = [f'<th scope="col">{_broken(name)}</th>' if name else "<td></td>" for name in table.row_names]
        lines.append(f"<tr>{''.join(names)}{'<td></td>' * len(table.columns)}</tr>")
    return "\n".join(lines)


def _span(which: str, labels: Sequence[tuple[str, ...]], place: int, level: int) -> str:
    """The attribute by which a label stands for those after it that are the same."""
    if level == len(labels[0]) - 1:
        return ""
    alike = 1
    while place + alike < len(labels) and labels[place + alike][: level + 1] == labels[place][: level + 1]:
        alike += 1
    return f' {which}span="{alike}"' if alike > 1 else ""


def _broken(text: str) -> str:
    """As HTML: long names may break behind _ and /, "5 %" does not; a notebook's name leads to its page."""
    if CHAPTER.fullmatch(text):
        return f'<a href="{text}.html">{chapter_name(text)}</a>'
    text = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", escape(text, quote=False))
    return re.sub(r"(?<=\w)([_/])(?=\w)", r"\1<wbr>", text)


def _whole_label(text: str) -> str:
    """A short one stays on its line."""
    return _broken(text).replace(" ", "\N{NO-BREAK SPACE}") if len(text) <= SHORT else _broken(text)


def _half(text: str) -> str:
    value, sign, half = text.partition(" ±")
    return f'{value}<span class="half"> ±{half}</span>' if sign else value
