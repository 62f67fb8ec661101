"""What the primers, the page on how we measure, the glossary and the errata state."""

import math
from functools import cache
from itertools import pairwise

import insertions
import numpy as np
import pandas as pd
import recompute as again
import torch
from prose import ROOT
from recompute import B, S, T
from scipy.stats import t as student

import swinprune_lite as sp
from statements.statement import SEEDS, about, count
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.measurements.intervals import interval, paired_difference
from swinprune_lite.paper import layerwise
from swinprune_lite.pruning.budgets import LAST_LAYER_KEEPS
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.pruning.criteria import magnitude
from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.pruning.selection import select


@cache
def tiny():
    return again.evidence().profile.load(T)


# ---- Swin in ten minutes: what lite tiny is made of
swin = about("idea_swin")


def grid(stage: int) -> tuple[int, int]:
    return tiny().layers[stage].blocks[0].input_resolution


def tokens(stage: int = 0) -> int:
    return math.prod(grid(stage))


def window() -> int:
    return math.prod(tiny().layers[0].blocks[0].window_size)


def by_stage(counted: str) -> list[float]:
    """Percent of the prunable "weights", or of their "MACs", in each stage."""
    positions = macs_and_positions(tiny())[1]
    sizes = {name: tiny().get_parameter(name).numel() for name in positions}
    found = layers(tiny()).assign(
        value=lambda table: [sizes[name] * (positions[name] if counted == "MACs" else 1) for name in table.name]
    )
    return list(100 * found.groupby("stage").value.sum() / found.value.sum())


def merged() -> list:
    """Tokens joined to one, and how many times the channels are; the same from each stage to the next."""
    stages = [(tokens(stage), tiny().layers[stage].blocks[0].dim) for stage in range(4)]
    steps = {(a / c, d / b) for (a, b), (c, d) in pairwise(stages)}
    ((joined, wider),) = steps
    return [joined, wider]


def shift_of_a_window() -> list[float]:
    block = tiny().layers[0].blocks[1]
    return [move / side for move, side in zip(block.shift_size, block.window_size)][:1]


SWIN = [
    swin("Swin in {} minutes", count(10)),
    swin(
        "On lite tiny the {} tokens of an image make {} pairs inside windows, and would make {} over the whole image",
        lambda: [tokens(), tokens() * window(), tokens() ** 2],
    ),
    swin("lets tokens look at each other inside windows", count()),
    swin(
        "the last stage has {} of them, and holds {} % of the weights that may be pruned",
        lambda: [tokens(3), by_stage("weights")[3]],
    ),
    swin("{} garments side by side", count(2)),
    swin("shifts its windows by {} a window", shift_of_a_window),
    swin("{} neighbouring tokens are joined to one of {} as many channels", merged),
    swin(
        "Windows make {} pairs out of {}: a token looks at {} others, itself among them, instead of at {}",
        lambda: [tokens() * window(), tokens() ** 2, window(), tokens()],
    ),
    swin("A shift by {} a window", shift_of_a_window),
    swin(
        "the tokens are a quarter and the channels {} as many. So a matrix of the next stage has {} times the weights",
        lambda: [merged()[1], merged()[1] ** 2, merged()[0] == 4],
    ),
    swin(
        "{} % of those that may be pruned in the first stage, and {} % in the last. The MACs do not: these two "
        "stages, "
        "of {} blocks each, do {} % of them each. A weight that goes saves the less work, the later its stage",
        lambda: [
            by_stage("weights")[0],
            by_stage("weights")[3],
            len(tiny().layers[0].blocks),
            by_stage("MACs")[0],
            len(tiny().layers[0].blocks) == len(tiny().layers[3].blocks),
            math.isclose(by_stage("MACs")[0], by_stage("MACs")[3]),
            tokens(0) > tokens(1) > tokens(2) > tokens(3),
        ],
    ),
]

# ---- Pruning in ten minutes
pruning = about("idea_pruning")


@cache
def removed_at_half() -> list[float]:
    """Percent of lite tiny's parameters and MACs that DIMAP's masks at 50 % take."""
    found = sp.cost(tiny(), sp.make_masks(tiny(), 0.5))
    return [100 * (1 - found.nonzero_params / found.params), 100 * (1 - found.nonzero_macs / found.macs)]


@cache
def removed_whole() -> list[float]:
    """The same of the smaller model with half of the MACs."""
    whole, small = sp.cost(tiny()), sp.cost(sp.compact(tiny(), sp.structured_masks(tiny(), 0.5)))
    return [100 * (1 - small.params / whole.params), 100 * (1 - small.macs / whole.macs)]


