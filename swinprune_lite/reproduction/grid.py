"""Which measurements the reproduction is made of: the paper's ratios and higher ones, every method, every seed."""

from collections.abc import Sequence

from swinprune_lite.reproduction.measure import Setting
from swinprune_lite.reproduction.paper import paper_table
from swinprune_lite.reproduction.profiles import Profile

COMPARED = ("lamp", "uniform")  # fine-tuned beside DIMAP (table 4, and uniform)
TABLE1_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table1_pruned_swin").nominal_ratio_pct if ratio}))
TABLE3_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table3_uniform_vs_dimap").ratio_pct}))


def replicate(profile: Profile, model: str, number: int, method: str, ratio: float, steps: int = 0) -> Setting:
    """A method at a ratio, once more.

    Replicate `number` takes the weights of training seed `number` where they are shipped, else those
    of seed 0, and `number` as the seed of random masks and of fine-tuning. Replicate 0 is evaluated
    on all images.
    """
    training_seed = number if number in profile.training_seeds(model) else 0
    drawn = method == "random" or steps
    seed = number if drawn else 0
    images = (profile.common_images or 0) if training_seed or seed else 0
    return Setting(model, method, ratio, training_seed, seed, steps, images)


def replicates(profile: Profile, model: str, method: str, ratio: float, steps: int = 0) -> list[Setting]:
    """All replicates of a method at a ratio, those that differ. After fine-tuning a high ratio has the first alone."""
    numbers = range(1 if steps and ratio in profile.high_ratios else profile.replicates)
    return list(dict.fromkeys(replicate(profile, model, number, method, ratio, steps) for number in numbers))


def one_shot(profile: Profile, numbers: Sequence[int]) -> list[Setting]:
    """Every method at every ratio without fine-tuning, and the dense models (table 3 and beyond)."""
    ratios = sorted({*TABLE1_RATIOS, *TABLE3_RATIOS, *profile.high_ratios})
    pairs = [("dense", 0.0), *((method, ratio) for method in profile.methods for ratio in ratios)]
    return _settings(profile, numbers, pairs, steps=0)


def finetuned(profile: Profile, numbers: Sequence[int]) -> list[Setting]:
    """DIMAP at table 1's ratios, `COMPARED` at the last of them (table 4); at the high ratios replicate 0 of DIMAP."""
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
