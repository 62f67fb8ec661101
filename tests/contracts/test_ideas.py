"""The pages that teach: the algorithm in ten lines, the map of the paper, the glossary, the errata, the exercises."""

import re
from collections import Counter
from pathlib import Path

import contents
import insertions
import nbformat
import numpy as np
import pandas as pd
import pytest
import recompute as again
import torch

import swinprune_lite as sp
from swinprune_lite.paper.numbers import TABLES
from swinprune_lite.pruning import budgets, groupings, importance, selection

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGES = {*contents.pages()}
ALGORITHM, LIBRARY = "score-13", "score-15"
TERMS = """MAC, FLOPs, parameter, window, stage, patch, block, head, token, QKV, FC1, PRJ, FC2, module, mask,
sparsity, score, energy, Frobenius norm, one shot, fine-tuning, held-out, seed, interval, paired, ERK,
Uniform+, LAMP, global magnitude, 2:4, Pareto, structured, compact, calibration images, dead leaves,
probe, profile, ledger, verdict, lite model"""


def source(cell: str) -> str:
    return again.cells("idea_score_by_hand")[cell].source


@pytest.mark.parametrize("ratio", [0.35, 0.5, 0.9])
def test_both_ten_lines_make_the_masks_of_the_library(ratio):
    assert len(source(ALGORITHM).splitlines()) == len(source(LIBRARY).splitlines()) == 10
    model = sp.load_lite("swin_lite_micro")
    made = sp.make_masks(model, ratio)
    names = {"sp": sp, "model": model, "ratios": [ratio], "groupings": groupings, "budgets": budgets}
    names |= {"importance": importance, "selection": selection, "np": np}
    exec(source(LIBRARY), names)
    assert all(mask.equal(names["masks"][weight]) for weight, mask in made.items())
    exec(source(ALGORITHM), names)
    for group in groupings.by_module(model):
        found = names["dimap"]({weight: model.get_parameter(weight).detach().numpy() for weight in group}, ratio)
        assert all(made[weight].equal(torch.from_numpy(found[weight])) for weight in group)


def places(text: str) -> list[str]:
    """Rows of the map of the paper, such as "Table 2a"."""
    return re.findall(r"^\| ((?:Table|Figure|Equation) \w+) \|", text, re.MULTILINE)


def test_every_table_figure_and_equation_of_the_paper_is_on_the_map_once():
    text = (BOOK / "where_is.md").read_text()
    tables = {f"Table {name.removeprefix('table').partition('_')[0]}" for name in TABLES if name.startswith("table")}
    equations = {f"Equation {number}" for number in (7, 8, 10, 21)}  # those that the project quotes by number
    assert Counter(places(text)) == Counter(tables | {f"Figure {number}" for number in range(1, 7)} | equations)
    quoted = " ".join(path.read_text() for path in (ROOT / "swinprune_lite").rglob("*.py"))
    assert {f"Equation {number}" for number in re.findall(r"\bequation (\d+)", quoted)} <= equations


def test_the_map_leads_to_chapters_that_reproduce_what_they_stand_for():
    text = (BOOK / "where_is.md").read_text()
    rows = re.findall(r"^\| ((?:Table|Figure|Equation) \w+) \|.*\{doc\}`([^`<]+)`.*\|$", text, re.MULTILINE)
    assert len(rows) == len(places(text))
    for place, target in rows:
        assert target in PAGES
        kind, number = place.lower().rstrip("ab").split()
        if kind != "equation":
            assert target.startswith(f"notebooks/{kind}{number}_")
        else:
            head = nbformat.read(ROOT / f"{target}.ipynb", as_version=4).cells[0].source
            assert f"quation {number}" in head or "equations_1_to_10" in target
    assert {target for target in re.findall(r"\{doc\}`(?:[^`<]+ <)?([^`<>]+)>?`", text)} <= PAGES


def glossary() -> dict[str, str]:
    """Term -> what the glossary says of it."""
    (body,) = re.findall(
        r"^```\{glossary\}\n:sorted:\n\n(.*?)^```", (BOOK / "glossary.md").read_text(), re.DOTALL | re.MULTILINE
    )
    found = {}
    for entry in body.strip().split("\n\n"):
        lines = entry.splitlines()
        terms = [line for line in lines if not line.startswith(" ")]
        found |= dict.fromkeys(terms, " ".join(line.strip() for line in lines[len(terms) :]))
    return found


def test_the_glossary_says_each_word_in_few_sentences_and_has_all_terms():
    said = glossary()
    assert {" ".join(term.split()) for term in TERMS.split(",")} - said.keys() == set()
    for term, text in said.items():
        sentences = re.findall(r"[.:](?=\s|$)", re.sub(r"\{[\w:]+\}`[^`]*`", "x", text))
        assert 1 <= len(sentences) <= 3, term
    for page in (*BOOK.glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")):
        used = re.findall(r"\{term\}`(?:[^`<]+<)?([^`<>]+)>?`", page.read_text())
        assert {term.strip() for term in used} <= said.keys(), page


def test_the_errata_hold_what_the_ledger_finds_and_nothing_else():
    parts = insertions.errata()
    text = (BOOK / "errata.md").read_text()
    assert {f"errata: {part}" for part in parts} == set(re.findall(r"<!-- (errata: \w+) -->", text))
    ledger = pd.read_csv(ROOT / "results" / "ledger.csv", keep_default_na=False)
    off = ledger[ledger.verdict == "paper's own arithmetic is off"]
    rows = {part: table.splitlines()[2:] for part, table in parts.items()}
    assert len(rows["arithmetic"]) == off.ours.nunique() + 1  # and equation 21
    assert all(any(paper in line for line in rows["arithmetic"]) for paper in off.paper)
    assert len(rows["counted"]) == (ledger.verdict == "contradicted").sum()
    assert rows["cut"]
    assert rows["elsewhere"]
    printed, whole = insertions.equation_21()
    assert printed != whole


def test_stars_are_counted_where_tables_mark_them(tmp_path):
    cell = nbformat.v4.new_code_cell("x", outputs=[])
    for page in ("<td>+1.00 ± 0.50 *</td><td>-0.10 ± 0.20</td><td>3.00 ± 1.00</td>", "<td>+1.00 ± 2.00</td>"):
        cell.outputs.append(nbformat.v4.new_output("display_data", {"text/html": page}))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=[]), tmp_path / "other.ipynb")
    assert insertions.stars(tmp_path.glob("*.ipynb")) == {"one": (2, 1)}
    assert "| **all** | 2 | 1 | 0.1 |" in insertions.stars_table(tmp_path.glob("*.ipynb"))


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("idea_*.ipynb")), ids=lambda path: path.stem)
def test_exercises_are_graded_and_answered_in_words(path):
    cells = nbformat.read(path, as_version=4).cells
    questions = [re.search(r"\*\*Exercise \d\.\*\* \((★+), ([\w, ]+)\) ", cell.source) for cell in cells]
    graded = [(found[1], found[2]) for found in questions if found]
    assert graded == [("★", "pencil"), ("★★", "predict, then run"), ("★★★", "critique")]
    for cell in cells:
        if cell.source.startswith("# Solution"):
            said = " ".join(output.get("text", "") for output in cell.outputs)
            assert re.search(r"(\b[a-zA-Z]+\b[ ,;:.]+){5}", said), cell.source
