"""What the chapters that count (figures 1 and 3, table 2) and the ledger state."""

import recompute as again
import timm
from recompute import B, S, T, span

import swinprune_lite as sp
from statements.statement import RATIOS, about, count
from swinprune_lite.paper import arithmetic, counts
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.pruning.budgets import LAST_LAYER_KEEPS
from swinprune_lite.studies import estimate

FIGURE1 = "figure1_components"
CONV = ("fig1.01.VGG-16-conv", "fig1.02.Inception-v3-conv", "fig1.03.ResNet-50-conv", "fig1.06.Swin-B-conv")

figure1 = about(FIGURE1)


def inception_off() -> float:
    row = again.ledger().loc[f"{CONV[1]}.flops_share_pct"]
    return float(row.ours) - float(row.paper)


def printed_share(part: str, column: str) -> float:
    rows = paper_table("fig1_component_shares").set_index(["model", "component"])
    return rows.loc[("Swin-B", part), column]


FIGURE1_STATEMENTS = [
    figure1(
        "in Swin-B convolutions are {} % of the MACs. The paper's shares of the {} convolutional networks "
        "come out, but for the FLOPs of Inception-v3, which are {} points off.",
        lambda: [
            *again.ours(f"{CONV[3]}.flops_share_pct"),
            3,
            inception_off(),
            *(
                again.ledger().verdict[f"{one}.{share}_share_pct"] == "reproduced to the digit"
                for one in CONV[:3]
                for share in ("params", "flops")
                if (one, share) != (CONV[1], "flops")
            ),
        ],
    ),
    figure1(
        "Its split of Swin-B, {} % attention and {} % fully connected, comes out by no rule",
        lambda: [
            printed_share("att", "params_share_pct"),
            printed_share("fc", "params_share_pct"),
            again.ledger().verdict["fig1.05.Swin-B-att.params_share_pct"] == "contradicted",
        ],
    ),
    figure1("VGG-16's first {} fully connected layers", count(2)),
    figure1("for {} networks", lambda: [len(counts.FIGURE1)]),
    figure1(
        "VGG-16, Inception-v3 and ResNet-50 agree with the paper in the convolutions' share of parameters to "
        "the digit read off. In FLOPs VGG-16 and ResNet-50 agree too; for Inception-v3 we count {} points "
        "more convolution than was read.",
        lambda: [inception_off()],
    ),  # the rest stands in the Answer
    figure1(
        "No rule gives {} % of parameters and {} % of FLOPs as Swin-B's attention",
        lambda: [printed_share("att", f"{kind}_share_pct") for kind in ("params", "flops")],
    ),
    figure1(
        "fully connected: {} and {} %. If all of the attention block counts, it is {} and {} %.",
        lambda: [
            *again.ours("fig1.05.Swin-B-att.params_share_pct", "fig1.05.Swin-B-att.flops_share_pct"),
            *counts.shares(counts.parts(*counts.FIGURE1["Swin-B"][:2]), counts.ALL_OF_ATTENTION).loc["att"],
        ],
    ),
    figure1(
        "By every rule convolutions are {} % of Swin-B's MACs and {} % of its parameters",
        lambda: again.ours(f"{CONV[3]}.flops_share_pct", f"{CONV[3]}.params_share_pct"),
    ),
]

FIGURE3 = "figure3_modules"

figure3 = about(FIGURE3)


def module_sizes() -> dict[str, int]:
    net = again.evidence().profile.load(T)
    return {module: sum(net.get_parameter(name).numel() for name in names) for module, names in sp.modules(net).items()}


def mlp_shares() -> list[float]:
    shares = []
    for stage in again.evidence().profile.load(T).layers:
        for block in stage.blocks:
            mlp = block.mlp.fc1.weight.numel() + block.mlp.fc2.weight.numel()
            shares.append(100 * mlp / sum(parameter.numel() for parameter in block.parameters()))
    return span(shares)


def late_share() -> float:
    net = again.evidence().profile.load(T)
    sizes = {name: net.get_parameter(name).numel() for name in sp.prunable(net)}
    late = sum(size for name, size in sizes.items() if name.startswith(("layers.2", "layers.3")))
    return 100 * late / sum(sizes.values())


def reproduced(column: str) -> list[int]:
    rows = again.ledger().verdict[again.ledger().index.str.match(rf"table1.*DIMAP\d\.{column}$")]
    return [int(rows.eq("reproduced to the digit").sum()), len(rows)]


