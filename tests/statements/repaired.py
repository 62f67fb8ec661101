"""What the chapter on cutting and repairing states, and what is said of the model that is full."""

from functools import cache

import recompute as again
from recompute import S, T, span

import swinprune_lite as sp
from statements.statement import SEEDS, Statement, about, count
from swinprune_lite.acceleration.structured import HEADS_SHARE
from swinprune_lite.calibration.drawn import drawn_kinds
from swinprune_lite.data.pairs import lite_data
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.lite import OTHERS, SWINS
from swinprune_lite.repairing.apply import DRAWN
from swinprune_lite.studies import finetuned, repair
from swinprune_lite.studies.profiles import PROFILES

BETTER, M, B = "beyond_better_rule", "swin_lite_micro", "swin_lite_base"
better = about(BETTER)
DIMAP = {"method": "dimap"}


@cache
def store() -> Store:
    return Store()


@cache
def of(run: str) -> Evidence:
    return Evidence({"test": repair.PROFILE, "held-out": repair.CHOICE, "pretrained": repair.PRETRAINED}[run], store())


@cache
def gains():
    return repair.gains(of("test")).set_index(["model", "ratio"])


@cache
def rules():
    return repair.by_rule(of("test"), of("held-out"))


@cache
def pretrained():
    return repair.on_pretrained(of("pretrained"))


def on_vit(method: str = "dimap", ratio: float = 0.5, rule: str = "", real: int = 0, drawn: int = DRAWN):
    found = pretrained().query(
        "method == @method and ratio == @ratio and repair == @rule and real == @real and drawn == @drawn"
    )
    return found.iloc[0]


def dense_vit() -> float:
    return pretrained().query("method == 'dense'").top1.item()


def journey(model: str, ratio: float) -> list:
    row = gains().loc[(model, ratio)]
    return [100 * ratio, repair.accuracy(of("test"), model)[0], row.cut, row.trainings, row.repaired]


def on_vit_gain(method: str, ratio: float) -> list:
    row = on_vit(method, ratio, repair.RULE)
    return [row.gain, row.gain_half]


def distance(rule: str, images: str) -> float:
    rows = repair.distances().query("method == 'dimap' and ratio == 0.5 and repair == @rule")
    return rows[images].item()


def worth() -> list:
    """Real images that the repair without any lies between, on held-out pairs in all cases."""
    held = rules().xs("held-out", axis=1, level=2)
    ours = held.loc[repair.RULE]
    more = [images for images in repair.REAL if (held.loc[f"refit, {images} real images"] < ours).all()]
    less = [images for images in repair.REAL if (held.loc[f"refit, {images} real images"] > ours).all()]
    return [max(more), min(less)]


def low() -> list:
    rows = gains().query("ratio < 0.6")
    return [15, 55, *span(rows.gain)]


def high(ratio: float) -> list:
    rows = gains().xs(ratio, level=1)
    clear = [rows.loc[model].gain > rows.loc[model].gain_half for model in rows.index]
    return [100 * ratio, *span(rows.gain), all(clear)]


def still_lost(ratio: float) -> list:
    return [100 * ratio, *(gains().loc[(model, ratio)].lost for model in (M, T, S, B))]


def called_full() -> list:
    """That micro has the fewest parameters, and loses the most to the cut at 80 %, of the lite Swins."""
    sizes = {model: sum(each.numel() for each in sp.create_lite(model).parameters()) for model in SWINS}
    lost = {model: repair.accuracy(of("test"), model)[0] - gains().loc[(model, 0.8)].cut for model in SWINS}
    return [80, len(SWINS), min(sizes, key=sizes.get) == M, max(lost, key=lost.get) == M]


def leads(model: str, ratio: float, repaired: bool, other: str = "lamp") -> list:
    rows = repair.against_dimap(of("test")).query("model == @model and ratio == @ratio and method == @other").iloc[0]
    column = "repaired" if repaired else "cut"
    return [rows[column], rows[f"{column}_half"]]


def without_drawn() -> list:
    held = rules().xs("held-out", axis=1, level=2)
    return span(held.loc["refit"] - held.loc["refit, weights alone"])


