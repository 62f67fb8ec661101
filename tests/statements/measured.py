"""What the chapters of tables 3 and 4 state, from the results store."""

import insertions
import recompute as again
from recompute import HIGH, LOW, MAGNITUDES, MODELS, STEPS, B, S, T, span

import swinprune_lite as sp
from statements.statement import about, count
from swinprune_lite.anatomy.modules import PRUNED_MODULES
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.pruning.budgets import LAST_LAYER_KEEPS
from swinprune_lite.studies import profiles

TABLE3 = "table3_uniform_vs_dimap"

table3 = about(TABLE3)


def up_to_half() -> list:
    rows = [again.gain(model, "uniform", ratio) for model in MODELS for ratio in LOW]
    return [max(abs(row.gain) for row in rows), not any(row.clear for row in rows)]


def mixed(model: str, ratio: float) -> bool:
    low, high = span(again.apart(model, ratio))
    return low < 0 < high


def mixed_where() -> bool:
    where = {(model, ratio) for model in MODELS for ratio in HIGH if mixed(model, ratio)}
    return where == {(model, ratio) for model in MODELS for ratio in HIGH} - {(T, 0.8), (B, 0.7), (B, 0.8)}


def base_behind() -> list:
    """By how much, with half the interval, DIMAP is behind uniform pruning on base at 70 %; nothing else has a star."""
    return [*pair(again.gain(B, "uniform", 0.7), -1), again.stars("uniform", EVERY) == {(B, 0.7): False}]


GLOBAL_AHEAD = (50, 80, 70, 80, 90)
"""Percent removed where one threshold for all is apart from DIMAP: ahead on small, on base; behind on tiny."""


def global_stars() -> bool:
    """Whether these are the stars of one threshold for the whole model."""
    ahead = dict.fromkeys([(S, 0.5), (S, 0.8), (B, 0.7), (B, 0.8)], False)
    return again.stars("global", EVERY) == ahead | {(T, 0.9): True}


def by_chance() -> list[float]:
    """Differences from uniform pruning, and how many of them would have a star by chance."""
    differences = len(MODELS) * len(EVERY)
    return [differences, insertions.LEVEL * differences]


def paper_lead() -> list[float]:
    rows = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 50")
    return span(rows.dimap_top1_pct - rows.uniform_top1_pct)


def uniform_at_half() -> tuple[list[float], list[float]]:
    """Top-1 of uniform pruning at 50 %: the paper's models, and the lite ones in the mean."""
    printed = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 50").uniform_top1_pct
    return span(printed), span([again.mean(model, "uniform", 0.5) for model in MODELS])


def pair(one, sign: int = 1) -> list[float]:
    return [sign * one.gain, one.half]


def random_share(model: str) -> float:
    return 100 * again.lost(model, "random", 0.5)["drop"] / again.mean(model, "dense", 0.0)


def magnitudes_lose() -> float:
    return max(again.lost(model, method, 0.5)["drop"] for model in MODELS for method in MAGNITUDES)


