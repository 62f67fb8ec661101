"""Parameters and MACs of whole architectures and of their components; no weights and no images needed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swinprune_lite.anatomy.modules import PRUNED_MODULES, mapped, modules
from swinprune_lite.anatomy.units import PRJ, QKV, Kind
from swinprune_lite.paper.numbers import TIMM_NAMES
from swinprune_lite.pruning.cost import Cost, cost, macs_and_positions

FIGURE1 = {
    "VGG-16": ("vgg16", 224, {}),
    "Inception-v3": ("inception_v3", 224, {"aux_logits": True}),
    "ResNet-50": ("resnet50", 224, {}),
    "Swin-B": ("swin_base_patch4_window7_224", 224, {}),
}
"""Figure 1's networks: timm's name, the side of the image at which the MACs come near the printed ones, options."""

TABLE2 = {
    ("ViT-B/16", 384): "vit_base_patch16_384",
    ("ViT-L/16", 384): "vit_large_patch16_384",
    ("DeiT-S", 224): "deit_small_patch16_224",
    ("DeiT-B", 224): "deit_base_patch16_224",
    ("DeiT-B", 384): "deit_base_patch16_384",
    ("CrossViT-18 (dagger)", 224): "crossvit_18_dagger_240",
    ("TNT", 224): "tnt_b_patch16_224",
    ("TransMix", 224): "deit_base_patch16_224",  # a way of training; the network is DeiT-B's
    ("MobileViTv2", 224): "mobilevitv2_200",
}
"""Table 2's networks that timm has, by method and image size."""

ALL_OF_ATTENTION = {"qkv": "att", "proj": "att", "product": "att", "table": "att"}
"""A rule: part -> component. For what it does not name, see `shares`."""


def build(name: str, **options) -> nn.Module:
    """timm's architecture on the meta device: shapes without numbers."""
    with torch.device("meta"):
        model = timm.create_model(name, **options).eval()
    if options.get("aux_logits"):
        model.aux_logits = False  # the side head counts as parameters; it is not run when the network is used
    return model


@cache
def whole(name: str, size: int, **options) -> Cost:
    """Parameters and MACs of timm's architecture for an image of `size` × `size`."""
    return cost(build(name, **options), {}, size)


@cache
def parts(name: str, size: int, **options) -> pd.DataFrame:
    """Parameters and MACs of a network by part.

    Returns:
        Index: conv, fc, merge, mlp, qkv, proj, product (query by key and attention by value), table,
        norm, those that occur; columns params and macs, whole numbers.
    """
    model = build(name, **options)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, size, size, device="meta"))
    flops = {path.partition(".")[2]: sum(ops.values()) for path, ops in counter.get_flop_counts().items()}
    kinds = {name.removesuffix(".weight"): place.kind for name, place in mapped(model).items()}
    params, macs = Counter(), Counter()
    for path, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            params[_part(kinds.get(path), path, module, leaf)] += parameter.numel()
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            macs[_part(kinds.get(path), path, module, "weight")] += flops.get(path, 0) // 2
        elif "Attention" in type(module).__name__:
            inside = sum(flops.get(f"{path}.{child}", 0) for child, _ in module.named_children())
            macs["product"] += (flops.get(path, 0) - inside) // 2
    frame = pd.DataFrame({"params": params, "macs": macs}).fillna(0).astype(int)
    return frame[frame.sum(axis=1) > 0]


def _part(kind: Kind | None, path: str, module: nn.Module, leaf: str) -> str:
    if isinstance(module, nn.Conv2d):  # timm writes VGG's first two fully connected layers as convolutions
        return "fc" if "pre_logits" in path else "conv"
    if "relative_position" in leaf:
        return "table"
    if kind:
        return {QKV: "qkv", PRJ: "proj"}.get(kind, "mlp")
    if path.endswith("reduction"):
        return "merge"
    return "fc" if isinstance(module, nn.Linear) else "norm"


def shares(table: pd.DataFrame, rule: dict[str, str]) -> pd.DataFrame:
    """Percent of parameters and MACs that are conv, fc and att under a rule (figure 1).

    Args:
        table: of `parts`.
        rule: part -> component ("att", "fc", "conv", or "none": not counted). What it does not name is
            conv if it is a convolution, or the normalisation of a network without attention; else fc.
    """
    convolutional = {"conv"} if "qkv" in table.index else {"conv", "norm"}
    component = [rule.get(part, "conv" if part in convolutional else "fc") for part in table.index]
    counted = table.groupby(component).sum().drop(index="none", errors="ignore")
    return 100 * counted / counted.sum()


def figure1(rule: dict[str, str]) -> pd.DataFrame:
    """Figure 1 counted: one row a model and component.

    Args:
        rule: see `shares`.

    Returns:
        model, component, params_share_pct, flops_share_pct, params_m, flops_g (totals of the model).
    """
    rows = []
    for model, (name, size, options) in FIGURE1.items():
        table = parts(name, size, **options)
        total = whole(name, size, **options)
        for component, row in shares(table, rule).iterrows():
            rows.append({
                "model": model,
                "component": component,
                "params_share_pct": row.params,
                "flops_share_pct": row.macs,
                "params_m": total.params / 1e6,
                "flops_g": total.macs / 1e9,
            })  # fmt: skip
    return pd.DataFrame(rows)


