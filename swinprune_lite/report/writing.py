"""The page: one HTML file with its data, words, style and script inside, that needs no network."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from swinprune_lite.files import atomic, require_writable

HERE = Path(__file__).parent
LANGUAGES = ("en", "ja")
SCRIPTS = ("words.js", "drawing.js", "figures.js", "deciding.js", "page.js")
"""In the order in which they need each other."""


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
    for mark, content in parts.items():
        before, _, after = page.partition(mark)
        page = f"{before}{content}{after}"
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


@cache
def texts(language: str) -> dict[str, str]:
    """The page's words in a language, by key; numbers stand in them as {name} or {name|format}."""
    return json.loads((HERE / f"texts_{language}.json").read_text(encoding="utf-8"))


def _embedded(value: object) -> str:
    """JSON that may stand within a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
