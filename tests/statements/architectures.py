"""What the chapter on other architectures states; nbval holds the tables that are read here to a new run."""

from collections import Counter
from functools import cache, partial

import recompute as again
import timm
import torch

from statements.statement import about, count
from swinprune_lite.anatomy.modules import mapped
from swinprune_lite.clock.architectures import DRAWN, HIERARCHICAL, PUBLISHED

ARCHITECTURES = "beyond_architectures"
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


STATEMENTS = [
    of(
        "In the {} families of timm that are counted here, {} of them hierarchical, MLP-M holds {} to {} % of the "
        "weights and {} to {} % of the MACs, and QKV-M {} to {} % of the weights. What DIMAP keeps of a stage depends, "
        "on random weights, on how large its layers are: at {} % it keeps {} % of Swin's first stage and {} % of its "
        "last, and of each of CoaT's {} to {} %. With {} of the weights gone, {} to {} % of the MACs are left.",
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
        ],
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
        "Swin's last stage holds {} % of the prunable weights and {} % of their MACs.",
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
