"""Figures in both themes, and to take away: each SVG gets a dark twin, and below the figure links to it as SVG and PNG.

The PNGs are made when the book is built (`pngs.py`). A twin has the same lines in other colours: neutral and pale ones
turn round in lightness, strong ones stay, or become as light as can be told from a dark page. page.css shows the one
that fits. ("dark-light" keeps the theme from dimming images.)
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sphinx.application import Sphinx

PAGE = "#121212"
"""Background of the theme's dark pages."""
STRONG = 0.08
"""Chroma from which a colour is one that tells things apart."""
LIGHT = 0.55
"""Lightness from which it can be seen on a dark page."""
PALE = 0.36
"""Lightness of what was a pale fill: light letters can be read on it, and it can be told from the page."""
IMAGE = re.compile(r'<img ([^>]*?)src="([^"]*_images/[^"]+)\.svg"([^>]*?)/?>')
FIGURE = re.compile(r"<figure\b.*?</figure>", re.DOTALL)
COLOUR = re.compile(r'(?<=[:=][ "])#[0-9a-f]{6}\b')

_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


@cache
def dark(colour: str) -> str:
    """The colour for a dark page, by lightness and chroma in Oklab (Ottosson, 2020)."""
    if colour == "#ffffff":
        return PAGE
    lightness, *rest = _oklab(colour)
    if np.hypot(*rest) >= STRONG or (not np.hypot(*rest) > 0.02 and 0.6 < lightness < 0.75):
        lightness = max(lightness, LIGHT)
    else:
        lightness = max(1.05 - 0.85 * lightness, PALE if np.hypot(*rest) > 0.02 else 0)
    return _hex(np.array([lightness, *rest]))


def twin(svg: str) -> str:
    """The drawing for a dark page."""
    return COLOUR.sub(lambda found: dark(found[0]), svg)


def _oklab(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return _TO_LAB @ np.cbrt(_TO_LMS @ linear)


def _hex(lab: np.ndarray) -> str:
    linear = (np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab) ** 3)).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * value):02x}" for value in srgb)


def _both(image: re.Match) -> str:
    before, name, after = image.groups()
    return (
        f'<img class="dark-light light-page" {before}src="{name}.svg"{after}/>'
        f'<img class="dark-light dark-page" {before}src="{name}-dark.svg"{after}/>'
    )


def _figure(found: re.Match) -> str:
    figure = found[0]
    if not (image := IMAGE.search(figure)):
        return figure
    links = " · ".join(f'<a download href="{image[2]}.{kind}">{kind.upper()}</a>' for kind in ("svg", "png"))
    return figure.removesuffix("</figure>") + f'<p class="take">This figure as {links}</p></figure>'


def _show(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        context["body"] = IMAGE.sub(_both, FIGURE.sub(_figure, context["body"]))


def _draw(app: Sphinx, failure: Exception | None) -> None:
    """Write the twins beside the drawings that the build has copied."""
    for path in [] if failure else Path(app.outdir, "_images").glob("*.svg"):
        if not path.stem.endswith("-dark"):
            path.with_name(f"{path.stem}-dark.svg").write_text(twin(path.read_text()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-page-context", _show)
    app.connect("build-finished", _draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
