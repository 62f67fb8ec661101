"""Lay out what Jupyter Book builds from: the prose of book/ and the executed notebooks.

    python book/assemble.py build/executed/lite build/book

Papermill's own cell is hidden from the page, not removed: the reader of a profile other than the
default must be able to see which one ran. The first page gets the ledger's totals.
"""

import shutil
from pathlib import Path

import nbformat
import pandas as pd
import typer

from swinprune_lite.reproduction.ledger import totals
from swinprune_lite.reproduction.store import RESULTS

BOOK = Path(__file__).parent
TOTALS = "<!-- totals of the ledger -->"


def totals_table() -> str:
    """The ledger's totals as Markdown, from the file that its notebook wrote."""
    counted = totals(pd.read_csv(RESULTS / "ledger.csv", keep_default_na=False))
    lines = [f"| {verdict} | {count} |" for verdict, count in counted["rows"].items()]
    return "\n".join(["| verdict | rows |", "| --- | ---: |", *lines, f"| **all** | **{counted['rows'].sum()}** |"])


def main(executed: Path, output: Path) -> None:
    """Write the sources of the book under OUTPUT from the notebooks in EXECUTED."""
    notebooks = sorted(executed.glob("*.ipynb"))
    if not notebooks:
        raise SystemExit(f"{executed} holds no notebook; run 'make book'.")
    output.mkdir(parents=True, exist_ok=True)
    for path in BOOK.iterdir():
        if path.suffix in {".md", ".yml", ".bib"}:
            shutil.copy(path, output)
    index = output / "index.md"
    index.write_text(index.read_text().replace(TOTALS, totals_table()))
    shutil.copytree(BOOK / "_static", output / "_static", dirs_exist_ok=True)
    (output / "notebooks").mkdir(exist_ok=True)
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell.metadata.tags.append("hide-cell")
        nbformat.write(notebook, output / "notebooks" / path.name)


if __name__ == "__main__":
    typer.run(main)
