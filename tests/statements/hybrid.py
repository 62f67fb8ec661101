"""What the chapter on the worth of data states, from the results store and from what its cells print."""

import math
from functools import cache

import pandas as pd
import recompute as again
from recompute import span

import swinprune_lite as sp
from statements.statement import about, count
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.studies import criteria as study
from swinprune_lite.studies.repair import IMAGES, gain, reported

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


ACTIVATIONS = "activations in the choice, {}"
REPAIR = "the repair, without data"
AGAINST_CHOICE = "the repair, without data, against activations in the choice, cut"
AGAINST_GPT = "the repair, without data, against SparseGPT"
IN_REPAIR = "real images in the repair"
WANDA = "Wanda against the magnitude, by layer"
GPT = "SparseGPT against the OBS score"
OBS = "the OBS score against the magnitude, by layer"

TINY = "swin_lite_tiny"
FISHER_HELD = [("fisher", grouping) for grouping in study.GROUPINGS]


def few_gradients() -> list[float]:
    """Points by which gradients of few images stay behind the magnitude, the worse without data: least and most."""
    worst = top("magnitude", 0, "")[0]
    assert worst == min(top(name, 0, "")[0] for name in study.DATA_FREE)
    return span([worst - top(name, images)[0] for name in ("taylor", "fisher") for images in study.CALIBRATION[:2]])


def fisher_choice() -> list:
    """By how much Fisher's chosen grouping is ahead of its second, and half the interval of that, paired by image."""
    found = choice().loc[FISHER_HELD].sort_values("mean", ascending=False)
    held = {(each.model, each.method): each for each in study.choosing()}
    leads = [
        paired_difference(
            *([Evidence(study.CHOICE).measurement(held[model, study.method(*pair)]).top1] for pair in found.index[:2])
        )
        for model in (MICRO, TINY)
    ]
    lead, half = sum(points for points, _ in leads) / 2, math.hypot(*(half for _, half in leads)) / 2
    best = [choice().loc[FISHER_HELD][model].idxmax()[1] for model in (MICRO, TINY)]
    return [lead, half, lead < half, best == ["whole_model", "by_layer"]]


def by_layer_held_out() -> list:
    """Held-out top-1 of SparseGPT and of equation 10 by layer, cut: of micro, of tiny."""
    gpt, ours = (choice().loc[(name, "by_layer")] for name in (study.SPARSE_GPT, "relative_energy"))
    return [value for model in (MICRO, TINY) for value in (gpt[model], ours[model], gpt[model] > ours[model])]


def change_of_layers() -> list[float]:
    """What the cell on the bound prints: least and most change over the sum, and the largest c."""
    low, high = (again.printed(HYBRID, "hybrid-14", row) for row in ("min", "max"))
    return [low[1], high[1], high[0], low[1] < 1 < high[1]]


def groupings_apart() -> list[float]:
    """Points between the best and the worst grouping of a criterion on lite micro, held out: least and most."""
    found = choice()[MICRO].groupby("criterion")
    return span((found.max() - found.min())[found.size() > 1])


def ahead_of_all_cuts() -> bool:
    """Whether Fisher from the largest number of images has the highest mean of all that is cut."""
    return rows().query("not repaired").top1.idxmax() == ("fisher", "choice", False, study.CALIBRATION[-1])


