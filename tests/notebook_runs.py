"""Many notebooks in one kernel: an import of torch and timm takes as long as many a notebook."""

import ast
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

OF_THE_PROFILE = {"run", "profile", "models", "data", "batch_size"}


@contextmanager
def one_kernel(variables: Mapping[str, str] | None = None, folder: Path | None = None) -> Iterator[KernelManager]:
    """A kernel with these environment variables, in this folder, for several notebooks."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=os.environ | (variables or {}), cwd=folder)
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def executed(path: Path, parameters: Mapping, kernel: KernelManager) -> NotebookNode:
    """The notebook with papermill's injected parameters, run in this kernel, in which no earlier one left a name.

    Of one that no longer looks at its profile once it has said which that is, the cells up to there: nbval runs the
    others, and they would do the same again.
    """
    _forget(kernel)
    notebook = parameterize_notebook(load_notebook_node(str(path)), dict(parameters))
    notebook.cells = notebook.cells[: depends_on_profile(notebook)]
    return NotebookClient(notebook, km=kernel, timeout=600).execute()


def depends_on_profile(notebook: NotebookNode) -> int:
    """How many of its cells: all, or those up to the one that describes the run."""
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    said = next(index for index in code if "run.describe()" in notebook.cells[index].source)
    later = (ast.parse(notebook.cells[index].source) for index in code if index > said)
    names = {node.id for cell in later for node in ast.walk(cell) if isinstance(node, ast.Name)}
    return len(notebook.cells) if names & OF_THE_PROFILE else said + 1


def _forget(kernel: KernelManager) -> None:
    client = kernel.client()
    client.start_channels()
    client.wait_for_ready()
    client.execute_interactive("%reset -f", silent=True)
    client.stop_channels()