def nearest_rules(printed_params: float, printed_macs: float, count: int = 5) -> pd.DataFrame:
    """All ways of counting Swin-B's parts as attention, fully connected or not at all, nearest to a split first.

    Args:
        printed_params: percent of parameters that is attention.
        printed_macs: percent of MACs that is attention.
        count: how many to return.

    Returns:
        attention, left out (names of parts), params %, MACs %, off by (points, the larger of the two).
    """
    every = _rules()
    off = (every["params %"] - printed_params).abs().combine((every["MACs %"] - printed_macs).abs(), max)
    ranked = every.assign(**{"off by": off}).sort_values("off by", kind="stable")
    return ranked.head(count).reset_index(drop=True)


@cache
def _rules() -> pd.DataFrame:
    """What Swin-B's attention has under every rule, in percent; a rule without attention is left out."""
    table = parts(*FIGURE1["Swin-B"][:2])
    free = [part for part in table.index if part not in ("conv", "mlp")]
    always = table.drop(index=free).sum()
    rules = np.array([rule for rule in product(("fc", "att", "none"), repeat=len(free)) if "att" in rule])
    attention, counted = rules == "att", rules != "none"
    percent = {
        of: 100 * (attention @ table[of][free].to_numpy()) / (counted @ table[of][free].to_numpy() + always[of])
        for of in ("params", "macs")
    }
    return pd.DataFrame({
        "attention": [", ".join(np.array(free)[row]) for row in attention],
        "left out": [", ".join(np.array(free)[~row]) for row in counted],
        "params %": percent["params"],
        "MACs %": percent["macs"],
    })  # fmt: skip


def table2(rows: pd.DataFrame) -> pd.DataFrame:
    """Parameters (millions) and MACs (billions) of those rows of table 2 that timm has; the others stay empty.

    Args:
        rows: `paper_table("table2a_vit_variants")` or "table2b_vit_compression".
    """
    counted = {}
    for index, row in rows.iterrows():
        if name := TABLE2.get((row.method, row.image_size)):
            total = whole(name, 240 if "crossvit" in name else int(row.image_size))  # its smaller branch takes 240
            counted[index] = {"timm": name, "params_m": total.params / 1e6, "flops_g": total.macs / 1e9}
    return pd.DataFrame.from_dict(counted, orient="index", columns=["timm", "params_m", "flops_g"]).reindex(rows.index)


def remaining(ratios: Sequence[float]) -> Iterator[dict]:
    """What table 1 counts, for the paper's Swins and a ratio in every module; independent of the weights.

    Yields:
        model, ratio, params, dense (parameters left and in all), dense_macs, alike_macs (left if every
        layer lost the same share), least_macs, most_macs (left over all ways to choose each module's
        weights: the ones used at the most positions first, or last).
    """
    for model, architecture in TIMM_NAMES.items():
        params, macs, groups = _prunable_layers(architecture)
        for ratio in ratios:
            removed, saved = 0, defaultdict(float)
            for layers in groups:
                budget = round(ratio * sum(size for size, _ in layers))
                removed += budget
                saved["alike"] += ratio * sum(size * times for size, times in layers)
                for end, largest_first in (("least", True), ("most", False)):
                    left = budget
                    for size, times in sorted(layers, key=lambda layer: layer[1], reverse=largest_first):
                        taken = min(left, size)
                        left -= taken
                        saved[end] += taken * times
            yield {
                "model": model,
                "ratio": ratio,
                "params": params - removed,
                "dense": params,
                "dense_macs": macs,
                **{f"{end}_macs": macs - amount for end, amount in saved.items()},
            }


@cache
def _prunable_layers(architecture: str) -> tuple[int, int, list[list[tuple[int, int]]]]:
    """Parameters, MACs, and for each pruned module its layers' sizes and the positions that use each weight."""
    model = build(architecture)
    macs, positions = macs_and_positions(model)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    layers = [[(sizes[name], positions[name]) for name in modules(model)[module]] for module in PRUNED_MODULES]
    return sum(sizes.values()), macs, layers


def module_shares(models: Sequence[str]) -> pd.DataFrame:
    """Parameters (millions) of each module and the prunable share (percent) of the paper's Swins.

    Args:
        models: names in `TIMM_NAMES`.
    """
    rows = {}
    for name in models:
        model = build(TIMM_NAMES[name])
        sizes = {parameter: tensor.numel() for parameter, tensor in model.named_parameters()}
        millions = {
            module: sum(sizes[parameter] for parameter in names) / 1e6 for module, names in modules(model).items()
        }
        total = sum(sizes.values()) / 1e6
        rows[name] = millions | {"all": total, "prunable %": 100 * (total - millions["AUX-M"]) / total}
    return pd.DataFrame.from_dict(rows, orient="index")