def first_training(ratio: float, steps: int = 0) -> float:
    """Top-1 of lite tiny's first training: dense (ratio 0), or cut by DIMAP."""
    method = "dimap" if ratio else "dense"
    return 100 * again.evidence().measurements(T, method, ratio, steps)[0].top1.double().mean().item()


PRUNING = [
    pruning("Pruning in {} minutes", count(10)),
    pruning(
        "With {} % of the weights that may go, lite tiny loses {} % of its parameters and {} % of its MACs, on "
        "paper: a "
        "program that multiplies dense matrices still does all {} million. Matrices that are smaller save that work",
        lambda: [50, *removed_at_half(), sp.cost(tiny()).macs / 1e6, removed_whole()[1] > 0],
    ),
    pruning(
        "lite tiny keeps {} of {} % top-1 when {} % of these weights go and {} % when {} % go; a short fine-tuning "
        "brings the last to {} %",
        lambda: [
            first_training(0.55),
            first_training(0),
            55,
            first_training(0.9),
            90,
            first_training(0.9, again.STEPS),
        ],
    ),
    pruning("A layer of {} inputs and {} outputs", count(3, 2)),
    pruning(
        "The matrices are {} % of lite tiny's",
        lambda: [100 * sum(p.numel() for p in tiny().parameters() if p.ndim > 1) / sp.cost(tiny()).params],
    ),
    pruning("keeps its larger {} by magnitude", count(0.5)),
    pruning("settles {} things", count(3)),
    pruning("for {} shares of the prunable weights", count(3)),
    pruning("the more is removed, the deeper the fall and the larger the way back", count()),
    pruning("pruned in {} ways", count(2)),
    pruning("with {} of the weights masked, and with {} of the MACs taken out", count(0.5, 0.5)),
    pruning(
        "At {} % of the prunable weights, the counts fall by {} % (parameters) and {} % (MACs). What is stored "
        "and done "
        "stays the same. The smaller model stores {} % less and does {} % fewer MACs",
        lambda: [50, *removed_at_half(), *removed_whole()],
    ),
    pruning(
        "At {} % one shot costs this training of lite tiny {} points of top-1. At {} % it costs {} points, of "
        "which a "
        "short fine-tuning wins {} back",
        lambda: [
            55,
            first_training(0) - first_training(0.55),
            90,
            first_training(0) - first_training(0.9),
            first_training(0.9, again.STEPS) - first_training(0.9),
        ],
    ),
    pruning("{} outputs and {} inputs, and is applied to {} tokens. A mask removes {} of its", count(3, 4, 10, 5)),
    pruning("With {} % of the prunable weights gone, the MACs fall by a smaller share", count(50)),
    pruning('"Our model is {} % sparse, so it is {} times as fast and a tenth of the size."', count(90, 10)),
]

# ---- The score by hand
score = about("idea_score_by_hand")
THREE = {"A": [4.0, 2.0, 1.0], "0.1 A": [0.4, 0.2, 0.1], "equals": [1.0, 1.0, 1.0]}


def by_hand(name: str) -> list[float]:
    """Equation 10 in plain Python."""
    squares = [weight**2 for weight in THREE[name]]
    return [square / sum(squares[: place + 1]) for place, square in enumerate(squares)]


def row(name: str) -> list[float]:
    """The numbers of a row of the worked table, as it writes them."""
    squares, numbers = [weight**2 for weight in THREE[name]], []
    for place, value in enumerate(by_hand(name)):
        numbers += [squares[place], *squares[: place + 1], value]
    return numbers


@cache
def four_gone(rule) -> dict[str, int]:
    weights = {name: torch.tensor(values) for name, values in THREE.items()}
    return {name: int((~kept).sum()) for name, kept in select(weights, 4, rule).items()}


@cache
def real() -> pd.DataFrame:
    """Of each prunable layer of lite tiny: weights, middle score, and the share that DIMAP keeps at 50 %."""
    found = layerwise.kept_shares(tiny(), sp.make_masks(tiny(), 0.5))
    scores = [sp.importance(tiny().get_parameter(name)) for name in found.name]
    return found.assign(weights=[one.numel() for one in scores], middle=[one.median().item() for one in scores])


def size_and_kept() -> float:
    return real()[["weights", "kept_pct"]].rank().corr().iloc[0, 1]


def factor(values) -> float:
    return values.max() / values.min()


def explored() -> list[float]:
    """Percent that half of both layers takes of each: by magnitude, then by the score."""
    chosen = real()[real().layer == "FC1"].set_index("block")
    weights = [tiny().get_parameter(chosen.name[block]).detach() for block in (4, 12)]
    assert [chosen.stage[block] for block in (4, 12)] == [2, 4]
    views = layerwise.common_thresholds(weights, 48, 50)
    return [lost[25] for view in views for lost in view["lost"]]


