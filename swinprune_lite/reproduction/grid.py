"""Which measurements the reproduction is made of: the paper's ratios and higher ones, every method, every seed."""

from collections.abc import Sequence

from swinprune_lite.masks import METHODS
from swinprune_lite.reproduction.measure import Setting
from swinprune_lite.reproduction.paper import paper_table
from swinprune_lite.reproduction.profiles import Profile

REPLICATES = 3
HIGH_RATIOS = (0.7, 0.8, 0.9, 0.95)
TABLE1_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table1_pruned_swin").nominal_ratio_pct if ratio}))
TABLE3_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table3_uniform_vs_dimap").ratio_pct}))
ONE_SHOT_RATIOS = tuple(sorted({*TABLE1_RATIOS, *TABLE3_RATIOS, *HIGH_RATIOS}))


def replicate(profile: Profile, model: str, number: int, method: str, ratio: float, steps: int = 0) -> Setting:
    """A method at a ratio, once more.

    Replicate `number` takes the weights of training seed `number` where they are shipped, else those
    of seed 0, and `number` as the seed of random masks and of fine-tuning.
    """
    training_seed = number if number in profile.training_seeds(model) else 0
    drawn = method == "random" or steps
    return Setting(model, method, ratio, training_seed, number if drawn else 0, steps)


def one_shot(profile: Profile, models: Sequence[str], numbers: Sequence[int]) -> list[Setting]:
    """Every method at every ratio without fine-tuning, and the dense models (table 3 and beyond)."""
    settings = [
        replicate(profile, model, number, method, ratio)
        for number in numbers
        for model in models
        for method, ratio in [("dense", 0.0), *((m, r) for m in METHODS for r in ONE_SHOT_RATIOS)]
    ]
    return list(dict.fromkeys(settings))


def finetuned(profile: Profile, models: Sequence[str], numbers: Sequence[int]) -> list[Setting]:
    """DIMAP at table 1's and the high ratios, and the methods it is compared with (tables 1 and 4)."""
    compared = [("lamp", TABLE1_RATIOS[-1]), ("uniform", TABLE1_RATIOS[-1]), ("lamp", 0.8), ("uniform", 0.8)]
    pairs = [*(("dimap", ratio) for ratio in (*TABLE1_RATIOS, *HIGH_RATIOS)), *compared]
    return [
        replicate(profile, model, number, method, ratio, profile.finetune_steps)
        for method, ratio in pairs
        for number in numbers
        for model in models
    ]


def whole(profile: Profile) -> list[Setting]:
    """All of it: what `make reproduce` computes and the store holds."""
    numbers = range(REPLICATES)
    return one_shot(profile, profile.models, numbers) + finetuned(profile, profile.models, numbers)