def best_without_images() -> bool:
    held = rules().xs("held-out", axis=1, level=2)
    others = [rule for rule in held.index if "real" not in rule and rule not in ("refit", repair.RULE)]
    return bool((held.loc["refit"] > held.loc[others].max()).all())


def with_head() -> list:
    """What refitting the head adds to the refit of the layers, on held-out pairs."""
    held = rules().xs("held-out", axis=1, level=2)
    return span(held.loc[repair.RULE] - held.loc["refit"])


def against_single_factors() -> list:
    held = rules().xs("held-out", axis=1, level=2)
    return [*span(held.loc["refit"] - held.loc["rows"]), *span(held.loc["refit"] - held.loc["rows^1.5"])]


def tuned(model: str, ratio: float, steps: int) -> list:
    """How far the repaired start is ahead after fine-tuning, and half the interval."""
    row = finetuned.table().query("model == @model and ratio == @ratio and steps == @steps").iloc[0]
    return [row.gain, row.gain_half]


def on_test_columns() -> list:
    test = rules().xs("test", axis=1, level=2)
    ahead = [test.loc[repair.REFIT] - test.loc["rows"], test.loc[repair.RULE] - test.loc[repair.REFIT]]
    return [value for each in ahead for value in span(each)]


@cache
def by_method():
    return finetuned.by_method()


def tuned_methods() -> list:
    found = by_method()
    return [finetuned.STEPS, (found.gain > 0).sum(), len(found), (found.gain > found.gain_half).sum()]


def tuned_ahead() -> list:
    found = [(steps, tuned(M, 0.9, steps)) for steps in (25, 100, 400)]
    (_, early), _, (_, late) = found
    return [
        90,
        *(value for steps, (gain, half) in found for value in (gain, half, steps)),
        early[0] > early[1],
        abs(late[0]) < late[1],
    ]


def best_rates() -> list:
    """The reproduction's rate at the paper's highest ratio, and what it leaves behind of a cut start at 90 %."""
    low, high = (T, 0.55, 1), (T, 0.9, 1)
    own, found = PROFILES["lite"].recipe.lr, finetuned.best()
    behind = finetuned.held_out(high, "", found[high][0]) - finetuned.held_out(high, "", own)
    return [
        own,
        len(finetuned.rates(low)),
        55,
        90,
        100 * behind,
        found[high][0],
        found[high][1],
        set(found[low]) == {own},
    ]


