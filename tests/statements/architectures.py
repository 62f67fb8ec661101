"""What the chapter on other architectures states; nbval holds the tables that are read here to a new run."""

from collections import Counter
from functools import cache, partial

import recompute as again
import timm
import torch

from statements.statement import about, count
from swinprune_lite.anatomy.modules import mapped
from swinprune_lite.clock.architectures import DRAWN, HIERARCHICAL, PUBLISHED
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.models.lite import OTHERS
from swinprune_lite.studies import repair

ARCHITECTURES = "beyond_architectures"
V2, PVT = OTHERS
WEIGHTS, MACS, STAGE_WEIGHTS, STAGE_MACS, KEPT = "arch-09", "arch-11", "arch-14", "arch-16", "arch-18"

of = about(ARCHITECTURES)
column = partial(again.column, ARCHITECTURES)


def at(cell: str, family: str, name: str) -> float:
    rows = DRAWN if cell == KEPT else HIERARCHICAL if cell in (STAGE_WEIGHTS, STAGE_MACS) else tuple(PUBLISHED)
    values = column(cell, name)
    assert len(values) == len(rows)
    return values[rows.index(family)]


def kept(family: str) -> list[float]:
    return again.printed(ARCHITECTURES, KEPT, family)[:-1]


def mlps() -> list[float]:
    return [*again.span(column(WEIGHTS, "MLP-M")), *again.span(column(MACS, "MLP-M"))]


@cache
def sizes_of_kinds(family: str) -> Counter[tuple[str, int]]:
    """How many prunable layers of each kind and size a family's model has."""
    with torch.device("meta"):
        model = timm.create_model(PUBLISHED[family])
    return Counter((place.kind.label, model.get_parameter(name).numel()) for name, place in mapped(model).items())


def same_modules_in_a_larger_model() -> bool:
    b0, b2 = (again.printed(ARCHITECTURES, "arch-27", f"pvt_v2_b{size} ") for size in (0, 2))
    return len(b0) == len(b2) == 4 and b2[-1] < b0[-1]


@cache
def evidence() -> Evidence:
    return Evidence(repair.ELSEWHERE)


@cache
def gains():
    return repair.gains(evidence(), models=OTHERS).set_index(["model", "ratio"])


def sets_of_weights() -> int:
    (found,) = {len(repair.reported(model)) for model in OTHERS}
    return found


def journeys() -> list[float]:
    rows = [gains().loc[(model, 0.8)] for model in (V2, PVT)]
    before = [repair.accuracy(evidence(), model)[0] for model in (V2, PVT)]
    return [80, *(value for dense, row in zip(before, rows) for value in (dense, row.cut)), *(r.repaired for r in rows)]


def gained(model: str, ratio: float = 0.8) -> list[float]:
    row = gains().loc[(model, ratio)]
    return [row.gain, row.gain_half]


@cache
def _rows(models: tuple[str, ...], profile: Profile):
    return repair.against_dimap(Evidence(profile), models).set_index(["model", "method", "ratio"])


def against(model: str, other: str, ratio: float = 0.8, profile: Profile = repair.ELSEWHERE) -> list[float]:
    """How far another method leads DIMAP, as cut and repaired, each with its half interval."""
    row = _rows((model,), profile).loc[(model, other, ratio)]
    return [row.cut, row.cut_half, row.repaired, row.repaired_half]


def led(model: str, other: str, ratio: float = 0.8) -> list[float]:
    return [sign * value for sign, value in zip((-1, 1, -1, 1), against(model, other, ratio))]


def micro_led() -> list[float]:
    return against("swin_lite_micro", "lamp", profile=repair.PROFILE)


def pairs(four: list[float]) -> list[tuple[float, float]]:
    return [(four[0], four[1]), (four[2], four[3])]


