"""What a statement is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recompute import MODELS

import swinprune_lite as sp
from swinprune_lite.paper.numbers import TABLE1_RATIOS


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


SEEDS = [len(sp.lite_seeds(model)) for model in MODELS]
RATIOS = [100 * ratio for ratio in TABLE1_RATIOS]
