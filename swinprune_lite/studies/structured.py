"""Past the paper: cut, then repair, where whole heads and hidden units leave and the matrices get smaller."""

from dataclasses import replace

import pandas as pd
import torch

from swinprune_lite.acceleration.structured import CRITERIA, HEADS_SHARE
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import mean_accuracy, paired_difference
from swinprune_lite.measurements.measure import COMPACT
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.studies import acceleration
from swinprune_lite.studies.repair import CHOICE, CHOSEN_ON, IMAGES, PROFILE, REFIT, RULE, setting

CHOSEN = f"{COMPACT}/variance/0.5"
"""The criterion and `heads_share` of the highest mean in `by_masks`."""

REPAIR = {"repair": "least squares", "propagated": True}
"""The rule, and its witness, that are reported."""

SHARES = (0.25, 0.5, 0.75, HEADS_SHARE)
RATIOS = (0.3, 0.5, 0.6)  # of the MACs; micro can lose 0.69 of them
HALF = 0.5
HELD_OUT = 2000  # pairs
SEEDS = {
    "swin_lite_micro": tuple(range(1, 10)),
    "swin_lite_tiny": (1, 2),
    "swin_lite_small": (0, 1, 2),
    "swin_lite_base": (0, 1, 2),
}
"""Of the weights that are reported: not those that the choice was made on."""

REPAIRS = {
    "cut": {},
    "rows": {"repair": "rows"},
    REFIT: {"repair": REFIT},
    f"{RULE}, the default": {"repair": RULE},
    "least squares": {"repair": "least squares"},
    f"{REFIT}, propagated moments": {"repair": REFIT, "propagated": True},
    "least squares, propagated moments": REPAIR,
    "least squares, 128 real images": {"repair": "least squares", "calibration": 128},
}
"""What the chapter calls a repair -> what a setting has."""


def case(model: str, seed: int, method: str, ratio: float, **more) -> Setting:
    """One measurement on test images: 5,000, or all where the study of acceleration has it on all."""
    asked = setting(model, seed, method, ratio, budget="macs", **more)
    whole = replace(asked, images=0)
    return whole if whole in acceleration.whole() else asked


def held(model: str, method: str, **more) -> Setting:
    """One measurement of seed 0 at half of the MACs on held-out pairs."""
    return replace(setting(model, 0, method, HALF, budget="macs", **more), images=HELD_OUT)


def choosing() -> list[Setting]:
    """What is compared on held-out pairs."""
    found = [replace(setting(model, 0), images=HELD_OUT) for model in CHOSEN_ON]
    for model in CHOSEN_ON:
        masks = [f"{COMPACT}/{criterion}/{share}" for criterion in CRITERIA for share in SHARES]
        found += [held(model, method, **more) for method in masks for more in ({}, REPAIR)]
        found += [held(model, method, **more) for method in (COMPACT, CHOSEN) for more in REPAIRS.values()]
    return list(dict.fromkeys(found))


