"""What the book does to a notebook's tables, prints and pictures before a reader sees them."""

import re
from itertools import chain
from pathlib import Path

import nbformat
import page_cells
import page_tables
import pandas as pd
import pytest
from _extensions import drawings, sharing
from bs4 import BeautifulSoup
from docutils.core import publish_doctree
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swinprune_lite.figures import style

ROOT = Path(__file__).parents[2]
NAMES = re.compile(
    r"\w+\.\w+(\.\w+)*|\w+_patch\d+\w*|\w+_\d\d\d|\w+_224\w*|save_pruned|timm|configs/.*|(twins|coat|pvt)_\w+"
)
"""Names that are what they stand for: weights of a network, timm's models, a function."""


def cells(html: str) -> list[list[str]]:
    rows = BeautifulSoup(html, "html.parser").find_all("tr")
    return [[" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])] for row in rows]


def outputs():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                html = output.get("data", {}).get("text/html", "")
                if 'class="dataframe"' in html:
                    yield path.stem, cell, html


def test_a_table_is_shown_in_the_words_of_the_page():
    frame = pd.DataFrame(
        {"top1_mean": [83.5, float("nan")], "top1_half": [1.2, 0.3], "agree": [True, False], "params": [3096018, -1]},
        index=pd.MultiIndex.from_tuples([("swin_lite_tiny", 0.15), ("swin_lite_tiny", 0.5)], names=["model", "ratio"]),
    )
    assert cells(page_tables.shown(frame.to_html())) == [
        ["model", "ratio", "top-1, mean (%)", "agree", "parameters"],
        ["Lite-T", "15 %", "83.5 ± 1.2", "yes", "3,096,018"],
        ["50 %", "– ± 0.3", "no", "−1"],
    ]


def test_rows_that_pandas_numbered_have_no_number_and_columns_of_numbers_keep_their_name():
    frame = pd.DataFrame({"method": ["erk", "global"], "flops_share_pct": [1.0, -0.0]})
    assert cells(page_tables.shown(frame.to_html())) == [
        ["method", "share of FLOPs (%)"], ["ERK", "1.0"], ["magnitude, whole model", "0.0"],
    ]  # fmt: skip
    wide = pd.DataFrame([[1.5, 2.5]], index=pd.Index([60], name="labelled"), columns=pd.Index([0, 4], name="steps"))
    assert cells(page_tables.shown(wide.to_html())) == [["steps", "0", "4"], ["labelled", "", ""], ["60", "1.5", "2.5"]]


def test_a_wide_table_of_several_models_becomes_one_for_each():
    columns = pd.MultiIndex.from_product([["swin_lite_tiny", "swin_lite_base"], [f"c{n}" for n in range(8)]])
    page = BeautifulSoup(
        page_tables.shown(pd.DataFrame([["12.34 ± 5.67"] * 16], ["x"], columns).to_html(), "Points."), "html.parser"
    )
    assert [caption.text for caption in page.find_all("figcaption")] == ["Points: Lite-T.", "Points: Lite-B."]
    assert [len(table.tbody.find_all("td")) for table in page.find_all("table")] == [8, 8]


def test_every_number_of_a_committed_table_is_on_the_page_and_no_word_of_code():
    number = re.compile(r"\d+\.\d+")
    for stem, cell, html in outputs():
        shown = page_tables.shown(html)
        given, found = cells(html), cells(shown)
        digits = [sorted(number.findall(" ".join(chain(*rows)))) for rows in (given, found)]
        lost = [one for one in digits[0] if one not in digits[1] and not re.fullmatch(r"0\.\d+|\d+\.0", one)]
        assert not lost, (stem, cell.id)  # 0.15 may have become 15 %, 198.0 198
        for text in chain(*found):
            assert text not in ("NaN", "nan", "<NA>", "None", "True", "False"), (stem, text)
            words = re.findall(r"\w+_\w+", NAMES.sub("", text))
            assert not words, (stem, text)
            assert not re.search(r"\d%", text), (stem, text)


def test_every_table_of_a_chapter_has_a_caption():
    for stem, cell, _ in outputs():
        if not cell.source.startswith("# Solution"):
            assert cell.metadata.mystnb.table.caption.endswith("."), (stem, cell.source)


def test_boilerplate_is_in_the_notebook_and_not_on_its_page():
    source = "from a import b\n\nrun = get_profile(profile)\nprint(run.describe())\nprint('more')\nmodel = b(run)"
    described = page_cells.get_profile("lite").describe()
    begin = new_code_cell(source, outputs=[new_output("stream", name="stdout", text=f"{described}\nmore: 5%\n")])
    notebook = new_notebook(
        cells=[
            new_code_cell("profile = 'lite'", metadata={"tags": ["parameters"]}),
            begin,
            new_code_cell("run = get_profile(profile)\nprint(run.describe())"),
        ]
    )
    tags = [cell.metadata.tags for cell in page_cells.page_of(notebook).cells]
    assert tags == [["remove-cell"], [], ["remove-cell"]]
    assert begin.source == "print('more')\nmodel = b(run)"
    assert begin.outputs[0].text == "more: 5 %\n"


def luminance(colour: str) -> float:
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("colour", "least"),
    [("#262626", 7), ("#000000", 7), (style.LINE, 4.5),
     *((look["color"].lower(), 3) for look in style.METHOD_STYLES.values()),
     *((colour.lower(), 3) for colour in style.MODULE_COLOURS.values())],
)  # fmt: skip
def test_lines_and_letters_can_be_told_from_a_dark_page(colour, least):
    assert contrast(drawings.dark(colour), drawings.PAGE) >= least


def test_letters_on_pale_fills_can_be_read_in_both_themes():
    for fill in ("#cfe3f1", "#fbe3cf", "#e3e3e3", "#ffffff"):
        assert contrast(fill, "#262626") >= 4.5
        assert contrast(drawings.dark(fill), drawings.dark("#262626")) >= 4.5
    assert drawings.twin('<path style="fill: #ffffff"/>') == f'<path style="fill: {drawings.PAGE}"/>'


def test_a_description_is_the_answer_cut_behind_a_sentence():
    page = publish_doctree("Title\n=====\n\n**Question.** Why?\n\n**Answer.** Short.\n")
    assert sharing.description(page) == "Short."
    page = publish_doctree(f"Title\n=====\n\n{'One sentence of words. ' * 20}\n")
    assert re.fullmatch(r"(One sentence of words\. ?){8}", sharing.description(page))
