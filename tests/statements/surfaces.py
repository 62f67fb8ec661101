"""What the chapter on data unlike ImageNet states."""

from functools import cache

import pandas as pd
import torch

from statements.statement import Statement, about, count
from swinprune_lite.data.surfaces import KINDS, SIDE
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.surfaces import VIEWS
from swinprune_lite.sources.surface_sets import SHARES, SIZES, SPLITS, plan
from swinprune_lite.studies import surfaces as study

SHIFT = "beyond_domain_shift"
shift = about(SHIFT)
CUT, REPAIRED, TUNED, BOTH = (f"adapt, prune{more}" for more in ("", ", repair", ", tune", ", repair, tune"))
FIRST = "prune, adapt"
GARMENTS, RANDOM = "the garments model's", "nobody's (random)"


@cache
def store() -> Store:
    return Store()


@cache
def order() -> pd.DataFrame:
    return study.order(store())


@cache
def transfer() -> pd.DataFrame:
    return study.transfer(store()).set_index(["ratio", "steps", "masks"])


@cache
def curves() -> pd.DataFrame:
    return study.curves(store()).set_index(["labelled", "steps"])


@cache
def by_size() -> pd.DataFrame:
    return study.by_size(store())


@cache
def classes(work: str = CUT, ratio: float = study.LOW) -> pd.DataFrame:
    return study.by_class(store(), work, ratio)


@cache
def calibration() -> pd.DataFrame:
    return study.calibration().groupby("state", sort=False).mean()


def top(work: str) -> float:
    return order().top1[work]


def lost(work: str) -> list[float]:
    return [order().lost[work], order().lost_half[work]]


def cost_of_masks(ratio: float, masks: str, steps: int = 0) -> list[float]:
    row = transfer().loc[(ratio, steps, masks)]
    return [row.behind, row.behind_half]


def after(labelled: int, steps: int) -> list[float]:
    row = curves().loc[(labelled, steps)]
    return [row.lost, row.lost_half]


def recall(view: str, state: str = "dense", low: int = 2, high: int = 6) -> float:
    return by_size().query("view == @view and state == @state and @low <= size <= @high").recall.mean()


def paid(work: str, ratio: float, *names: str) -> list[float]:
    return [classes(work, ratio)[column][name] for name in names for column in ("lost", "lost_half")]


def orders_apart() -> list:
    """Adapted, pruned and tuned minus pruned and adapted: points, half, and that the interval holds zero."""
    gain, half = paired_difference(study.all_seeds(store(), TUNED), study.all_seeds(store(), FIRST))
    return [gain, half, abs(gain) < half]


def masks_apart(steps: int) -> list:
    own = [cost_of_masks(study.RATIO, masks, steps) for masks in (GARMENTS, RANDOM)]
    return [*own[0], *own[1], own[0][0] > own[0][1], own[1][0] > own[0][0]]


def regained(labelled: int) -> float:
    return lost(CUT)[0] - after(labelled, study.CURVE[0])[0]


def moved(low: int, high: int) -> list[float]:
    """The least and the most that the recall of such defects moves by in a view, in points."""
    found = [recall(view, "55 % cut", low, high) - recall(view, "dense", low, high) for view in VIEWS]
    return [min(found), max(found)]


def clear_classes(work: str, ratio: float) -> list[str]:
    rows = classes(work, ratio).loc[list(KINDS)]
    return list(rows.index[rows.lost > rows.lost_half])


def apart(first: str, second: str) -> tuple[float, float]:
    return study.views_apart(store(), first, second, 2, 6)


def patches_over_camera() -> list:
    """What wide patches cost in recall of small defects minus what the coarser camera does: points, half, clear."""
    place = torch.tensor([2 <= each.size <= 6 for each in plan("test")])
    fine, enlarged, wide = (
        [study.correct(store(), study.profile(view), study.adapted(seed, view=view))[place].double()
         for seed in study.SEEDS]
        for view in ("64", "32x2", "32")
    )  # fmt: skip
    gain, half = paired_difference([2 * each for each in enlarged], [one + other for one, other in zip(fine, wide)])
    return [gain, half, gain > half]


