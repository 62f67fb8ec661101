"""The page: one HTML file with its data, words, style and script inside, that needs no network."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from swinprune_lite.files import atomic, require_writable

HERE = Path(__file__).parent
LANGUAGES = ("en", "ja")
SCRIPTS = ("words.js", "drawing.js", "figures.js", "deciding.js", "page.js")
"""In the order in which they need each other."""

MARK = b'<p class="kicker" data-t="kicker">'
"""What `page.html` has, and no page but a report."""


def write_report(data: Mapping[str, object], path: str | Path, languages: Sequence[str] = LANGUAGES) -> Path:
    """Write the page, whole or not at all.

    Args:
        data: of `page_data` or `lite_data`.
        path: HTML file to write; what it held is replaced.
        languages: of `LANGUAGES`, the first is shown unless the browser prefers another of them.

    Returns:
        The path.

    Raises:
        ValueError: an unknown language, one twice, or none.
        OSError: a place where no file can be made.
    """
    if not languages or len(set(languages)) < len(languages) or not set(languages) <= set(LANGUAGES):
        raise ValueError(
            f"Languages are some of {', '.join(LANGUAGES)}, each once; got {', '.join(languages) or 'none'}."
        )
    require_writable(path)
    page = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "/* style */": (HERE / "page.css").read_text(encoding="utf-8"),
        "/* script */": "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "/* data */": _embedded(data),
        "/* texts */": _embedded({language: texts(language) for language in languages}),
    }
    page = page.replace('lang="en"', f'lang="{languages[0]}"', 1).replace(
        "<!-- title -->", texts(languages[0])["title"]
    )
    marks = re.compile("|".join(map(re.escape, parts)))
    page = marks.sub(lambda mark: parts[mark[0]], page)  # at once, so that no part is searched for another's mark
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")  # a file's name may be no text
    return Path(path)


def claim_page(path: str | Path) -> None:
    """Raise OSError or ValueError unless a page can be written here, and replaces at most an earlier report."""
    path = Path(path)
    require_writable(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"A report is an .html file; got {path}.")
    if path.exists() and MARK not in path.read_bytes():
        raise ValueError(f"{path} is there already and is no page of `swinprune report`; give another name.")


@cache
def texts(language: str) -> dict[str, str]:
    """The page's words in a language, by key; numbers stand in them as {name} or {name|format}."""
    return json.loads((HERE / f"texts_{language}.json").read_text(encoding="utf-8"))


def _embedded(value: object) -> str:
    """JSON that may stand within a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
