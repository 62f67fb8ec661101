"""Structured masks: whole hidden units and heads go, chosen by equation 10 on what groups are worth.

The budget is MACs, and a group of stage 1 costs as many as several of stage 4: what is ranked, over all
layers of a module, is therefore the score for its price, as a knapsack is filled by value a weight. (For
single weights the budget is their number, each costs one, and the rule is the paper's.) The price is what a
group costs on a clock: its MACs, and the numbers it writes to memory, each worth `BALANCE` MACs.
"""

import math
import warnings
from collections.abc import Collection, Mapping

import torch
from torch import nn

from swinprune_lite.acceleration.energies import energies, singular_values, variances
from swinprune_lite.anatomy.modules import listed, unpruned_layers
from swinprune_lite.anatomy.parts import HEADS, HIDDEN, PART_KINDS, Part, parts
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.pruning.criteria import check_statistics
from swinprune_lite.pruning.importance import check_weight, importance
from swinprune_lite.types import InputMoments, InputSize, Masks

CRITERIA = ("energy", "variance", "singular values")

MULTIPLE = 64
LEAST_GROUPS = 8  # of an MLP, or they would be too coarse to choose from
BALANCE = 64  # MACs in the time of writing one number, of the order of what CPUs and GPUs do
HEADS_SHARE = 1.2
BISECTIONS = 50  # of a share in [0, 1]: far finer than one group


def structured_masks(
    model: nn.Module,
    ratio: float,
    input_size: InputSize | None = None,
    multiple: int = MULTIPLE,
    heads_share: float = HEADS_SHARE,
    criterion: str = "energy",
    statistics: Mapping[str, InputMoments] | None = None,
    whole: Collection[str] = (),
) -> Masks:
    """Masks that take whole hidden units and heads, so that `compact` can make the matrices smaller.

    Hidden units lose the smallest share of their MACs, and heads `heads_share` times that of theirs, that take
    `ratio` of the whole model's. Every block keeps a head, and every MLP some hidden units.

    Args:
        model: a network in which `parts` finds something; it is left as it is.
        ratio: share of the model's MACs to remove, in [0, 1); met from above, by the next group.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.
        multiple: hidden units leave in groups of so many, since kernels are slower at odd widths; of half or
            a quarter as many and so on where an MLP would have fewer than eight groups, or a remainder.
        heads_share: 1 cuts both modules alike, as the paper does its modules. Attention takes more of the time
            than its MACs tell (softmax, copies), so somewhat more of it may pay on a clock. Accuracy asks for less:
            of what the projections give, heads take far more with them than hidden units do of what MLPs give.
        criterion: what a group is worth: "energy", its part in equation 7's bound; "variance", its part in the variance
            of the block's output; or "singular values", which is "variance" for hidden units, and for heads their part
            in the singular values of the attention's products; see `energies`.
        statistics: for variances, of `input_moments`; None: they are guessed from the weights, without an image.
        whole: names of weights that stay whole, and with each the other of its part.

    Returns:
        parameter name -> bool tensor of its shape, True = kept, for fc1, fc2, qkv and proj.

    Warns:
        UserWarning: layers of an attention or MLP stay whole, since their groups cannot leave; see `modules.listed`.

    Raises:
        ValueError: a ratio outside [0, 1) or beyond what can go, a `multiple` below 1, a negative `heads_share`,
            an unknown criterion, statistics that do not fit, variances without them for blocks whose weights do not
            tell what they read (Swin V2), a model without groups that can leave or with such that it does not use, an
            input size that it does not take or that has to be given, or weights that are not floating numbers or hold
            NaN or infinity.
    """
    if not isinstance(ratio, (int, float)) or not 0 <= ratio < 1:
        raise ValueError(f"ratio must be a number in [0, 1), the share of the model's MACs to remove; got {ratio!r}.")
    if not isinstance(multiple, int) or multiple < 1:
        raise ValueError(f"multiple must be a whole number of hidden units, 1 or more; got {multiple!r}.")
    if not 0 <= heads_share < math.inf:
        raise ValueError(f"heads_share must be a finite number of 0 or more; got {heads_share!r}.")
    if criterion not in CRITERIA:
        raise ValueError(f"Unknown criterion {criterion!r}; choose one of {', '.join(CRITERIA)}.")
    if criterion == "energy" and statistics is not None:
        raise ValueError("The criterion energy is of weights alone; leave the statistics out, or choose variance.")
    found = [part for part in parts(model) if {f"{part.writer}.weight", f"{part.reader}.weight"}.isdisjoint(whole)]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no hidden units or heads that can leave: it has neither timm's Mlp nor the "
            "attention of timm's Swin, Swin V2, ViT or DeiT."
        )
    names = [f"{layer}.weight" for part in found for layer in (part.writer, part.reader)]
    for name in names:
        check_weight(name, model.get_parameter(name))
    if statistics is not None:
        readers = {name: model.get_parameter(name) for name in names[1::2]}
        check_statistics(f"The criterion {criterion}", InputMoments, readers, statistics)
    if left := unpruned_layers(model, [*names, *whole]):
        warnings.warn(
            f"These layers of attention or MLPs in {type(model).__name__} stay whole, since their hidden units or "
            f"heads cannot leave one by one: {listed(left)}.",
            stacklevel=2,
        )
    dense, positions = macs_and_positions(model, input_size)
    if unused := [name for name in names if name not in positions]:
        raise ValueError(f"{', '.join(unused)}: no product of {type(model).__name__} uses this; take the layer out.")
    worths = (_worth(model, part, criterion, statistics) for part in found)
    ranked = [_Ranked(model, part, worth, multiple, positions) for part, worth in zip(found, worths)]
    shares = {HIDDEN: 1.0, HEADS: heads_share}
    wanted, most = dense * ratio, _cut(ranked, 1.0, shares)
    if (possible := _removed_macs(ranked, most)) < wanted:
        raise ValueError(
            f"ratio {ratio} is too high: with a head a block and the last hidden units kept, "
            f"{possible / dense:.4f} of the MACs of {type(model).__name__} can go."
        )
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        enough = _removed_macs(ranked, _cut(ranked, share, shares)) >= wanted
        low, high = (low, share) if enough else (share, high)
    masks: Masks = {}
    for each, gone in zip(ranked, _cut(ranked, high if ratio else 0.0, shares)):
        masks |= _lines(model, each.part, each.kept(gone))
    return masks


