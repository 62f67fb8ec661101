"""Links from a chapter's words to what explains them: the first use of each word of the glossary, and of "±".

They are made when the book is laid out, so that notebooks and pages stay readable as they are.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

GLOSSARY = Path(__file__).parent / "glossary.md"
MEASURED = "{doc}`± </how_we_measure>`"
FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
"""Code, or a directive with what it holds: ticks, what it is, what is in it."""
LEFT_ALONE = re.compile(
    r"""^(?P<fence>`{3,}|:{3,}).*?^(?P=fence)`*\s*$ # code, and directives with all that they hold
    | ^---\n.*?^---\n                                # what a page says of itself
    | ^\#.*?$                                        # titles
    | <!--.*?-->                                     # marks
    | \{[\w:-]+\}`[^`]*`                             # roles
    | (?P<ticks>`+).*?(?P=ticks)                     # code within a line
    | \$\$.*?\$\$ | \$[^$\n]*\$                      # mathematics
    | !?\[[^\]]*\]\([^)]*\)                          # links and pictures
    | \*[^*\s][^*\n]*\*(?!\*)                        # a word that is being defined, or a title
    | <a\b.*?</a> | </?\w[^>]*>                     # HTML""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


@cache
def terms() -> dict[str, str]:
    """Each word of the glossary, also in the plural -> its entry."""
    lines = GLOSSARY.read_text().partition("```{glossary}")[2].partition("\n```")[0].splitlines()
    entries = [line for line in lines if re.match(r"[^\s:]", line)]
    return {form: entry for entry in entries for form in (entry, _plural(entry))}


def linked(page: str, texts: Sequence[str]) -> list[str]:
    """The Markdown of a page, cell by cell, with the first use of each term linked to the glossary, of "±" to its page.

    What is code, mathematics, a title or a link already stays as it is, and so do Japanese pages and the glossary.
    """
    if page == "glossary" or "ja/" in page:
        return list(texts)
    seen = {"±"} if page == "how_we_measure" else set()

    def link(found: re.Match) -> str:
        word = found[0]
        if not found["word"]:  # a role may name a term itself
            seen.update(re.findall(r"\{term\}`(?:[^`]*<)?([^<>`]+)>?`", word))
            return word
        if word == "±":
            entry, link = word, MEASURED
        else:
            entry = terms().get(word) or terms()[word[0].lower() + word[1:]]
            link = f"{{term}}`{word}`" if word == entry else f"{{term}}`{word} <{entry}>`"
        if entry in seen:
            return word
        seen.add(entry)
        return link

    return [_words().sub(link, text) for text in texts]


@cache
def _words() -> re.Pattern:
    forms = sorted(terms(), key=len, reverse=True)
    begun = [f"[{form[0]}{form[0].upper()}]{re.escape(form[1:])}" for form in forms]
    word = rf"(?P<word>±|(?<![\w{{-])(?:{'|'.join(begun)})(?![\w-]))"
    return re.compile(f"{LEFT_ALONE.pattern}\n|{word}", LEFT_ALONE.flags)


def _plural(word: str) -> str:
    return word if word.endswith("s") else word[:-1] + "ies" if word.endswith("gy") else f"{word}s"
