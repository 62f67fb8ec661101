"""What the answers in words say below the exercises of the chapters: the solutions' outputs, which nbval holds, and
what computes them again."""

import math
import re
from statistics import mean, stdev

import insertions
import recompute as again
from recompute import B, S, T, span
from scipy.stats import t as student

from statements.ideas import apart_at_half
from statements.statement import about, count
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import paper_table


def printed(page: str, cell: str, *rows: str) -> list[float]:
    """The last number in each of these lines of a solution."""
    return [again.printed(page, cell, row)[-1] for row in rows]


def apart(row: str) -> float:
    """How far apart the draws lie that a line of the chapter on hybrid criteria lists."""
    low, high = span(again.printed("beyond_hybrid_criteria", "hybrid-28", row))
    return high - low


def changed(criterion: str) -> float:
    """Percent of the weights whose mask one negative image changes."""
    (text,) = [one.text for one in again.cells("beyond_hybrid_criteria")["hybrid-30"].outputs if criterion in one.text]
    moved, whole = re.search(rf"{criterion}: ([\d,]+) of ([\d,]+)", text).groups()
    return 100 * int(moved.replace(",", "")) / int(whole.replace(",", ""))


def disagree() -> list[float]:
    """Percent of the weights that the masks of DIMAP and LAMP disagree on, by ratio."""
    text = "".join(one.text for one in again.cells("figure3_modules")["figure3-22"].outputs)
    pairs = re.findall(r": ([\d,]+) of ([\d,]+) differ", text)
    return [100 * int(one.replace(",", "")) / int(whole.replace(",", "")) for one, whole in pairs]


def mlp_alone() -> list[float]:
    shares = counts.module_shares(["Swin-T", "Swin-S", "Swin-B"])
    return list(55 * shares["MLP-M"] / shares["all"])


def best_methods() -> bool:
    text = again.cells("beyond_pretrained")["pretrained-34"].outputs[0].data["text/plain"]
    return re.findall(r"0\.(\d+) +(\w+)", text) == [("19", "lamp"), ("28", "lamp"), ("38", "erk"), ("50", "lamp")]


def no_winner() -> bool:
    """Whether on each model the two highest means at 80 % are of plain thresholds, and less than an interval apart."""
    found = []
    for model in (T, S, B):
        rows = {method: again.evidence().accuracy(model, method, 0.8) for method in again.MAGNITUDES}
        (first, one), (second, other) = sorted(rows.items(), key=lambda row: row[1][0])[:-3:-1]
        found += [{first, second} == {"global", "module-magnitude"}, one[0] - other[0] < min(one[1], other[1])]
    return all(found)


def random_masks() -> list[float]:
    draws = again.printed("table3_uniform_vs_dimap", "table3-24", "[")
    text = again.cells("table3_uniform_vs_dimap")["table3-24"].outputs[-1].data["text/plain"]
    others = [float(top1) for method, top1 in re.findall(r"([\w+-]+) +([\d.]+)$", text, re.MULTILINE)
              if method not in ("random", "top1")]  # fmt: skip
    return [max(draws) - min(draws), min(others) - max(draws), max(others) - min(draws)]


def smaller_than_seen() -> list:
    effects = paper_table("table4_model_as_module").set_index("model").difference_pct
    halves = [again.gain(model, "lamp", 0.55, again.STEPS).half for model in (T, S, B)]
    named = ("Swin-T-DIMAP3", "Swin-S-DIMAP3", "Swin-B-DIMAP3")
    return [*halves, 3, 4.303, *(effects[name] <= half for name, half in zip(named, halves))]


def helped() -> list[float]:
    """How much more the fine-tuning of table 4 helps three modules than one, by model; the last with its sign turned.

    Computed from what the solution prints, which has two digits.
    """
    rows = {model: again.printed("table4_model_as_module", "table4-15", model) for model in (T, S, B)}
    more = {model: three - one for model, (three, one) in rows.items()}
    return [3, more[T], more[S], -more[B]]


