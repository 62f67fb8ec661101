"""The numbers that the pages for decision makers state, computed; `decide` says where."""

import math
from functools import cache

import recompute as again
import timm
from recompute import B, S, T, span

from statements import measured, pretrained, surfaces, table1
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.report.costs import COMMON, DEFAULTS, UNMEASURED, costs
from swinprune_lite.report.findings import BEARABLE, CRITERIA
from swinprune_lite.studies import estimate
from swinprune_lite.training.recipe import PAPER_RECIPE

EPOCHS = PAPER_RECIPE.epochs
YEN = 1000  # the pages count in thousands of them
SUM = 10_000  # dollars that it takes to get there, in the example


def printed(model: str, *columns: str, variant: str = "DIMAP3") -> list[float]:
    row = again.table1(model, variant)
    return [row[f"{column}_pct"] for column in columns]


@cache
def one_shot(model: str) -> tuple[float, float, float]:
    """The paper at 50 % without fine-tuning: left by DIMAP, dense, lost."""
    rows = paper_table("table3_uniform_vs_dimap").query("ratio_pct == 50").set_index("model")
    left, dense = rows.dimap_top1_pct[model], again.table1(model, "dense").top1_pct
    return left, dense, dense - left


def grouping() -> list[float]:
    return measured.printed_effects()


def lite_at_half() -> list:
    lost = span([again.lost(model, "dimap", 0.5)["drop"] for model in again.MODELS])
    return [len(again.MODELS), *lost, 50, measured.up_to_half()[1]]


def masked() -> list:
    found = span(again.speed("masked").speedup)
    return [*found, set(again.speed("masked").model) == set(counts.TIMM_NAMES)]


def cut_out(model: str | None = None) -> list[float]:
    return span(again.speed("compact", model).speedup)


def tuned_losses() -> list[float]:
    return span([again.losses(model=model).mean() for model in again.MODELS])


def at_55() -> list[float]:
    return table1.pairs(*(again.shot(model, 0.55) for model in (S, B, T)))


def errors_grow(model: str, variant: str) -> float:
    """Top-5 error, in percent of the dense model's."""
    return 100 * again.table1(model, variant).top5_drop_pct / (100 - again.table1(model, "dense").top5_pct)


def images_behind(points: float) -> int:
    return round(points / 100 * estimate.IMAGES["imagenet"])


@cache
def swin() -> tuple[int, int, int]:
    """Pixels of a side of a patch in the first and in the last stage, and of the image: Swin-T."""
    model = timm.create_model(counts.TIMM_NAMES["Swin-T"])
    patch, image = model.patch_embed.patch_size[0], model.patch_embed.img_size[0]
    return patch, patch * 2 ** (len(model.layers) - 1), image


