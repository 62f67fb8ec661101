"""The command line, `swinprune` or `python -m swinprune_lite`: every file of `commands` is one command."""

import io
import pkgutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from importlib import import_module
from itertools import pairwise
from typing import Annotated

import typer

import swinprune_lite.commands
from swinprune_lite.shell.output import EXPECTED, INTERRUPTED, NOT_DONE, complain, sentence

ORDER = ("inspect", "prune", "evaluate", "finetune", "bench", "export", "report", "grid", "audit", "fetch")
"""Of the commands in the help."""
WRONG_USE = typer.BadParameter.__mro__[2]  # ClickException, which typer brings along under a name of its own

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Exit codes: 0 done; 1 it could not be done; 2 the line could not be read: an unknown command or option, a "
    "missing argument, or a value of another type or outside the range that the help has in brackets; 130 interrupted. "
    "`swinprune COMMAND --help` has two examples of each.",
)


def commands() -> list[str]:
    """Names of the commands, in the order of a first use."""
    found = [module.name for module in pkgutil.iter_modules(swinprune_lite.commands.__path__)]
    return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


for _name in commands():
    _module = import_module(f"swinprune_lite.commands.{_name}")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(getattr(_module, _name))


def _version(asked: bool) -> None:
    if asked:
        print(f"swinprune-lite {swinprune_lite.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Prune, repair, measure and explain your own vision transformer, without data unless you give some."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and say in one sentence what could not be done.

    Args:
        arguments: after the program's name; None: the process's own.

    Returns:
        0 done; 1 could not be done; 2 the line could not be read; 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name of a file that the terminal cannot show
    quiet = redirect_stderr(io.StringIO()) if {"-q", "--quiet"} & set(arguments) else nullcontext()
    ended: list[int] = []
    try:
        with _interrupted_by(ended), _warnings_in_a_line(), quiet:  # of errors it is told below
            code = app(arguments, prog_name="swinprune", standalone_mode=False) or 0
    except WRONG_USE as error:
        complain(_usage(error, arguments))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # who read the output has gone, as `head` does
        sys.stdout = None
        return NOT_DONE
    except EXPECTED as error:
        if not ended:  # else it is an echo of the signal, as a worker process that it ended
            complain(sentence(error))
            return NOT_DONE
        code = INTERRUPTED
    if code == INTERRUPTED:
        complain("Interrupted; what was there before is as it was, and the same command may be run again.")
    return code


def _usage(error: typer.BadParameter, arguments: Sequence[str]) -> str:
    """What was wrong in an argument, what was given, and what the help says of it."""
    said, option = error.format_message(), getattr(error, "param", None)
    words = [*pairwise(arguments), *(word.split("=", 1) for word in arguments if "=" in word)]
    given = [value for name, value in words if option and name in option.opts]
    return f"{said.rstrip('.')}; got {given[-1]!r}. It is: {option.help}" if given else said


@contextmanager
def _interrupted_by(ended: list[int]) -> Iterator[None]:
    """A request to end, as schedulers send it, ends the command as Ctrl-C does, so that no half file is left.

    Args:
        ended: gets the signals that came; what ends in their wake, as threads of libraries do, is silent from then on.
    """

    def end(number: int, _) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    def unraisable(about: object) -> None:
        if not ended:
            hook(about)

    before = {}
    with suppress(ValueError):  # not in the main thread
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # else it is someone else's
                before[number] = signal.signal(number, end)
    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Warnings of this package as a sentence on the error output; others' are about their own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", category=UserWarning, module=r"swinprune_lite\.")
        warnings.showwarning = lambda message, *where: complain(f"Note: {message}")
        yield


if __name__ == "__main__":
    sys.exit(main())
