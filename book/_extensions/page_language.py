"""Pages in a folder named by a language say so: browsers choose its fonts and line breaks, readers aloud its voice."""

from typing import Any

from sphinx.application import Sphinx

LANGUAGES = {"ja"}


def language(page: str) -> str | None:
    """The language that a folder of the page is named by."""
    return next((folder for folder in page.split("/")[:-1] if folder in LANGUAGES), None)


def _say(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    context["language"] = language(page) or context["language"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-page-context", _say)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
