"""What search engines and messengers show of a page: its title once, a description, the book's picture."""

import re
from html import escape, unescape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LENGTH = 200
PICTURE = "_static/share.png"
ANSWERS = ("Answer.", "答え。")


def description(doctree: nodes.document) -> str:
    """The page's answer, or its first paragraph, cut behind a sentence or else behind a word."""
    texts = [
        " ".join(paragraph.astext().split())
        for paragraph in doctree.findall(nodes.paragraph)
        if isinstance(paragraph.parent, (nodes.section, nodes.document))
    ]
    found = next((text for text in texts if text.startswith(ANSWERS)), texts[0] if texts else "")
    for answer in ANSWERS:
        found = found.removeprefix(answer).strip()
    if len(found) <= LENGTH:
        return found
    cut = found[:LENGTH]
    ends = [end.end() for end in re.finditer(r"[.?] |。", cut)]
    return cut[: ends[-1]].strip() if ends else cut.rpartition(" ")[0] + " …"


def _say(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if doctree is None:
        return
    if page == app.config.root_doc:
        context["theme_logo"] = (context.get("theme_logo") or {}) | {"text": context["docstitle"]}
        context["docstitle"] = ""  # else the window's title is the book's twice
    title = unescape(re.sub(r"<[^>]+>", "", context["title"]))
    said = {"description": description(doctree)}
    shared = {
        "og:title": title,
        "og:description": said["description"],
        "og:type": "article",
        "og:url": app.config.html_baseurl + f"{page}.html",
        "og:image": app.config.html_baseurl + PICTURE,
        "og:image:alt": "Scores of three small layers as bars, under one threshold",
    }
    lines = [f'<meta name="{name}" content="{escape(text)}" />' for name, text in said.items()]
    lines += [f'<meta property="{name}" content="{escape(text)}" />' for name, text in shared.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image" />')
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-page-context", _say)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
