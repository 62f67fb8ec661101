"""The quiz of session 2: chance, pairs, table 3, and the repair."""

import math
from statistics import stdev

import torch
from insertions import LEVEL

import swinprune_lite as sp
from swinprune_lite.measurements import frames
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import paired_difference, spread
from swinprune_lite.measurements.store import Store
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.studies import repair
from swinprune_lite.studies.profiles import get_profile
from teaching.quiz import Question, claims, number

TINY, BASE, MICRO = "swin_lite_tiny", "swin_lite_base", "swin_lite_micro"
MEASURE, TABLE3, REPAIR = "how_we_measure", "notebooks/table3_uniform_vs_dimap", "notebooks/beyond_better_rule"
LEDGER = "notebooks/reproduction_ledger"
PAIR = ("dimap", "uniform")


def questions(store: Store) -> list[Question]:
    """All of session 2."""
    evidence = Evidence(get_profile("lite"), store)
    return [
        _interval(),
        _false_stars(),
        _paired(evidence),
        _no_order(evidence),
        _up_to_half(evidence),
        _more_trainings(evidence),
        _papers_lead(evidence),
        _misprint(),
        _repaired(evidence),
        _budget_by_layer(),
    ]


def _gains(evidence: Evidence, model: str, *ratios: float):
    return frames.gains(evidence, [model], *PAIR, ratios)


def _interval() -> Question:
    values = [1.0, 2.0, 3.0]
    error = stdev(values) / math.sqrt(len(values))
    return number(
        "Three trainings lose 1, 2 and 3 points. The mean is 2; which number stands behind its ±?",
        MEASURE,
        f"{spread(values):.2f}",
        f"Student's t: the standard error, {error:.2f}, times {spread(values) / error:.2f}. So the loss may"
        " be nothing.",
        [
            (f"{stdev(values):.2f}", "That is the standard deviation of the three, not the interval of their mean."),
            (f"{error:.2f}", "That is the standard error; an interval of 95 % is wider."),
            (f"{1.96 * error:.2f}", "1.96 holds for endlessly many trainings, not for three."),
        ],
    )


def _false_stars() -> Question:
    many = 200
    return number(
        f"No two of the compared methods differ, and a table has {many} differences. To how many would"
        " chance give a star, on average, at most?",
        MEASURE,
        f"{LEVEL * many:.0f}",
        f"A 95 % interval misses the truth in {100 * LEVEL:.0f} % of cases, or in fewer. That is the mean over many"
        " such tables; a single one may have more stars.",
        [
            ("0", "A star is no proof: 95 % is not certainty."),
            ("1", "A single false star is what one expects of a table of twenty differences."),
            (f"{2 * LEVEL * many:.0f}", "That would be an interval of 90 %."),
        ],
    )


def _paired(evidence: Evidence) -> Question:
    row = _gains(evidence, TINY, 0.5).iloc[0]
    (one, first), (other, second) = (evidence.accuracy(TINY, method, 0.5)[:2] for method in ("dimap", "uniform"))
    apart = math.hypot(first, second)
    return claims(
        f"On the same images and trainings DIMAP has {one:.1f} ± {first:.1f} % and uniform pruning {other:.1f} ±"
        f" {second:.1f} %. Taken for independent, their difference would be known to ± {apart:.1f} points; paired it is"
        f" known to ± {row.half:.1f}. Why?",
        MEASURE,
        (
            "What moves both alike cancels",
            row.half < apart,
            "An easy image or a lucky training lifts both sides, so the difference does not move with it.",
        ),
        (
            "Both sides together have twice as many images",
            row.half >= apart,
            "They share one set of images; none is counted twice.",
        ),
        ("The methods have nearly the same accuracy", False, "That makes the difference small, not its interval."),
        ("A star needs a narrower interval", False, "A star is read off the interval; it does not make it."),
    )


def _no_order(evidence: Evidence) -> Question:
    row = _gains(evidence, TINY, 0.9).iloc[0]
    each = frames.gains_by_training(evidence, [TINY], "dimap", "uniform", [0.9]).iloc[0]
    said = ", ".join(f"{value:+.1f}" for value in each)
    return claims(
        f"On lite tiny at 90 % DIMAP minus uniform pruning is {said} points in the trainings. What follows?",
        TABLE3,
        (
            "No order can be claimed",
            row.half > abs(row.gain),
            f"The mean is {row.gain:+.1f} ± {row.half:.1f}: the interval holds zero.",
        ),
        ("DIMAP is ahead", row.gain > row.half, "In the mean it is; the next training may turn that round."),
        ("Uniform pruning is ahead", -row.gain > row.half, "It is so in some training, which decides nothing."),
        (
            "The two are equal",
            row.half == 0,
            f"A difference of less than {row.half:.0f} points would not have been seen.",
        ),
    )


