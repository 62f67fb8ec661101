"""Past the paper: does fine-tuning from a repaired start end higher, or only sooner?"""

from dataclasses import replace
from functools import cache

import pandas as pd
import torch

from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import mean_accuracy, paired_difference
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.studies.profiles import PROFILES
from swinprune_lite.studies.repair import CHOICE, IMAGES, METHODS, PROFILE, RULE, reported, setting

FULL, ROOMY = "swin_lite_micro", "swin_lite_tiny"
STEPS = PROFILES["lite"].finetune_steps
STARTS = ("", RULE)
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
HIGHEST = 0.9
SEEDS_OF_LONGER = 3

Case = tuple[str, float, int]
"""Model, ratio and epochs of `STEPS` steps each."""

CASES: tuple[Case, ...] = (
    (FULL, 0.55, 1),
    (FULL, 0.8, 1),
    (FULL, HIGHEST, 1),
    (FULL, HIGHEST, 4),
    (FULL, HIGHEST, 16),
    (ROOMY, 0.55, 1),
    (ROOMY, 0.8, 1),
    (ROOMY, HIGHEST, 1),
)

CHOSEN: dict[Case, tuple[float, float]] = {
    (FULL, 0.55, 1): (0.0003, 0.0001),
    (FULL, 0.8, 1): (0.001, 0.001),
    (FULL, HIGHEST, 1): (0.003, 0.001),
    (FULL, HIGHEST, 4): (0.003, 0.001),
    (FULL, HIGHEST, 16): (0.003, 0.003),
    (ROOMY, 0.55, 1): (0.0001, 0.0001),
    (ROOMY, 0.8, 1): (0.001, 0.0001),
    (ROOMY, HIGHEST, 1): (0.003, 0.0003),
}
"""Peak learning rate of each case, for a cut start and for a repaired one: the best of `RATES` on held-out pairs."""

LARGER = ("swin_lite_small", "swin_lite_base")
REPORTED = CHOSEN | {
    (model, ratio, epochs): rates
    for model in LARGER
    for (chose, ratio, epochs), rates in CHOSEN.items()
    if chose == ROOMY
}
"""The same of all that is reported: the larger models take the rates that `ROOMY` chose."""


def run(profile: Profile, rate: float, epochs: int) -> Profile:
    """A profile whose fine-tuning has another peak learning rate and length."""
    return replace(profile, recipe=replace(profile.recipe, lr=rate, epochs=epochs))


def rates(case: Case) -> tuple[float, ...]:
    """Peak learning rates that are compared: all, and of the longest the upper half."""
    return RATES[2:] if case[2] == max(epochs for _, _, epochs in CASES) else RATES


def choosing() -> list[tuple[Profile, Setting]]:
    """DIMAP's masks on held-out training pairs, all of them, with seed 0, at every rate from both starts."""
    return [
        (run(CHOICE, rate, case[2]), replace(_asked(case, 0, start), images=0))
        for case in CASES
        for start in STARTS
        for rate in rates(case)
    ]


def seeds(case: Case) -> list[int]:
    """Training seeds that a case is reported of: none that chose, all of `LARGER`, of longer cases the first few."""
    return reported(case[0])[: SEEDS_OF_LONGER if case[2] > 1 else None]


def methods(case: Case) -> tuple[str, ...]:
    """That are fine-tuned in a case: in the shortest ones of `FULL` all, at the rates that DIMAP's masks chose."""
    return METHODS if case[0] == FULL and case[2] == 1 else METHODS[:1]


def reports() -> list[tuple[Profile, Setting]]:
    """The same on test pairs, at the chosen rates, with the other seeds; of `LARGER`, which chose nothing, with all."""
    return [
        (run(PROFILE, rate, case[2]), _asked(case, seed, start, method))
        for case in REPORTED
        for method in methods(case)
        for start, rate in zip(STARTS, REPORTED[case])
        for seed in seeds(case)
    ]


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for it."""
    return [*choosing(), *reports()]


def _asked(case: Case, seed: int, start: str, method: str = METHODS[0]) -> Setting:
    model, ratio, _ = case
    return replace(setting(model, seed, method, ratio, repair=start, steps=STEPS), images=IMAGES)


@cache
def _evidence(profile: Profile, rate: float, epochs: int) -> Evidence:
    return Evidence(run(profile, rate, epochs))


def best() -> dict[Case, tuple[float, float]]:
    """Of each case the rate with the highest top-1 on held-out pairs, from a cut start and from a repaired one.

    Raises:
        LookupError: a measurement is missing.
    """
    found = {}
    for case in CASES:
        accuracies = [{rate: held_out(case, start, rate) for rate in rates(case)} for start in STARTS]
        found[case] = tuple(max(each, key=each.get) for each in accuracies)
    return found


def held_out(case: Case, start: str, rate: float) -> float:
    """Top-1, a share, on held-out pairs with training seed 0.

    Args:
        case: of `CASES`.
        start: of `STARTS`.
        rate: of `rates`.

    Raises:
        LookupError: it was not measured.
    """
    asked = replace(_asked(case, 0, start), images=0)
    return _evidence(CHOICE, rate, case[2]).measurement(asked).top1.double().mean().item()


def _tuned(case: Case, method: str) -> list[list[torch.Tensor]]:
    """Which test pairs were right after fine-tuning, from a cut start and from a repaired one, seed by seed."""
    return [
        [_evidence(PROFILE, rate, case[2]).measurement(_asked(case, seed, start, method)).top1 for seed in seeds(case)]
        for start, rate in zip(STARTS, REPORTED[case])
    ]


def table() -> pd.DataFrame:
    """Top-1 after fine-tuning from a cut and from a repaired start.

    Returns:
        A row a case: model, ratio, steps, trainings (number of seeds), cut_rate, repaired_rate (peak learning rates),
        cut, repaired (mean top-1, percent), gain and gain_half (repaired minus cut, points), lost (dense minus
        repaired, points).
    """
    rows = []
    plain = Evidence(PROFILE)
    for case, chosen in REPORTED.items():
        model, ratio, epochs = case
        sides = _tuned(case, METHODS[0])
        means = [mean_accuracy(side)[0] for side in sides]
        whole = mean_accuracy([plain.measurement(setting(model, seed)).top1[:IMAGES] for seed in seeds(case)])[0]
        gain = paired_difference(sides[1], sides[0])
        rows.append((model, ratio, epochs * STEPS, len(sides[0]), *chosen, *means, *gain, whole - means[1]))
    names = ["model", "ratio", "steps", "trainings", "cut_rate", "repaired_rate", "cut", "repaired", "gain",
             "gain_half", "lost"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def by_method() -> pd.DataFrame:
    """The same of every method on `FULL`, after the shortest fine-tuning.

    Returns:
        A row a ratio and method: cut, repaired (top-1 after fine-tuning from that start, mean over seeds,
        percent), gain and gain_half (repaired minus cut, points), lead and lead_half (repaired, this method minus
        DIMAP, points).
    """
    rows = {}
    for case in (case for case in CHOSEN if methods(case) == METHODS):
        ours = _tuned(case, METHODS[0])[1]
        for method in METHODS:
            cut, repaired = _tuned(case, method)
            means = [mean_accuracy(side)[0] for side in (cut, repaired)]
            rows[case[1], method] = (*means, *paired_difference(repaired, cut), *paired_difference(repaired, ours))
    columns = ["cut", "repaired", "gain", "gain_half", "lead", "lead_half"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    found.index = pd.MultiIndex.from_tuples(found.index, names=["ratio", "method"])
    return found
