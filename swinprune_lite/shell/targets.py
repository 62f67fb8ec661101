"""How much is to go: a share of what can be pruned, or the MACs or parameters that are to be left."""

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from swinprune_lite.acceleration.compacting import compact
from swinprune_lite.acceleration.structured import structured_masks
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.anatomy.parts import parts
from swinprune_lite.anatomy.products import Products
from swinprune_lite.pruning.cost import Counted
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.pruning.methods import combination
from swinprune_lite.types import InputSize, Masks

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BISECTIONS = 10  # of a share of the MACs, until the parameters are met: to a thousandth


def amount(text: str, dense: int, what: str) -> int:
    """How many are to be left: "2.2G" of them, or "50%" of those of the dense model.

    Args:
        text: a number, with K, M, G, T or % behind it.
        dense: how many the model has.
        what: they are, for messages.

    Raises:
        ValueError: anything else, or more than the model has.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?|%)\s*", text, re.IGNORECASE)
    if not found:
        raise ValueError(f"A target of {what} is a number such as 2.2G or 800M, or a share such as 50%; got {text!r}.")
    number, unit = float(found[1]), found[2].upper()
    wanted = round(number / 100 * dense if unit == "%" else number * UNITS[unit])
    if not 0 < wanted <= dense:
        raise ValueError(f"The model has {dense:,} {what}, and {wanted:,} cannot be left of them; give 1 to {dense:,}.")
    return wanted


def ignored(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the prunable weights that patterns such as "layers.3.*" or "*.attn.qkv" match; these stay whole.

    Raises:
        ValueError: a pattern that matches none, or patterns that match all.
    """
    names = prunable(model)
    found = []
    for pattern in patterns:
        those = [n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n.removesuffix(".weight"), pattern)]
        if not those:
            near = ", ".join(names[:2])
            raise ValueError(f"--ignore {pattern!r} matches none of the {len(names)} prunable weights, such as {near}.")
        found += those
    if names and len(set(found)) == len(names):
        raise ValueError("--ignore matches every prunable weight, so nothing would be left to prune.")
    return [name for name in names if name in found]


def zeros(
    model: nn.Module,
    ratio: float | None,
    macs: int | None,
    parameters: int | None,
    counted: Counted,
    whole: Collection[str] = (),
    within: Mapping[str, torch.Tensor] | None = None,
    **how,
) -> Masks:
    """Masks of single weights that meet one of three targets.

    Args:
        model: it is left as it is.
        ratio: share to remove of the prunable weights that are not `whole`; or None.
        macs: that are to be left, at most; or None.
        parameters: that are to be left, at most; or None.
        counted: of the model.
        whole: names of weights that stay whole.
        within: earlier masks; what they removed stays removed, and counts.
        how: method, seed, criterion, grouping, budget and statistics of `make_masks`.

    Raises:
        ValueError: a target that cannot be met, and how far one can go; and as `make_masks`.
    """
    how = _sparing(how, whole) if whole else how
    free = [name for name in prunable(model) if name not in whole]
    if ratio is not None or not free:  # of what has nothing to prune it says so
        return make_masks(model, ratio or 0.0, within=within, **how)
    nothing = {name: torch.zeros(model.get_parameter(name).shape, dtype=torch.bool) for name in free}
    least = counted.cost(nothing)
    if macs is not None:
        _reachable(macs, least.nonzero_macs, "MACs")
        share = 1 - macs / counted.products.macs
        return make_masks(model, share, within=within, of="macs", input_size=counted.shape, **how)
    _reachable(parameters, least.nonzero_params + 1, "parameters")
    weights, wanted = sum(mask.numel() for mask in nothing.values()), counted.params - parameters
    for more in (0, *(2**power for power in range(weights.bit_length()))):  # a method rounds what each group loses
        masks = make_masks(model, min((wanted + more) / weights, 1 - 1 / weights), within=within, **how)
        left = counted.cost(masks).nonzero_params
        if left <= parameters:
            return masks
    raise ValueError(f"{parameters:,} parameters cannot be reached by this method: {left:,} are left; give more.")


def groups(
    model: nn.Module, ratio: float | None, parameters: int | None, input_size: InputSize, whole: Collection[str], **how
) -> Masks:
    """Masks of whole hidden units and heads that take a share of the MACs, or leave so many parameters.

    Args:
        model: it is left as it is.
        ratio: share of the model's MACs to remove; or None.
        parameters: that are to be left, at most; or None.
        input_size: of the image that MACs are counted for.
        whole: names of weights that stay whole, and with each the other of its part.
        how: multiple, heads_share, criterion and statistics of `structured_masks`.

    Raises:
        ValueError: a target that cannot be met, and how far one can go; and as `structured_masks`.
    """
    pairs = [{f"{part.writer}.weight", f"{part.reader}.weight"} for part in parts(model)]
    whole = set(whole).union(*(pair for pair in pairs if not pair.isdisjoint(whole)))
    how |= {"input_size": input_size, "whole": whole}
    if ratio is not None:
        return structured_masks(model, ratio, **how)
    low, high, found, least = 0.0, 1.0, None, sum(each.numel() for each in model.parameters())
    structured_masks(model, 0.0, **how)  # else what is wrong with it would be taken for a ratio too high
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        try:
            masks = structured_masks(model, share, **how)
        except ValueError:
            high = share
            continue
        left = sum(each.numel() for each in compact(model, masks).parameters())
        least = min(least, left)
        low, high, found = (low, share, masks) if left <= parameters else (share, high, found)
    if found is None:
        _reachable(parameters, least, "parameters")
        raise ValueError(f"{parameters:,} parameters cannot be met; the fewest seen were {least:,}.")
    return found


def stages_lost(model: nn.Module, masks: Mapping[str, torch.Tensor], products: Products) -> list[dict]:
    """What each stage's modules lose: rows of stage, module, weights, kept, macs and kept_macs.

    MACs are those of the weights alone; attention's own products, query by key and attention by value, are not.
    """
    found = []
    for (stage, module), rows in layers(model).groupby(["stage", "module"], sort=False):
        shapes = {name: model.get_parameter(name).shape for name in rows.name}
        own = {name: masks[name] for name in shapes if name in masks}
        weights = sum(shape.numel() for shape in shapes.values())
        macs = products.lost({name: torch.zeros(shape, dtype=torch.bool) for name, shape in shapes.items()})
        found.append(
            {
                "stage": int(stage),
                "module": module,
                "weights": weights,
                "kept": weights - sum(int((~mask).sum()) for mask in own.values()),
                "macs": macs,
                "kept_macs": macs - products.lost(own),
            }
        )
    return found


def _reachable(wanted: int, least: int, what: str) -> None:
    if wanted < least:
        raise ValueError(
            f"{wanted:,} {what} cannot be reached: with everything gone that may go, {least:,} are left; give that "
            "or more."
        )


def _sparing(how: Mapping[str, object], whole: Collection[str]) -> dict[str, object]:
    """The method's parts, with the weights that stay whole as a group of its own, of which nothing goes."""
    parts_ = {key: how.get(key) for key in ("criterion", "grouping", "budget")}
    criterion, grouping, budget = combination(how.get("method", "dimap"), **parts_).parts()

    def apart(model: nn.Module) -> list[list[str]]:
        found = [[name for name in group if name not in whole] for group in grouping(model)]
        return [*filter(None, found), list(whole)]

    def sparing(model: nn.Module, competing: Sequence[Sequence[str]], ratio: float) -> list[int]:
        return [*budget(model, competing[:-1], ratio), 0]

    return dict(how) | {"criterion": criterion, "grouping": apart, "budget": sparing}
