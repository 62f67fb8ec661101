"""The book's exercises, read from its notebooks and pages, and the page that lists them."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import contents
import nbformat
from insertions import markdown

BOOK = Path(__file__).parents[1]
KINDS = {
    "pencil": "answered on paper; a cell may check it",
    "predict, then run": "write the answer down, then run the solution and explain what differs",
    "critique": "somebody claims something; say what is wrong with it, or what it takes to know",
}
ASKED = re.compile(
    r"\*\*Exercise (\d)\.\*\*(?: \((★{1,3}), ([\w, ]+)\))? (.*?)(?=\n\n|\Z)(.*?)(?=\*\*Exercise|\Z)", re.DOTALL
)
WORDS = re.compile(r"(\b[a-zA-Z]+\b[ ,;:.]+){5}")  # five in a row: a sentence, not a table


@dataclass(frozen=True)
class Exercise:
    """One exercise of a page; 0 stars and no kind if it says none. `words`: whether its answer is said in words."""

    page: str
    number: int
    stars: int
    kind: str
    asks: str
    words: bool


def exercises(notebooks: Path) -> list[Exercise]:
    """All exercises of the book, in its order.

    Args:
        notebooks: folder of the notebooks, committed or executed.
    """
    return [exercise for page in contents.pages() for exercise in _of(page, notebooks)]


def _of(page: str, notebooks: Path) -> Iterator[Exercise]:
    text = _text(page, notebooks)
    if "## Exercises\n" not in text:
        return
    for number, stars, kind, asks, rest in ASKED.findall(text.partition("## Exercises\n")[2]):
        said = "```{dropdown} In words\n" in rest or bool(WORDS.search(rest.partition(PRINTED)[2]))
        yield Exercise(page, int(number), len(stars), kind, " ".join(asks.split()), said)


PRINTED = "\n# What the solution prints\n"


def _text(page: str, notebooks: Path) -> str:
    """A page's prose; of a notebook, with what its solutions print."""
    if not page.startswith("notebooks/"):
        return (BOOK / f"{page}.md").read_text()
    parts = []
    for cell in nbformat.read(notebooks / f"{Path(page).name}.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source.startswith("# Solution"):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            parts.append(PRINTED + printed.replace("\n", " "))
    return "\n\n".join(parts)


def listed(notebooks: Path) -> str:
    """The list of all exercises as Markdown: how many of each kind, and each beside its chapter."""
    found = exercises(notebooks)
    counted = Counter((each.kind, each.stars) for each in found)
    rows = [
        (kind, *(counted[kind, stars] for stars in (1, 2, 3)), sum(each.kind == kind for each in found), what)
        for kind, what in KINDS.items()
    ]
    rows.append(("**all**", *(sum(each.stars == stars for each in found) for stars in (1, 2, 3)), len(found), ""))
    lines = [markdown(["kind", "★", "★★", "★★★", "all", "what one does"], rows)]
    for page in dict.fromkeys(each.page for each in found):
        lines.append(f"**{{doc}}`/{page}`**")
        lines += [f"* Exercise {each.number}, {'★' * each.stars}, *{each.kind}*: {each.asks}" for each in found
                  if each.page == page]  # fmt: skip
    return re.sub(r"\n\n(?=\* )", "\n", "\n\n".join(lines)).replace("**\n* ", "**\n\n* ")
