"""Take executed notebooks over as the committed ones, without what a run leaves in their metadata.

    python data_scripts/commit_outputs.py build/executed/lite notebooks

Times, papermill's own cell and its metadata go, so that a difference between two commits is a
difference in what a notebook says.
"""

from pathlib import Path

import nbformat
import typer


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop papermill's cell and metadata, times, and stderr (progress)."""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata
    }
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    count = 0
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "mystnb") if cell.metadata.get(key)}
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return notebook


def main(executed: Path, committed: Path) -> None:
    """Copy every notebook of EXECUTED, cleaned, into COMMITTED."""
    for path in sorted(executed.glob("*.ipynb")):
        nbformat.write(clean(nbformat.read(path, as_version=4)), committed / path.name)


if __name__ == "__main__":
    typer.run(main)
