"""What the chapters on equations 1 to 10 and figures 2, 5 and 6 state."""

import inspect

import recompute as again
from recompute import MODELS, B, T, span

import swinprune_lite as sp
from statements.statement import SEEDS, about, count
from swinprune_lite.anatomy.modules import PRUNED_MODULES
from swinprune_lite.paper import bound

EQUATIONS = "equations_1_to_10"


def correlations(row: str, cell: str = "equations-26") -> list[float]:
    """Over all modules, QKV-M, PRJ-M, MLP-M."""
    return again.printed(EQUATIONS, cell, row)


equations = about(EQUATIONS)


EQUATION_STATEMENTS = [
    equations(
        "It follows from a bound that was violated in {} of {} random chains",
        lambda: [(again.trials().ratio > 1).sum(), len(again.trials())],
    ),
    equations(
        "the output moves by {} of it (median) with {} layers and by {} of it with {}",
        lambda: [again.median_ratio(2), 2, again.median_ratio(6), 6],
    ),
    equations(
        "the rank correlation is {}, that of the bare magnitude {}",
        lambda: [correlations("score")[0], correlations("magnitude")[0]],
    ),
    equations(
        "the two are level in PRJ-M and MLP-M; in QKV-M the score has {} and the magnitude {}",
        lambda: [
            correlations("score")[1],
            correlations("magnitude")[1],
            *(abs(correlations("score")[at] - correlations("magnitude")[at]) < 0.02 for at in (2, 3)),
        ],
    ),
    equations(
        "A {} chains of {} to {} layers",
        lambda: [1000, *span(again.trials().depth), "bound_trials(1000, seed)" in again.code(EQUATIONS)],
    ),
    equations("{} random inputs", lambda: [inspect.signature(bound.bound_trials).parameters["inputs"].default]),
    equations(
        "change of the output over {} inputs, divided by the bound of equation (7), in a {} random",
        lambda: [inspect.signature(bound.bound_trials).parameters["inputs"].default, len(again.trials())],
    ),
    equations("the middle half", lambda: [True]),  # what a box is
    equations(
        "The largest weight of each layer scores {}",
        lambda: [sp.importance(again.evidence().profile.load(T).head.fc.weight).max().item()],
    ),
    equations("GELU's slope reaches {}", lambda: again.printed(EQUATIONS, "equations-13", "GELU: largest slope")[:1]),
    equations("remove {} of one layer", lambda: [0.5, "ratios = [0.5]" in again.code(EQUATIONS)]),
    equations("one layer of which {} the weights were removed", count(0.5)),
    equations("{} scatter plots", count(2)),
    equations(
        "the median change is {} of the bound with {} layers, {} with {} and {} with {}",
        lambda: [number for depth in (2, 4, 6) for number in (again.median_ratio(depth), depth)],
    ),
    equations(
        "the rank correlation over all layers is {}, and within PRJ-M it is {}",
        lambda: [correlations("bound", "equations-24")[0], correlations("bound", "equations-24")[2]],
    ),
    equations(
        "For single weights it is better: over {} weights, equation (10) orders the true changes with a rank "
        "correlation of {}, the bare magnitude with {}",
        lambda: [
            250,
            correlations("score")[0],
            correlations("magnitude")[0],
            "count = 250 if" in again.code(EQUATIONS),
            correlations("score")[0] > correlations("bound", "equations-24")[0],
        ],
    ),
    equations(
        "it reads {} against the magnitude's {} in PRJ-M, {} against {} in MLP-M, and {} against {} in QKV-M",
        lambda: [correlations(row)[at] for at in (2, 3, 1) for row in ("score", "magnitude")],
    ),
    equations("Multiply one layer by {} and divide the next by {}", lambda: [10, 10]),
]

FIGURE2 = "figure2_weight_distributions"

figure2 = about(FIGURE2)


def paper_cut() -> list[float]:
    """The threshold, the share of QKV and PRJ, and that of FC1 and FC2 that the paper names (the 1 and 2 are names)."""
    return [again.theirs("fig2-1")[at] for at in (0, 1, 2)]


def first_two(kinds: str, block: str = "block <= 2") -> list[float]:
    return span(again.shares(B, kinds, block))