acceleration, hybrid, pretrained = map(about, ("beyond_acceleration", "beyond_hybrid_criteria", "beyond_pretrained"))
equations, figure1, figure2, figure3 = map(
    about, ("equations_1_to_10", "figure1_components", "figure2_weight_distributions", "figure3_modules")
)
figure4, figure5, figure6 = map(about, ("figure4_acceleration", "figure5_keep_ratios", "figure6_masks"))
table1, table2, table3, table4 = map(
    about, ("table1_pruned_swin", "table2_state_of_the_art", "table3_uniform_vs_dimap", "table4_model_as_module")
)
ledger, measure = map(about, ("reproduction_ledger", "how_we_measure"))


def by_pencil() -> list:
    """Student's t on three differences of 1, 2 and 3 points."""
    differences = [1.0, 2.0, 3.0]
    factor = student.ppf(0.975, len(differences) - 1)
    half = stdev(differences) / math.sqrt(len(differences)) * factor
    return [mean(differences), stdev(differences), 3, factor, half, mean(differences), half > 2]


STATEMENTS = [
    acceleration(
        "it carries {} of its {} bits", lambda: again.printed("beyond_acceleration", "beyond-32", "the upper byte")[:2]
    ),
    hybrid(
        "three draws of {} lie {} points apart by activations, and {} by gradients",
        lambda: [8, apart("activation_energy from 8 images, three draws"), apart("fisher from 8 images, three draws")],
    ),
    hybrid("{} draws of", count(3)),
    hybrid(
        "so its mask stays. Of Wanda's mask {} % of the weights change, and of that by activations {} %",
        lambda: [changed("wanda"), changed("activation_energy"), changed("relative_energy") == 0],
    ),
    pretrained("LAMP at 19, 28 and 50 %, ERK at 38 %, by the means alone", lambda: [best_methods()]),
    pretrained(
        "95 % of the draws lie between {} and {}, and none near zero",
        lambda: again.printed("beyond_pretrained", "pretrained-36", "score minus magnitude: 95 %"),
    ),
    equations(
        "It does in these draws. GELU's largest slope is {}",
        lambda: [
            *again.printed("equations_1_to_10", "equations-13", "GELU: largest slope")[:1],
            again.printed("equations_1_to_10", "equations-30", "violated in")[0] == 0,
        ],
    ),
    figure1(
        "Smaller: {} % in Swin-T, {} % in Swin-S and {} % in Swin-B",
        lambda: printed("figure1_components", "figure1-13", "Swin-T", "Swin-S", "Swin-B"),
    ),
    figure1("takes images of 299 × 299 pixels, so", count()),
    figure1(
        "The paper prints {} billion; {} pixels a side give {} billion, and {} give {}",
        lambda: [
            float(again.ledger().paper["fig1.Inception-v3.flops_g"]),
            224,
            *printed("figure1_components", "figure1-15", "224 "),
            299,
            *printed("figure1_components", "figure1-15", "299 "),
        ],
    ),
    figure2("So {} is the threshold for Swins", lambda: again.theirs("fig2-1")[:1]),
    figure2(
        "It would remove {} to {} % in the mean of a kind of layer. For the paper's model it is the threshold that"
        " takes {} % of QKV and PRJ",
        lambda: [
            *span(printed("figure2_weight_distributions", "figure2-13", "FC1", "FC2", "PRJ", "QKV")),
            again.theirs("fig2-1")[1],
        ],
    ),
    figure2(
        "At a scale of {} the layer keeps {} %, and at {} nothing. DIMAP keeps {} % of it at every scale",
        lambda: [
            0.1,
            again.printed("figure2_weight_distributions", "figure2-15", "scaled by  0.1:")[0],
            0.03,
            again.printed("figure2_weight_distributions", "figure2-15", "scaled by 0.03:")[1],
            again.printed("figure2_weight_distributions", "figure2-15", "scaled by 0.03:")[0] == 0,
            len({
                again.printed("figure2_weight_distributions", "figure2-15", f"scaled by {scale:4}:")[1]
                for scale in (1.0, 0.3, 0.1, 0.03, 0.01)
            }) == 1,
        ],
    ),
    figure3(
        "Multiply {} % by the MLPs' share of the parameters. That is {} % of Swin-T, {} % of Swin-S and {} % of Swin-B",
        lambda: [55, *mlp_alone()],
    ),
    figure3(
        "On {} to {} % of them, and on more at a higher ratio",
        lambda: [*span(disagree()), disagree() == sorted(disagree())],
    ),
    figure4("In theory it is {} times as fast", lambda: again.printed("figure4_acceleration", "figure4-13", "theory:")),
    figure5(
        "It keeps {} % of PRJ-M, {} % of QKV-M and {} % of MLP-M",
        lambda: printed("figure5_keep_ratios", "figure5-14", "PRJ-M", "QKV-M", "MLP-M"),
    ),
    figure5(
        "At {} %, where the projection of block {} keeps {} %. At {} % it is the layer that keeps least, too, with"
        " {} %",
        lambda: [
            80,
            *again.printed("figure5_keep_ratios", "figure5-16", "80% removed: PRJ of block"),
            70,
            *again.printed("figure5_keep_ratios", "figure5-16", "70% removed: PRJ of block 17 keeps"),
        ],
    ),
    figure6(
        "by a correlation of {}",
        lambda: again.printed("figure6_masks", "figure6-09", "correlation of the kept shares of 160 hidden units:"),
    ),
    figure6(
        "Between {} and {} %: there is none at {} %, and there are {} at {} % in the whole network",
        lambda: [
            50,
            70,
            50,
            *again.printed("figure6_masks", "figure6-11", "70% removed:"),
            70,
            again.printed("figure6_masks", "figure6-11", "50% removed:") == [0],
        ],
    ),
    ledger(
        "Those {} whose verdict asks for the weights alone. Accuracies, {} rows, ask for the images too",
        lambda: [
            again.ledger().verdict.str.endswith("needs the ImageNet weights").sum(),
            again.ledger().verdict.str.endswith("needs the ImageNet weights and ImageNet-1k").sum(),
        ],
    ),
    table1("It wins back {} to {} % of them, by model", lambda: span(again.won_share(0.8))),
    table1(
        "saves the largest share: it leaves {} million MACs, where DIMAP leaves {}. Its top-1 is {} %, and DIMAP's"
        " {} %. One training does not say whether that is more than chance, and {} numbers",
        lambda: [
            again.printed("table1_pruned_swin", "table1-23", "3  uniform")[0],
            again.printed("table1_pruned_swin", "table1-23", "1    dimap")[0],
            again.printed("table1_pruned_swin", "table1-23", "3  uniform")[1],
            again.printed("table1_pruned_swin", "table1-23", "1    dimap")[1],
            2,
        ],
    ),
    table2(
        "A front of {} other methods. With DIMAP in the table {} stand on it, and all of them are DIMAP's",
        lambda: [
            len(again.cells("table2_state_of_the_art")["table2-14"].outputs[0].data["text/plain"].splitlines()) - 1,
            again.fronts("flops_g")[1],
            again.fronts("flops_g")[0] == again.fronts("flops_g")[1],
        ],
    ),
    table3("But on no model is the first ahead of the second by more than an interval", lambda: [no_winner()]),
    table3("They lie {} points apart, and {} to {} points below the others", random_masks),
    table4(
        "{} points on tiny, {} on small and {} on base. With a pencil: the standard deviation"
        " of the differences over the root of {}, times {}",
        smaller_than_seen,
    ),
    table4(
        "It helps {} modules more by {} points on tiny and by {} on small, and one module more by {} on base", helped
    ),
    measure("is ahead of another by {}, {} and {} points", count(1, 2, 3)),
    measure(
        "The mean is {} and the standard deviation {}; divided by the root of {} and times {} that is {}, which is"
        " larger than {}. All {} have the same sign",
        lambda: [*by_pencil(), 3],
    ),
    measure("A table has {} differences, and {} of them have a star", count(200, 12)),
    measure(
        "If no {} methods differed, chance would give a star to {} of them on average. Ask where the {} stand",
        lambda: [2, 200 * insertions.LEVEL, 12],
    ),
    measure(
        '"{} ± {} and {} ± {} overlap, so the {} methods are equal." Find {} mistakes',
        lambda: [*apart_at_half()[3:7], 2, 2],
    ),
    measure("it is {} ± {}: its interval is narrower", lambda: apart_at_half()[1:3]),
    measure("smaller than {} points would not have been seen", lambda: apart_at_half()[2:3]),
]  # fmt: skip
