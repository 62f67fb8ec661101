"""The book's table of contents, as `_toc.yml` has it."""

from pathlib import Path

import yaml

FILE = Path(__file__).parent / "_toc.yml"


def parts() -> list[tuple[str, list[str]]]:
    """Caption of each part and the names of its pages, such as "notebooks/idea_swin"; the first page has no caption."""
    listed = yaml.safe_load(FILE.read_text())
    chapters = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in listed["parts"]]
    return [("", [listed["root"]]), *chapters]


def pages() -> list[str]:
    """The names of all pages, in order."""
    return [page for _, names in parts() for page in names]