def _up_to_half(evidence: Evidence) -> Question:
    ratios = (0.19, 0.28, 0.38, 0.5)
    rows = frames.gains(evidence, evidence.profile.models, "dimap", "uniform", ratios)
    models = len(evidence.profile.models)
    return number(
        f"DIMAP against uniform pruning, up to half of the weights removed: {len(rows)} differences on the"
        " lite models. How"
        " many lie outside their interval?",
        TABLE3,
        f"{rows.clear.sum()}",
        f"The largest is {rows.gain.abs().max():.1f} points. With so little lost, there is little to tell"
        " methods apart by.",
        [
            (f"{len(rows)}", "The paper's lead at 50 % is large; here nothing of it shows."),
            (f"{models}", "Not even one on each model."),
            (f"{len(rows) // 2}", "That is what the signs would do by chance; a star asks for more."),
        ],
    )


def _more_trainings(evidence: Evidence) -> Question:
    ratio = 0.8
    first, half = paired_difference(*([evidence.measurements(BASE, method, ratio)[0].top1] for method in PAIR))
    row = _gains(evidence, BASE, ratio).iloc[0]
    return claims(
        f"On the first training of lite base DIMAP minus uniform pruning at {ratio:.0%} is {first:+.1f} ± {half:.1f}"
        f" points, with a star. Over all of its trainings it is {row.gain:+.1f} ± {row.half:.1f}, without one."
        " What happened?",
        TABLE3,
        (
            "The first interval is over images alone, and trainings differ by more than images",
            abs(first) > half and abs(row.gain) < row.half,
            "It says how sure the number is for that training, and nothing of the next one.",
        ),
        (
            "The first number was wrong",
            abs(first) < half,
            "It holds of its model, as before. It was not one of base models at large.",
        ),
        (
            "More trainings make a result less sure",
            False,
            "The second interval is of another thing. It narrows as trainings are added.",
        ),
        (
            "DIMAP is now shown to be as good",
            row.half == 0,
            f"A difference of less than {row.half:.0f} points would not have been seen.",
        ),
    )


def _papers_lead(evidence: Evidence) -> Question:
    rows = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 50")
    lead = rows.dimap_top1_pct - rows.uniform_top1_pct
    ours = frames.gains(evidence, evidence.profile.models, "dimap", "uniform", [0.5])
    return claims(
        f"At 50 % the paper's DIMAP leads uniform pruning by {lead.min():.0f} to {lead.max():.0f} points,"
        " the lite models'"
        f" by {ours.gain.min():.1f} to {ours.gain.max():.1f}. What follows?",
        TABLE3,
        (
            "The lead does not show at this scale; the paper's number stays undecided",
            not ours.clear.any(),
            "Uniform pruning breaks the paper's models at 50 % and leaves the lite ones whole: there is"
            " nothing to lead in.",
        ),
        ("The paper is refuted", (ours.clear & (ours.gain < 0)).any(), "Other models on other images cannot do that."),
        (
            "The paper is confirmed",
            (ours.clear & (ours.gain > 0)).all(),
            "A lead inside its interval confirms nothing.",
        ),
        ("The lite models are broken", ours.gain.abs().max() > 50, "They lose little by either method."),
    )


def _misprint() -> Question:
    (row,) = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 38 and model == 'Swin-T'").itertuples()
    return number(
        f"For Swin-T at 38 % table 3 prints {row.dimap_top1_pct} % for DIMAP and {row.uniform_top1_pct} % for uniform"
        " pruning. What is the gain?",
        LEDGER,
        f"{row.dimap_top1_pct - row.uniform_top1_pct:.2f}",
        "No data is needed to check it: numbers that follow from one another check each other.",
        [
            (f"{row.printed_gain_pct:.2f}", "So the paper prints it. Its own columns give another number."),
            (f"{(row.dimap_top1_pct / row.uniform_top1_pct - 1) * 100:.2f}", "Points are subtracted, not divided."),
        ],
    )


def _repaired(evidence: Evidence) -> Question:
    (row,) = repair.gains(Evidence(repair.PROFILE, evidence.store), models=[MICRO]).query("ratio == 0.8").itertuples()
    dense = row.repaired + row.lost
    return number(
        f"At 80 % DIMAP takes {MICRO} from {dense:.1f} to {row.cut:.1f} % top-1. To what does the repair"
        " bring it, without"
        " an image of any data?",
        REPAIR,
        f"{row.repaired:.1f} %",
        f"It returns {row.gain:.1f} ± {row.gain_half:.1f} points. What a mask leaves of a layer is quieter;"
        " scale comes back.",
        [
            (f"{row.cut:.1f} %", "A cut that stays as it is has lost more than it must."),
            (f"{dense:.1f} %", f"{row.lost:.1f} points stay lost: some of what went was information."),
            (f"{dense + 1:.1f} %", "A repair of a cut model does not go beyond the whole one here."),
        ],
    )


def _budget_by_layer() -> Question:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    same = sp.importance(weights).argsort().equal(weights.abs().argsort())
    return claims(
        "Each layer is to lose the same share. What does equation 10 take of a layer that the magnitude does not?",
        TABLE3,
        ("Nothing: the masks are the same", same, "Within a layer the score has the order of the magnitudes."),
        ("Other weights, by their energy", not same, "The square and the sum before it keep the order."),
        ("Fewer weights", False, "The budget fixes how many go."),
    )
