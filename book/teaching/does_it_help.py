"""The quiz of session 3: clocks, weights that others pretrained, data of another kind."""

from functools import cache

import pandas as pd
import timm
import torch

from swinprune_lite.clock import runtimes
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import paired_difference, spread
from swinprune_lite.measurements.store import Store
from swinprune_lite.studies import acceleration, pretrained, repair, surfaces
from swinprune_lite.studies.profiles import get_profile
from teaching.quiz import Question, claims, number

FASTER, CLOCK = "notebooks/beyond_acceleration", "notebooks/figure4_acceleration"
VIT, SHIFT = "notebooks/beyond_pretrained", "notebooks/beyond_domain_shift"
WAYS = {
    "masked": "Zeros in place, anywhere",
    "2:4": "Two zeros in every four weights",
    "blocks": "Zeros in blocks, in torch's sparse layout",
    "compact": "Whole heads and hidden units, in smaller matrices",
}


def questions(store: Store) -> list[Question]:
    """All of session 3."""
    return [
        _zeros(),
        _faster(),
        _price(),
        _where_time_goes(),
        _teacher(store),
        _best_on_vit(store),
        _carried(store),
        _when_to_prune(store),
        _kinds_of_errors(store),
        _whose_mask(store),
    ]


@cache
def _speedups() -> pd.DataFrame:
    rows = runtimes.recorded()["speedups"].query("model == 'Swin-T' and runtime == 'eager' and batch == 8")
    return rows.set_index("way")


def _zeros() -> Question:
    row = _speedups().loc["masked"]
    return number(
        f"Masks leave so little of Swin-T's MACs that it should be {row.theory:.2f} times as fast. How fast is it in"
        " dense kernels on a CPU, eight images at a time?",
        CLOCK,
        f"{row.speedup:.2f} times",
        "A dense kernel multiplies by zero as it does by any number.",
        [
            (f"{row.theory:.2f} times", "That is what the count promises, and no clock has to keep it."),
            (f"{(1 + row.theory) / 2:.2f} times", "Nothing of the promise comes, not half of it."),
            (f"{1 / row.theory:.2f} times", "Zeros in place do not slow it down either; a sparse layout may."),
        ],
    )


def _faster() -> Question:
    rows = _speedups()

    def said(way: str) -> str:
        row = rows.loc[way]
        return f"It runs at {row.speedup:.2f} times the dense speed, where the MACs promise {row.theory:.2f}."

    return claims(
        "Which of these makes Swin-T faster on a CPU, beyond the quartiles of the repeats?",
        FASTER,
        *((says, rows.low[way] > 1.05, said(way)) for way, says in WAYS.items()),
    )


