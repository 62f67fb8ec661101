"""What the pages of the course state of themselves; what they measure comes from the chapters."""

import re

from prose import BOOK
from teaching.quiz import PER_SESSION

from statements.statement import about, count

course, quiz = about("teach/course"), about("teach/quiz")


def sessions() -> int:
    return len(list((BOOK / "teach").glob("session_*.md")))


def minutes() -> int:
    """Of a session's plan; all have as many."""
    plans = [re.findall(r"^\| (\d+) min \|", path.read_text(), re.M) for path in (BOOK / "teach").glob("session_*.md")]
    (found,) = {sum(map(int, plan)) for plan in plans}
    return found


STATEMENTS = [
    course("The course: {} sessions and a project", lambda: [sessions()]),
    course("Each takes {} minutes", lambda: [minutes()]),
    course("A quiz of {} questions stands at the end of each", count(PER_SESSION)),
    quiz("Quiz: {} questions a session", count(PER_SESSION)),
]
