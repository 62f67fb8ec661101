"""What the pages say, read from their sources, and which numbers stand in it. `test_statements` says what for."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
from terms import FENCE

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
PAGES = {
    **{path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))},
    **{str(path.relative_to(BOOK).with_suffix("")): path for path in sorted(BOOK.rglob("*.md"))},
    "README": ROOT / "README.md",
    "CONTRIBUTING": ROOT / "CONTRIBUTING.md",
}
WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16, "twenty": 20, "sixty": 60, "hundred": 100, "thousand": 1000, "half": 0.5, "twice": 2,
}  # fmt: skip
KANJI = {"二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10, "半分": 0.5, "半数": 0.5}
SCALES = {"万": 1e4, "億": 1e8, " million": 1e6}
VAGUE = ("most", "mostly", "hardly", "nearly", "almost", "barely", "few", "several", "many", "much", "far", "thirds?",
         "quarters?", "fifths?", "tenths?", "hundredths?", "double", "majority")  # fmt: skip
DIGITS = r"[+−±-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"
NUMERAL = rf"{DIGITS}(?:{'|'.join(SCALES)})?|(?:{'|'.join((*WORDS, *KANJI))})"
NUMBER = re.compile(
    # not part of a name: Swin-T-38, ViT-B/16, float16, 2:4, ImageNet-1k
    rf"(?<![\w./:-])(?:{DIGITS}(?: million)?(?![\w:/]|[-.,]\w)|(?:{'|'.join((*WORDS, *VAGUE))})(?![\w-]))",
    re.IGNORECASE,
)
# Japanese has no spaces: a digit may follow any letter but a Latin one, and a numeral of kanji counts before a counter
COUNTERS = "つ個割倍週名人日年点枚回段種層章行桁件台社者度本通方"
JAPANESE_VAGUE = ("ほとんど", "ほぼ", "大半", "大部分", "大多数", "多く", "わずか", "大幅", "はるか", "倍増", "半減",
                  "過半", rf"(?<![複枚台回段個件人])数[{COUNTERS}]")  # fmt: skip
JAPANESE_NUMBER = re.compile(
    # 1日あたり and 1枚あたり are "a day" and "an image"
    rf"(?<![A-Za-z0-9_./:-])(?!1[日枚]あたり){DIGITS}(?![A-Za-z0-9_:/]|[-.,][A-Za-z0-9])(?:{'|'.join(SCALES)})?"
    rf"|半[分数]|[二三四五六七八九十](?=[{COUNTERS}])|{'|'.join(JAPANESE_VAGUE)}"
)
JAPANESE_ORDER = re.compile(
    "上回|下回|超え|劣[りるっ]|最[大小多少高低良悪速遅]|勝[りるっ]|最も|[速遅][いくか]|増[えや]|減[らりっ]|より[^、。]{0,8}い"
)
JAPANESE_EXEMPT = re.compile(
    "|".join((
        r"[^。?\uff1f!|]*[?\uff1f]",
        r"(?:図|表|式|節|ステージ|ブロック|シード|第) ?\d+",
        r"\d+ × \d+",
        r"95 ?%(?:信頼)?区間",
        r"20\d\d年",
    ))
)  # fmt: skip
LISTED = r"\(?\d+(?:\.\d+)?\)?(?:(?:, | and |, and | to | or )\(?\d+\)?)*"
EXEMPT = re.compile(
    "|".join((
        r"[^.?!|]*\?",  # a question states nothing
        r"\b(?:[Ee]quation|[Ff]igure|[Tt]able|[Ss]ection|[Ss]ession|[Ee]xercise|[Ll]ayer|[Ss]tage|[Bb]lock|[Ss]eed|"
        r"[Ww]eek)s?"
        rf" {LISTED}",
        r"\d+ × \d+",  # sizes
        r"\b95 % interval|\b[Hh]alf (?:of )?(?:its|the|their) 95 %",  # what an interval is
        r"\bnorm 1\b",
        r"\b20\d\d\b",  # years
        r"\| \d+ (?:min|pt) (?=\|)",  # of a lesson or a rubric: chosen, and added up by test_course
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
NOT_PROSE = re.compile(
    r"<!--.*?-->|<math.*?</math>|"
    r"\$\$.*?\$\$(?: \(\w+\))?|\$[^$]+\$|\{[\w:]+\}`[^`]*`|`[^`]*`|(?<=\])\([^)]*\)|"
    r"^:(?:class|gutter|width|link|link-type):.*?$",
    re.MULTILINE | re.DOTALL,
)


def plain(text: str) -> str:
    """Without code, mathematics, roles and addresses; a directive's own text stays."""
    while (found := FENCE.sub(lambda found: found[3] if found[2].startswith("{") else "", text)) != text:
        text = found  # a directive may hold others
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
                found.append(Passage(joined, seen or joined.startswith(("Answer.", "答え。"))))
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
        elif table := cell.metadata.get("mystnb", {}).get("table"):
            texts.append(table.caption)
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


def is_japanese(page: str) -> bool:
    """Whether a page stands in the folder of the Japanese ones."""
    return "ja" in page.split("/")[:-1]


def value(text: str) -> float:
    """Of a numeral: digits, a word, or kanji."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if text in KANJI:
        return KANJI[text]
    for name, scale in SCALES.items():
        if text.endswith(name):
            return scale * value(text.removesuffix(name))
    return float(text.replace("−", "-").replace("±", "").replace(",", ""))


def in_order(page: str) -> list[float]:
    """All numbers of a page's prose, vague quantities aside."""
    number = JAPANESE_NUMBER if is_japanese(page) else NUMBER
    texts = (match[0] for passage in passages(page) for match in number.finditer(passage.text))
    return [value(text) for text in texts if re.fullmatch(NUMERAL, text, re.IGNORECASE)]


def stated(page: str, passage: Passage) -> list[tuple[int, int]]:
    """Where a passage states a number, a vague quantity or, in a finding, an order; not what `EXEMPT` lets pass."""
    if is_japanese(page):
        number, order, exempt = JAPANESE_NUMBER, JAPANESE_ORDER, JAPANESE_EXEMPT
    else:
        number, order, exempt = NUMBER, ORDER, EXEMPT
    free = [match.span() for match in exempt.finditer(passage.text)]
    for match in re.finditer(rf"\b(?:at|from|up to) ({LISTED}) %", passage.text, re.IGNORECASE):
        if set(re.findall(r"[\d.]+", match[1])) <= settings(page):
            free.append(match.span())
    patterns = (number, order) if passage.finding else (number,)
    found = sorted(match.span() for pattern in patterns for match in pattern.finditer(passage.text))
    return [span for span in found if not any(start <= span[0] and span[1] <= end for start, end in free)]
