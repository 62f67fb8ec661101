"""The verdicts of the ledger, and the rules by which a number gets one."""

from dataclasses import dataclass

from swinprune_lite.paper.arithmetic import decimals
from swinprune_lite.paper.numbers import LITE_COUNTERPARTS

REPRODUCED = "reproduced to the digit"
WITHIN = "within tolerance"
DIRECTION = "same direction at lite scale"
CONTRADICTED = "contradicted"
AGAINST = "contradicted at lite scale"
ARITHMETIC = "paper's own arithmetic is off"
UNDECIDED = "not decided here"
VERDICTS = (REPRODUCED, WITHIN, DIRECTION, AGAINST, CONTRADICTED, ARITHMETIC, UNDECIDED)

NEEDS_IMAGENET = f"{UNDECIDED}: needs the ImageNet weights and ImageNet-1k"
NEEDS_WEIGHTS = f"{UNDECIDED}: needs the ImageNet weights"
NEEDS_THEIRS = f"{UNDECIDED}: needs that method's own code and weights"
NOISE = f"{UNDECIDED}: at lite scale it is inside the noise; needs the ImageNet weights and ImageNet-1k"
SMALLEST = 0.05  # points: 25 of ImageNet's 50,000 validation images
LITE = {theirs: ours for ours, theirs in LITE_COUNTERPARTS.items()}


@dataclass(frozen=True)
class Found:
    """What there is on our side of a number; all text, as in the ledger's columns."""

    ours: str
    profile: str
    tolerance: str
    verdict: str
    source: str


def compare(printed: str, ours: float, slack: float | None = None) -> tuple[str, str]:
    """Verdict and tolerance for a number that can be computed here.

    Args:
        printed: the paper's, as printed.
        ours: computed.
        slack: what it may be off by either way; None: ours may be less than one unit of the last printed
            digit above it, since the paper cuts off digits in places where it should round.
    """
    digits = decimals(printed)
    if float(f"{ours:.{digits}f}") == float(printed):
        return REPRODUCED, f"{0.5 * 10**-digits:g}"
    off, unit = ours - float(printed), 10**-digits
    inside = 0 <= off < unit if slack is None else abs(off) <= slack + 1e-9
    return (WITHIN if inside else CONTRADICTED), f"{unit if slack is None else slack:.3g}"


def direction(printed: float, ours: float, half: float) -> str:
    """Verdict on a sign: ours counts only where it is more than half its 95 % interval away from zero."""
    if abs(printed) < SMALLEST:
        return f"{UNDECIDED}: needs more images than ImageNet's 50,000 to tell a printed difference so small from none"
    if abs(ours) <= half:
        return NOISE
    return DIRECTION if (ours > 0) == (printed > 0) else AGAINST


def lite_difference(printed: float, ours: float, half: float, source: str) -> Found:
    """What a difference measured on the lite models, with half its 95 % interval, says of a printed one."""
    return Found(f"{ours:+.2f} ± {half:.2f}", "lite", f"{half:.2f}", direction(printed, ours, half), source)
