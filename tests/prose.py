"""What the pages say, read from their sources, and which numbers stand in it. `test_statements` says what for."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat

ROOT = Path(__file__).parents[1]
PAGES = {
    **{path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))},
    **{path.stem: path for path in sorted((ROOT / "book").glob("*.md"))},
    "README": ROOT / "README.md",
}
WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16, "twenty": 20, "sixty": 60, "hundred": 100, "thousand": 1000, "half": 0.5, "twice": 2,
}  # fmt: skip
VAGUE = ("most", "mostly", "hardly", "nearly", "almost", "barely", "few", "several", "many", "much", "far", "thirds?",
         "quarters?", "fifths?", "tenths?", "hundredths?", "double", "majority")  # fmt: skip
DIGITS = r"[+−±-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"
NUMERAL = rf"{DIGITS}|(?:{'|'.join(WORDS)})"
NUMBER = re.compile(
    # not part of a name: Swin-T-38, ViT-B/16, float16, 2:4, ImageNet-1k
    rf"(?<![\w./:-])(?:{DIGITS}(?![\w:/]|[-.,]\w)|(?:{'|'.join((*WORDS, *VAGUE))})(?![\w-]))",
    re.IGNORECASE,
)
LISTED = r"\(?\d+(?:\.\d+)?\)?(?:(?:, | and |, and | to | or )\(?\d+\)?)*"
EXEMPT = re.compile(
    "|".join((
        r"[^.?!|]*\?",  # a question states nothing
        rf"\b(?:[Ee]quation|[Ff]igure|[Tt]able|[Ss]ection|[Ee]xercise|[Ll]ayer|[Ss]tage|[Bb]lock|[Ss]eed)s? {LISTED}",
        r"\d+ × \d+",  # sizes
        r"\b95 % interval|\b[Hh]alf (?:of )?(?:its|the|their) 95 %",  # what an interval is
        r"\bnorm 1\b",
        r"\b20\d\d\b",  # years
        r"\bPython \d\.\d+",
        r"\bat most\b|\bthe least and the most\b|\b(?:how|as|so) (?:much|many|far)\b",
        r"\bthe (?:first |last )?two\b|\btwo such means\b",
    ))
)  # fmt: skip
ORDER = re.compile(
    r"\b(?:ahead|behind|below|above|outside|inside|beyond|more|less|fewer|slower|faster|better|best|worse|larger|largest|"
    r"smaller|smallest|widest|highest|lowest|denser|overlap|agrees?|falls?|level)\b",
    re.IGNORECASE,
)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_PROSE = re.compile(
    r"<!--.*?-->|\$\$.*?\$\$(?: \(\w+\))?|\$[^$]+\$|\{[\w:]+\}`[^`]*`|`[^`]*`|(?<=\])\([^)]*\)|^:class:.*?$",
    re.MULTILINE | re.DOTALL,
)


def plain(text: str) -> str:
    """Without code, mathematics, roles and addresses; a directive's own text stays."""
    text = FENCE.sub(lambda found: found[2] if found[1].startswith("{") else "", text)
    return NOT_PROSE.sub(" ", text)


class Passage(NamedTuple):
    """Text with single spaces: a paragraph, list item, table row, caption or alternative text.

    `finding`: it stands in an Answer, or under "What you should have seen", where an order counts like a number.
    """

    text: str
    finding: bool


@cache
def passages(page: str) -> tuple[Passage, ...]:
    """The prose of a page."""
    path, found = PAGES[page], []
    for text in _texts(path):
        seen = "## What you should have seen" in text
        for part in re.split(r"\n\s*\n|\n(?=\||\* )", plain(text)):
            joined = re.sub(r"[\s>*]+", " ", part).strip()
            if joined:
                found.append(Passage(joined, seen or joined.startswith("Answer.")))
    return tuple(found)


def _texts(path: Path) -> list[str]:
    if path.suffix == ".md":
        return [path.read_text()]
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            texts.append(cell.source)
        elif figure := cell.metadata.get("mystnb", {}).get("figure"):
            texts += [figure.caption, cell.metadata.mystnb.image.alt]
    return texts


@cache
def settings(page: str) -> frozenset[str]:
    """The ratios that a notebook's parameter cell sets, in percent: "at 55 %" there says where, not what was found."""
    if PAGES[page].suffix == ".md":
        return frozenset()
    cells = nbformat.read(PAGES[page], as_version=4).cells
    (source,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    (ratios,) = [node.value for node in ast.parse(source).body if node.targets[0].id == "ratios"]
    return frozenset(f"{100 * ratio:g}" for ratio in ast.literal_eval(ast.unparse(ratios)))


def stated(page: str, passage: Passage) -> list[tuple[int, int]]:
    """Where a passage states a number, a vague quantity or, in a finding, an order; not what `EXEMPT` lets pass."""
    free = [match.span() for match in EXEMPT.finditer(passage.text)]
    for match in re.finditer(rf"\b(?:at|from|up to) ({LISTED}) %", passage.text, re.IGNORECASE):
        if set(re.findall(r"[\d.]+", match[1])) <= settings(page):
            free.append(match.span())
    patterns = (NUMBER, ORDER) if passage.finding else (NUMBER,)
    found = sorted(match.span() for pattern in patterns for match in pattern.finditer(passage.text))
    return [span for span in found if not any(start <= span[0] and span[1] <= end for start, end in free)]
