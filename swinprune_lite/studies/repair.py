"""Past the paper: cut, then repair. Which rule was chosen on held-out training pairs, and what it brings on others."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from swinprune_lite.files import RESULTS
from swinprune_lite.kept import kept
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import mean_accuracy, paired_difference
from swinprune_lite.measurements.measure import WITH_HEAD
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.models.lite import OTHERS, SWINS
from swinprune_lite.models.probe import NAME
from swinprune_lite.sources.shipped_source import Shipped
from swinprune_lite.studies.profiles import GARMENTS, PROFILES

PROFILE = replace(PROFILES["lite"], models=SWINS)
"""The lite profile with the model that is full."""

ELSEWHERE = replace(PROFILE, models=OTHERS)
"""And with those of other families, on which nothing was chosen."""

CHOICE = replace(PROFILE, source=Shipped("held-out"))
"""What is chosen is chosen here: held-out training pairs."""

REFIT = "refit"
RULE = REFIT + WITH_HEAD
CHOSEN_ON = ("swin_lite_micro", "swin_lite_tiny")
METHODS = ("dimap", "lamp", "uniform")
MORE_METHODS = ("global", "erk")  # on the model that is full, at high ratios
RATIOS = (0.15, 0.55, 0.7, 0.8, 0.9)
FEWER = (0.15, 0.55, 0.8, 0.9)  # on small and base
HIGH = (0.8, 0.9)
RULES = (
    "rows",
    "rows^1.5",
    "rows, root of L1",
    "columns",
    "heads",
    "layer",
    "variances",
    "least squares",
    REFIT,
    RULE,
)
REAL = (8, 32, 128, 512)
IMAGES = 5000
SEEDS_OF_RULES = 3


def setting(model: str, seed: int, method: str = "dense", ratio: float = 0.0, **more) -> Setting:
    """One measurement; seed 0 of the paper's three sizes on all images, as in the reproduction, the others on 5,000."""
    whole = seed == 0 and model in PROFILES["lite"].models and not any(more.values())
    return Setting(model, method, ratio, seed, images=0 if whole else IMAGES, **more)


def seeds(model: str) -> list[int]:
    """Trainings of a model of which the weights ship."""
    return PROFILE.training_seeds(model)


def methods(model: str, ratio: float = HIGH[0]) -> tuple[str, ...]:
    """That are compared on a model at a ratio."""
    if model not in (*CHOSEN_ON, *OTHERS):
        return METHODS[:2]
    return METHODS + (MORE_METHODS if model == CHOSEN_ON[0] and ratio in HIGH else ())


def ratios(model: str) -> tuple[float, ...]:
    """At which they are."""
    return RATIOS if model in CHOSEN_ON else FEWER


def grid(models: Sequence[str] = PROFILE.models) -> list[Setting]:
    """Every method at every ratio, cut and repaired."""
    found = []
    for model in models:
        for seed in seeds(model):
            found.append(setting(model, seed))
            for ratio in ratios(model):
                for method in methods(model, ratio):
                    found += [setting(model, seed, method, ratio), setting(model, seed, method, ratio, repair=RULE)]
    return found


