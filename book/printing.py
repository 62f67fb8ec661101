"""The book as a PDF, printed by Chromium from the pages that were built.

    python book/printing.py build/site --pdf build/site/swinprune-lite.pdf

All pages become one, in the order of the table of contents, so that a link to another page leads to its place in the
PDF. It is printed twice: the page numbers of the contents are those that the first print gives. `print.css` says what
is other on paper.
"""

import posixpath
import shutil
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import urljoin, urlparse

import contents
import typer
import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Playwright, sync_playwright
from pypdf import PdfReader

BOOK = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PAPER = {
    "format": "A4",
    "margin": {"top": "16mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
    "scale": 0.7,
    "print_background": True,
    "outline": True,
    "tagged": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": '<div style="width: 100%; text-align: center; font: 8px sans-serif;">'
    '<span class="pageNumber"></span></div>',
}
WIDTH = round((210 - 2 * 15) / 25.4 * 96 / PAPER["scale"])
"""Of the printed area, in the pixels of the page."""
NOT_PRINTED = ".headerlink, .take, .dark-page, .toctree-wrapper, .cell_output > .toggle-hint"
FIT = """async () => {
  await window.MathJax?.startup?.promise
  document.querySelectorAll("details").forEach(each => { each.open = true })
  const wide = ".scrolls, .pst-scrollable-table-container, mjx-container[display=true]"
  for (const box of document.querySelectorAll(wide)) {
    const share = box.clientWidth / box.scrollWidth
    if (share < 1) box.style.zoom = share
  }
  await Promise.all([...document.images].map(image => image.decode()))
}"""
"""What is wider than the sheet gets smaller, since paper does not scroll."""
NUMBER = """sheets => document.querySelectorAll("[data-page]").forEach(place => {
  place.textContent = sheets[place.dataset.page]
})"""


def installed() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def launched(playwright: Playwright, path: str) -> Browser:
    """The browser, without a window."""
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])


def chromium() -> str:
    """The path of the browser that prints."""
    if found := installed():
        return found
    raise SystemExit(f"The PDF is printed by Chromium, and none is installed; install one of {', '.join(CHROMIUM)}.")


def whole(html: Path, parts: Sequence[tuple[str, Sequence[str]]], title: str, address: str) -> str:
    """Pages as one HTML page, behind a title and the contents.

    Args:
        html: folder of the book that was built.
        parts: caption of each part, and the names of its pages, such as "notebooks/idea_swin".
        title: of the book.
        address: where the book is published; links to what is not printed lead there.
    """
    read = {
        page: BeautifulSoup((html / f"{page}.html").read_text(), "html.parser") for _, pages in parts for page in pages
    }
    heads, listed, chapters = {}, [], []
    for caption, pages in parts:
        listed.append(f"<p>{escape(caption)}</p>" if caption else "")
        for page in pages:
            heads |= {str(tag): None for tag in _head(html, page, read[page])}
            chapters.append(_chapter(html, page, read, address))
            heading = read[page].select_one("article h1").get_text(" ", strip=True)
            sheet = f'<span data-page="{_place(page)}">000</span>'
            listed.append(f'<a href="#{_place(page)}">{escape(heading)} {sheet}</a>')
    on_paper = (BOOK / "print.css").as_uri()
    pieces = [
        f'<!doctype html>\n<html lang="en" data-theme="light">\n<head>\n<meta charset="utf-8"><title>{title}</title>',
        *heads,
        f'<link rel="stylesheet" href="{on_paper}">\n</head>\n<body>',
        f"<header><h1>{title}</h1><p>{address}</p></header>",
        '<nav class="contents"><h2>Contents</h2>',
        *listed,
        "</nav>",
        *chapters,
        "</body>\n</html>\n",
    ]
    return "\n".join(pieces)


def printed(
    browser: Browser, html: Path, parts: Sequence[tuple[str, Sequence[str]]], title: str, address: str
) -> bytes:
    """The PDF that a browser of playwright prints; other arguments as those of `whole`."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "book.html"
        source.write_text(whole(html, parts, title, address))
        tab = browser.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light", offline=True)
        tab.emulate_media(media="print")
        tab.set_default_timeout(300_000)
        tab.goto(source.as_uri())
        tab.evaluate(FIT)
        places = PdfReader(BytesIO(tab.pdf(**PAPER)))
        sheets = {
            name.removeprefix("/"): places.get_destination_page_number(place) + 1
            for name, place in places.named_destinations.items()
        }
        tab.evaluate(NUMBER, sheets)
        pdf = tab.pdf(**PAPER)
        tab.close()
    return pdf


def _place(page: str, within: str = "") -> str:
    return "--".join(["page", *page.split("/"), *([within] if within else [])])


def _head(html: Path, page: str, soup: BeautifulSoup) -> Iterator[Tag]:
    """Style sheets, and what sets mathematics."""
    for link in soup.select("head link[rel=stylesheet]"):
        link["href"] = _file(html, page, link["href"])
        yield link
    for script in soup.select("head script"):
        if "MathJax" in (script.string or "") or "mathjax" in script.get("src", ""):
            if "src" in script.attrs:
                script["src"] = _file(html, page, script["src"])
            yield script


def _chapter(html: Path, page: str, read: dict[str, BeautifulSoup], address: str) -> str:
    """The article of a page, its links and ids such that it can stand among others."""
    article = read[page].select_one("article.bd-article")
    for left_out in article.select(NOT_PRINTED):
        left_out.decompose()
    for tag in article.select("[id]"):
        if not tag.find_parent(class_="output"):  # a drawing's script asks for its own
            tag["id"] = _place(page, tag["id"])
    for tag in article.select("[src]"):
        tag["src"] = _file(html, page, tag["src"])
    for link in article.select("a[href]"):
        url = urlparse(link["href"])
        if url.scheme:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), url.path)) if url.path else f"{page}.html"
        if path.removesuffix(".html") in read:
            link["href"] = "#" + _place(path.removesuffix(".html"), url.fragment)
        else:
            link["href"] = address + path + (f"#{url.fragment}" if url.fragment else "")
    language = read[page].html["lang"]
    return f'<article class="bd-article" id="{_place(page)}" lang="{language}">{article.decode_contents()}</article>'


def _file(html: Path, page: str, link: str) -> str:
    return link if urlparse(link).scheme else urljoin((html / f"{page}.html").resolve().as_uri(), link)


def main(
    html: Annotated[Path, typer.Argument(help="Folder of the built book.")] = Path("build/site"),
    pdf: Annotated[Path | None, typer.Option(help="The file.")] = None,
) -> None:
    """Print the book in HTML to the file PDF; without one, only see whether a browser is there that prints."""
    path = chromium()
    if pdf is None:
        return
    settings = yaml.safe_load((BOOK / "_config.yml").read_text())
    with sync_playwright() as playwright:
        browser = launched(playwright, path)
        pdf.write_bytes(printed(browser, html, contents.parts(), settings["title"], settings["html"]["baseurl"]))


if __name__ == "__main__":
    typer.run(main)
