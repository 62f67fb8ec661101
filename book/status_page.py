"""What `book/status.md` says: how long each notebook of this build took, when, and with what."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import contents
import nbformat
from insertions import markdown

from swinprune_lite.clock.benching import machine
from swinprune_lite.provenance import provenance

NO_TIMES = (
    "**This build ran no notebook.** It shows the outputs that come with the repository, which carry no times: "
    "`make book` runs the notebooks, and says here how long each took."
)
LIBRARIES = ("torch", "timm", "numpy", "pandas", "matplotlib", "jupyter-book")


def status(notebooks: Iterable[Path]) -> str:
    """The page's computed part, as Markdown.

    Args:
        notebooks: executed notebooks. papermill leaves in their metadata when they ran and for how many seconds; the
            committed ones have none.
    """
    order = contents.pages()
    ran = {}
    for path in sorted(notebooks, key=lambda path: order.index(f"notebooks/{path.stem}")):
        ran[path.stem] = nbformat.read(path, as_version=4).metadata.get("papermill", {})
    timed = [run["duration"] for run in ran.values() if run.get("duration") is not None]
    return f"{_times(ran, timed) if timed else NO_TIMES}\n\n## With what\n\n{_versions()}"


def _times(ran: dict[str, dict], timed: list[float]) -> str:
    rows = [
        (f"{{doc}}`notebooks/{stem}`", *(_run(run) if run.get("duration") is not None else ["not recorded"] * 3))
        for stem, run in ran.items()
    ]
    rows.append(("**all that are recorded**", f"**{sum(timed):.0f}**", "", ""))
    return markdown(["chapter", "seconds", "begun (UTC)", "profile"], rows)


def _run(run: dict) -> tuple[str, str, str]:
    begun = run["start_time"][:16].replace("T", " ")
    return f"{run['duration']:.0f}", begun, run["parameters"].get("profile", "its own")


def _versions() -> str:
    made = provenance()
    rows = [
        ("laid out (UTC)", made["date"][:16].replace("T", " ")),
        ("machine", machine().partition(";")[0]),  # what follows is of this process alone
        ("Python", made["python"]),
    ]
    return markdown(["what", "which"], [*rows, *((name, version(name)) for name in LIBRARIES)])