def lost_in(view: str, low: int, high: int) -> list[float]:
    """Recall that cutting at the higher ratio takes from surfaces of these sizes in a view: points, half."""
    place = torch.tensor([low <= each.size <= high for each in plan("test")])
    states = study.states()
    sides = (
        [study.correct(store(), study.profile(view), study.adapted(seed, view=view, **states[state]))[place]
         for seed in study.SEEDS]
        for state in ("dense", "80 % cut")
    )  # fmt: skip
    return list(paired_difference(*sides))


def against_random(ratio: float, steps: int = 0) -> list[float]:
    """Points that the garments model's mask brings over a random one, and half their interval."""
    made = study.masks_made()
    sides = (
        [study.correct(store(), study.profile(), study.adapted(seed, ratio, steps=steps, **made[masks]))
         for seed in study.SEEDS]
        for masks in (GARMENTS, RANDOM)
    )  # fmt: skip
    return list(paired_difference(*sides))


def over_random() -> list:
    light, hard, tuned = (
        against_random(study.LOW),
        against_random(study.RATIO),
        against_random(study.RATIO, study.LIGHT),
    )
    clear = [points > half for points, half in (light, hard, tuned)]
    return [*light, 55, 80, *hard, *tuned, clear == [True, False, True]]


def false_alarms() -> list:
    """That the finest camera's model passes less than half of the clean when cut, and one of the other views more."""
    passed = {view: recall(view, "80 % cut", 0, 0) for view in VIEWS}
    finest = str(VIEWS[study.BASE].camera) == study.BASE and passed.pop(study.BASE) < 50
    return [80, finest, calibration().missed["80 % cut"] < 5, sum(each > 50 for each in passed.values()) == 1]


def halves() -> list[bool]:
    fine, enlarged, wide = (VIEWS[view] for view in ("64", "32x2", "32"))
    return [
        2 * enlarged.camera == fine.camera,
        enlarged.side == fine.side == 2 * wide.side,
        wide.camera == enlarged.camera,
    ]


def macs(view: str) -> int:
    return store().find(study.profile(view), study.adapted(1, view=view)).macs


