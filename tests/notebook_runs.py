"""Many notebooks in one kernel: an import of torch and timm takes as long as many a notebook."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook


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
    """The notebook with papermill's injected parameters, run in this kernel, in which no earlier one left a name."""
    _forget(kernel)
    notebook = parameterize_notebook(load_notebook_node(str(path)), dict(parameters))
    return NotebookClient(notebook, km=kernel, timeout=600).execute()


def _forget(kernel: KernelManager) -> None:
    client = kernel.client()
    client.start_channels()
    client.wait_for_ready()
    client.execute_interactive("%reset -f", silent=True)
    client.stop_channels()
