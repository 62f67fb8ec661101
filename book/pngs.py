"""Make a PNG of each drawing of the book that was built, for the links below its figures.

python book/pngs.py build/book/_build/html
"""

from pathlib import Path

import resvg_py
import typer

DPI = 192  # a figure of 5 inches is a thousand pixels wide


def main(html: Path) -> None:
    """Write the PNGs beside the SVGs in HTML's folder of images; those that are there stay, since names are digests."""
    for path in sorted((html / "_images").glob("*.svg")):
        png = path.with_suffix(".png")
        if not (path.stem.endswith("-dark") or png.exists()):
            drawn = resvg_py.svg_to_bytes(svg_path=str(path), dpi=DPI, skip_system_fonts=True)
            png.write_bytes(bytes(drawn))


if __name__ == "__main__":
    typer.run(main)
