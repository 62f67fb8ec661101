"""Every number that a page states is computed again, and so is the order of things in what a page calls its findings.

`prose` reads what the pages say: Markdown cells, captions, alternative texts, the files of book/ and the README. A
number, a number word or a vague quantity ("most", "hardly") must stand inside a passage that `statements` quotes and
computes. In an Answer and under "What you should have seen" the same holds of words for an order ("ahead",
"outside"). Free are, by `prose.EXEMPT`, the numbers of equations, figures, tables, layers and the like, names, sizes,
years and questions, and the ratios that a page's own parameter cell sets. Japanese pages are read by patterns of
their own, digits and kanji alike.
"""

import re
from functools import cache

import numpy as np
import pytest
from prose import BOOK, KANJI, NUMERAL, PAGES, SCALES, WORDS, Passage, in_order, passages, stated
from statements import STATEMENTS, Statement


@cache
def pattern(says: str) -> re.Pattern:
    return re.compile(rf"({NUMERAL})".join(re.escape(part) for part in says.split("{}")), re.IGNORECASE)


def places(statement: Statement, page: str) -> list[re.Match]:
    if statement.page not in (page, "*"):
        return []
    return [found for passage in passages(page) for found in pattern(statement.says).finditer(passage.text)]


def agree(text: str, value: float) -> bool:
    """Whether a value rounds to what is printed."""
    if text.lower() in WORDS or text in KANJI:
        stated = WORDS.get(text.lower()) or KANJI[text]
        return abs(value - stated) <= 0.05 * (stated == 0.5)
    for name, scale in SCALES.items():
        if text.endswith(name):
            return agree(text.removesuffix(name), value / scale)
    number = text.replace("−", "-").replace("±", "").replace(",", "")
    digits, _, exponent = number.partition("e")
    step = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(float(number) - value) <= step / 2 * (1 + 1e-6)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: f"{one.page}: {one.says[:60]}")
def test_what_is_stated_is_what_is_computed(statement):
    found = [match for page in PAGES for match in places(statement, page)]
    assert found, "no page says this"
    values = list(statement.values())
    held = [value for value in values if isinstance(value, (bool, np.bool_))]
    numbers = [value for value in values if not isinstance(value, (bool, np.bool_))]
    assert all(held), values
    for match in found:
        texts = match.groups()
        assert len(texts) == len(numbers), (match[0], numbers)
        assert all(map(agree, texts, numbers)), (match[0], numbers)


@pytest.mark.parametrize("page", PAGES)
def test_no_number_and_no_order_stands_on_a_page_that_nothing_computes(page):
    missing = []
    for passage in passages(page):
        covered = [
            match.span()
            for statement in STATEMENTS
            if statement.page in (page, "*")
            for match in pattern(statement.says).finditer(passage.text)
        ]
        for start, end in stated(page, passage):
            if not any(first <= start and end <= last for first, last in covered):
                missing.append(f"{passage.text[start:end]!r} in: ...{passage.text[max(0, start - 80) : end + 40]}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It lost 3.5 % of it.", ["3.5"]),
        ("Swin-T-38, ViT-B/16, float16 and 2:4 at figure 4, equations (7), (8) and (10).", []),
        ("It is two to three times slower, mostly.", ["two", "three", "mostly"]),
        ("Why is it 3 times slower?", []),
        ("It fell by 0.4 ± 0.6 points, and 95 % intervals are 95 % intervals.", ["0.4", "0.6"]),
        ("On 5,000 images, 4.99e-7 and +0.10.", ["5,000", "4.99e-7", "+0.10"]),
    ],
)
def test_what_counts_as_a_number(text, found):
    spans = stated("README", Passage(text, False))
    assert [text[start:end] for start, end in spans] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("精度は3.5ポイント下がり、80%を削った。", ["3.5", "80"]),
        ("Swin-B、ViT-S/14、ImageNet-1kと2:4、図4と式10、2024年。", []),
        ("三つの種類に分け、半分を削り、ほとんど下がらない。", ["三", "半分", "ほとんど"]),
        ("一般に、一つの層と十分な検証、二度手間。", ["二"]),
        ("費用は126万〜762万円、±0.6ポイント。", ["126万", "762万", "±0.6"]),
        ("何割を3回削ってよいのか?", []),
        ("1日あたり11枚、画像1枚あたり1日。", ["11", "1"]),
    ],
)
def test_what_counts_as_a_number_in_japanese(text, found):
    spans = stated("decide/ja/brief", Passage(text, False))
    assert [text[start:end] for start, end in spans] == found


DECIDE = sorted(path.stem for path in (BOOK / "decide").glob("*.md"))


def test_both_languages_have_the_same_pages():
    assert sorted(path.stem for path in (BOOK / "decide/ja").glob("*.md")) == DECIDE


@pytest.mark.parametrize("page", DECIDE)
def test_both_languages_state_the_same_numbers_in_the_same_order(page):
    english, japanese = in_order(f"decide/{page}"), in_order(f"decide/ja/{page}")
    assert english == japanese
    assert english


@pytest.mark.parametrize("page", DECIDE)
def test_japanese_digits_and_signs_of_percent_are_half_width(page):
    assert not re.findall("[\uff10-\uff19\uff05\uff0e\uff0b]", (BOOK / f"decide/ja/{page}.md").read_text())


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [("1.3", 1.349, True), ("1.3", 1.351, False), ("-0.54", -0.54, True), ("half", 0.501, True), ("half", 0.44, False),
     ("three", 3, True), ("three", 3.3, False), ("10,000", 10_000, True), ("3.8e-7", 3.8e-7, True),
     ("3.8e-7", 3.9e-7, False), ("126万", 1_262_291, True), ("126万", 1_272_291, False), ("三", 3, True),
     ("1.3 million", 1_281_167, True),
     ("半分", 0.5, True), ("四", 5, False)],
)  # fmt: skip
def test_a_value_agrees_if_it_rounds_to_what_is_printed(text, value, same):
    assert agree(text, value) is same
