"""Lay out what Jupyter Book builds from: the prose of book/ and the executed notebooks.

    python book/assemble.py build/executed/lite build/book

Every page that holds numbers says below its title what they are of (see `holds_numbers` and `of_profile` for
the rule). `page_cells` says what of a notebook is on its page, and `terms` links terms at their first use. The first
page gets the ledger's totals and what carries over to a pretrained transformer, the page on pretrained weights its
estimates, the page on the commands their help, those on the library its docstrings (`api_pages`), the status its times
(`status_page`), and others what `insertions` computes. The report of the lite models,
a page by itself, is made anew.
"""

import re
import shutil
from functools import cache
from pathlib import Path

import api_pages
import command_pages
import insertions
import nbformat
import page_cells
import pandas as pd
import status_page
import typer
from teaching import pages as teaching
from terms import FENCE, linked

from swinprune_lite.figures.style import MODEL_NAMES, short_name
from swinprune_lite.files import RESULTS
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.store import Store
from swinprune_lite.paper.ledger import totals
from swinprune_lite.report import lite_data, write_report
from swinprune_lite.studies import estimate, pretrained, repair
from swinprune_lite.studies.profiles import get_profile

BOOK = Path(__file__).parent
TOTALS = "<!-- totals of the ledger -->"
CARRIED = "<!-- what carries over -->"
ESTIMATES = "<!-- estimates -->"
COMMANDS = "<!-- commands -->"
STARS = "<!-- stars -->"
NOTE_HERE = "<!-- note -->"
COLAB = "<!-- colab -->"
STATUS = "<!-- status -->"
CONTRIBUTING = "<!-- contributing -->"
ERRATA = "<!-- errata: {} -->"
REPORT = "report_lite.html"
NOTE, NOTE_JA = "Numbers on this page", "このページの数値"
NO_PROFILE = (
    "Of no profile: counts and times of architectures that need no trained weights, and numbers that the paper prints."
)
NOT_IMAGENET = "What was measured here is no ImageNet result."
IN_THE_NOTEBOOK = "Imports and parameters stand in the notebook alone, which the buttons above open."


def totals_table() -> str:
    """The ledger's totals as Markdown, from the file that its notebook wrote."""
    counted = totals(pd.read_csv(RESULTS / "ledger.csv", keep_default_na=False))
    lines = [f"| {verdict} | {count} |" for verdict, count in counted["rows"].items()]
    return "\n".join(["| verdict | rows |", "| --- | ---: |", *lines, f"| **all** | **{counted['rows'].sum()}** |"])


@cache
def store() -> Store:
    """The results store, read once."""
    return Store()


def carried_table() -> str:
    """What becomes of the lite models' orders of methods on the pretrained transformer, as Markdown."""
    profiles = (pretrained.PROFILE, get_profile("lite"), repair.PROFILE)
    found = pretrained.carried(pretrained.orders(*(Evidence(profile, store()) for profile in profiles)))
    return _table(found.rename_axis("an order of DIMAP and another method").reset_index())


def estimates() -> str:
    """Hours and memory of the profiles with pretrained weights, as Markdown."""
    measured = estimate.throughput()
    machines = {"measured speed, here": None, estimate.COLAB.name: estimate.COLAB, estimate.LARGE.name: estimate.LARGE}
    times = {}
    for profile in ("imagenette", "imagenet"):
        for kind in ("evaluation", "fine-tuning"):
            for name, machine in machines.items():
                taken = estimate.hours(get_profile(profile), machine)[kind]
                times[profile, kind, name] = taken.map("{:,.2g}".format if taken.max() < 100 else "{:,.0f}".format)
    times = pd.DataFrame(times).T.rename_axis(["profile", "hours of", "machine"]).reset_index()
    batch = get_profile("imagenette").batch_size
    memory = (estimate.memory(batch) / 1e9).round(1).reset_index()
    rates = estimate.by_model(measured["rows"], "images_a_second").round(1).reset_index()
    return (
        "**All hours and gigabytes here are estimates.** Measured were, on one machine "
        f"({measured['device']}, torch {measured['torch']}), images a second\n\n{_table(rates)}\n\nand memory, whose "
        f"extension to batches of {batch} images gives, in gigabytes,\n\n{_table(memory)}\n\n"
        "For other machines the MACs of all images are divided by the maker's float32 peak, of which "
        f"{estimate.COLAB.share:.0%} (T4) and {estimate.LARGE.share:.0%} (A100) are assumed to be reached; a training "
        f"step counts as {estimate.BACKWARD} forward passes. Fetching and decoding images comes on top. Hours for the "
        f"profile's whole grid, which tables 1, 3 and 4 show most of:\n\n{_table(times)}\n"
    )


