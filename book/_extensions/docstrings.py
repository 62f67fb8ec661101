"""Docstrings as this project writes them, for Sphinx.

Under "Returns:" napoleon would take what stands before a colon for a type, such as "float64 tensor, values in [0, 1]".
So the colon is hidden from it; types come from the annotations. And |w| is an absolute value, a * b a product.
"""

import re

from sphinx.application import Sphinx

HIDDEN = "\ue000"


def _hide(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    for place, line in enumerate(lines):
        if re.fullmatch(r"(Returns|Yields):", line):
            lines[place + 1] = lines[place + 1].replace(":", HIDDEN)
        lines[place] = re.sub(r"(`[^`]*`)|[|*](?=\S)", lambda found: found[1] or f"\\{found[0]}", lines[place])


def _show(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    lines[:] = [line.replace(HIDDEN, ":") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this; napoleon's own priority is 500."""
    app.connect("autodoc-process-docstring", _hide, priority=400)
    app.connect("autodoc-process-docstring", _show, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