FIGURE3_STATEMENTS = [
    figure3("{} to {} % of a Swin may be pruned", lambda: span(again.column(FIGURE3, "figure3-15", "prunable %"))),
    figure3(
        "the same share, {} of the {} removed percentages of table 1 come out to the printed digit.",
        lambda: reproduced("params_drop_pct"),
    ),
    figure3("DIMAP sorts the parameters into {} modules", lambda: [len(module_sizes())]),
    figure3(
        "On lite tiny the MLP holds {} to {} % of every block, and {} % of the prunable weights stand",
        lambda: [*mlp_shares(), late_share()],
    ),
    figure3("the {} lines do not add up", count(4)),
    figure3("the last keeps at least {} % of its weights", lambda: [100 * LAST_LAYER_KEEPS]),
    figure3("is {} choices", lambda: [len(sp.METHODS["dimap"])]),
    figure3("the upper {} of a float's bits", count(0.5)),
    figure3("the nominal {}, {} or {} % of its weights", lambda: RATIOS),
    figure3(
        "{} of the {} removed percentages of table 1 come out to the printed digit, so the nominal ratios {},"
        " {} and {} %",
        lambda: [*reproduced("params_drop_pct"), *RATIOS],
    ),
    figure3(
        "The remaining parameters agree in {} of {} rows. The others are one off in the last digit: Swin-T at"
        " 55 % and Swin-B at 35 %",
        lambda: [
            *reproduced("params_m"),
            set(
                again.ledger().index[
                    again.ledger().verdict.eq("within tolerance") & again.ledger().index.str.match("table1")
                ]
            )
            == {"table1.03.Swin-B-DIMAP2.params_m", "table1.12.Swin-T-DIMAP3.params_m"},
        ],
    ),
    figure3("counts QKV-M {} and misses PRJ-M", count(2)),
    figure3(
        "The trainings of tiny spread from {} to {} %, those of base from {} to {} %; every training of small, at "
        "most {} %, lies below both.",
        lambda: [
            *span(again.cards(T)),
            *span(again.cards(B)),
            max(again.cards(S)),
            max(again.cards(S)) < min(*again.cards(T), *again.cards(B)),
        ],
    ),
    figure3("if the MLPs alone lose {} %", count(55)),
]

TABLE2 = "table2_state_of_the_art"

table2 = about(TABLE2)


def within_a_percent() -> list[int]:
    worst = again.counted().groupby("row").off.max()
    return [int((worst <= 0.01).sum()), len(worst)]


def widest_gap() -> list:
    rows = again.counted()[again.counted().off <= 0.01].sort_values("off").tail(2)
    (paper,), (ours,) = set(rows.paper), set(rows.ours)
    return [
        384,
        paper,
        ours,
        100 * rows.off.iloc[-1],
        set(rows.index) == {"table2a.01.ViT-B/16-384.params_m", "table2a.05.DeiT-B-384.params_m"},
    ]


def widest_mobile() -> list:
    (ours,) = again.counted().ours[again.counted().index.str.contains("MobileViTv2.*params_m")]
    widths = sorted(name.rpartition("_")[2] for name in timm.list_models("mobilevitv2_*"))
    return [ours, counts.TABLE2["MobileViTv2", 224] == f"mobilevitv2_{widths[-1]}"]


def elsewhere(method: str, column: str) -> list[float]:
    """A number of table 2, and the one that others print."""
    (row,) = arithmetic.elsewhere().query("method == @method and column == @column").itertuples()
    return [float(row.paper), float(row.elsewhere)]


def others_differ() -> list:
    differs = arithmetic.elsewhere().differs
    return [int(differs.sum()), len(differs)]


TABLE2_STATEMENTS = [
    table2("{} of {} numbers of this table that were looked up elsewhere differ there", others_differ),
    table2(
        "X-Pruner's Swin-T at {} G has {} % here and {} % in LPViT's first table",
        lambda: [
            paper_table("table2b_vit_compression").query("method == 'X-Pruner'").flops_g.iloc[0],
            *elsewhere("X-Pruner", "top1_pct"),
        ],
    ),
    table2("A-ViT has {} % here and {} % in its own repository", lambda: elsewhere("A-ViT", "top1_pct")),
    table2(
        "T2T-ViT-t-19 and T2T-ViT-t-24 cost {} and {} G here, and {} and {} G where their weights were converted",
        lambda: [
            value
            for pair in zip(elsewhere("T2T-ViT-t-19", "flops_g"), elsewhere("T2T-ViT-t-24", "flops_g"))
            for value in pair
        ],
    ),
    table2(
        "{} of the {} models on the Pareto front in FLOPs are DIMAP models, and {} of the {} on that in "
        "parameters. Of {} rows whose architecture timm has, {} agree within one percent",
        lambda: [*again.fronts("flops_g"), *again.fronts("params_m"), *within_a_percent()[::-1]],
    ),
    table2(
        "DIMAP models are {} of {} on the front in FLOPs and {} of {} on that in parameters",
        lambda: [*again.fronts("flops_g"), *again.fronts("params_m")],
    ),
    table2(
        "{} of the {} rows agree with timm's counts within one percent. The widest gap is that of ViT-B/16 "
        "and DeiT-B at {} pixels, {} against {} million parameters ({} %).",
        lambda: [*within_a_percent(), *widest_gap()],
    ),
    table2("MobileViTv2 does not agree: the widest of that family in timm has {} million parameters.", widest_mobile),
    table2(
        "The {} million and {} G MACs of its row are dense Swin-T's",
        lambda: [
            again.table1("Swin-T", "dense").params_m,
            again.table1("Swin-T", "dense").flops_g,
            again.ledger().paper["table2a.20.MobileViTv2-224.params_m"] == "28.3",
        ],
    ),
    table2("The paper prints ViT-B/16 and DeiT-B at {} pixels", count(384)),
    table2("more than one percent and more than one unit", lambda: ["0.01 * printed" in again.code(TABLE2)]),
]