HYBRID_STATEMENTS = [
    hybrid(
        "In the choice of weights real images bring less than a repair that needs none, and not on every model. On "
        "lite micro, with 80 % of the prunable weights gone, the activations of {} images in equation 10 bring {} ± {} "
        "points; the repair, without any data, brings {} ± {}.",
        lambda: [
            study.USUAL,
            *differs(ACTIVATIONS.format("cut")),
            *differs(REPAIR),
            clear(ACTIVATIONS.format("cut"), REPAIR, AGAINST_CHOICE),
        ],
    ),
    hybrid(
        "On lite tiny the activations bring {} to {} points over its {} sets of weights, and the repair brings {} "
        "to {}.",
        lambda: [
            *span(apart(ACTIVATIONS.format("cut"))),
            len(reported(TINY)),
            *span(apart(REPAIR)),
        ],
    ),
    hybrid(
        "Equation 10 without data, repaired, is ahead of SparseGPT with {} images: by {} ± {} points on micro, by {} "
        "to {} on tiny.",
        lambda: [
            study.USUAL,
            *differs(AGAINST_GPT),
            *span(apart(AGAINST_GPT)),
            clear(AGAINST_GPT),
            min(apart(AGAINST_GPT)) > 0,
        ],
    ),
    hybrid(
        "In the repair itself the images bring another {} ± {} points on micro and {} to {} on tiny; in a choice that "
        "is then repaired, {} ± {}, and a loss of {} to {}.",
        lambda: [
            *differs(IN_REPAIR),
            *span(apart(IN_REPAIR)),
            *differs(ACTIVATIONS.format("repaired")),
            *span([-points for points in apart(ACTIVATIONS.format("repaired"))]),
            clear(IN_REPAIR),
        ],
    ),
    hybrid(
        "On micro gradients from {} or {} images stay {} to {} points behind the bare magnitude, the worse of the two"
        " criteria without data.",
        lambda: [*study.CALIBRATION[:2], *few_gradients()],
    ),
    hybrid(
        "On tiny those of {} images, which is Fisher, cost {} to {} points when cut.",
        lambda: [study.USUAL, *span([-points for points in apart("gradients (fisher) in the choice, cut")])],
    ),
    hybrid(
        "Equation 10 is used here over the whole model, which is LAMP and not DIMAP; SparseGPT chooses by layer",
        lambda: [
            study.method("relative_energy") == "lamp" == study.method("relative_energy", "whole_model"),
            METHODS["dimap"].grouping == "by_module",
            study.CHOSEN[study.SPARSE_GPT] == "by_layer",
        ],
    ),
    hybrid(
        "By layer, cut, on held-out pairs SparseGPT is ahead of equation 10: {} against {} % on micro, {} against {} %"
        " on tiny.",
        by_layer_held_out,
    ),
    hybrid("The change is {} to {} times the sum, and is up to {}:", change_of_layers),
    hybrid("{} real images", count(study.USUAL)),
    hybrid("{} % of the prunable weights", count(100 * study.RATIO)),
    hybrid("the first {} test images", count(IMAGES)),
    hybrid(
        "training seeds 1 to {} of micro, and of tiny the {} that",
        lambda: [
            max(reported(MICRO)),
            len(reported(TINY)),
            reported(MICRO) == list(range(1, 1 + len(reported(MICRO)))),
        ],
    ),
    hybrid("{} things are weaker than in the paper", count(2)),
    hybrid(
        "Fisher's best grouping on the held-out pairs is the whole model on micro and the layer on tiny. The one "
        "choice for both is ahead of the next by {} ± {} points, paired image by image and rounded after subtracting;"
        " the interval holds zero.",
        fisher_choice,
    ),
    hybrid(
        "On held-out pairs, lite micro, the best and the worst grouping of one criterion are {} to {} points apart.",
        groupings_apart,
    ),
    hybrid(
        "from {} images to {} Fisher goes from {} ± {} to {} ± {}, then the highest mean of all that is only cut.",
        lambda: [8, 512, *top("fisher", 8), *top("fisher", 512), ahead_of_all_cuts()],
    ),
    hybrid(
        "Activations say {} ± {} points more from {} images than from {}; but {} draws of {} images, on one training, "
        "lie between {} and {} % (exercise 1).",
        lambda: [*more_images("activation_energy"), 512, 8, 3, 8, *draws("activation_energy")],
    ),
    hybrid(
        "Wanda is {} ± {} points ahead of the magnitude where both compare by layer; on tiny it is {} to {}. The "
        "score of Optimal Brain Surgeon alone is {} ± {} behind the magnitude; SparseGPT, which also refits, is "
        "{} ± {} ahead of that score.",
        lambda: [
            *differs(WANDA),
            *span(apart(WANDA)),
            *differs(OBS, -1),
            *differs(GPT),
            clear(WANDA, GPT),
            -differs(OBS)[0] > differs(OBS)[1],
        ],
    ),
    hybrid(
        "Repaired, {} images in the choice matter less: {} ± {} by activations, {} ± {} by gradients, {} ± {} without.",
        lambda: [
            study.USUAL,
            *top("activation_energy", study.USUAL, repaired=True),
            *top("fisher", study.USUAL, repaired=True),
            *top("relative_energy", 0, "", True),
        ],
    ),
    hybrid("alpha from 0 to 1 lite micro goes from {} ± {} to {} ± {}", alphas),
    hybrid(
        "Gradients take {} times the memory of the prunable weights, input moments {} times",
        lambda: [statistics_share("gradients"), statistics_share("moments")],
    ),
]

STATEMENTS = HYBRID_STATEMENTS
USUAL_TEXT = str(study.USUAL)
