"""What the pages of the course state of themselves; what they measure comes from the chapters."""

import re

import recompute as again
from prose import BOOK
from teaching.quiz import PER_SESSION

from statements import measured
from statements.layerwise import none_whole, rank_trends
from statements.statement import about, count
from swinprune_lite.paper.numbers import paper_table

course, quiz, second, third = map(about, ("teach/course", "teach/quiz", "teach/session_2", "teach/session_3"))


def sessions() -> int:
    return len(list((BOOK / "teach").glob("session_*.md")))


def minutes() -> int:
    """Of a session's plan; all have as many."""
    plans = [re.findall(r"^\| (\d+) min \|", path.read_text(), re.M) for path in (BOOK / "teach").glob("session_*.md")]
    (found,) = {sum(map(int, plan)) for plan in plans}
    return found


def within_the_interval() -> list:
    """Trainings, and whether the difference of whole groups and single weights on tiny holds zero."""
    more = again.losses() - again.losses("masks")
    gap, half = again.with_spread(more)
    return [len(more), abs(gap) <= half]


def led() -> list:
    """Whether the paper's DIMAP leads uniform pruning at all ratios, and by more at each higher one, on every model."""
    rows = paper_table("table3_uniform_vs_dimap").assign(lead=lambda row: row.dimap_top1_pct - row.uniform_top1_pct)
    leads = rows.pivot(index="ratio_pct", columns="model", values="lead").sort_index()
    return [bool((leads > 0).all(axis=None)), bool((leads.diff().iloc[1:] > 0).all(axis=None))]


STATEMENTS = [
    course("The course: {} sessions and a project", lambda: [sessions()]),
    course("Each takes {} minutes", lambda: [minutes()]),
    course("A quiz of {} questions belongs to each", count(PER_SESSION)),
    second(
        "| does not show on the lite models; one difference in a table of many speaks for uniform pruning, as by "
        "chance |",
        lambda: [measured.up_to_half()[1], measured.base_behind()[2]],
    ),
    second("| DIMAP leads uniform pruning, the more the more is cut |", led),
    second(
        "it does; it costs less than DIMAP in some places, and more in another",
        lambda: [sorted(again.stars("global", measured.EVERY).values()) == [False] * 4 + [True]],
    ),
    second(
        "cannot be told apart after fine-tuning",
        lambda: [not any(measured.after(model).clear for model in again.MODELS)],
    ),
    second("| early layers keep more | the same direction |", lambda: [max(rank_trends()) < 0]),
    second("they do not, at the paper's ratio", lambda: [none_whole()]),
    third(
        "Zeros in place save no time on a CPU here; no GPU was measured. What leaves whole saved time wherever it was"
        " timed. {} training seeds do not tell masks from smaller matrices in accuracy",
        lambda: [
            again.speed("masked 2:4").speedup.max() < 1.03,
            again.speed("compact").low.min() > 1,
            *within_the_interval(),
        ],
    ),
    quiz("Quiz: {} questions a session", count(PER_SESSION)),
]