def patches() -> list:
    first, last, image = swin()
    return [first, first, last, last, image // first, image // last, image]


def memory() -> list[float]:
    """Peak of the compact model in percent of the dense one's, with 50 % of the MACs gone."""
    rows = again.times()["memory"].set_index(["model", "batch", "way"]).bytes.unstack()
    return [50, *span(100 * rows["compact"] / rows["dense"])]


def attention() -> list[float]:
    rows = again.times()["shares"].query("model == 'Swin-T' and way == 'dense' and group == 'attention'")
    return [rows.MACs.item(), rows.time.item()]


@cache
def sheet(currency: str, low: float, high: float) -> dict[str, tuple[float, float]]:
    return costs(DEFAULTS[currency] | COMMON | UNMEASURED | {"speedup": [low, high]})


def lite_speed() -> list[float]:
    row = again.times()["lite"].query("way == 'compact' and removed == 0.5").iloc[0]
    return [row.low, row.high]


def money(low: float, high: float) -> list[float]:
    """Of the example: the speed-up, and what it saves in USD and in thousands of JPY, each low and high."""
    dollars, yen = (sheet(currency, low, high)["saving"] for currency in ("USD", "JPY"))
    return [*ends(low, high), *ends(*dollars), *ends(*(each / YEN for each in yen))]


def energy(low: float, high: float) -> list[float]:
    """Of the example: the speed-up, the kWh that it saves, and the machines that stay, of how many."""
    found = sheet("USD", low, high)
    return [*ends(low, high), *ends(*found["energy"]), *ends(*found["machines"]), COMMON["machines"]]


def ends(low: float, high: float) -> list[float]:
    """A range, or a number if it has no width."""
    return list(dict.fromkeys([low, high]))


def pays_after(low: float, high: float) -> list[float]:
    least, most = sheet("USD", low, high)["saving"]
    return [SUM * COMMON["years"] / most, SUM * COMMON["years"] / least]


def power_share() -> list[float]:
    """Of the price of an hour at work what power is, at either end of the defaults, in either currency."""
    return [
        watts / 1000 * power / (price + watts / 1000 * power)
        for each in DEFAULTS.values()
        for price, power, watts in zip(each["price"], each["power_price"], COMMON["watts"])
    ]


def example() -> list:
    dollars, yen = sheet("USD", 1, 1), sheet("JPY", 1, 1)
    return [
        *dollars["busy_hours"],
        *dollars["load"],
        COMMON["machines"],
        COMMON["years"],
        *dollars["dense"],
        *(each / YEN for each in yen["dense"]),
    ]


def default(name: str) -> list[float]:
    return [*DEFAULTS["USD"][name], *DEFAULTS["JPY"][name]]


def go(*names: str) -> list:
    """Thresholds of the plan."""
    return [CRITERIA[name][2] for name in names]


def interval(images: int, share: float = 0.05) -> list[float]:
    return [196 * math.sqrt(share / images), images]


def enough() -> list[float]:
    """The share of images that may disagree, and images of a class that show 10 points at a recall of 90 %."""
    images, worst = CRITERIA["images"][2], CRITERIA["worst_class"][2]
    return [images, 2, 100 * images * (BEARABLE / 196) ** 2, 90, math.ceil(196**2 * 0.9 * 0.1 / worst**2), worst]


def passes(ratio: float) -> list:
    rows = [again.shot(model, ratio) for model in again.MODELS]
    passed = [row["drop"] + row.half <= BEARABLE for row in rows]
    return [*table1.pairs(*rows), all(passed) if ratio < 0.5 else not any(passed)]


def runs() -> list:
    found = again.compact_losses().tuned.xs(("compact", "dense"), level=("way", "teacher"))
    bar = CRITERIA["tuned_loss"][2]
    return [len(found), *span(found), bar, bool((found > bar).all())]


def patches_cost_more() -> list:
    wide, cut = surfaces.apart("32x2", "32"), surfaces.moved(2, 6)
    return [wide[0] - wide[1] > 0, wide[0] > -cut[0]]


def vit_at_28() -> list[float]:
    return [pretrained.top1("dense", 0.0) - pretrained.top1("dimap", 0.28), 28]


def misread() -> list:
    before, after = again.table1("Swin-S", "dense").top5_pct, again.table1("Swin-S", "DIMAP2").top5_pct
    share, (worse,) = -errors_grow("Swin-S", "DIMAP2"), printed("Swin-B", "top5_drop")
    return [share, 1, before, after, after - before, images_behind(after - before), estimate.IMAGES["imagenet"],
            share, 100 - before, worse, errors_grow("Swin-B", "DIMAP3")]  # fmt: skip


SWINS = ("Swin-B", "Swin-S", "Swin-T")


def nothing_gained_by_zeros() -> list[bool]:
    """Zeros in place save no time, whole heads and hidden units do."""
    return [again.speed("masked").speedup.max() < 1.03, again.speed("compact").low.min() > 1.5]


def least_speed() -> float:
    """Of Swin-T, S and B with half of the MACs gone; rounded down to a tenth it is what the page says."""
    return math.floor(10 * cut_out()[0]) / 10


def thresholds_of_time() -> list[bool]:
    (bar,) = go("speedup")
    return [masked()[1] < bar, cut_out()[0] >= bar]
