"""What the pages under book/teach/ get when the book is laid out."""

from pathlib import Path

from swinprune_lite.measurements.store import Store
from teaching import cards, exercises, quiz, slides

MARKS = {"exercises": "<!-- exercises -->", "cards": "<!-- cards of the data -->", "quiz": "<!-- quiz: {} -->"}


def insertions(notebooks: Path, store: Store) -> tuple[dict[str, str], dict[str, str]]:
    """What the pages under book/teach/ get, and the files beside them.

    Args:
        notebooks: folder of executed notebooks.
        store: the results store.

    Returns:
        Mark -> Markdown that takes its place; and name of each file for `_static` -> its text.
    """
    asked = {session: questions(store) for session, questions in quiz.sessions().items()}
    marks = {MARKS["exercises"]: exercises.listed(notebooks), MARKS["cards"]: cards.cards()}
    marks |= {MARKS["quiz"].format(session): quiz.page(questions) for session, questions in asked.items()}
    files = {f"quiz_{session}.json": quiz.jupyterquiz(questions) for session, questions in asked.items()}
    return marks, files | slides.decks(notebooks)