def rules(seeds_of: Callable[[str], list[int]]) -> list[Setting]:
    """Every rule on DIMAP's masks at high ratios, without images, drawn or real, and with real ones.

    Args:
        seeds_of: model -> training seeds, of which the first `SEEDS_OF_RULES` are taken.
    """
    found = []
    for model in CHOSEN_ON:
        for seed in seeds_of(model)[:SEEDS_OF_RULES]:
            for ratio in HIGH:
                one = setting(model, seed, "dimap", ratio, repair=RULE)
                found += [setting(model, seed, "dimap", ratio)]
                found += [replace(one, repair=rule) for rule in RULES]
                found += [replace(one, drawn=0, repair=rule) for rule in (REFIT, "variances")]
                found += [replace(one, repair=REFIT, calibration=images) for images in REAL]
    return found


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for the chapter."""
    choosing = [replace(each, images=0) for each in rules(lambda model: [0])]
    found = [(CHOICE, each) for each in choosing] + [(PROFILE, each) for each in [*grid(), *rules(reported)]]
    found += [(ELSEWHERE, each) for each in grid(ELSEWHERE.models)]
    return list(dict.fromkeys(found))


PRETRAINED = PROFILES["pretrained"]
PRETRAINED_RATIOS = {0.5: METHODS, 0.3: METHODS[:2]}


def pretrained() -> list[Setting]:
    """On the real pretrained transformer: cut, repaired without data, and with real images."""
    found = [Setting(NAME, images=GARMENTS)]
    for ratio, methods in PRETRAINED_RATIOS.items():
        for method in methods:
            cut = Setting(NAME, method, ratio, images=GARMENTS)
            found += [cut, replace(cut, repair=RULE)]
    cut = Setting(NAME, "dimap", max(PRETRAINED_RATIOS), images=GARMENTS)
    found += [replace(cut, repair="rows^1.5"), replace(cut, repair=REFIT), replace(cut, repair=REFIT, drawn=0)]
    return [*found, replace(cut, repair=REFIT, calibration=32)]


FEATURES = RESULTS / "pretrained_features.json"
DISTANCE_GARMENTS = 100


def distances_of() -> list[Setting]:
    """Of which the distance of the features is measured."""
    cut = [Setting(NAME, method, max(PRETRAINED_RATIOS)) for method in METHODS[:2]]
    return [each for one in cut for each in (one, replace(one, repair=REFIT))]  # the head comes after the features


def distances() -> pd.DataFrame:
    """How far the pretrained transformer's features moved, see `features.feature_distance`.

    Returns:
        A row a case: method, ratio, repair, photographs and garments (distances).

    Raises:
        LookupError: nothing was measured.
        ValueError: a file that is damaged or was altered.
    """
    columns = {"method": str, "ratio": float, "repair": str, "photographs": float, "garments": float}
    return kept(
        FEATURES, {"rows": columns}, "in the repository 'python data_scripts/feature_distances.py' measures it"
    )["rows"]


def reported(model: str) -> list[int]:
    """Training seeds that results are of: not seed 0 where the rule was chosen on it."""
    return [seed for seed in seeds(model) if seed or model not in CHOSEN_ON]


def accuracy(evidence: Evidence, model: str, trainings: int | None = None, **asked) -> tuple[float, float]:
    """Mean top-1 in percent over `reported` seeds, and half its 95 % interval over images and seeds.

    Args:
        evidence: of `PROFILE`.
        model: a lite model.
        trainings: the first so many; None: all.
        asked: what `setting` takes: method, ratio, repair and the like.
    """
    asked_of = [setting(model, seed, **asked) for seed in reported(model)[:trainings]]
    return mean_accuracy([evidence.measurement(each).top1[:IMAGES] for each in asked_of])


def gain(evidence: Evidence, model: str, first: dict, second: dict) -> tuple[float, float]:
    """Top-1 of the first minus the second's in points, training by training, and half its 95 % interval.

    Args:
        evidence: of `PROFILE`.
        model: a lite model.
        first: what `setting` takes.
        second: the same of the other.
    """
    sides = (
        [evidence.measurement(setting(model, seed, **side)).top1 for seed in reported(model)]
        for side in (first, second)
    )
    return paired_difference(*([correct[:IMAGES] for correct in side] for side in sides))


def gains(evidence: Evidence, method: str = "dimap", models: Sequence[str] = PROFILE.models) -> pd.DataFrame:
    """What the repair brings to a method.

    Returns:
        A row a model and ratio: trainings (number of seeds), cut and repaired (mean top-1, percent), gain and gain_half
        (points), lost and lost_half (dense minus repaired, points).
    """
    rows = []
    for model in models:
        for ratio in ratios(model):
            cut = {"method": method, "ratio": ratio}
            repaired = cut | {"repair": RULE}
            rows.append(
                (
                    model,
                    ratio,
                    len(reported(model)),
                    accuracy(evidence, model, **cut)[0],
                    accuracy(evidence, model, **repaired)[0],
                    *gain(evidence, model, repaired, cut),
                    *gain(evidence, model, {}, repaired),
                )
            )
    names = ["model", "ratio", "trainings", "cut", "repaired", "gain", "gain_half", "lost", "lost_half"]
    return pd.DataFrame(rows, columns=names)


def against_dimap(evidence: Evidence, models: Sequence[str] = PROFILE.models) -> pd.DataFrame:
    """Other methods minus DIMAP, both cut and both repaired: who leads, and whether repair changes it.

    Returns:
        A row a model, method and ratio of `HIGH`: cut, cut_half, repaired, repaired_half (points).
    """
    rows = []
    for model in models:
        for method in methods(model)[1:]:
            for ratio in HIGH:
                pairs = [
                    gain(evidence, model, {"method": method, **more}, {"method": "dimap", **more})
                    for more in ({"ratio": ratio}, {"ratio": ratio, "repair": RULE})
                ]
                rows.append((model, method, ratio, *pairs[0], *pairs[1]))
    return pd.DataFrame(rows, columns=["model", "method", "ratio", "cut", "cut_half", "repaired", "repaired_half"])


def by_rule(evidence: Evidence, choosing: Evidence) -> pd.DataFrame:
    """Every rule on DIMAP's masks: on held-out pairs with seed 0, where one was chosen, and on test pairs with others.

    Args:
        evidence: of `PROFILE`.
        choosing: of `CHOICE`.

    Returns:
        By rule, columns (model, ratio, "held-out" or "test"): top-1 in percent, mean over seeds.
    """
    found = {}
    for model in CHOSEN_ON:
        for ratio in HIGH:
            for name, more in named_rules().items():
                asked = {"method": "dimap", "ratio": ratio, **more}
                held = choosing.measurement(replace(setting(model, 0, **asked), images=0))
                found[(name, model, ratio, "held-out")] = 100 * held.top1.double().mean().item()
                found[(name, model, ratio, "test")] = accuracy(evidence, model, SEEDS_OF_RULES, **asked)[0]
    return pd.Series(found).unstack([1, 2, 3]).loc[list(named_rules())]


def named_rules() -> dict[str, dict]:
    """What the chapter calls a rule -> what `setting` takes."""
    found = {"cut": {}} | {rule: {"repair": rule} for rule in RULES}
    found |= {f"{rule}, weights alone": {"repair": rule, "drawn": 0} for rule in ("variances", REFIT)}
    return found | {f"{REFIT}, {images} real images": {"repair": REFIT, "calibration": images} for images in REAL}


def on_pretrained(evidence: Evidence) -> pd.DataFrame:
    """The real pretrained transformer under its probe.

    Args:
        evidence: of `PRETRAINED`.

    Returns:
        A row a setting of `pretrained`: method, ratio, repair, real (images), drawn, top1 (percent) and gain, gain_half
        (points over the same masks without repair).
    """
    rows = []
    names = ["method", "ratio", "repair", "real", "drawn", "top1", "gain", "gain_half"]
    for each in pretrained():
        correct = evidence.measurement(each).top1
        cut = replace(each, repair="", calibration=0, drawn=Setting.drawn)
        more = paired_difference([correct], [evidence.measurement(cut).top1])
        top1 = 100 * correct.double().mean().item()
        rows.append((each.method, each.ratio, each.repair, each.calibration, each.drawn, top1, *more))
    return pd.DataFrame(rows, columns=names)


def pretrained_lead(evidence: Evidence, other: str, rule: str, ratio: float) -> tuple[float, float]:
    """DIMAP minus another method on the real pretrained transformer in points, and half its 95 % interval.

    Args:
        evidence: of `PRETRAINED`.
        other: of `METHODS`.
        rule: of repair, of both; "": both as cut.
        ratio: of `PRETRAINED_RATIOS`.
    """
    sides = ([evidence.measurement(Setting(NAME, each, ratio, images=GARMENTS, repair=rule)).top1]
             for each in ("dimap", other))  # fmt: skip
    return paired_difference(*sides)
