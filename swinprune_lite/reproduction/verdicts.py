"""The verdicts of the ledger, and the rules by which a number gets one."""

from dataclasses import dataclass

from swinprune_lite.reproduction.arithmetic import decimals
from swinprune_lite.reproduction.paper import LITE_COUNTERPARTS

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
        slack: what it may be off by; None: one unit of the last printed digit, since the paper cuts
            off digits in places where it should round.
    """
    digits = decimals(printed)
    slack = 10**-digits if slack is None else slack
    if float(f"{ours:.{digits}f}") == float(printed):
        return REPRODUCED, f"{0.5 * 10**-digits:g}"
    return (WITHIN if abs(ours - float(printed)) <= slack + 1e-9 else CONTRADICTED), f"{slack:.3g}"


def direction(printed: float, ours: float, half: float) -> str:
    """Verdict on a sign: ours counts only where it is more than half its 95 % interval away from zero."""
    if abs(ours) <= half or printed == 0:
        return NOISE
    return DIRECTION if (ours > 0) == (printed > 0) else AGAINST
