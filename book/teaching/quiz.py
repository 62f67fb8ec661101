"""The quiz: what a question is, and all of them as pages and as files of jupyterquiz.

Which choice is right is computed, from the library or from the results store; so are the numbers in the explanations.
The pages need no script: a choice is a drop-down that says whether it is right, and why. (jupyterquiz's own pages fetch
MathJax from the network, and their choices cannot be reached by the keyboard.)
"""

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from swinprune_lite.measurements.store import Store

PER_SESSION = 10


@dataclass(frozen=True)
class Choice:
    """What one may choose, whether it is right, and why or why not."""

    says: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A question, the chapter that answers it, and the choices, of which one is right."""

    asks: str
    chapter: str
    choices: tuple[Choice, ...]

    def __post_init__(self):
        right = [choice.says for choice in self.choices if choice.right]
        if len(right) != 1 or len({choice.says for choice in self.choices}) < max(3, len(self.choices)):
            raise ValueError(f"{self.asks!r} needs three different choices or more, one of them right; right: {right}")


def number(asks: str, chapter: str, answer: str, why: str, wrong: Iterable[tuple[str, str]]) -> Question:
    """A question for a number.

    Args:
        asks: the question.
        chapter: page of the book that answers it.
        answer: the right number, computed, as it is printed.
        why: why it is right.
        wrong: other numbers, as they are printed, each with the mistake that leads to it.
    """
    return Question(asks, chapter, (Choice(answer, True, why), *(Choice(says, False, no) for says, no in wrong)))


def claims(asks: str, chapter: str, *choices: tuple[str, bool, str]) -> Question:
    """A question of which claim holds: what each says, whether it holds, computed, and why."""
    return Question(asks, chapter, tuple(Choice(says, bool(right), why) for says, right, why in choices))


def sessions() -> dict[str, Callable[[Store], list[Question]]]:
    """Name of each session -> what computes its questions, given the results store."""
    from teaching import does_it_help, does_it_work, the_idea

    return {"1": the_idea.questions, "2": does_it_work.questions, "3": does_it_help.questions}


def shuffled(question: Question) -> list[Choice]:
    """The choices of a question, in an order that stays: numbers by size, claims by chance."""
    try:
        return sorted(question.choices, key=lambda choice: float(re.sub(r"[^\d.+-]", "", choice.says)))
    except ValueError:
        return random.Random(question.asks).sample(question.choices, len(question.choices))


def page(questions: Iterable[Question]) -> str:
    """Questions as Markdown."""
    lines = []
    for count, question in enumerate(questions, 1):
        lines.append(f"**Question {count}.** {question.asks}")
        for choice in shuffled(question):
            verdict = f"**{'Right' if choice.right else 'No'}.** {choice.why}"
            verdict += f" ({{doc}}`/{question.chapter}`)" if choice.right else ""
            lines.append(f"```{{dropdown}} {choice.says}\n:class-container: quiz-choice\n{verdict}\n```")
    return "\n\n".join(lines)


def jupyterquiz(questions: Iterable[Question]) -> str:
    """Questions as a JSON file that `jupyterquiz.display_quiz` takes."""
    return json.dumps([
        {
            "question": question.asks,
            "type": "multiple_choice",
            "answers": [
                {"answer": choice.says, "correct": choice.right, "feedback": choice.why}
                for choice in shuffled(question)
            ],
        }
        for question in questions
    ], ensure_ascii=False, indent=1)  # fmt: skip
