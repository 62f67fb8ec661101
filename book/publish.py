"""The folder to publish: the book as it was built, with the report and the slides, without what only builds need.

    python book/publish.py build/book/_build/html build/site

Its first page is the book's. A link that leads nowhere within the folder stops it.
"""

import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlparse

import typer

NOT_FOR_READERS = (".buildinfo", ".doctrees", "*.map", "*-macros.html", "locales", "tippy_*_cache.json")
"""What Sphinx keeps for its next build, and what only makers of its theme use."""
CODE = re.compile(r"<(script|style)\b[^>]*>.*?</\1>", re.DOTALL)


def broken_links(folder: Path) -> list[tuple[str, str]]:
    """Page and address of each link and picture of the folder's pages that leads to no file, or no place, in it."""
    read = [path for path in sorted(folder.rglob("*.html")) if not any(map(path.match, NOT_FOR_READERS))]
    pages = {path.resolve(): CODE.sub("", path.read_text()) for path in read}
    places = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for link in dict.fromkeys(re.findall(r'\b(?:href|src)="([^"]*)"', text)):
            url = urlparse(unescape(link))
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            found = target.exists() and target.is_relative_to(folder.resolve())
            if not found or (url.fragment and target in places and unquote(url.fragment) not in places[target]):
                broken.append((path.relative_to(folder.resolve()).as_posix(), link))
    return broken


def main(html: Path, site: Path) -> None:
    """Copy the book in HTML to the folder SITE, which is made anew, and check its links."""
    if not (html / "index.html").exists():
        raise SystemExit(f"{html} holds no book; run 'make book'.")
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(html, site, ignore=shutil.ignore_patterns(*NOT_FOR_READERS))
    (site / ".nojekyll").touch()  # else GitHub Pages drops folders whose names begin with "_"
    if broken := broken_links(site):
        raise SystemExit("Links that lead nowhere: " + ", ".join(f"{link} on {page}" for page, link in broken))


if __name__ == "__main__":
    typer.run(main)