def _table(frame: pd.DataFrame) -> str:
    return insertions.markdown(frame.columns, frame.values)


def holds_numbers(page: str) -> bool:
    """Whether a page of book/ states results: a computed table, or a share, points or a multiple outside code."""
    prose = FENCE.sub(lambda found: found[3] if found[2].startswith("{") else "", page)  # a directive holds prose
    prose = re.sub(r"`[^`]*`", "", prose)
    return any(mark in page for mark in (TOTALS, CARRIED, ESTIMATES)) or bool(
        re.search(r"\d\s?%|\d\s(points|times)\b", prose)
    )


def of_profile(notebook: nbformat.NotebookNode) -> bool:
    """Whether a notebook's numbers are of its profile's models: loaded, or from their evidence or its study's."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return bool(re.search(r"\brun\.load\(|\bevidence_for\(run\)|\bEvidence\(study\.PROFILE\)", code))


def noted(page: str, line: str, notebook: bool = False) -> str:
    """The page with a note, below its title or at its mark, of what its numbers are of; one with its own as it is."""
    if NOTE in page or NOTE_JA in page:
        return page
    title, _, rest = page.partition("\n")
    line = re.sub(rf"\b({'|'.join(MODEL_NAMES)})\b", lambda name: f"{short_name(name[0])} (`{name[0]}`)", line)
    more = "What the profiles are is told by" if line == NO_PROFILE else f"{NOT_IMAGENET} For other profiles see"
    more += " {doc}`/real`."
    if notebook:
        more += f" {IN_THE_NOTEBOOK}"
    note = f"```{{admonition}} {NOTE}\n:class: note\n{line} {more}\n```"
    return page.replace(NOTE_HERE, note) if NOTE_HERE in page else f"{title}\n\n{note}\n{rest}"


def profiles_of(notebook: nbformat.NotebookNode) -> str:
    """The lines of an executed notebook that name its profiles and their models."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    lines = "".join(output.text for output in outputs if output.get("name") == "stdout").splitlines()
    return " ".join(dict.fromkeys(line for line in lines if line.startswith("Profile ")))


def main(executed: Path, output: Path) -> None:
    """Write the sources of the book under OUTPUT from the notebooks in EXECUTED."""
    notebooks = sorted(executed.glob("*.ipynb"))
    if not notebooks:
        raise SystemExit(f"{executed} holds no notebook; run 'make book'.")
    output.mkdir(parents=True, exist_ok=True)
    for path in BOOK.rglob("*"):
        if path.suffix in {".md", ".yml", ".bib"}:
            target = output / path.relative_to(BOOK)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    lite = get_profile("lite").describe().splitlines()[0]  # the prose speaks of these models alone
    inserted = {
        TOTALS: totals_table(),
        CARRIED: carried_table(),
        ESTIMATES: estimates(),
        COMMANDS: command_pages.pages(),
        STARS: insertions.stars_table(notebooks),
        COLAB: insertions.colab_button(),
        STATUS: status_page.status(notebooks),
        CONTRIBUTING: insertions.contributing(),
    }
    inserted |= {ERRATA.format(part): table for part, table in insertions.errata().items()}
    marks, files = teaching.insertions(executed, store())
    inserted |= marks
    for page in (output / path.relative_to(BOOK) for path in BOOK.rglob("*.md")):
        text = page.read_text()
        text = noted(text, lite) if holds_numbers(text) else text
        for mark, insertion in inserted.items():
            text = text.replace(mark, insertion)
        text = linked(page.relative_to(output).with_suffix("").as_posix(), [text])[0]
        page.write_text(api_pages.filled(text))
    for folder in ("_static", "_extensions"):
        shutil.copytree(BOOK / folder, output / folder, dirs_exist_ok=True)
    write_report(lite_data(store()), output / "_static" / REPORT)
    for name, text in files.items():
        (output / "_static" / name).write_text(text)
    insertions.share_picture(output / "_static" / "share.png")
    insertions.first_picture(executed, output / "pictures" / "idea.svg")
    (output / "notebooks").mkdir(exist_ok=True)
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        line = profiles_of(notebook) if of_profile(notebook) else NO_PROFILE
        notebook.cells[0].source = noted(notebook.cells[0].source, line, notebook=True)
        prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        for cell, text in zip(prose, linked(f"notebooks/{path.stem}", [cell.source for cell in prose])):
            cell.source = text
        nbformat.write(page_cells.page_of(notebook), output / "notebooks" / path.name)
    page_cells.narrow(output / "notebooks")


if __name__ == "__main__":
    typer.run(main)