ALL_KINDS = "QKV PRJ FC1 FC2"
FIGURE2_STATEMENTS = [
    figure2(
        "on lite base one threshold takes {} % of the weights of one layer and {} % of another. In the first "
        "two blocks of a Swin the paper reports {} % of QKV and PRJ against up to {} % of FC1 and FC2; on "
        "lite base it is {} % against up to {} %, the same direction and a smaller gap.",
        lambda: [
            *span(again.shares(B, ALL_KINDS)),
            *paper_cut()[1:],
            paper_cut()[1],
            first_two("FC1 FC2")[1],
            first_two("FC1 FC2")[1] < paper_cut()[2],
        ],
    ),
    figure2(
        "removes all below {}. These models have another scale, so the threshold here is the one that removes"
        " the same share of QKV and PRJ as the paper's does: {} %",
        lambda: paper_cut()[:2],
    ),
    figure2("The paper's threshold is absolute, {}", lambda: paper_cut()[:1]),
    figure2(
        "the threshold that removes {} % of QKV and PRJ", lambda: [30, "ratios = [\n    0.3\n]" in again.code(FIGURE2)]
    ),
    figure2("The first {} blocks", count(2)),
    figure2("by layer in {} blocks", count(2)),
    figure2("the more of it goes: on lite base from {} to {} %", lambda: span(again.shares(B, ALL_KINDS))),
    figure2(
        "the threshold takes {} to {} % of QKV and PRJ; of FC1 and FC2 it takes {} to {} % in the first block"
        " and {} to {} % in the second. The direction is the paper's. The size is not: the paper has up to {}"
        " %.",
        lambda: [
            *first_two("QKV PRJ"),
            *first_two("FC1 FC2", "block == 1"),
            *first_two("FC1 FC2", "block == 2"),
            paper_cut()[2],
        ],
    ),
    figure2(
        "Over the whole network the differences are larger. In the mean over a stage, FC1 and FC2 lose {} to "
        "{} % of their weights in stage 2 and {} to {} % in stage 4, on all {} models; QKV loses {} to {} % "
        "in every stage.",
        lambda: [
            *again.stage_means("FC1 FC2", 2),
            *again.stage_means("FC1 FC2", 4),
            len(MODELS),
            *again.stage_means("QKV"),
            again.shares(B, ALL_KINDS).max() > again.shares(B, ALL_KINDS, "block <= 2").max(),
        ],
    ),
    figure2(
        "spares the MLPs of stage 4, the largest, where DIMAP cuts most",
        lambda: [again.kept_stage(4)[1] < min(again.kept_stage(stage)[0] for stage in (1, 2, 3))],
    ),
]

FIGURE5 = "figure5_keep_ratios"
TRAININGS = range(SEEDS[1])

figure5 = about(FIGURE5)


def rank_trends() -> list[float]:
    tables = [again.kept(seed) for seed in TRAININGS]
    return span(
        [
            rows.kept_pct.rank().corr(rows.index.to_series().rank())
            for table in tables
            for _, rows in table.groupby("module")
        ]
    )


def kept_mean(layers: list[int]) -> list[float]:
    return span([again.kept(seed).kept_pct[layers].mean() for seed in TRAININGS])


def fourth_minus_eighth() -> list[float]:
    return span([again.kept(seed).kept_pct[4] - again.kept(seed).kept_pct[8] for seed in TRAININGS])


def highest_threshold() -> bool:
    rows = again.ledger().ours["fig5-1"].split("; ")
    found = [[float(number) for number in row.partition(": ")[2].split(", ")] for row in rows]
    paper = again.theirs("fig5-1")[1:]
    return all(max(each) == each[1] for each in found) and max(paper) == paper[2] and len(found) == 3