def grid() -> list[Setting]:
    """What is measured on test images: the default's masks and the chosen ones, cut and repaired."""
    found = [setting(model, seed) for model, seeds in SEEDS.items() for seed in seeds]
    for ratio in RATIOS:
        repairs = [{}, REPAIR, *({"repair": rule} for rule in (REFIT, RULE) if ratio == HALF)]
        for model, seeds in SEEDS.items():
            ways = [(method, more) for method in (COMPACT, CHOSEN) for more in repairs]
            found += [case(model, seed, method, ratio, **more) for method, more in ways for seed in seeds]
    return found


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for the section."""
    return [(CHOICE, each) for each in choosing()] + [(PROFILE, each) for each in grid()]


def by_masks(choosing: Evidence) -> pd.DataFrame:
    """Held-out top-1 at half of the MACs, by what chooses the masks.

    Args:
        choosing: of `CHOICE`.

    Returns:
        By criterion and heads_share, columns (model, "cut" or "repaired"): percent; and their mean.
    """
    found = {}
    for criterion in CRITERIA:
        for share in SHARES:
            for model in CHOSEN_ON:
                for name, more in {"cut": {}, "repaired": REPAIR}.items():
                    top1 = choosing.measurement(held(model, f"{COMPACT}/{criterion}/{share}", **more)).top1
                    found[criterion, share, model, name] = 100 * top1.double().mean().item()
    table = pd.Series(found).rename_axis(["criterion", "heads_share", None, None]).unstack([2, 3], sort=False)
    table["mean", ""] = table.mean(axis=1)
    return table


def by_repair(choosing: Evidence) -> pd.DataFrame:
    """Held-out top-1 at half of the MACs, by the repair of the default's masks and of the chosen ones.

    Args:
        choosing: of `CHOICE`.

    Returns:
        By `REPAIRS`, columns (model, "default" or "chosen"): percent.
    """
    found = {}
    for name, more in REPAIRS.items():
        for model in CHOSEN_ON:
            for masks, method in {"default": COMPACT, "chosen": CHOSEN}.items():
                top1 = choosing.measurement(held(model, method, **more)).top1
                found[name, model, masks] = 100 * top1.double().mean().item()
    return pd.Series(found).unstack([1, 2], sort=False)


def gain(evidence: Evidence, model: str, ratio: float, first: dict, second: dict) -> tuple[float, float]:
    """Top-1 of the first minus the second's in points, weights by weights, and half its 95 % interval.

    Args:
        evidence: of `PROFILE`.
        model: a lite model.
        ratio: of the MACs.
        first: what a setting has, method and repair; empty: the dense model.
        second: the same of the other.
    """
    return paired_difference(*(_verdicts(evidence, model, ratio, way) for way in (first, second)))


def _verdicts(evidence: Evidence, model: str, ratio: float, way: dict) -> list[torch.Tensor]:
    asked = [case(model, seed, ratio=ratio, **way) if way else setting(model, seed) for seed in SEEDS[model]]
    return [evidence.measurement(each).top1[:IMAGES] for each in asked]


def gains(evidence: Evidence) -> pd.DataFrame:
    """What other masks bring, and what the repair brings to both.

    Args:
        evidence: of `PROFILE`.

    Returns:
        By model and ratio, "mean" and "half" (of its 95 % interval) of: default (top-1 of the default's masks as cut,
        percent); and in points masks (the chosen masks minus the default's, both cut), "masks, repaired" (the same
        repaired), "repair of default", "repair of chosen" (repaired minus cut), and lost (dense minus the chosen ones
        repaired).
    """
    default, chosen = {"method": COMPACT}, {"method": CHOSEN}
    pairs = {
        "masks": (chosen, default),
        "masks, repaired": (chosen | REPAIR, default | REPAIR),
        "repair of default": (default | REPAIR, default),
        "repair of chosen": (chosen | REPAIR, chosen),
        "lost": ({}, chosen | REPAIR),
    }
    found = {}
    for model in SEEDS:
        for ratio in RATIOS:
            found[model, ratio, "default"] = mean_accuracy(_verdicts(evidence, model, ratio, default))
            found |= {(model, ratio, name): gain(evidence, model, ratio, *pair) for name, pair in pairs.items()}
    table = pd.DataFrame(found, ["mean", "half"]).T.rename_axis(["model", "ratio", None])
    return table.stack().unstack([2, 3], sort=False)


def written(table: pd.DataFrame) -> pd.DataFrame:
    """A table of means and halves, with both in one column."""
    names = table.columns.unique(0)
    return pd.DataFrame(
        {name: [f"{mean:.1f} ± {half:.1f}" for mean, half in table[name].itertuples(index=False)] for name in names},
        table.index,
    )


def by_rule(evidence: Evidence) -> pd.DataFrame:
    """What the default of `repair`, with and without the head refitted, and `REPAIR` bring at half of the MACs.

    Args:
        evidence: of `PROFILE`.

    Returns:
        By model and masks ("default" or "chosen"), "mean" and "half" of each rule: points over cut; and "ahead", least
        squares minus the default.
    """
    found = {}
    for model in SEEDS:
        for masks, method in {"default": COMPACT, "chosen": CHOSEN}.items():
            cut = {"method": method}
            for way in ({"repair": RULE}, {"repair": REFIT}, REPAIR):
                found[model, masks, way["repair"]] = gain(evidence, model, HALF, cut | way, cut)
            found[model, masks, "ahead"] = gain(evidence, model, HALF, cut | REPAIR, cut | {"repair": RULE})
    table = pd.DataFrame(found, ["mean", "half"]).T.rename_axis(["model", "masks", None])
    return table.stack().unstack([2, 3], sort=False)