def _price() -> Question:
    with torch.device("meta"):
        stages = timm.create_model("swin_tiny_patch4_window7_224").layers
    prices = [2 * stage.blocks[0].dim * stage.blocks[0].input_resolution[0] ** 2 for stage in stages]
    channels, side = (stages[3].blocks[0].dim // stages[0].blocks[0].dim, prices[0] // prices[3])
    return number(
        "How many times the MACs of a hidden unit of Swin-T's last stage does one of its first stage take?",
        FASTER,
        f"{prices[0] / prices[3]:g}",
        f"{prices[0]:,} against {prices[3]:,}: it has {channels} times fewer weights, and {channels**2}"
        " times the tokens.",
        [
            ("1", "All weights count alike in a mask; groups have a price."),
            (f"{channels**2}", "The tokens are that many, but the rows are shorter."),
            (f"{channels * side**2}", "Tokens and channels pull in opposite directions."),
        ],
    )


def _where_time_goes() -> Question:
    shares = runtimes.recorded()["shares"].query("model == 'Swin-T' and way == 'dense'").set_index("group")
    row = shares.loc["attention"]
    return number(
        f"Between its two linear layers attention does {row.MACs:.0f} % of Swin-T's MACs. What share of the"
        " time does it"
        " take?",
        FASTER,
        f"{row.time:.0f} %",
        "Softmax, position biases and copies are hardly any MACs, and all of them are time.",
        [
            (f"{row.MACs:.0f} %", "Time is not MACs."),
            (f"{shares.time['FC1 and FC2']:.0f} %", "That is the time of the MLPs' matrices."),
            (f"{shares.time['projection']:.0f} %", "That is the projection's time."),
        ],
    )


def _teacher(store: Store) -> Question:
    rows = acceleration.results(store).query("model == 'swin_lite_tiny' and removed == 0.5 and teacher == 'dense'")
    lost = (rows.dense_top1 - rows.tuned_top1).groupby([rows.way, rows.seed]).first()
    compact, masks = lost["compact"], lost["masks"]
    gap, half = (compact - masks).mean(), spread(list(compact - masks))
    return claims(
        f"After the short fine-tuning lite tiny without half of its MACs loses {compact.mean():.1f} points"
        " if whole groups"
        f" went, and {masks.mean():.1f} if single weights went. What follows for accuracy?",
        FASTER,
        (
            "The two cannot be told apart",
            abs(gap) <= half,
            f"Training by training the difference is {gap:.1f} ± {half:.1f} points. The clock tells them apart.",
        ),
        ("Single weights are better", gap > half, f"The interval of the difference, ± {half:.1f}, holds zero."),
        ("Whole groups are better", -gap > half, "In the mean they lose more."),
        ("Both are as good as the dense model", max(compact.mean(), masks.mean()) <= 0, "Both means show a loss."),
    )


def _best_on_vit(store: Store) -> Question:
    evidence = Evidence(pretrained.PROFILE, store)
    names = {"lamp": "LAMP: the same score over the whole model", "dimap": "DIMAP",
             "uniform": "Uniform pruning", "global": "One magnitude threshold for the whole model"}  # fmt: skip
    top1 = {name: evidence.accuracy(pretrained.NAME, name, pretrained.HALF)[0] for name in names}
    best = max(top1, key=top1.get)
    return claims(
        "Half of the weights of a real pretrained ViT go in one shot. Which of these leaves the highest mean accuracy?",
        VIT,
        *((says, name == best, f"{top1[name]:.1f} % top-1.") for name, says in names.items()),
    )


def _carried(store: Store) -> Question:
    profiles = (pretrained.PROFILE, get_profile("lite"), repair.PROFILE)
    found = pretrained.orders(*(Evidence(profile, store) for profile in profiles))
    table = pretrained.carried(found)[pretrained.SAME_SHARE]
    same, opposite, *_ = table
    total, none, neither = table.sum(), table["shows on the pretrained model alone"], table["shows on neither"]
    return number(
        f"Of {total} orders of DIMAP and another method, each on a lite model and on the pretrained ViT with the same"
        " share removed, in how many is the same method ahead on both, outside both intervals?",
        VIT,
        f"{same}",
        f"At that share the lite models have lost so little that hardly any order shows on them; {neither} show on"
        " neither. Directions may carry over; one has to look.",
        [
            (f"{total}", "Then the lite models could stand for others. They teach; they do not stand."),
            (f"{none}", "So many show on the pretrained model alone."),
            (f"{opposite}", "So many turn round."),
        ],
    )


def _when_to_prune(store: Store) -> Question:
    last, first = (surfaces.all_seeds(store, name) for name in ("adapt, prune, tune", "prune, adapt"))
    gain, half = paired_difference(last, first)
    return claims(
        "A model is to be adapted to images of another kind, and pruned. What comes first?",
        SHIFT,
        (
            "It cannot be told: the difference lies inside its interval",
            abs(gain) <= half,
            f"Pruned last minus pruned first is {gain:.1f} ± {half:.1f} points, after as many steps in all."
            " That is not equality: a smaller difference than the interval would not have been seen.",
        ),
        ("Adapting", gain > half, f"Pruned last it has {gain:+.1f} ± {half:.1f} points: no lead."),
        ("Pruning", -gain > half, f"Pruned first it has {-gain:+.1f} ± {half:.1f} points: no lead."),
    )


def _kinds_of_errors(store: Store) -> Question:
    right = surfaces.calibration().groupby("state").right.mean()
    states = surfaces.calibration().groupby("state").missed.mean()
    before, after = states["dense"], states["80 % cut"]
    sizes = surfaces.by_class(store, "adapt, prune", 0.8)
    clean = sizes.lost["clean"]
    return claims(
        f"A model that looks for defects falls from {right['dense']:.0f} to {right['80 % cut']:.0f} % by a cut of 80 %,"
        " on the finest camera. What does it do wrong?",
        SHIFT,
        (
            "It calls clean surfaces defective",
            after < before and clean > 0,
            f"Clean surfaces lose {clean:.0f} points of recall; of the defects it calls {after:.1f} %"
            " clean, the dense"
            f" model {before:.1f} %.",
        ),
        (
            "It overlooks defects",
            after > before,
            "A mean accuracy does not say which error grows; here it is not this one.",
        ),
        ("Both errors grow alike", after > before and clean > 0, "They move in opposite directions."),
    )


def _whose_mask(store: Store) -> Question:
    rows = surfaces.transfer(store).query("ratio == 0.8 and steps == 0").set_index("masks")
    theirs, random = (rows.loc[name] for name in ("the garments model's", "nobody's (random)"))
    return claims(
        "The adapted model is cut at 80 % by a mask that was made from the weights before adapting. What does it"
        " cost, in one shot?",
        SHIFT,
        (
            "Some points, beyond its interval",
            theirs.behind > theirs.behind_half,
            f"{theirs.behind:.1f} ± {theirs.behind_half:.1f} points more than its own mask.",
        ),
        ("Nothing that could be told", theirs.behind <= theirs.behind_half, "The interval does not hold zero."),
        (
            "More than a random mask",
            theirs.behind > random.behind,
            f"A random one costs {random.behind:.1f} ± {random.behind_half:.1f}.",
        ),
    )