STATEMENTS = [
    Statement("lite", "| {} | {}, {}, {}, {} | none |", count(8, 2, 2, 6, 2)),
    Statement("lite", "Of the shipped ones {} are held out", lambda: [len(lite_data("held-out").garments) // 2]),
    Statement(
        "lite",
        "has {} million parameters and stands {} points or more below every training of tiny",
        lambda: [
            sum(each.numel() for each in sp.create_lite(M).parameters()) / 1e6,
            min(again.cards(T)) - max(again.cards(M)),
        ],
    ),
    Statement("lite", "Of its weights {} sets ship", lambda: [len(sp.lite_seeds(M))]),
    Statement("lite", "keeps the {} that relate", count(3)),
    Statement(
        "lite",
        "We call micro full : it is the smallest, and at {} % DIMAP costs it the most of the {} in the mean.",
        called_full,
    ),
    Statement("lite", "with {} sets of weights each", lambda: {len(sp.lite_seeds(each)) for each in OTHERS}),
    Statement(
        "lite",
        "The reproduction takes {} seeds of each; the chapters beyond the paper have a fourth and a fifth of tiny.",
        lambda: [*set(SEEDS), len(sp.lite_seeds(T)) == 5],
    ),
    Statement("lite", "Beside the Swins stand {} of micro's size", count(len(OTHERS))),
    Statement(
        "index",
        "bring back a part of what DIMAP loses on the lite models (at {} % micro still loses {} points, tiny {}, small"
        " {} and base {} after the repair)",
        lambda: still_lost(0.8),
    ),
    better(
        "At {} % DIMAP takes micro from {} to {} % top-1 in the mean over {} sets of weights, and the repair"
        " brings it back to {} %.",
        lambda: journey(M, 0.8),
    ),
    better(
        "At {} % it takes tiny from {} to {} % over {} sets of weights, and the repair brings it back to {} %.",
        lambda: journey(T, 0.9),
    ),
    Statement(
        "index",
        "and {} of the {} points that half of the weights are worth on a real pretrained transformer",
        lambda: [on_vit(rule=repair.RULE).gain, dense_vit() - on_vit().top1],
    ),
    better(
        "There giving the rows their scale back brings {} points, and most of the gain comes with the head",
        lambda: [on_vit(rule="rows^1.5").gain, on_vit(rule=repair.RULE).gain > 2 * on_vit(rule=repair.REFIT).gain],
    ),
    better(
        "In the last block the cut stream has {} of its deviation left, and the refit one {}.",
        lambda: [again.printed(BETTER, "better-05", rule)[-1] for rule in ("cut", "refit")],
    ),
    better("the median over micro's layers of a kind at {} %", lambda: [80, "ratios = [0.8]" in again.code(BETTER)]),
    better('"rows^{}" gives a row its ratio', count(1.5)),
    better("So on micro at {} % the repaired start gets there sooner", count(90)),
    better("Test columns are of the first {} reported sets of weights", count(repair.SEEDS_OF_RULES)),
    better(
        "On the test columns the refit stands {} to {} points above the rows' norms, and its head adds {} to {}.",
        on_test_columns,
    ),
    better(
        "At {} % uniform pruning is ahead by {} ± {} points repaired, which is no order, and there the repair makes"
        " LAMP's lead grow from {} ± {} to {} ± {}.",
        lambda: [
            90,
            *leads(M, 0.9, True, "uniform"),
            *leads(M, 0.9, False),
            *leads(M, 0.9, True),
            leads(M, 0.9, True, "uniform")[0] < leads(M, 0.9, True, "uniform")[1],
        ],
    ),
    better(
        "One global threshold on magnitudes leads DIMAP on micro too, at {} % by {} ± {} points as cut and by {} ± {} "
        "repaired. ERK, which gives small layers more of the budget, is ahead of it by {} ± {} and by {} ± {}: both "
        "intervals hold zero.",
        lambda: [
            80,
            *(value for other in repair.MORE_METHODS for done in (False, True) for value in leads(M, 0.8, done, other)),
            all(value < half for value, half in (leads(M, 0.8, done, "erk") for done in (False, True))),
        ],
    ),
    better(
        "the default's {} takes more from heads, and {} half as much",
        lambda: [HEADS_SHARE, 0.5],
    ),
    better("masks of micro, fine-tuned for {} steps from both starts", count(finetuned.STEPS)),
    better(
        "Of tiny, small and base only {} steps were measured.",
        lambda: [max(c[2] for c in finetuned.REPORTED if c[0] in (T, S, B)) * finetuned.STEPS],
    ),
    better(
        "After {} steps the repaired start is ahead in {} of the {} rows, and in {} of them by more than its interval.",
        tuned_methods,
    ),
    better(
        "At {} % LAMP's repaired start leads DIMAP's by {} ± {} points after it, and at {} % by {} ± {}.",
        lambda: [
            value
            for ratio in (0.9, 0.55)
            for value in (100 * ratio, *by_method().loc[(ratio, "lamp"), ["lead", "lead_half"]])
        ],
    ),
    better("On lite models that is worth more than {} real images and less than {}.", worth),
    better(
        "On a real pretrained ViT, of which DIMAP leaves {} of {} % at half of the weights, the repair returns {}"
        " points and {} real images return {}.",
        lambda: [
            on_vit().top1,
            dense_vit(),
            on_vit(rule=repair.RULE).gain,
            32,
            on_vit(rule="refit", real=32).gain,
        ],
    ),
    better(
        "At {} % LAMP leads DIMAP on micro by {} ± {} points as cut and by {} ± {} repaired (on tiny {} ± {} and"
        " {} ± {}, which is no order)",
        lambda: [
            80,
            *leads(M, 0.8, False),
            *leads(M, 0.8, True),
            *leads(T, 0.8, False),
            *leads(T, 0.8, True),
            all(abs(lead[0]) < lead[1] for lead in (leads(T, 0.8, False), leads(T, 0.8, True))),
        ],
    ),
    better(
        "Against uniform pruning DIMAP leads on micro by {} ± {} points as cut and by {} ± {} repaired",
        lambda: [
            sign * value
            for repaired in (False, True)
            for sign, value in zip((-1, 1), leads(M, 0.8, repaired, "uniform"))
        ],
    ),
    better(
        "On the pretrained transformer at {} % the repair adds {} ± {} points to DIMAP's masks and {} ± {} to LAMP's,"
        " and at {} % {} ± {} and {} ± {}",
        lambda: [
            *(
                value
                for ratio in (0.3, 0.5)
                for value in (100 * ratio, *on_vit_gain("dimap", ratio), *on_vit_gain("lamp", ratio))
            )
        ],
    ),
    better(
        "On DIMAP's masks at {} % the rows' norms to the power of 1.5 add {} points, the refit without the head adds"
        " {}, what weights alone tell adds {}, and {} real images add {}",
        lambda: [
            50,
            on_vit(rule="rows^1.5").gain,
            on_vit(rule="refit").gain,
            on_vit(rule="refit", drawn=0).gain,
            32,
            on_vit(rule="refit", real=32).gain,
        ],
    ),
    better(
        "At {} % DIMAP minus uniform pruning is {} ± {} points as cut and {} ± {} repaired, and LAMP minus DIMAP"
        " {} ± {} and {} ± {}",
        lambda: (
            [50]
            + [
                sign * value
                for other, lead in (("uniform", 1), ("lamp", -1))
                for rule in ("", repair.RULE)
                for sign, value in zip((lead, 1), repair.pretrained_lead(of("pretrained"), other, rule, 0.5))
            ]
        ),
    ),
    better(
        "At {} % micro's repaired start is ahead by {} ± {} points after {} steps, by {} ± {} after {} and by {} ± {}"
        " after {}",
        tuned_ahead,
    ),
    better(
        "at {} % micro's repaired start is ahead by {} ± {} points after {} steps, by {} ± {} after {} and by {} ± {}"
        " after {}",
        tuned_ahead,
    ),
    better(
        "Tiny's is ahead after {} steps by {} ± {} points at {} % and by {} ± {} at {} %, small's by {} ± {} and {} ± "
        "{}, base's by {} ± {} and {} ± {}.",
        lambda: [
            *(25, *tuned(T, 0.9, 25), 90, *tuned(T, 0.8, 25), 80),
            *(number for model in (S, B) for ratio in (0.9, 0.8) for number in tuned(model, ratio, 25)),
        ],
    ),
    better(
        "rate, {}, is the best of {} for tiny at {} %. At {} % it leaves tiny's cut start {} points behind what {}"
        " reaches, and a repaired start is best at {}.",
        best_rates,
    ),
    better("{} steps of {} pairs or more", lambda: [finetuned.STEPS, PROFILES["lite"].batch_size]),
    better(
        "the features come back from a distance of {} to {} on photographs and from {} to {} on garments",
        lambda: [distance(rule, images) for images in ("photographs", "garments") for rule in ("", "refit")],
    ),
    better("{} witnesses need none", count(3)),
    better("takes the mean of the {}", count(3)),
    better("The dense model runs on {} of them", count(DRAWN)),
    better("accuracies are of {} test garments", count(repair.GARMENTS)),
    better("Photographs are {} that scikit-image ships", count(12)),
    better(
        "With {} to {} % removed the repair changes top-1 by {} to {} points",
        low,
    ),
    better("At {} % it returns {} to {} points", lambda: high(0.8)),
    better("at {} % {} to {}", lambda: high(0.9)),
    better("At {} % micro still loses {} points, tiny {}, small {} and base {}", lambda: still_lost(0.8)),
    better("Drawn images add {} to {} points to what weights tell", without_drawn),
    better(
        "Of the rules that leave the head alone and see no real image, the refit is the best in all cases",
        lambda: [best_without_images()],
    ),
    better("With its head the refit stands {} to {} points higher", with_head),
    better("of {} kinds", lambda: [len(drawn_kinds(1, (1, 8, 8)))]),
    better(
        "it is {} to {} points above the rows' norms and {} to {} above their power of 1.5",
        against_single_factors,
    ),
]
