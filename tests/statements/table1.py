"""What the chapter of table 1 states, from the results store."""

import recompute as again
from recompute import HIGH, MODELS, STEPS, B, S, T, span

from statements.statement import RATIOS, about
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import TABLE1_RATIOS, paper_table
from swinprune_lite.studies import profiles
from swinprune_lite.training.recipe import PAPER_RECIPE

TABLE1 = "table1_pruned_swin"

table1 = about(TABLE1)


def pairs(*rows) -> list[float]:
    """Points and half the interval of each row."""
    return [number for row in rows for number in (row.iloc[2], row.half)]


def inside(*rows) -> bool:
    return all(abs(row.iloc[2]) <= row.half for row in rows)


EARLY = [(model, ratio) for model in MODELS for ratio in TABLE1_RATIOS[:2]]


def early_one_shot() -> list:
    rows = [again.shot(*where) for where in EARLY]
    return [max(row["drop"] for row in rows), inside(*rows)]


def late_share_of_macs() -> bool:
    """DIMAP leaves less of the last stage than of the first, and removes fewer MACs than parameters."""
    return again.kept_stage(4)[1] < again.kept_stage(1)[0] and all(
        again.removed(m, "macs") < again.removed(m, "params") for m in MODELS
    )


def alike_off() -> float:
    """Furthest that a printed FLOPs of table 1 is from that of the same share in every layer, billions."""
    rows = again.ledger()[again.ledger().index.str.match(r"table1.*DIMAP\d\.flops_g")]
    alike = rows.ours.str.extract(r"; ([\d.]+) if every layer", expand=False).astype(float)
    return (alike - rows.paper.astype(float)).abs().max()


def fresh(column: int) -> list[float]:
    return span([again.printed(TABLE1, "table1-18", model)[column] for model in counts.TIMM_NAMES])


def paper_percentages_differ() -> float:
    rows = paper_table("table1_pruned_swin")
    return (rows.params_drop_pct - rows.flops_drop_pct).abs().max()


TABLE1_STATEMENTS = [
    table1(
        "In one shot, {} and {} % removed cost nothing that the lite models can show: {} points at most in the mean, "
        "inside the interval. The short fine-tuning costs small {} points there, just outside its intervals "
        "({} and {}).",
        lambda: [
            *RATIOS[:2],
            *early_one_shot(),
            again.tuned(S, 0.15)["drop"],
            again.tuned(S, 0.15).half,
            again.tuned(S, 0.35).half,
            abs(again.tuned(S, 0.15)["drop"] - again.tuned(S, 0.35)["drop"]) < 0.01,
        ],
    ),
    table1(
        "small and base lose {} ± {} and {} ± {} points in one shot; the fine-tuning wins back {} ± {} of "
        "them on small, and {} ± {} on base, which may be nothing.",
        lambda: [
            *pairs(again.shot(S, 0.55), again.shot(B, 0.55), again.won(S, 0.55), again.won(B, 0.55)),
            inside(again.won(B, 0.55)),
            not inside(again.won(S, 0.55)),
        ],
    ),
    table1(
        "At 80 % it wins back {} to {} % of what the same model lost, at 90 % {} to {} %",
        lambda: [*span(again.won_share(0.8)), *span(again.won_share(0.9))],
    ),
    table1(
        "at 55 % DIMAP takes {} to {} % of the parameters of the lite models and {} to {} % of the MACs, "
        "while the paper prints percentages that differ by {} at most",
        lambda: [
            *span([again.removed(m, "params") for m in MODELS]),
            *span([again.removed(m, "macs") for m in MODELS]),
            paper_percentages_differ(),
        ],
    ),
    table1(
        "{} replicates up to 55 %, one beyond",
        lambda: [again.won(T, 0.55).replicates, {again.won(m, r).replicates for m in MODELS for r in HIGH} == {1}],
    ),
    table1("one-shot DIMAP costs at most {} points, inside the interval on every model", early_one_shot),
    table1(
        "after it the models are {} to {} points below the dense ones. That is outside the interval on small "
        "({} ± {} and {} ± {}), inside it on tiny and base.",
        lambda: [
            *span([again.tuned(*where)["drop"] for where in EARLY]),
            *pairs(again.tuned(S, 0.15), again.tuned(S, 0.35)),
            not inside(again.tuned(S, 0.15)),
            not inside(again.tuned(S, 0.35)),
            inside(*(again.tuned(*where) for where in EARLY if where[0] != S)),
        ],
    ),
    table1(
        "Beside its own one shot small loses {} ± {} points at 15 %, just outside the interval; base's {} ± {} is "
        "inside.",
        lambda: [
            *(number for model in (S, B) for number in (-again.won(model, 0.15).won, again.won(model, 0.15).half)),
            not inside(again.won(S, 0.15)),
            inside(*(again.won(model, 0.35) for model in MODELS), again.won(T, 0.15), again.won(B, 0.15)),
        ],
    ),
    table1(
        "At 55 % small and base lose {} ± {} and {} ± {} points in one shot, tiny {} ± {}. The fine-tuning "
        "wins back {} ± {} on small; on base and tiny what it wins back, {} ± {} and {} ± {}, is inside its "
        "interval.",
        lambda: [
            *pairs(*(again.shot(m, 0.55) for m in (S, B, T)), *(again.won(m, 0.55) for m in (S, B, T))),
            inside(again.won(B, 0.55), again.won(T, 0.55)),
            not inside(again.won(S, 0.55)),
        ],
    ),
    table1(
        "the fine-tuning wins back {} to {} % at 70 %, {} to {} % at 80 %, {} to {} % at 90 % and {} to {} % "
        "at 95 %. How far another training moves this was not measured.",
        lambda: [number for ratio in HIGH for number in span(again.won_share(ratio))],
    ),
    table1(
        "The paper's fine-tuning sees {} million images, this one {}",
        lambda: [PAPER_RECIPE.epochs * profiles.TRAINING_IMAGES / 1e6, STEPS * profiles.PROFILES["lite"].batch_size],
    ),
    table1(
        "Removed MACs of the lite models fall behind, since DIMAP cuts the late stages more, whose weights "
        "serve fewer tokens.",
        lambda: [late_share_of_macs()],
    ),
    table1(
        "The paper's FLOPs lie within {} billion of what the same share in every layer gives", lambda: [alike_off()]
    ),
    table1("DIMAP removes {} to {} % of the MACs at 55 %, not the paper's {} to {} %", lambda: [*fresh(0), *fresh(2)]),
    table1("every training of small is below every one of tiny", lambda: [max(again.cards(S)) < min(again.cards(T))]),
]