LEDGER = "reproduction_ledger"

ledger = about(LEDGER)


def wrong_places() -> int:
    """Places where the paper's arithmetic is off: claims, table 3's one row, and equation 21 (see figure 3)."""
    off = again.ledger().index[again.ledger().verdict.eq("paper's own arithmetic is off")]
    sizes, lines = module_sizes(), ("QKV-M", "QKV-M", "MLP-M", "AUX-M")
    claims = {one for one in off if not one.startswith(("table3", "t3"))}
    return (
        len(claims) + any(one.startswith("table3") for one in off) + (sum(map(sizes.get, lines)) != sum(sizes.values()))
    )


def of_contradicted() -> bool:
    rows = {
        one.rpartition(".")[0].partition(".")[0]
        for one in again.ledger().index[again.ledger().verdict.eq("contradicted")]
    }
    return rows == {"fig1", "table2a"}


LEDGER_STATEMENTS = [
    ledger(
        "Of what can be counted or computed, {} rows agree to the digit or within the tolerance and {} do not",
        lambda: [
            again.verdicts("reproduced to the digit") + again.verdicts("within tolerance"),
            again.verdicts("contradicted"),
            of_contradicted(),
        ],
    ),
    ledger("The paper contradicts itself in {} places.", lambda: [wrong_places()]),
    ledger(
        "{} rows show the paper's direction and {} the opposite. {} of the {} rows stay undecided; {} of "
        "these are accuracies",
        lambda: [
            again.verdicts("same direction at lite scale"),
            again.verdicts("contradicted at lite scale"),
            again.verdicts("not decided here"),
            len(again.ledger()),
            again.undecided_accuracies(),
        ],
    ),
    ledger("every claim in prose: {} rows", lambda: [len(again.ledger())]),
    ledger("where {} numbers have only one check in common, all {} are", lambda: [3, 3]),
    ledger(
        "Every parameter count of table 1 and every dense total agrees to the digit or within one unit of the"
        " last digit",
        lambda: [
            set(again.ledger().verdict[again.ledger().index.str.match(r"table1.*(params_m|dense\.flops_g)")])
            == {"reproduced to the digit", "within tolerance"}
        ],
    ),
    ledger("The paper's own arithmetic is off in {} places.", lambda: [wrong_places()]),
    ledger("Its {} % is a cut of the top-5 error", lambda: [again.theirs("abs-2")[2]]),
    ledger(
        "Swin-S at {} % is {} points above Swin-T, not {}.",
        lambda: [
            55,
            again.table1("Swin-S", "DIMAP3").top1_pct - again.table1("Swin-T", "dense").top1_pct,
            again.theirs("s4.2-4")[0],
        ],
    ),
    ledger("The gain of Swin-T at {} % in table 3 is {}, not {} (one of {} cells", lambda: [38, *again.misprint(), 3]),
    ledger("names a module {}", count(2)),
    ledger(
        "FC1 and FC2 lose more to one threshold, early layers keep more, attention keeps more than MLPs. "
        "Against it go, with the same weight, the order of the thresholds, that of the first two FC2 layers "
        "(figure 5), and the whole rows of FC1 (figure 6), which do not go at {} %.",
        lambda: [
            50,
            *(again.ledger().verdict[one] == "same direction at lite scale" for one in ("fig2-1", "fig5-2", "fig5-3")),
            *(again.ledger().verdict[one] == "contradicted at lite scale" for one in ("fig5-1", "fig5-4", "fig6-2")),
        ],
    ),
    ledger(
        "A printed difference of less than {} points is fewer than {} of ImageNet's {} validation images",
        lambda: [0.05, 0.0005 * estimate.IMAGES["imagenet"], estimate.IMAGES["imagenet"]],
    ),
]

STATEMENTS = [*FIGURE1_STATEMENTS, *FIGURE3_STATEMENTS, *TABLE2_STATEMENTS, *LEDGER_STATEMENTS]
