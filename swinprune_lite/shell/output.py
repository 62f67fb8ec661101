"""How a command speaks: tables to the output, progress and warnings to the error output, or one JSON object."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.tree import Tree
from safetensors import SafetensorError

if TYPE_CHECKING:
    from rich.progress import Task

NOT_DONE, INTERRUPTED = 1, 130  # exit codes, beside 0 and the 2 of a line that could not be read
PATIENCE = 20  # seconds between two lines on long work, where there is no terminal for a bar
WIDE = 160  # columns of a tree in a file or a pipe
EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx", "distributed": "grid", "skimage": "pretrained"}
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"), (1, ""))
EXPECTED = (ValueError, OSError, LookupError, MemoryError, ImportError, RuntimeError, SafetensorError,
            FloatingPointError)  # fmt: skip
"""What bad input, a full disk or a machine too small raise; anything else is a mistake of this package."""


def complain(text: str) -> None:
    """One line on the error output."""
    if text:  # that of a call without any argument is the help, which was printed
        print(" ".join(text.split()), file=sys.stderr)


def sentence(error: BaseException) -> str:
    """What went wrong, in words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    said = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    if said.startswith("Caught ") and "Original Traceback" in said:  # out of a worker process of a DataLoader
        said = said.rstrip().rpartition("\n")[2].partition(": ")[2]
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get(str(error.name).partition(".")[0])
        return f"{said}; pip install 'swinprune-lite[{extra}]' brings it." if extra else said
    if isinstance(error, MemoryError):
        return f"The memory of this machine does not suffice{': ' + said if said else ''}; give less at a time."
    if isinstance(error, SafetensorError):
        return f"A file of weights cannot be read or written: {said}."
    return said or type(error).__name__


def change(before: float, after: float) -> str:
    """Two counts in one unit, such as "4.49 => 2.24 G"."""
    unit, name = next((unit for unit in UNITS if before >= unit[0]), UNITS[-1])
    return f"{before / unit:.2f} => {after / unit:.2f} {name}".rstrip() if name else f"{before:,} => {after:,}"


def count(number: float) -> str:
    """A count in its unit, such as "28.3 M"."""
    unit, name = next((unit for unit in UNITS if number >= unit[0]), UNITS[-1])
    return f"{number / unit:.3g} {name}" if name else f"{number:,}"


class Output:
    """Where a command's words go.

    Attributes:
        json: one JSON object and nothing else on the output.
        quiet: no tables, no progress and no notes; errors are told all the same.
    """

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json, quiet
        plain = {"highlight": False, "markup": False}  # a path may have brackets
        self.out, self.error = Console(**plain), Console(stderr=True, **plain)
        self.wide = Console(width=WIDE, **plain)

    def show(self, *parts: object) -> None:
        """Print text (a string is not wrapped, since it may hold a path), tables or trees, unless quiet or in JSON."""
        if not self.json and not self.quiet:
            for part in parts:
                console = self.wide if isinstance(part, Tree) and not self.out.is_terminal else self.out
                console.print(part, soft_wrap=isinstance(part, str))

    def note(self, text: str, loud: bool = False) -> None:
        """A sentence on the error output, unless quiet."""
        if not self.quiet:
            self.error.print(text, style="bold yellow" if loud else None, soft_wrap=True)

    def record(self, record: Mapping[str, object]) -> None:
        """Print the command's JSON object, where it was asked for."""
        if self.json:
            print(json.dumps(record))

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[SimpleNamespace]:
        """A bar on the error output while work is done; `advance(1)` after each of its `total` steps, or `reach(n)`.

        Where the error output is no terminal, a line now and then takes the bar's place.

        Args:
            what: is done, in a word or two.
            total: steps; None: it is not known how many.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        steps = [MofNCompleteColumn(), TimeRemainingColumn()] if total else []
        columns = [TextColumn("{task.description}"), BarColumn(), *steps]
        hidden = self.quiet or not self.error.is_terminal
        bar = Progress(*columns, console=self.error, transient=True, disable=hidden)
        task = bar.add_task(what, total=total)
        with bar, self._lines(bar.tasks[0]) if hidden else nullcontext():
            yield SimpleNamespace(
                advance=lambda steps=1: bar.advance(task, steps), reach=lambda done: bar.update(task, completed=done)
            )

    @contextmanager
    def _lines(self, task: "Task") -> Iterator[None]:
        """Says every `PATIENCE` seconds how far a task is."""
        done, started = threading.Event(), time.monotonic()

        def tell() -> None:
            while not done.wait(PATIENCE):
                steps = f", {task.completed:g} of {task.total:g}" if task.total else ""
                self.note(f"{task.description}{steps}: {time.monotonic() - started:.0f} s")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()
