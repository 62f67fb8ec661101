"""The README's picture: the first page of the book that was built, as a browser shows it.

make book && PYTHONPATH=book .venv/bin/python data_scripts/picture_of_book.py
"""

import io
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1280, 860
COLOURS = 96  # of the palette: letters and lines need no more, and the file is a third as large
MOST_BYTES = 150_000


def main(
    html: Annotated[Path, typer.Option(help="Folder of the built book.")] = ROOT / "build/book/_build/html",
    into: Annotated[Path, typer.Option(help="The PNG.")] = ROOT / "book/_static/book.png",
) -> None:
    """Take a picture of the book's first page with a headless Chromium."""
    if not (html / "index.html").exists():
        raise SystemExit(f"{html} holds no book; run 'make book'.")
    from playwright.sync_api import sync_playwright
    from printing import chromium, launched

    with sync_playwright() as playwright:
        browser = launched(playwright, chromium())
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", offline=True)
        tab.goto((html / "index.html").resolve().as_uri())
        tab.wait_for_function("document.fonts.status == 'loaded'")
        seen = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(into, optimize=True)
    if (size := into.stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{into} has {size:,} bytes, more than {MOST_BYTES:,}; take fewer colours.")


if __name__ == "__main__":
    typer.run(main)