FIGURE5_STATEMENTS = [
    figure5(
        "when {} % of the weights of lite small go, its layers keep {} to {} % in the mean of stage 1, and {}"
        " to {} % in that of stage 4. The paper sees the same direction. {} of its details go the other way "
        "in all {} trainings: FC2 of block 1 keeps more than FC2 of block 2, and the order of the modules' "
        "thresholds is another.",
        lambda: [
            45,
            *again.kept_stage(1),
            *again.kept_stage(4),
            2,
            SEEDS[1],
            fourth_minus_eighth()[0] > 0,
            highest_threshold(),
        ],
    ),
    figure5(
        "{} to {} are QKV, PRJ, FC1 and FC2 of the first block, {} to {} those of the second", lambda: [1, 4, 5, 8]
    ),
    figure5("keeps when DIMAP removes {} % of every module", lambda: [45, "ratios = [0.45]" in again.code(FIGURE5)]),
    figure5("The paper prints {} (QKV-M), {} (PRJ-M) and {} (MLP-M)", lambda: again.theirs("fig5-1")[1:]),
    figure5(
        "The kept share falls with depth in every module, as the paper says: the rank correlation with depth "
        "is between {} and {}, over {} modules and {} trainings.",
        lambda: [*rank_trends(), len(PRUNED_MODULES), SEEDS[1], rank_trends()[1] < 0],
    ),
    figure5(
        "attention (layers 1, 2, 5, 6) keeps more than the MLPs ({}, {}, {}, {}), as the paper says: {} to {}"
        " % against {} to {} % in the mean, over {} trainings.",
        lambda: [
            3,
            4,
            7,
            8,
            *kept_mean([1, 2, 5, 6]),
            *kept_mean([3, 4, 7, 8]),
            SEEDS[1],
            kept_mean([1, 2, 5, 6])[0] > kept_mean([3, 4, 7, 8])[1],
        ],
    ),
    figure5(
        "Layer 4 (FC2 of block 1) keeps more than layer 8 (FC2 of block 2), by {} to {} points", fourth_minus_eighth
    ),
    figure5("PRJ-M's is the highest here, MLP-M's in the paper", lambda: [highest_threshold()]),
    figure5(
        'counts such rows as "contradicted at lite scale", not more',
        lambda: [again.ledger().verdict["fig5-4"] == again.ledger().verdict["fig5-1"] == "contradicted at lite scale"],
    ),
]

FIGURE6 = "figure6_masks"

figure6 = about(FIGURE6)


def spreads(*places: tuple[str, str]) -> list[float]:
    return [again.first_block()[f"{side} spread"][layer] for layer, side in places]


def none_whole() -> bool:
    return not again.first_block()[["whole rows removed", "whole columns removed"]].to_numpy().any()


UNEVEN = (("FC1", "row"), ("FC2", "column"))
FIGURE6_STATEMENTS = [
    figure6(
        "no row or column goes whole, but the kept shares of the outputs of FC1 and of the inputs of FC2 "
        "spread by {} and {} points (standard deviation).",
        lambda: [*spreads(*UNEVEN), none_whole()],
    ),
    figure6(
        "It sees denser queries and keys; here keys are denser than values by {} points, queries are not.",
        lambda: [again.band("key"), again.band("query") < 0],
    ),
    figure6("the first block's {} layers", count(4)),
    figure6("{} mask pictures: QKV with {} bands", lambda: [4, 3]),
    figure6("which names {} outputs of FC1 ({} and {}) that are", lambda: [2, *again.theirs("fig6-2"), none_whole()]),
    figure6(
        "Keys are denser than values by {} points, queries are less dense by {}, with a rough interval of "
        "±{}: keys are denser, queries are not, so the ledger leaves this claim undecided.",
        lambda: [
            again.band("key"),
            -again.band("query"),
            float(again.ledger().tolerance["fig6-1"]),
            again.ledger().verdict["fig6-1"].startswith("not decided"),
        ],
    ),
    figure6(
        "their kept shares spread by {} and {} points, and correlate",
        lambda: [*spreads(*UNEVEN), again.printed(FIGURE6, "figure6-09", "correlation")[-1] > 0.5],
    ),
    figure6(
        "PRJ is more uneven in its outputs ({} points) than in its inputs ({})",
        lambda: [*spreads(("PRJ", "row"), ("PRJ", "column"))],
    ),
]

STATEMENTS = [*EQUATION_STATEMENTS, *FIGURE2_STATEMENTS, *FIGURE5_STATEMENTS, *FIGURE6_STATEMENTS]
