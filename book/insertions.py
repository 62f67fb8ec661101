"""What is computed when the book is laid out: the errata, how many stars tables hold, what the first page shows."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import nbformat
import pandas as pd
import torch
import yaml
from page_tables import WORDS, chapter_name

import swinprune_lite as sp
from swinprune_lite import figures
from swinprune_lite.files import RESULTS
from swinprune_lite.paper import arithmetic
from swinprune_lite.paper.verdicts import ARITHMETIC, CONTRADICTED, WITHIN
from swinprune_lite.pruning.importance import importance

LEVEL = 0.05  # of a 95 % interval
FIRST = "fig-threshold"
DIFFERENCE = re.compile(r"([+−-]?)[\d.]+ ± [\d.]+( \*)?")


def markdown(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def stars(notebooks: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Stem of each notebook with tables that mark differences by a star -> how many differences, how many stars.

    A table marks them if one of its cells has a star. Differences stand in the columns in which all cells are signed.
    """
    found = {}
    for path in sorted(notebooks):
        tables = [
            output["data"].get("text/html", "")
            for cell in nbformat.read(path, as_version=4).cells
            for output in cell.get("outputs", [])
            if "data" in output
        ]
        marks = [cells for table in tables if any(cells := _starred(table))]
        if marks:
            found[path.stem] = sum(map(len, marks)), sum(map(sum, marks))
    return found


def _starred(table: str) -> list[bool]:
    """Of each difference in a table of HTML, whether it has a star."""
    rows = [cells for row in table.split("</tr>") if (cells := re.findall(r"<td>(.*?)</td>", row))]
    columns = [[found for cell in column if (found := DIFFERENCE.fullmatch(cell))] for column in zip(*rows)]
    return [bool(found[2]) for column in columns if all(found[1] for found in column) for found in column]


def stars_table(notebooks: Iterable[Path]) -> str:
    """`stars` as Markdown, with how many chance gives at most."""
    found = stars(notebooks)
    rows = [(_link(chapter_name(stem), stem), *counts) for stem, counts in found.items()]
    rows.append(("**all**", *map(sum, zip(*found.values()))))
    columns = ["chapter", "differences", "stars", "by chance"]
    return markdown(columns, [(*row, f"{LEVEL * row[1]:.1f}") for row in rows])


def errata() -> dict[str, str]:
    """Name of each part of the errata -> its table as Markdown."""
    ledger = pd.read_csv(RESULTS / "ledger.csv", keep_default_na=False)
    return {
        "arithmetic": _against_itself(ledger[ledger.verdict == ARITHMETIC]),
        "counted": _counted(ledger[ledger.verdict == CONTRADICTED]),
        "cut": _counted(ledger[(ledger.verdict == WITHIN) & ledger.source.eq("figure3_modules")]),
        "elsewhere": _elsewhere(),
    }


def equation_21() -> tuple[int, int]:
    """Parameters of lite tiny by the lines of equation 21 as printed, QKV-M twice and no PRJ-M, and all it has."""
    model = sp.create_lite("swin_lite_tiny")
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    sums = {module: sum(map(sizes.get, names)) for module, names in sp.modules(model).items()}
    return sum(map(sums.get, ("QKV-M", "QKV-M", "MLP-M", "AUX-M"))), sum(sums.values())


def share_picture(path: Path) -> None:
    """Write what a link to the book shows: the scores of three small layers under one threshold, as a PNG."""
    layers = {"4, 2, 1": [4.0, 2, 1], "0.4, 0.2, 0.1": [0.4, 0.2, 0.1], "1, 1, 1": [1.0, 1, 1]}
    scores = {name: importance(torch.tensor(weights)).tolist() for name, weights in layers.items()}
    figures.set_style()
    figure = figures.scores_by_layer(scores, 0.3)
    figure.set_size_inches(6, 3.15)
    figure.suptitle("Pruning a Swin without data", fontsize=18)
    figure.savefig(path, dpi=200, metadata={"Software": None})


def first_picture(executed: Path, path: Path) -> None:
    """Write the drawing of the first page, a figure of the notebook that works the score out by hand."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(figure(executed / "idea_score_by_hand.ipynb", FIRST)[0])


@cache
def read(notebook: Path) -> nbformat.NotebookNode:
    """A notebook, which nobody may change."""
    return nbformat.read(notebook, as_version=4)


def figure(notebook: Path, name: str) -> tuple[str, str]:
    """The drawing (SVG) and the alternative text of a notebook's figure; LookupError if it has none of that name."""
    for cell in read(notebook).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name:
            drawn = next(each.data["image/svg+xml"] for each in cell.outputs if "image/svg+xml" in each.get("data", {}))
            return "".join(drawn), cell.metadata.mystnb.image.alt
    raise LookupError(f"{notebook.name} has no figure {name!r}.")


def colab_button() -> str:
    """The button that opens the chapter to begin with in Colab."""
    repository = yaml.safe_load((Path(__file__).parent / "_config.yml").read_text())["repository"]
    address = repository["url"].replace("https://github.com", "https://colab.research.google.com/github")
    notebook = f"{address}/blob/{repository['branch']}/notebooks/idea_score_by_hand.ipynb"
    return f"```{{button-link}} {notebook}\n:color: primary\n\nTry the score in Colab\n```"


def contributing() -> str:
    """The guide for contributors without its title; its links to files lead to the repository."""
    repository = yaml.safe_load((Path(__file__).parent / "_config.yml").read_text())["repository"]
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text().partition("\n")[2]
    return re.sub(r"\]\((?!\w+:)", f"]({repository['url']}/blob/{repository['branch']}/", text)


def _link(text: str, notebook: str) -> str:
    return f"{{doc}}`{text} <notebooks/{notebook}>`"


def _against_itself(rows: pd.DataFrame) -> str:
    found: dict[str, list] = {}
    for row in rows.itertuples():  # numbers that are suspected together have the same reason
        where, _, column = row.where.rpartition(", ")
        place, said = (where, f"{WORDS[column]} {row.paper}") if column in WORDS else (row.where, row.paper)
        entry = found.setdefault(row.ours, [place, [], row.source])
        entry[1].append(said)
    lines = [(_link(place, source), "; ".join(said), ours) for ours, (place, said, source) in found.items()]
    printed, whole = equation_21()
    said = f"PRJ-M in the second: as printed the lines have {printed:,} parameters in lite tiny, which has {whole:,}"
    twice = "QKV-M in the first line and again in the second"
    lines.append((_link("equation 21", "figure3_modules"), twice, said))
    return markdown(["where", "printed", "what other numbers give"], lines)


def _counted(rows: pd.DataFrame) -> str:
    lines = []
    for row in rows.itertuples():
        where, _, column = row.where.rpartition(", ")
        lines.append((_link(where, row.source), WORDS[column], row.paper, row.ours))
    return markdown(["where", "number", "printed", "counted"], lines)


def _elsewhere() -> str:
    found = arithmetic.elsewhere()
    lines = [
        (
            f"{row.table.replace('table', 'table ')}, {row.method}",
            WORDS[row.column],
            row.paper,
            row.elsewhere,
            row.source,
        )
        for row in found[found.differs].itertuples()
    ]
    return markdown(["where", "number", "printed", "elsewhere", "by"], lines)
