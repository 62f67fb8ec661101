"""What the chapter on the worth of data states, from the results store and from what its cells print."""

from functools import cache

import pandas as pd
import recompute as again
from recompute import T, span

import swinprune_lite as sp
from statements.statement import about, count
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.studies import criteria as study
from swinprune_lite.studies.repair import IMAGES, gain, reported, setting

HYBRID = "beyond_hybrid_criteria"
MICRO = study.FULL

hybrid = about(HYBRID)


@cache
def evidence() -> Evidence:
    return Evidence(study.PROFILE)


@cache
def rows() -> pd.DataFrame:
    return study.curves(evidence()).set_index(["criterion", "where", "repaired", "images"])


@cache
def worth() -> pd.DataFrame:
    return study.worth(evidence())


@cache
def choice() -> pd.DataFrame:
    return study.choice(Evidence(study.CHOICE))


def differs(what: str, sign: int = 1) -> list[float]:
    """A comparison on lite micro: points and half their interval."""
    points, half = worth().loc[what, MICRO]
    return [sign * points, half]


def clear(*whats: str) -> bool:
    """Whether the first is ahead outside the interval on lite micro, in all of these comparisons."""
    return all(points > half for points, half in map(differs, whats))


def apart(what: str) -> list[float]:
    """A comparison in every training of lite tiny, points."""
    return list(worth().loc[what, study.OTHER])


def top(criterion: str, images: int, where: str = "choice", repaired: bool = False) -> list[float]:
    """Of lite micro: mean top-1 and half its interval."""
    row = rows().loc[(criterion, where, repaired, images)]
    return [row.top1, row.half]


def more_images(criterion: str, many: int = 512, few: int = 8) -> list[float]:
    """Of lite micro: what many images bring over few."""
    return list(gain(evidence(), MICRO, study.asked(criterion, images=many), study.asked(criterion, images=few)))


def quartet(*whats: str) -> list[float]:
    return [number for what in whats for number in differs(what)]


def without_data() -> float:
    """Of lite micro, cut: the best without data."""
    return max(top(name, 0, "")[0] for name in study.DATA_FREE)


def gradients_from_few() -> list:
    """How far gradients from 8 and 32 images stay behind the worse of what uses no data, least and most."""
    worst = min(top(name, 0, "")[0] for name in study.DATA_FREE)
    return span([worst - top(name, images)[0] for name in ("taylor", "fisher") for images in study.CALIBRATION[:2]])


def best_of(model: str) -> tuple[str, str]:
    return choice()[model].idxmax()


def held(criterion: str, grouping: str, model: str) -> float:
    return choice()[model][criterion, grouping]


@cache
def bounds() -> pd.DataFrame:
    """What the cell of the chapter computes."""
    model = study.PROFILE.load(MICRO)
    moments = input_moments(study.PROFILE.load(MICRO).double(), study.PROFILE.calibration_batches(32))
    asked = {"grouping": "whole_model", "criterion": "activation_energy", "statistics": moments}
    return study.bounds(model, sp.make_masks(model, study.RATIO, **asked), moments)


def alphas() -> list[float]:
    table = study.by_alpha(evidence()).set_index("alpha")
    return [table.top1[0.0], table.half[0.0], table.top1[1.0], table.half[1.0]]


def draws(criterion: str) -> list[float]:
    return span(again.printed(HYBRID, "hybrid-28", f"{criterion} from 8 images, three draws:"))


def statistics_share(kind: str) -> float:
    """Bytes of statistics over bytes of prunable weights: lite micro."""
    weights = [study.PROFILE.load(MICRO).get_parameter(name) for name in sp.prunable(study.PROFILE.load(MICRO))]
    numbers = {"gradients": sum(2 * weight.numel() for weight in weights),
               "moments": sum(weight.shape[1] * (weight.shape[1] + 1) for weight in weights)}  # fmt: skip
    return 8 * numbers[kind] / (4 * sum(weight.numel() for weight in weights))
