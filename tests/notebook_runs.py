"""Many notebooks in one kernel: an import of torch and timm takes as long as many a notebook."""

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
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

    Of its cells those that the profile has a say in, and those that these need: nbval runs the others, and they would
    do the same again.
    """
    _forget(kernel)
    notebook = parameterize_notebook(load_notebook_node(str(path)), dict(parameters))
    needed = of_the_profile([cell.source for cell in notebook.cells if cell.cell_type == "code"])
    code = iter(needed)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "code" or next(code)]
    return NotebookClient(notebook, km=kernel, timeout=600).execute()


def told(sources: Sequence[str]) -> int:
    """Which cell of code tells the profile."""
    return next(place for place, source in enumerate(sources) if "run.describe()" in source)


def of_the_profile(sources: Sequence[str]) -> list[bool]:
    """Which cells of code are needed to see what the profile has a say in; those up to the one that tells it are."""
    names, said = [_names(source) for source in sources], told(sources)
    needed, changed = [place <= said for place in range(len(sources))], set(OF_THE_PROFILE)
    for place, (used, made) in enumerate(names[said + 1 :], said + 1):
        needed[place] = bool(used & changed)
        changed = changed | made if needed[place] else changed - (made - used)
    wanted = set()
    for place, (used, made) in reversed([*enumerate(names)]):
        needed[place] |= bool(made & wanted)
        wanted = (wanted - made) | used if needed[place] else wanted
    return needed


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell reads, and those that it makes or changes."""
    used, made = set(), set()
    for node in ast.walk(ast.parse(re.sub(r"^( *)%.*", r"\1pass", source, flags=re.MULTILINE))):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            made.add(node.name)
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            made |= {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
    return used, made


def _forget(kernel: KernelManager) -> None:
    client = kernel.client()
    client.start_channels()
    client.wait_for_ready()
    client.execute_interactive("%reset -f", silent=True)
    client.stop_channels()
