"""The course: plans that fill their time, exercises that exist and are answered, questions with one right choice."""

import re
from collections import Counter
from pathlib import Path

import pytest
from teaching import exercises, quiz
from teaching.slides import deck

ROOT = Path(__file__).parents[2]
TEACH = ROOT / "book" / "teach"
SESSIONS = sorted(TEACH.glob("session_*.md"))
EXERCISES = exercises.exercises(ROOT / "notebooks")
sessions = pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)


def test_there_are_forty_exercises_of_each_kind_and_grade():
    assert len(EXERCISES) >= 40
    assert set(Counter((each.kind) for each in EXERCISES)) == set(exercises.KINDS)
    assert set(Counter((each.stars) for each in EXERCISES)) == {1, 2, 3}
    assert min(Counter(each.kind for each in EXERCISES).values()) >= 10


@pytest.mark.parametrize("page", dict.fromkeys(each.page for each in EXERCISES))
def test_exercises_are_numbered_graded_and_answered_in_words(page):
    found = [each for each in EXERCISES if each.page == page]
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert [each for each in found if not each.stars or each.kind not in exercises.KINDS] == []
    assert [each for each in found if not each.words] == []


def test_every_notebook_has_exercises():
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= {
        each.page for each in EXERCISES
    }


def test_the_list_has_them_all():
    listed = exercises.listed(ROOT / "notebooks")
    assert all(each.asks in listed for each in EXERCISES)
    assert f"| **all** | {' | '.join(str(sum(e.stars == stars for e in EXERCISES)) for stars in (1, 2, 3))} |" in listed


def rows(text: str, unit: str) -> list[int]:
    return [int(number) for number in re.findall(rf"^\| (\d+) {unit} \|", text, re.MULTILINE)]


@sessions
def test_a_session_takes_ninety_minutes_and_has_all_parts(path):
    text = path.read_text()
    assert sum(rows(text, "min")) == 90
    parts = ["**Goal.**", "**Before.**", "**Slides.**", "## Plan", "## Notes for the teacher", "## Homework"]
    assert [part for part in parts if part not in text] == []


@sessions
def test_a_session_names_exercises_that_exist(path):
    named = {
        (page, int(number))
        for page, numbers in re.findall(r"\{doc\}`/([\w/]+)`,\s+exercises? ((?:\d(?:, | and )?)+)", path.read_text())
        for number in re.findall(r"\d", numbers)
    }
    assert len(named) >= 6
    assert named <= {(each.page, each.number) for each in EXERCISES}


def test_the_rubric_has_a_hundred_points():
    assert sum(rows((TEACH / "project.md").read_text(), "pt")) == 100


def test_a_question_has_one_right_choice_and_different_ones():
    asked = quiz.number("How many?", "index", "3 %", "since", [("2 %", "no"), ("4 %", "no")])
    assert [choice.says for choice in quiz.shuffled(asked)] == ["2 %", "3 %", "4 %"]
    assert "```{dropdown} 3 %\n:class-container: quiz-choice\n**Right.** since ({doc}`/index`)\n```" in quiz.page(
        [asked]
    )
    with pytest.raises(ValueError, match="one of them right"):
        quiz.claims("Which?", "index", ("a", True, "since"), ("b", True, "since"), ("c", False, "no"))
    with pytest.raises(ValueError, match="three different choices"):
        quiz.number("How many?", "index", "3 %", "since", [("3 %", "no"), ("4 %", "no")])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<!-- figure: idea_swin fig-none -->", "no figure 'fig-none'"),
        ("<!-- table: idea_swin swin-00 -->", "no table in a cell 'swin-00'"),
        ("<!-- seen: idea_swin The moon -->", "no finding that starts 'The moon'"),
    ],
)
def test_a_slide_that_asks_for_what_is_not_there_is_refused(line, said):
    with pytest.raises(LookupError, match=said):
        deck(f"# A\n\n---\n\n## B\n\n{line}", ROOT / "notebooks")
