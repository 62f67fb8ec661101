"""Which measurements the reproduction is made of: the paper's ratios and higher ones, every method, every seed."""

from swinprune_lite.masks import METHODS
from swinprune_lite.reproduction.measure import Setting
from swinprune_lite.reproduction.paper import paper_table
from swinprune_lite.reproduction.profiles import Profile

REPLICATES = 3
FEWER_IMAGES = 5000  # for replicates after the first: what they show is the spread over seeds
HIGH_RATIOS = (0.7, 0.8, 0.9, 0.95)
COMPARED = ("lamp", "uniform")  # fine-tuned beside DIMAP (table 4, and uniform)
TABLE1_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table1_pruned_swin").nominal_ratio_pct if ratio}))
TABLE3_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table3_uniform_vs_dimap").ratio_pct}))
ONE_SHOT_RATIOS = tuple(sorted({*TABLE1_RATIOS, *TABLE3_RATIOS, *HIGH_RATIOS}))


def replicate(profile: Profile, model: str, number: int, method: str, ratio: float, steps: int = 0) -> Setting:
    """A method at a ratio, once more.

    Replicate `number` takes the weights of training seed `number` where they are shipped, else those
    of seed 0, and `number` as the seed of random masks and of fine-tuning. Replicate 0 is evaluated
    on all images.
    """
    training_seed = number if number in profile.training_seeds(model) else 0
    drawn = method == "random" or steps
    seed = number if drawn else 0
    images = FEWER_IMAGES if training_seed or seed else 0
    return Setting(model, method, ratio, training_seed, seed, steps, images)


def replicates(profile: Profile, model: str, method: str, ratio: float, steps: int = 0) -> list[Setting]:
    """All replicates of a method at a ratio, those that differ."""
    numbers = range(REPLICATES)
    return list(dict.fromkeys(replicate(profile, model, number, method, ratio, steps) for number in numbers))


def one_shot(profile: Profile, number: int) -> list[Setting]:
    """A replicate of every method at every ratio without fine-tuning, and of the dense models (table 3 and beyond)."""
    pairs = [("dense", 0.0), *((method, ratio) for method in METHODS for ratio in ONE_SHOT_RATIOS)]
    return [replicate(profile, model, number, *pair) for model in profile.models for pair in pairs]


def finetuned(profile: Profile, number: int) -> list[Setting]:
    """A replicate of DIMAP at table 1's and the high ratios, and of `COMPARED` at table 1's last (tables 1 and 4)."""
    pairs = [("dimap", ratio) for ratio in (*TABLE1_RATIOS, *HIGH_RATIOS)]
    pairs += [(method, TABLE1_RATIOS[-1]) for method in COMPARED]
    steps = profile.finetune_steps
    return [replicate(profile, model, number, *pair, steps) for pair in pairs for model in profile.models]


def whole(profile: Profile) -> list[Setting]:
    """All of it: what `make reproduce` computes and the store holds."""
    parts = [part(profile, number) for number in range(REPLICATES) for part in (one_shot, finetuned)]
    return list(dict.fromkeys(setting for part in parts for setting in part))