SCORE = [
    score(
        "weights of {}, {} and {} score {}, {} and {}, and so do the same weights at a tenth of the scale. The "
        "last of n "
        "weights scores 1/n or less, whatever the scale, so a large layer has lower scores than a small one",
        lambda: [*THREE["A"], *by_hand("A"), np.allclose(by_hand("A"), by_hand("0.1 A"))],
    ),
    score(
        "On lite tiny layers keep the smaller share, the more weights they have: the rank correlation is {} over "
        "the {} "
        "layers",
        lambda: [size_and_kept(), len(real())],
    ),
    score("{} layers of {} weights", count(3, 3)),
    score("Take {} layers", count(3)),
    score("A has the weights {}, {} and {}.", lambda: THREE["A"]),
    score("{} A has the same at a tenth of the scale: {}, {} and {}.", lambda: [0.1, *THREE["0.1 A"]]),
    score("equals has {}, {} and {}.", lambda: THREE["equals"]),
    score("| layer | first | second | third |", count()),
    score("| A | {} / {} = {} | {} / ({} + {}) = {} | {} / ({} + {} + {}) = {} |", lambda: row("A")),
    score("| {} A | {} / {} = {} | {} / ({} + {}) = {} | {} / ({} + {} + {}) = {} |", lambda: [0.1, *row("0.1 A")]),
    score("| equals | {} / {} = {} | {} / ({} + {}) = {} | {} / ({} + {} + {}) = {} |", lambda: row("equals")),
    score("{} of the {} weights go, once by magnitude", count(4, 9)),
    score("The scores of the {} weights", count(9)),
    score("the threshold that takes {} of them", lambda: [sum(four_gone(relative_energy).values())]),
    score("A and {} A", count(0.1)),
    score("{} layers with one threshold; the lower {} bars of the first {} layers", count(3, 2, 2)),
    score("multiply one layer by {}, divide the next by {}", count(10, 10)),
    score("Why wide late layers lose most", lambda: [size_and_kept() < -0.9]),
    score("Look at the equals again: {}, 1/2, 1/3", lambda: by_hand("equals")[:1]),
    score("where {} layers are drawn alike", count(2)),
    score(
        "In {} lines of plain NumPy", lambda: [len(again.cells("idea_score_by_hand")["score-13"].source.splitlines())]
    ),
    score(
        "Line {} sorts each layer, line {} is equation 10, line {} lets all layers compete, and line {}",
        count(2, 4, 5, 6),
    ),
    score(
        "own {} lines, for all modules",
        lambda: [len(again.cells("idea_score_by_hand")["score-15"].source.splitlines())],
    ),
    score("{} real layers of lite tiny", count(2)),
    score("as many weights of the {} layers together", count(2)),
    score(
        "With {} of both gone, one threshold on the magnitude takes {} % of FC1 in block 4 and {} % of that in "
        "block 12. On the score it takes {} % and {} %",
        lambda: [0.5, *explored()],
    ),
    score("better for accuracy", count()),
    score(
        "A and 0.1 A have the same scores, {}, {} and {}. The equals have {}, {} and {}.",
        lambda: [*by_hand("A"), *by_hand("equals")],
    ),
    score(
        "With {} of {} weights gone, magnitude takes the layer of small numbers whole. The score takes {} each "
        "of A and of {} A",
        lambda: [
            4,
            9,
            four_gone(relative_energy)["A"],
            0.1,
            four_gone(magnitude)["0.1 A"] == 3,
            four_gone(relative_energy)["0.1 A"] == four_gone(relative_energy)["A"],
        ],
    ),
    score(
        "At the same number of weights the equals lose the least. What loses the largest share is the largest "
        "layer: the "
        "middle score falls as the size grows. Over the layers of lite tiny it differs by a factor of {}; times "
        "the size, "
        "by one of {}",
        lambda: [
            factor(real().middle),
            factor(real().middle * real().weights),
            four_gone(relative_energy)["equals"] == 0,
            real()[["weights", "middle"]].rank().corr().iloc[0, 1] < -0.9,
        ],
    ),
    score(
        "layers keep the less, the larger they are: the rank correlation is {}",
        lambda: [size_and_kept()],
    ),
    score("{} lines make the masks of the library", count(10)),
    score("weights {}, {} and {} by equation 10", count(3, 0, -4)),
    score("Multiply all of {} A by a {}. Which", count(0.1, 1000)),
]

# ---- How we measure
measure = about("how_we_measure")


@cache
def stars() -> dict[str, tuple[int, int]]:
    return insertions.stars((ROOT / "notebooks").glob("*.ipynb"))


