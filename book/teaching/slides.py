"""Slides made from the book: one self-contained HTML page a session, with nothing to fetch.

    python -m teaching.slides build/executed/lite build/slides

A deck is a Markdown file under book/teach/slides/, its slides parted by "---". What is measured comes from the
executed notebooks: `<!-- figure: NOTEBOOK NAME -->`, `<!-- table: NOTEBOOK CELL -->`, and `<!-- seen: NOTEBOOK A
finding -->`, the one under "What you should have seen" that starts so. The arrow keys
turn the page; printing makes a PDF.
"""

import base64
import re
import sys
from html import escape
from pathlib import Path

import page_tables
from insertions import figure, read
from markdown_it import MarkdownIt

SOURCE = Path(__file__).parents[1] / "teach" / "slides"
FROM = re.compile(r"<!-- (figure|table|seen): (\w+) (.+?) -->")
ROLE = re.compile(r"\{(\w+)(?::\w+)?\}`(?:([^`<]+?) ?<[^`]+>|([^`]+))`")
STYLE = """
html { font: min(1.95vw, 3.47vh)/1.4 system-ui, sans-serif; scroll-snap-type: y mandatory; color: #1b1f24;
  background: #fff; }
body { margin: 0; }
section { box-sizing: border-box; width: 100%; height: 100vh; padding: 1.2rem 2.6rem 2rem; scroll-snap-align: start;
  position: relative; display: flex; flex-direction: column; gap: 0.6rem; border-bottom: 1px solid #d0d7de; }
section.first { justify-content: center; background: #eef3f8; }
.first .body { flex: none; }
h1 { font-size: 2.4rem; line-height: 1.15; margin: 0; }
h2 { font-size: 1.6rem; line-height: 1.2; margin: 0; color: #0b3d63; }
.body { flex: 1; min-height: 0; display: grid; gap: 0 2rem; align-items: center; align-content: center; }
.text { font-size: 1.2rem; max-width: 44rem; }
.two .body { grid-template-columns: 2fr 3fr; }
.two .text { font-size: 1rem; }
.text > :first-child { margin-top: 0; }
p, ul, ol { margin: 0.5em 0; }
li { margin: 0.3em 0; }
figure { margin: 0; min-height: 0; text-align: center; }
figure img { width: 100%; height: 72vh; object-fit: contain; }
figcaption, .from, footer { font-size: 0.6rem; color: #57606a; }
.from { text-align: center; }
footer { position: absolute; bottom: 0.5rem; left: 2.6rem; right: 2.6rem; display: flex;
  justify-content: space-between; }
table { border-collapse: collapse; font-size: 0.8rem; margin: 0 auto; }
.text table { font-size: 1rem; }
.two table { font-size: 0.66rem; }
th, td { padding: 0.12rem 0.5rem; text-align: right; border-bottom: 1px solid #d0d7de; white-space: nowrap; }
.text :is(th, td) { text-align: left; }
math { font-size: 1.25em; }
strong { color: #0b3d63; }
@media (max-width: 700px) {
  html { font-size: 16px; scroll-snap-type: none; }
  section { height: auto; min-height: 60vh; padding-inline: 1rem; overflow-x: auto; }
  .two .body { display: block; }
}
@page { size: 1280px 720px; margin: 0; }
@media print { html { font-size: 25px; } section { height: 720px; break-after: page; border: 0; } }
"""
SCRIPT = """
const slides = [...document.querySelectorAll("section")]
const at = () => slides.findIndex(slide => slide.getBoundingClientRect().bottom > innerHeight / 2)
addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1}[event.key]
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return
  event.preventDefault()
  slides[Math.max(0, Math.min(slides.length - 1, at() + step))].scrollIntoView()
})
"""


def decks(notebooks: Path) -> dict[str, str]:
    """All decks.

    Args:
        notebooks: folder of executed notebooks.

    Returns:
        Name of each file, such as "slides_1.html" -> its text.

    Raises:
        LookupError: a slide asks for a figure, table or finding that its notebook has not.
    """
    found = {}
    for path in sorted(SOURCE.glob("*.md")):
        found[f"{path.stem}.html"] = deck(path.read_text(), notebooks)
    return found


def deck(text: str, notebooks: Path) -> str:
    """One deck as an HTML page; its title is that of its first slide."""
    parts = [part.strip() for part in re.split(r"^---$", text, flags=re.MULTILINE)]
    title = parts[0].splitlines()[0].removeprefix("# ")
    pages = "\n".join(_slide(part, number, len(parts), title, notebooks) for number, part in enumerate(parts, 1))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{pages}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _slide(text: str, number: int, count: int, title: str, notebooks: Path) -> str:
    wide = []

    def take(found: re.Match) -> str:
        kind, notebook, name = found.groups()
        path = notebooks / f"{notebook}.ipynb"
        if kind == "seen":
            return _seen(path, name)
        wide.append(_figure(path, name) if kind == "figure" else _table(path, name))
        return ""

    head, _, rest = text.partition("\n")
    said = MarkdownIt("commonmark", {"html": True}).enable("table").render(FROM.sub(take, rest)).strip()
    level = "h1" if head.startswith("# ") else "h2"
    body = (f'<div class="text">{said}</div>' if said else "") + "".join(wide)
    of = f"{escape(title)}</span><span>{number} / {count}"
    names = " ".join(name for name, given in (("first", level == "h1"), ("two", said and wide)) if given)
    return (
        f'<section class="{names}" aria-label="Slide {number}">\n<{level}>{escape(head.lstrip("# "))}</{level}>\n'
        f'<div class="body">{body}</div>\n<footer><span>{of}</span></footer>\n</section>'
    )


def _chapter(path: Path) -> str:
    return escape(read(path).cells[0].source.partition("\n")[0].removeprefix("# "))


def _figure(path: Path, name: str) -> str:
    """A figure of a notebook, by its name, with its alternative text and the chapter it is from."""
    drawn, alt = figure(path, name)
    inside = base64.b64encode(drawn.encode()).decode()
    return (
        f'<figure><img alt="{escape(alt, quote=True)}" src="data:image/svg+xml;base64,{inside}">'
        f"<figcaption>From the chapter: {_chapter(path)}</figcaption></figure>"
    )


def _table(path: Path, cell: str) -> str:
    """A table that a cell of a notebook shows, as the book shows it."""
    for each in (output for one in read(path).cells if one.id == cell for output in one.get("outputs", [])):
        if "text/html" in each.get("data", {}):
            html = page_tables.shown("".join(each["data"]["text/html"]))
            return f'<div>{html}<p class="from">From the chapter: {_chapter(path)}</p></div>'
    raise LookupError(f"{path.name} shows no table in a cell {cell!r}.")


def _seen(path: Path, start: str) -> str:
    """A finding under "What you should have seen" that starts so, as a list item."""
    (text,) = [cell.source for cell in read(path).cells if "## What you should have seen" in cell.source]
    items = re.findall(r"^\* (.*?)(?=^\* |\n\n|\Z)", text.partition("## What you should have seen")[2], re.M | re.S)
    for item in (" ".join(item.split()) for item in items):
        if item.startswith(start):
            said = re.sub(r" \(\{doc\}`[^`]*`\)", "", item)
            return "* " + ROLE.sub(lambda role: role[2] or role[3], said)
    raise LookupError(f"{path.name} has no finding that starts {start!r}.")


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    for name, text in decks(Path(sys.argv[1])).items():
        (target / name).write_text(text)
