"""What a reader sees of an executed notebook: its tables and prints as `page_tables` writes them, and no boilerplate.

The notebook keeps all of it. The page leaves out the cell that installs the package, the parameters, and of the cell
that begins the run its imports and the lines that say which profile it is, since a note below the title says that.
"""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import page_tables

from swinprune_lite.studies.profiles import get_profile

COLUMNS = 80
BOILERPLATE = ("run = get_profile(", "figures.set_style()", "print(run.describe())", "evidence = evidence_for(run)")
"""How statements begin that a page does not show."""


def page_of(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as the book shows it."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        if {"parameters", "injected-parameters"} & {*tags} or 'find_spec("swinprune_lite")' in cell.source:
            cell.metadata.tags = ["remove-cell"]
        elif "print(run.describe())" in cell.source:
            _only_own(cell)
        caption = cell.metadata.get("mystnb", {}).pop("table", {}).get("caption")
        for output in cell.outputs:
            if "text" in output:
                output.text = page_tables.said(output.text)
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = page_tables.shown(data["text/html"], caption)
            elif "text/plain" in data:
                data["text/plain"] = page_tables.said(data["text/plain"])
    return notebook


def narrow(folder: Path) -> None:
    """Break lines of code so that 80 columns hold them; comments and long texts stay as they are."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--quiet", f"--line-length={COLUMNS}", folder]
    subprocess.run(command, check=True)


def _only_own(cell: nbformat.NotebookNode) -> None:
    """Leave of the cell that begins a run what is this notebook's own."""
    kept = [
        text
        for node in ast.parse(cell.source).body
        if not isinstance(node, (ast.Import, ast.ImportFrom))
        and not (text := ast.get_source_segment(cell.source, node)).startswith(BOILERPLATE)
    ]
    cell.source = "\n".join(kept)
    if not kept:
        cell.metadata.tags = ["remove-cell"]
    for output in cell.outputs:
        if output.get("text", "").startswith("Profile "):
            name = output.text.partition(":")[0].removeprefix("Profile ")
            output.text = output.text.removeprefix(f"{get_profile(name).describe()}\n")
    cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