def all_stars() -> list[int]:
    return [sum(pair[place] for pair in stars().values()) for place in (0, 1)]


def of_one_and_of_more() -> list:
    """On base at 80 % DIMAP minus uniform pruning: of its first training, over images, and of all of them."""
    one, other = (again.evidence().measurements(B, method, 0.8)[0].top1 for method in ("dimap", "uniform"))
    first, all_of_them = paired_difference([one], [other]), again.gain(B, "uniform", 0.8)
    wider = abs(first[0]) > first[1] and not all_of_them.clear
    return [len(one), 80, *first, len(sp.lite_seeds(B)), all_of_them.gain, all_of_them.half, wider]


def images_of(model: str) -> list[int]:
    return [len(found.top1) for found in again.evidence().measurements(model, "dimap", 0.5)]


def quantile(trainings: int) -> float:
    return student.ppf(0.975, trainings - 1)


def apart_at_half() -> list[float]:
    """DIMAP minus uniform pruning on tiny at 50 %, the accuracies of the two, and what these would give unpaired."""
    found = again.gain(T, "uniform", 0.5)
    one, other = (again.evidence().accuracy(T, method, 0.5) for method in ("dimap", "uniform"))
    return [50, found.gain, found.half, *one[:2], *other[:2], math.hypot(one[1], other[1])]


MEASURE = [
    measure('The number behind "±" is {} of a 95 % interval', count(0.5)),
    measure(
        "where it is larger than that; the tables mark it by a star. Of {} differences in the tables that have "
        "stars, {} have "
        "one. If no {} of the compared things differed, chance would give a star to {} of them on average, at most",
        lambda: [*all_stars(), 2, insertions.LEVEL * all_stars()[0]],
    ),
    measure("its first {} guesses", count(5)),
    measure(
        "on the first {}",
        lambda: [*{images_of(model)[1] for model in (T, S)}],
    ),
    measure("A difference of {} percentages is given in points: from {} % to {} % are {} points", count(2, 80, 78, 2)),
    measure(
        "How far, the images at hand tell: {} standard errors either way. At {} % on {} images that is {} "
        "points, on {} it is "
        "{}.",
        lambda: [
            student.ppf(0.975, 1e6),
            80,
            images_of(T)[1],
            interval(80, images_of(T)[1]),
            images_of(T)[0],
            interval(80, images_of(T)[0]),
        ],
    ),
    measure("each trained {} times", lambda: [*set(SEEDS[:2])]),
    measure("With {} trainings the spread is known badly", count(3)),
    measure(
        "accounts for that: {} the interval is the standard deviation of the {}, divided by the root of {}, "
        "times {}. With {} of them that factor is {}, with endlessly many {}. So {} trainings that disagree",
        lambda: [0.5, 3, 3, quantile(3), 10, quantile(10), quantile(10**6), 3],
    ),
    measure(
        "On tiny at {} %, DIMAP minus uniform pruning is {}, {} and {} points in the {}. The mean is {} ± {}",
        lambda: [90, *again.apart(T, 0.9), 3, *again.gain(T, "uniform", 0.9)[["gain", "half"]]],
    ),
    measure("{} methods are compared on the same images", count(2)),
    measure("narrower than {} intervals side by side", count(2)),
    measure(
        "On tiny at {} %, DIMAP minus uniform pruning is {} ± {} points. The accuracies of the two, {} ± {} and "
        "{} ± {}, would "
        "give ± {} if",
        apart_at_half,
    ),
    measure('compare {} "±" of accuracies', count(2)),
    measure(
        "on its first training and all {} images DIMAP minus uniform pruning at {} % is {} ± {} points, and over {} "
        "trainings it is {} ± {}.",
        of_one_and_of_more,
    ),
    measure("How many stars are false", count()),
    measure("misses the truth in {} % of cases", lambda: [100 * insertions.LEVEL]),
    measure("So of many differences that are all zero in truth, {} % at most", lambda: [100 * insertions.LEVEL]),
    measure(
        "In the chapter of table 3, {} of {} differences would then have a star on average, and {} have one",
        lambda: [
            insertions.LEVEL * stars()["table3_uniform_vs_dimap"][0],
            *stars()["table3_uniform_vs_dimap"],
        ],
    ),
    measure("that {} methods are equal", count(2)),
]

# ---- Glossary
glossary = about("glossary")
GLOSSARY = [
    glossary('The number behind "±" is {} of it', count(0.5)),
    glossary("of each {} weights in a row, {} are zero", count(4, 2)),
    glossary("the last keeps a fifth at least", lambda: [LAST_LAYER_KEEPS == 0.2]),
]

STATEMENTS = [*SWIN, *PRUNING, *SCORE, *MEASURE, *GLOSSARY]