STATEMENTS = [
    of(
        "In the {} families of timm that are counted here, {} of them hierarchical, MLP-M holds {} to {} % of the "
        "weights and {} to {} % of the MACs, and QKV-M {} to {} % of the weights. What DIMAP keeps of a stage depends, "
        "on random weights, on how large its layers are: at {} % it keeps {} % of Swin's first stage and {} % of its "
        "last, and of each of CoaT's {} to {} %. With {} of the weights gone, {} to {} % of the MACs are left "
        "in the {} families that were masked.",
        lambda: [
            len(PUBLISHED),
            len(HIERARCHICAL),
            *mlps(),
            *again.span(column(WEIGHTS, "QKV-M")),
            50,
            kept("Swin")[0],
            kept("Swin")[-1],
            *again.span(kept("CoaT")),
            0.5,
            *again.span(column(KEPT, "MACs left")),
            len(DRAWN),
        ],
    ),
    of(
        "over {} sets each: at {} % DIMAP takes Swin V2 from {} to {} % top-1 and PVT v2 from {} to {} %, and the "
        "repair brings them back to {} and {} %.",
        lambda: [sets_of_weights(), *journeys()],
    ),
    of(
        "At {} % DIMAP takes Swin V2 from {} to {} % top-1 and PVT v2 from {} to {} %, and the repair brings them back "
        "to {} and {} %. At {} % the repair returns {} ± {} points on Swin V2 and {} ± {} on PVT v2.",
        lambda: [*journeys(), 90, *gained(V2, 0.9), *gained(PVT, 0.9)],
    ),
    of("Of each there are {} sets of weights", lambda: [sets_of_weights()]),
    of("PVT v2's smallest at {} of its width", count(0.25)),
    of("{} models stand beside", lambda: [len(OTHERS)]),
    of("is of {} test pairs", count(repair.IMAGES)),
    of(
        "On PVT v2 DIMAP leads LAMP at {} % by {} ± {} points as cut and by {} ± {} repaired, and uniform pruning by "
        "{} ± {} and {} ± {}. On Swin V2 no difference at {} % is larger than its interval, and at {} % LAMP leads "
        "DIMAP by {} ± {} as cut and by {} ± {} repaired. On Swin's micro LAMP leads DIMAP at {} % by "
        "{} ± {} as cut. So letting the layers of a module alone compete, the paper's choice, helps most on PVT v2 "
        "among these",
        lambda: [
            80,
            *led(PVT, "lamp"),
            *led(PVT, "uniform"),
            80,
            90,
            *against(V2, "lamp", 0.9),
            80,
            *micro_led()[:2],
            led(PVT, "lamp")[0] > max(led(V2, "lamp")[0], -micro_led()[0]),
            all(abs(value) < half for other in ("lamp", "uniform") for value, half in pairs(against(V2, other))),
        ],
    ),
    of(
        "Trained, at {} %, DIMAP leads LAMP on PVT v2 by {} ± {} points as cut, and the repair returns {} ± {} points "
        "on Swin V2 and {} ± {} on PVT v2.",
        lambda: [80, *led(PVT, "lamp")[:2], *gained(V2), *gained(PVT)],
    ),
    of("for a head of a {} classes", count(1000)),
    of(
        "keep a large part of their MACs in convolutions that no mask touches: AUX-M has {} % of CoAtNet's MACs, {} % "
        "of MaxViT's and {} % of TinyViT's, and {} % of Swin's. In DINOv2's ViT, which has no hierarchy and whose "
        "images have more tokens, the products alone are {} %.",
        lambda: [
            *(at(MACS, family, "AUX-M") for family in ("CoAtNet", "MaxViT", "TinyViT", "Swin")),
            at(MACS, "DINOv2", "products"),
        ],
    ),
    of(
        "Its last stage holds {} % of the prunable weights and {} % of their MACs.",
        lambda: [at(STAGE_WEIGHTS, "Swin", "stage 4"), at(STAGE_MACS, "Swin", "stage 4")],
    ),
    of(
        "Percent of the prunable weights that DIMAP keeps when {} of them go",
        lambda: [0.5, "ratios = [0.5]" in again.code(ARCHITECTURES)],
    ),
    of("Within a module every family loses {}.", count(0.5)),
    of(
        "MLP-M holds {} to {} % of the weights and {} to {} % of the MACs, more than QKV-M in all {} families.",
        lambda: [
            *mlps(),
            len(PUBLISHED),
            *(
                mlp > qkv
                for cell in (WEIGHTS, MACS)
                for mlp, qkv in zip(column(cell, "MLP-M"), column(cell, "QKV-M"), strict=True)
            ),
        ],
    ),
    of(
        "In EfficientFormer, whose attention stands in its last block alone, QKV-M and PRJ-M together hold {} % of the "
        "weights.",
        lambda: [
            sum(at(WEIGHTS, "EfficientFormer", module) for module in ("QKV-M", "PRJ-M")),
            [count for (kind, _), count in sizes_of_kinds("EfficientFormer").items() if kind == "QKV"] == [1],
        ],
    ),
    of(
        "No mask removes {} to {} % of the MACs, the products, nor those of AUX-M, {} to {} %.",
        lambda: [*again.span(column(MACS, "products")), *again.span(column(MACS, "AUX-M"))],
    ),
    of(
        "On random weights DIMAP at {} % keeps {} % of Swin's first stage and {} % of its last, and leaves {} % of its "
        "MACs.",
        lambda: [50, kept("Swin")[0], kept("Swin")[-1], at(KEPT, "Swin", "MACs left")],
    ),
    of(
        "Of CoaT's stages, whose layers of a kind are of one size, it keeps {} to {} %, and {} % of the MACs are left.",
        lambda: [
            *again.span(kept("CoaT")),
            at(KEPT, "CoaT", "MACs left"),
            len(sizes_of_kinds("CoaT")) == len({kind for kind, _ in sizes_of_kinds("CoaT")}),
            same_modules_in_a_larger_model(),
        ],
    ),
]