EVERY = (*LOW, *HIGH)
TABLE3_STATEMENTS = [
    table3("the last keeps a fifth at least", lambda: [LAST_LAYER_KEEPS == 0.2]),
    table3("DIMAP against uniform pruning, and {} other ways", lambda: [len(sp.METHODS) - 2]),
    table3(
        "no mean difference between the two is larger than {} points, and none lies outside its interval. Beyond, "
        "which of the two is ahead changes from one training to the next, on small at every ratio, on tiny at 70, "
        "90 and 95 % and on base at 90 and 95 %. On base DIMAP is behind at 70 %, by {} ± {} points, the only one "
        "of these {} differences outside its interval. By chance {} of {} would be. The paper's lead of {} to {} "
        "points at 50 % does not show at this scale.",
        lambda: [
            *up_to_half(),
            mixed_where(),
            *base_behind(),
            *by_chance(),
            by_chance()[0],
            *paper_lead(),
            again.gain(T, "uniform", 0.5).gain < 1,
        ],
    ),
    table3("the {} methods of its table 3", count(2)),
    table3("the lite models, {} methods", count(len(sp.METHODS))),
    table3("for {} methods on {} lite models, and the paper's {}", count(len(sp.METHODS), len(MODELS), 2)),
    table3("prints a gain of {}; its own columns give {}", lambda: again.misprint()[::-1]),
    table3("no difference is larger than {} points, and each lies inside its interval", up_to_half),
    table3(
        "Beyond, on tiny and small, the training seed decides: at 90 % the differences of {} trainings lie "
        "between {} and {} points on tiny and between {} and {} on small. In the mean that is {} ± {} and {} "
        "± {}.",
        lambda: [
            3,
            *span(again.apart(T, 0.9)),
            *span(again.apart(S, 0.9)),
            *pair(again.gain(T, "uniform", 0.9)),
            *pair(again.gain(S, "uniform", 0.9)),
        ],
    ),
    table3(
        "At 80 % DIMAP is behind in all {} trainings of tiny, by {} to {} points, and in all {} of base, by {} to {}; "
        "the intervals of the means, {} ± {} and {} ± {}, still hold zero.",
        lambda: [
            *(number for model in (T, B) for number in [3, *span([-each for each in again.apart(model, 0.8)])]),
            *(number for model in (T, B) for number in pair(again.gain(model, "uniform", 0.8))),
            not any(again.gain(model, "uniform", 0.8).clear for model in (T, B)),
        ],
    ),
    table3(
        "On base DIMAP is behind uniform pruning at 70 % by {} ± {} points, outside the interval. This goes against "
        "the paper's direction, but it is one star among {} differences, and by chance {} of them would have one. "
        "At 90 and 95 % it is behind in the mean too, by {} ± {} and {} ± {}, but ahead in {} of {} trainings.",
        lambda: [
            *base_behind()[:2],
            *by_chance(),
            *(number for ratio in (0.9, 0.95) for number in pair(again.gain(B, "uniform", ratio), -1)),
            1,
            3,
            base_behind()[2],
            all(sum(each > 0 for each in again.apart(B, ratio)) == 1 for ratio in (0.9, 0.95)),
        ],
    ),
    table3(
        "is ahead of DIMAP outside the intervals on small at 50 and 80 % (by {} ± {} points at 80 %) and on "
        "base at 70 and 80 % (by {} ± {} at 80 %). DIMAP is ahead of it on tiny at 90 %, by {} ± {}.",
        lambda: [
            *pair(again.gain(S, "global", 0.8), -1),
            *pair(again.gain(B, "global", 0.8), -1),
            *pair(again.gain(T, "global", 0.9)),
            global_stars(),
        ],
    ),
    table3(
        "One magnitude threshold a module is ahead of DIMAP on base at 50, 70 and 80 % (by {} ± {} at 80 %); every "
        "other difference is inside its interval.",
        lambda: [
            *pair(again.gain(B, "module-magnitude", 0.8), -1),
            again.stars("module-magnitude", EVERY) == {(B, ratio): False for ratio in (0.5, 0.7, 0.8)},
        ],
    ),
    table3(
        "modules are ahead at 90 % on tiny and base, by {} ± {} and {} ± {}, and at 95 % on base; nothing else is "
        "outside the intervals.",
        lambda: [
            *pair(again.gain(T, "lamp", 0.9)),
            *pair(again.gain(B, "lamp", 0.9)),
            again.stars("lamp", EVERY) == {(T, 0.9): True, (B, 0.9): True, (B, 0.95): True},
        ],
    ),
    table3(
        "Random masks lose {} % of the accuracy of base at 50 %, and {} and {} % of that of tiny and small. "
        "The {} methods that look at magnitudes lose {} points at most",
        lambda: [random_share(B), random_share(T), random_share(S), len(MAGNITUDES), magnitudes_lose()],
    ),
    table3(
        "uniform pruning at {} to {} % top-1 when {} % of the weights are gone, has no counterpart in the "
        "lite models, which keep {} to {} %.",
        lambda: [*uniform_at_half()[0], 50, *uniform_at_half()[1]],
    ),
]

TABLE4 = "table4_model_as_module"

table4 = about(TABLE4)


def after(model: str):
    return again.gain(model, "lamp", 0.55, STEPS)


def printed_effects() -> list[float]:
    return list(
        paper_table("table4_model_as_module")
        .set_index("model")
        .difference_pct[["Swin-T-DIMAP3", "Swin-S-DIMAP3", "Swin-B-DIMAP3"]]
    )


TABLE4_STATEMENTS = [
    table4(
        "the differences are {}, {} and {} points, each inside an interval of ±{} to ±{}. The paper's "
        "differences of {} to {} points",
        lambda: [
            *(after(m).gain for m in MODELS),
            *span([after(m).half for m in MODELS]),
            *span(printed_effects()),
            not any(after(m).clear for m in MODELS),
        ],
    ),
    table4("{} modules", count(len(PRUNED_MODULES))),
    table4("fine-tuned {} times", lambda: [profiles.PROFILES["lite"].replicates]),
    table4("the paper's {} positive values", lambda: [len(printed_effects()), min(printed_effects()) > 0]),
    table4(
        "cannot be told apart: {} ± {} (tiny), {} ± {} (small) and {} ± {} points (base)",
        lambda: [number for m in MODELS for number in pair(after(m))],
    ),
    table4(
        "An effect of the paper's size, {}, {} and {} points, could hide inside these intervals",
        lambda: [*printed_effects(), *(printed <= after(m).half for m, printed in zip(MODELS, printed_effects()))],
    ),
    table4(
        "In one shot no difference at {}, {}, {} and {} % is outside its interval. At {} % {} modules are ahead on "
        "tiny and base, outside the interval.",
        lambda: [
            50,
            55,
            70,
            80,
            90,
            3,
            not again.stars("lamp", (0.5, 0.55, 0.7, 0.8)),
            again.stars("lamp", (0.9,)) == {(T, 0.9): True, (B, 0.9): True},
        ],
    ),
]

STATEMENTS = [*TABLE3_STATEMENTS, *TABLE4_STATEMENTS]
