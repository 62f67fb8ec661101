"""What a statement is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recompute import MODELS

import swinprune_lite as sp
from swinprune_lite.paper.numbers import TABLE1_RATIOS
from swinprune_lite.studies.profiles import PROFILES


@dataclass(frozen=True)
class Statement:
    """A passage of a page, quoted with {} for a number, and what computes the numbers again.

    `values` gives the numbers in order, and booleans for what has to hold besides, such as an order. A page "*" is
    any page.
    """

    page: str
    says: str
    values: Callable[[], Iterable]


def about(page: str) -> Callable[[str, Callable[[], Iterable]], Statement]:
    """`Statement` for one page."""
    return lambda says, values: Statement(page, says, values)


def count(*numbers: float) -> Callable[[], Iterable]:
    """For what needs no computing: what there are so many of, and settings."""
    return lambda: numbers


SEEDS = [min(len(sp.lite_seeds(model)), PROFILES["lite"].replicates) for model in MODELS]
"""Sets of weights that the reproduction is of; the studies beyond have more of tiny."""

RATIOS = [100 * ratio for ratio in TABLE1_RATIOS]
