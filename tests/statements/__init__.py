"""What the pages state: each passage quoted, beside what computes its numbers again."""

from statements import (
    architectures,
    counted,
    decide,
    exercises,
    hybrid,
    ideas,
    layerwise,
    measured,
    pages,
    pretrained,
    repaired,
    structured,
    surfaces,
    table1,
    teach,
    times,
)
from statements.statement import Statement

STATEMENTS: list[Statement] = [
    *architectures.STATEMENTS,
    *counted.STATEMENTS,
    *decide.STATEMENTS,
    *exercises.STATEMENTS,
    *hybrid.STATEMENTS,
    *ideas.STATEMENTS,
    *layerwise.STATEMENTS,
    *measured.STATEMENTS,
    *pages.STATEMENTS,
    *pretrained.STATEMENTS,
    *repaired.STATEMENTS,
    *structured.STATEMENTS,
    *surfaces.STATEMENTS,
    *table1.TABLE1_STATEMENTS,
    *teach.STATEMENTS,
    *times.STATEMENTS,
]
