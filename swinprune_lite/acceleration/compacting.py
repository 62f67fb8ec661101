"""Compact models: what structured masks remove is cut out, and an ordinary smaller timm model is left."""

import copy
from collections.abc import Mapping

import torch
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import nn

from swinprune_lite.acceleration.narrow_v2 import NarrowWindowAttentionV2
from swinprune_lite.anatomy.parts import HEADS, Part, parts
from swinprune_lite.pruning.holding import remove_masks
from swinprune_lite.pruning.importance import check_dense
from swinprune_lite.pruning.masks import check_masks


def compact(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> nn.Module:
    """A smaller copy of the model that computes what the masked model computes.

    A hidden unit or head leaves when all weights that read it (its column of fc2, its columns of proj) are
    masked; what else the masks remove becomes zeros. At least one of each part stays.

    Args:
        model: the dense network; it is left as it is. Masks that it holds are not held by the copy.
        masks: usually of `structured_masks`; any masks do, but those of single weights remove hardly a group.

    Returns:
        A model of the same class, with fewer heads and hidden units; dense, trainable, exportable.

    Raises:
        ValueError: masks that do not fit the model, or a mask or weight that is sparse.
    """
    check_masks(model, masks)
    for name, tensor in [*model.named_parameters(), *((f"The mask of {name}", mask) for name, mask in masks.items())]:
        check_dense(name, tensor)
    small = copy.deepcopy(model)
    remove_masks(small)
    with torch.no_grad():
        for name, mask in masks.items():
            weight = small.get_parameter(name)
            weight.masked_fill_(~mask.to(weight.device), 0)  # whatever it holds: a product would keep NaN
    for part in parts(small):
        mask = masks.get(f"{part.reader}.weight")
        if mask is not None:
            keep = mask.any(0).view(part.count, part.width).any(1).cpu()
            keep[0] |= not keep.any()
            narrow(small, part, keep)
    return small


def group_counts(model: nn.Module) -> dict[str, int]:
    """How many heads or hidden units each part has, by the part's path."""
    return {part.path: part.count for part in parts(model)}


def narrow(model: nn.Module, part: Part, keep: torch.Tensor) -> None:
    """Cut the groups that are False in `keep` (count,) out of the model, in place."""
    if keep.all():
        return
    lines = keep.repeat_interleave(part.width)
    writer, reader = model.get_submodule(part.writer), model.get_submodule(part.reader)
    rows = lines.repeat(writer.out_features // len(lines))
    _cut(writer, "weight", rows)
    _cut(writer, "bias", rows)
    _cut(reader, "weight", lines, dim=1)
    writer.out_features, reader.in_features = int(rows.sum()), int(lines.sum())
    if part.kind == HEADS:
        _narrow_attention(model.get_submodule(part.path), keep, lines)


def _narrow_attention(attention: nn.Module, keep: torch.Tensor, lines: torch.Tensor) -> None:
    attention.num_heads = int(keep.sum())
    _cut(attention, "relative_position_bias_table", keep, dim=1)
    if hasattr(attention, "attn_dim"):
        attention.attn_dim = int(lines.sum())
    if isinstance(attention, WindowAttentionV2):
        attention.__class__ = NarrowWindowAttentionV2
        _cut(attention, "logit_scale", keep)
        for bias in ("q_bias", "k_bias", "v_bias"):
            _cut(attention, bias, lines)
        last = attention.cpb_mlp[-1]
        _cut(last, "weight", keep)
        last.out_features = attention.num_heads


def _cut(module: nn.Module, leaf: str, lines: torch.Tensor, dim: int = 0) -> None:
    """Keep those lines of a parameter or buffer, if the module has it."""
    tensor = getattr(module, leaf, None)
    if tensor is None:
        return
    kept = tensor.detach().index_select(dim, lines.nonzero().squeeze(1).to(tensor.device)).clone()
    if isinstance(tensor, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    setattr(module, leaf, kept)
