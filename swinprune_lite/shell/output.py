"""How a command speaks: tables to the output, progress and warnings to the error output, or one JSON object."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

from rich.console import Console
from safetensors import SafetensorError

NOT_DONE, INTERRUPTED = 1, 130  # exit codes, beside 0 and the 2 of wrong usage
EXPECTED = (ValueError, OSError, LookupError, MemoryError, ImportError, RuntimeError, SafetensorError)
"""What bad input, a full disk or a machine too small raise; anything else is a mistake of this package."""


def complain(text: str) -> None:
    """One line on the error output."""
    print(" ".join(text.split()), file=sys.stderr)


def sentence(error: BaseException) -> str:
    """What went wrong, in words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    said = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    if isinstance(error, MemoryError):
        return f"The memory of this machine does not suffice{': ' + said if said else ''}; give less at a time."
    if isinstance(error, SafetensorError):
        return f"A file of weights cannot be read or written: {said}."
    return said or type(error).__name__


class Output:
    """Where a command's words go.

    Attributes:
        json: one JSON object and nothing else on the output.
        quiet: no tables, no progress and no notes; errors are told all the same.
    """

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json, quiet
        self.out, self.error = Console(highlight=False), Console(stderr=True, highlight=False)

    def show(self, *parts: object) -> None:
        """Print text or rich tables, unless quiet or in JSON."""
        if not self.json and not self.quiet:
            for part in parts:
                self.out.print(part, soft_wrap=isinstance(part, str))

    def note(self, text: str, loud: bool = False) -> None:
        """A sentence on the error output, unless quiet."""
        if not self.quiet:
            self.error.print(text, style="bold yellow" if loud else None, soft_wrap=True, markup=False)

    def record(self, record: Mapping[str, object]) -> None:
        """Print the command's JSON object, where it was asked for."""
        if self.json:
            print(json.dumps(record))

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[SimpleNamespace]:
        """A bar on the error output while work is done; `advance(1)` after each of its `total` steps.

        Args:
            what: is done, in a word or two.
            total: steps; None: it is not known how many.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        steps = [MofNCompleteColumn(), TimeRemainingColumn()] if total else []
        columns = [TextColumn("{task.description}"), BarColumn(), *steps]
        hidden = self.quiet or not self.error.is_terminal
        with Progress(*columns, console=self.error, transient=True, disable=hidden) as bar:
            task = bar.add_task(what, total=total)
            yield SimpleNamespace(advance=lambda steps=1: bar.advance(task, steps))
