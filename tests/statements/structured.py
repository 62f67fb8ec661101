"""What the chapter on cutting and repairing states of heads and hidden units that leave whole."""

from functools import cache
from itertools import islice

from recompute import S, T, span

import swinprune_lite as sp
from statements.repaired import B, M, better, of
from statements.statement import Statement
from swinprune_lite.acceleration.structured import HEADS_SHARE
from swinprune_lite.repairing import collapse
from swinprune_lite.studies import repair, structured


@cache
def gains():
    return structured.gains(of("test"))


@cache
def rules():
    return structured.by_rule(of("test"))


@cache
def choice():
    """Held-out top-1: by masks, and by repair."""
    return structured.by_masks(of("held-out")), structured.by_repair(of("held-out"))


@cache
def errors():
    model = sp.load_lite(M)
    real = collapse.moments_on(model, islice(sp.lite_data("held-out"), 5))
    return collapse.whole_parts(model, sp.structured_masks(model, structured.HALF), real)


def found(model: str, ratio: float, what: str) -> list:
    return list(gains().loc[(model, ratio), what])


def micro_at_half() -> list:
    default, masks, more = (found(M, 0.5, what)[0] for what in ("default", "masks", "repair of chosen"))
    return [50, default, len(structured.SEEDS[M]), default + masks, default + masks + more]


def repair_of_chosen() -> list:
    rows = gains()["repair of chosen"]
    zero = int((rows["half"] >= rows["mean"]).sum())
    return [*span(rows["mean"]), zero, len(rows)]


def tiny_tells_nothing() -> list:
    rows = gains().loc[T]
    return [len(structured.SEEDS[T]), *(all(rows[each, "mean"].abs() < rows[each, "half"]) for each in
                                        ("masks", "masks, repaired"))]  # fmt: skip


def masks_open(model: str) -> bool:
    """Whether at half of the MACs no interval tells the chosen masks from the default's, cut or repaired."""
    rows = [gains().loc[(model, structured.HALF)][kind] for kind in ("masks", "masks, repaired")]
    return all(abs(row["mean"]) < row["half"] for row in rows)


def masks_differ_on_small_and_base() -> list:
    rows = gains().loc[[S, B]]["masks, repaired"]
    return [all(rows["mean"].abs() < rows["half"])]


def default_may_harm() -> list:
    first, second = ([-1, 1] * rules().loc[row][repair.RULE] for row in ((M, "default"), (T, "chosen")))
    return [*first, *second]


def least_squares_ahead() -> list:
    rows = rules()["ahead"]
    clear = rows.index[rows["mean"].abs() > rows["half"]]
    return [*rows.loc[(M, "default")], len(rows) - len(clear), list(clear) == [(M, "default")]]


def criteria_at_half() -> list:
    means = choice()[0]["mean", ""].unstack(0)[["energy", "variance"]]
    costs = means.loc[0.5] - means.loc[HEADS_SHARE]
    return [means.loc[0.5, "variance"] - means.loc[0.5, "energy"], 0.5, HEADS_SHARE, *span(costs)]


def singular_values() -> list:
    masks = choice()[0].xs(0.5, level=1).drop(columns="mean", level=0)
    cut, repaired = (masks.xs(each, axis=1, level=1) for each in ("cut", "repaired"))
    lost, back = cut.loc["variance"] - cut.loc["singular values"], (repaired - cut).loc["singular values"]
    return [*span(lost), *span(back)]


def mean_of_repairs() -> list:
    means = choice()[1].mean(axis=1)
    own = "least squares, propagated moments"
    others = [name for name in means.index if name not in (own, "cut") and "real" not in name]
    return [means[own], means["cut"], bool((means[own] > means[others]).all())]


def real_images() -> list:
    table = choice()[1]
    default = table.loc[f"{repair.RULE}, the default"]
    return [table.shape[1], 128, table.loc["least squares, 128 real images"].mean(), (default < table.loc["cut"]).all()]


STATEMENTS = [
    Statement(
        "README",
        "{} takes more from heads, {} {} as much.",
        lambda: [HEADS_SHARE, 0.5, 0.5, HEADS_SHARE > 1, structured.CHOSEN.endswith("/variance/0.5")],
    ),
    Statement(
        "README",
        "At {} of the MACs that brings micro {} ± {} points as cut; on tiny, small and base the interval holds zero.",
        lambda: [structured.HALF, *found(M, structured.HALF, "masks"), *map(masks_open, (T, S, B))],
    ),
    better(
        "At {} % of the MACs the default's masks leave micro {} % top-1 in the mean over {} sets of weights, since"
        " heads lose too large a share. With and they leave {} %, and repaired by least squares {} %.",
        micro_at_half,
    ),
    better(
        "On small and base the intervals hold zero: these masks bring base {} ± {} points as cut and {} ± {} when both "
        "are repaired",
        lambda: [*found(B, 0.5, "masks"), *found(B, 0.5, "masks, repaired"), *map(masks_open, (S, B))],
    ),
    better(
        "the repair brings {} to {} points, at all shares and on all models, and in {} of the {} cases the interval"
        " holds zero",
        repair_of_chosen,
    ),
    better("Over tiny's {} sets of weights no interval tells anything of the masks", tiny_tells_nothing),
    better("the masks differ on small and base by less than their intervals", masks_differ_on_small_and_base),
    better(
        "At {} % of the MACs micro still loses {} points repaired, and base {}",
        lambda: [60, found(M, 0.6, "lost")[0], found(B, 0.6, "lost")[0]],
    ),
    better("for the default's masks at {} % of the MACs", lambda: [100 * structured.HALF]),
    better(
        "Heads take {} of the variance with them, and hidden units {}",
        lambda: list(errors().loc["cut", ["heads", "hidden units"]]),
    ),
    better(
        "told of these very images, least squares still errs by {}",
        lambda: [errors().loc["least squares, these real images", "heads"]],
    ),
    better("it raises the error to {}", lambda: [errors().loc["refit", "heads"]]),
    better("points over the same masks as cut, at {} % of the MACs", lambda: [100 * structured.HALF]),
    better(
        "takes {} ± {} points from the default's masks on micro and {} ± {} from the chosen ones on tiny",
        default_may_harm,
    ),
    better(
        "Least squares is ahead of it by {} ± {} on micro's default masks; in the {} other rows the interval holds"
        " zero",
        least_squares_ahead,
    ),
    better(
        "these weights do not show that the default harms, and small and base gain by it in the mean.",
        lambda: [
            all(abs(number) < half for number, half in zip(default_may_harm()[::2], default_may_harm()[1::2])),
            (rules().loc[[S, B], (repair.RULE, "mean")] > 0).all(),
        ],
    ),
    better(
        "In the mean, least squares lies above the masks as cut in every row",
        lambda: [(rules()["least squares", "mean"] > 0).all()],
    ),
    better("with training seed 0, at {} % of the MACs", lambda: [100 * structured.HALF]),
    better(
        "Variance and energy differ by {} points in the mean at a share of {}; the default's share of {} costs them {}"
        " to {} points",
        criteria_at_half,
    ),
    better(
        "which costs {} to {} points as cut at this share, and the repair returns {} to {} of them",
        singular_values,
    ),
    better(
        "least squares under propagated moments has the highest mean, {} %, and the cut masks have {} %",
        mean_of_repairs,
    ),
    better("stood below the cut in all {} columns, and {} real images have {} %", real_images),
]