def _worth(model: nn.Module, part: Part, criterion: str, statistics: Mapping[str, InputMoments] | None) -> torch.Tensor:
    """Of each unit of a part, float64 (count,), summing to 1."""
    if criterion == "energy":
        return energies(model, part)
    of_weights = criterion == "singular values" and part.kind == HEADS
    return singular_values(model, part) if of_weights else variances(model, part, statistics)


class _Ranked:
    """A part's groups from the one worth most to the one worth least: units, MACs, and scores for the price.

    `worth` is that of each unit, float64 (count,), summing to 1.
    """

    def __init__(
        self, model: nn.Module, part: Part, worth: torch.Tensor, multiple: int, positions: dict[str, int]
    ) -> None:
        self.part, size = part, 1
        if part.kind == HIDDEN:
            size = multiple
            while size > 1 and (part.count % size or part.count < LEAST_GROUPS * size):
                size //= 2
        self.units = worth.sort(descending=True, stable=True).indices.view(-1, size)
        macs, written = unit_cost(model, part, positions)
        self.macs, price = size * macs, size * (macs + BALANCE * written)
        self.scores = importance(worth[self.units].sum(1).sqrt()) / price  # importance squares what it is given

    def kept(self, gone: int) -> torch.Tensor:
        """Bool (count,), False for the units of the `gone` lowest groups."""
        keep = torch.ones(self.part.count, dtype=torch.bool, device="cpu")
        keep[self.units[len(self.units) - gone :]] = False
        return keep


def _cut(ranked: list[_Ranked], share: float, shares: dict[str, float]) -> list[int]:
    """How many of each part's groups go, so that each kind loses `share` times its own of its MACs."""
    gone = [0] * len(ranked)
    for kind in PART_KINDS:
        those = [index for index, each in enumerate(ranked) if each.part.kind == kind]
        if not those:
            continue
        scores = torch.cat([ranked[index].scores[1:] for index in those])  # the first of each part stays
        owner = torch.cat([torch.full((len(ranked[index].scores) - 1,), index, device="cpu") for index in those])
        macs = torch.tensor([each.macs for each in ranked], dtype=torch.float64, device="cpu")
        order = scores.flip(0).sort(stable=True).indices  # of equal scores the later goes first
        owner = owner.flip(0)[order]
        wanted = share * shares[kind] * sum(ranked[index].macs * len(ranked[index].scores) for index in those)
        before = macs[owner].cumsum(0) - macs[owner]
        for index, count in enumerate(torch.bincount(owner[before < wanted], minlength=len(ranked)).tolist()):
            gone[index] += count
    return gone


def _removed_macs(ranked: list[_Ranked], gone: list[int]) -> int:
    return sum(each.macs * count for each, count in zip(ranked, gone))


def unit_cost(model: nn.Module, part: Part, positions: dict[str, int]) -> tuple[int, int]:
    """MACs, and numbers written to memory, that leave with one hidden unit or head, for one image.

    `positions` are those of `macs_and_positions`. A hidden unit writes its value before and after the
    activation. With a head go its products of query by key and of attention by value, over a window or,
    where there are none, over all tokens: it writes q, k, v, its output, and three times its attention
    (the logits, with the position bias, and after the softmax).
    """
    reader, writer = model.get_submodule(part.reader), model.get_submodule(part.writer)
    tokens = positions[f"{part.reader}.weight"]
    macs = tokens * (writer.weight.numel() + reader.weight.numel()) // part.count
    if part.kind == HIDDEN:
        return macs, 2 * tokens
    window = getattr(model.get_submodule(part.path), "window_size", None)
    seen = math.prod(window) if window else tokens
    return macs + 2 * tokens * seen * part.width, tokens * (4 * part.width + 3 * seen)


def _lines(model: nn.Module, part: Part, keep: torch.Tensor) -> Masks:
    """The masks of a part's two matrices: rows of the writer (for heads of q, k and v), columns of the reader."""
    lines = keep.repeat_interleave(part.width)
    masks = {}
    for layer, by_rows in ((part.writer, True), (part.reader, False)):
        weight = model.get_submodule(layer).weight
        mask = lines.repeat(len(weight) // len(lines))[:, None] if by_rows else lines
        masks[f"{layer}.weight"] = mask.expand(weight.shape).clone().to(weight.device)
    return masks