STATEMENTS = [
    shift(
        "With {} % of the prunable weights gone the adapted model falls from {} to {} %; {} steps of light fine-tuning"
        " bring it back to {} %.",
        lambda: [80, top("adapt"), top(CUT), study.LIGHT, top(TUNED)],
    ),
    shift(
        "A model that is pruned before it is adapted reaches {} % after as many steps in all: the two orders, {} ± {}"
        " points apart, cannot be told from one another.",
        lambda: [top(FIRST), *orders_apart()],
    ),
    shift(
        "In one shot the garments model's mask costs {} ± {} points more than the adapted model's own, a random one"
        " {} ± {}.",
        lambda: masks_apart(0),
    ),
    shift(
        "After light fine-tuning the garments model's mask costs {} ± {} points more than the adapted model's own, a"
        " random one {} ± {}.",
        lambda: masks_apart(study.LIGHT),
    ),
    shift(
        "Of the {} points that cutting takes, {} steps on {} labelled surfaces bring back {}.",
        lambda: [lost(CUT)[0], study.CURVE[0], study.LABELLED[0], regained(study.LABELLED[0])],
    ),
    shift(
        "After {} steps {} labelled surfaces leave {} ± {} points missing, {} leave {} ± {} and {} leave {} ± {}.",
        lambda: [study.LIGHT, *(value for each in study.LABELLED for value in (each, *after(each, study.LIGHT)))],
    ),
    shift(
        "Of defects of {} to {} pixels the dense model recalls {} % behind the finest camera; behind a coarser one it"
        " recalls {} % if its patches are as narrow on the surface, and {} % if they are not.",
        lambda: [2, 6, *(recall(view) for view in ("64", "32x2", "32"))],
    ),
    shift(
        "A camera of half the pixels a side costs {} ± {} points of the recall of defects of {} to {} pixels, and"
        " patches that are twice as wide cost {} ± {}.",
        lambda: [*apart("64", "32x2"), 2, 6, *apart("32x2", "32"), *halves()],
    ),
    shift(
        "What the camera costs cannot be told from zero", lambda: [abs(apart("64", "32x2")[0]) < apart("64", "32x2")[1]]
    ),
    shift("and patches cost {} ± {} points more than it.", patches_over_camera),
    shift(
        "On a coarser camera with wide patches (view ) clean surfaces lose {} ± {} points and defects of {} to {}"
        " pixels {} ± {}.",
        lambda: [*lost_in("32", 0, 0), 9, 30, *lost_in("32", 9, 30)],
    ),
    shift(
        "Against a random mask that of the garments model brings {} ± {} points at {} %; at {} % it brings {} ± {} in"
        " one shot, which cannot be told from zero, and {} ± {} after light fine-tuning.",
        over_random,
    ),
    shift("unless too much is cut and nothing tuned", lambda: [over_random()[-1]]),
    Statement(
        "index",
        "On the finest camera a model that is cut at {} % calls most clean surfaces defective and few defects clean; in"
        " one of the other views it does not",
        false_alarms,
    ),
    shift(
        "Narrow patches take {} times the MACs of wide ones.",
        lambda: [macs("32x2") / macs("32"), macs("64") == macs("32x2")],
    ),
    shift(
        "With {} % cut the recall of defects of {} to {} pixels moves by {} to {} points in these views, and that of"
        " defects of {} to {} pixels by {} to {}.",
        lambda: [55, 2, 6, *moved(2, 6), 9, 30, *moved(9, 30)],
    ),
    shift(
        "With {} % cut the models of narrow patches pass {} and {} % of the clean surfaces, those of wide ones {} and"
        " {} %.",
        lambda: [80, *(recall(view, "80 % cut", 0, 0) for view in ("64", "32x2", "32", "16x2"))],
    ),
    shift(
        "With {} % cut cracks lose {} ± {} points of recall and missing threads {} ± {}; no other class loses more than"
        " its interval.",
        lambda: [
            55,
            *paid(CUT, study.LOW, "crack", "missing thread"),
            clear_classes(CUT, study.LOW) == ["crack", "missing thread"],
        ],
    ),
    shift(
        "With {} % cut clean surfaces lose {} ± {} points, missing threads {} ± {} and cracks {} ± {}.",
        lambda: [
            80,
            *paid(CUT, study.RATIO, "clean", "missing thread", "crack"),
            clear_classes(CUT, study.RATIO) == ["clean", "crack", "missing thread"],
        ],
    ),
    shift(
        "not overlook defects, it sees them everywhere: the dense model calls {} % of the defects clean, and"
        " the one that was cut {} %.",
        lambda: [calibration().missed["dense"], calibration().missed["80 % cut"]],
    ),
    shift(
        "Once it is repaired and tuned no class has lost more than its interval",
        lambda: [clear_classes(BOTH, study.RATIO) == []],
    ),
    shift(
        "The mean of the classes lost {} ± {} points at {} %, and the accuracy on the line {} ± {}.",
        lambda: [*lost(CUT), 80, *paid(CUT, study.RATIO, "on the line")],
    ),
    shift(
        "The calibration error grows from {} to {} points with {} % cut and to {} with {} %; repaired it is {}.",
        lambda: [
            calibration().error["dense"],
            calibration().error["55 % cut"],
            55,
            calibration().error["80 % cut"],
            80,
            calibration().error["80 % repaired"],
        ],
    ),
    shift(
        "The repair without an image returns {} points of the {}, and repaired and tuned the model lacks {} ± {}.",
        lambda: [top(REPAIRED) - top(CUT), lost(CUT)[0], *lost(BOTH)],
    ),
    shift(
        "Stains are hardly recognised by any of them, {} % by the dense one",
        lambda: [classes().dense["stain"], classes().dense["stain"] < 100 / len(KINDS)],
    ),
    shift(
        "The training set has {} surfaces in the shares of a line: {} % are clean, {} % have a scratch, {} % a stain,"
        " {} % a pit, {} % a crack and {} % a missing thread.",
        lambda: [SPLITS["train"], *(round(100 * SHARES[kind]) for kind in KINDS)],
    ),
    shift("Defects have {} to {} pixels, and the smaller, the more often.", lambda: [SIZES[0], SIZES[-1]]),
    shift("A test set of {} surfaces has as many of each class", lambda: [SPLITS["test"]]),
    shift(
        "results are of {} sets of weights on test surfaces",
        lambda: [len(study.SEEDS)],
    ),
    shift("Adapting takes {} steps", count(study.STEPS)),
    shift("A step takes {} surfaces", count(study.BATCH)),
    shift("surfaces have {} pixels a side, so that view {} is of the finest camera", count(SIDE, VIEWS["64"].camera)),
    shift("Ask for a model of surfaces of {} pixels a side", count(48)),
]
