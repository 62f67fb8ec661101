"""The reproduction's grid: the paper's ratios and higher ones, every method, every seed; and all that is measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from swinprune_lite.measurements.live import drawn
from swinprune_lite.measurements.profile import Profile, replicate
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import question
from swinprune_lite.models.lite import lite_seeds
from swinprune_lite.paper.numbers import TABLE1_RATIOS, TABLE3_RATIOS
from swinprune_lite.studies import acceleration, criteria, pretrained, repair, structured, surfaces
from swinprune_lite.studies import finetuned as tuned
from swinprune_lite.studies.profiles import PROFILES

COMPARED = ("lamp", "uniform")  # fine-tuned beside DIMAP (table 4, and uniform)


def one_shot(profile: Profile, numbers: Sequence[int]) -> list[Setting]:
    """Every method at every ratio without fine-tuning, and the dense models (table 3 and beyond).

    Args:
        profile: its models, methods and ratios.
        numbers: of the replicates, see `replicate`.
    """
    ratios = sorted({*TABLE1_RATIOS, *TABLE3_RATIOS, *profile.high_ratios})
    pairs = [("dense", 0.0), *((method, ratio) for method in profile.methods for ratio in ratios)]
    return _settings(profile, numbers, pairs, steps=0)


def finetuned(profile: Profile, numbers: Sequence[int]) -> list[Setting]:
    """DIMAP at table 1's ratios, `COMPARED` at the last of them (table 4); at the high ratios replicate 0 of DIMAP.

    Args:
        profile: its models, high ratios and steps.
        numbers: of the replicates, see `replicate`.
    """
    pairs = [(method, TABLE1_RATIOS[-1]) for method in ("dimap", *COMPARED)]
    pairs += [("dimap", ratio) for ratio in TABLE1_RATIOS[:-1]]
    high = [("dimap", ratio) for ratio in profile.high_ratios] if 0 in numbers else []
    return [
        *_settings(profile, numbers, pairs, profile.finetune_steps),
        *_settings(profile, [0], high, profile.finetune_steps),
    ]


def whole(profile: Profile) -> list[Setting]:
    """All of it: what `make reproduce` computes and the store holds. The first replicates come first."""
    first, others = [0], range(1, profile.replicates)
    return list(
        dict.fromkeys(
            one_shot(profile, first)
            + finetuned(profile, first)
            + one_shot(profile, others)
            + finetuned(profile, others)
        )
    )


def _settings(
    profile: Profile, numbers: Sequence[int], pairs: Sequence[tuple[str, float]], steps: int
) -> list[Setting]:
    settings = [
        replicate(profile, model, number, method, ratio, steps)
        for method, ratio in pairs
        for number in numbers
        for model in profile.models
    ]
    return list(dict.fromkeys(settings))


def live_one_shot(profile: Profile) -> list[Setting]:
    """What a build computes without fine-tuning: of the first model, `live_draws` of every method, drawn anew.

    Of pretrained models nothing: what is shown of them is measured when it is asked for.
    """
    if not profile.live_draws:
        return []
    return drawn(_live(profile, one_shot), profile.live_draws)


def live_finetuned(profile: Profile) -> list[Setting]:
    """One fine-tuning that a build computes: of the first model by DIMAP, drawn anew; of pretrained models none."""
    if not profile.live_draws:
        return []
    return drawn([each for each in _live(profile, finetuned) if each.method == "dimap"], 1)


def _live(profile: Profile, grid: Callable[[Profile, Sequence[int]], list[Setting]]) -> list[Setting]:
    """Of a grid of the first model, which is a lite one, the trainings whose weights are here; a package lacks some."""
    first = replace(profile, models=profile.models[:1])
    here = lite_seeds(*first.models)
    return [each for each in grid(first, range(profile.replicates)) if each.training_seed in here]


def measurements() -> list[tuple[Profile, Setting]]:
    """What the shipped store holds, of the reproduction and of all studies, each once; those on lite models first."""
    lite = PROFILES["lite"]
    found = [(lite, setting) for setting in whole(lite)]
    found += [(acceleration.PROFILE, setting) for setting in acceleration.whole()]
    found += repair.whole() + criteria.whole() + tuned.whole() + structured.whole() + surfaces.whole()
    found += [(pretrained.PROFILE, setting) for setting in [*pretrained.whole(), *repair.pretrained()]]
    return list({question(profile, setting): (profile, setting) for profile, setting in found}.values())
