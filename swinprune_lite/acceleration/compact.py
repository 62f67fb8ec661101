"""Compact models: what structured masks remove is cut out, and an ordinary smaller timm model is left."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import nn

from swinprune_lite.acceleration.groups import HEADS, Part, parts
from swinprune_lite.acceleration.narrow_v2 import NarrowWindowAttentionV2
from swinprune_lite.files import atomic
from swinprune_lite.holding import check_masks, remove_masks
from swinprune_lite.importance import check_loaded
from swinprune_lite.inputs import image_shape, noise
from swinprune_lite.lite import LITE_MODELS, create_lite

FORMAT = "swinprune-lite compact model, version 1"


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
        ValueError: masks that do not fit the model.
    """
    check_masks(model, masks)
    small = copy.deepcopy(model)
    remove_masks(small)
    with torch.no_grad():
        for name, mask in masks.items():
            small.get_parameter(name).mul_(mask.to(small.get_parameter(name).device))
    for part in parts(small):
        mask = masks.get(f"{part.reader}.weight")
        if mask is not None:
            keep = mask.any(0).view(part.count, part.width).any(1).cpu()
            keep[0] |= not keep.any()
            _narrow(small, part, keep)
    return small


def group_counts(model: nn.Module) -> dict[str, int]:
    """How many heads or hidden units each part has, by the part's path."""
    return {part.path: part.count for part in parts(model)}


def save_compact(
    model: nn.Module, path: str | Path, architecture: str | None = None, arguments: Mapping | None = None
) -> None:
    """Write a compact model to one safetensors file that says itself how to build it.

    The file is read back and must give the same logits before it takes its name.

    Args:
        model: of `compact`.
        path: file to write.
        architecture: timm's name, or a lite model's; None: what the model says of itself.
        arguments: of `timm.create_model`, beyond classes, channels and image size, which the model tells.

    Raises:
        ValueError: no architecture, or one that with these arguments does not give this model; weights on the
            meta device.
    """
    for name, parameter in model.named_parameters():
        check_loaded(name, parameter)
    architecture = architecture or (getattr(model, "pretrained_cfg", None) or {}).get("architecture")
    if not architecture:
        raise ValueError(f"{type(model).__name__} does not say its architecture; give timm's name, or a lite model's.")
    arguments = {} if architecture in LITE_MODELS else _own_arguments(model) | dict(arguments or {})
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "arguments": json.dumps(arguments),
        "groups": json.dumps(group_counts(model)),
    }
    metadata["sha256"] = _digest(metadata, tensors)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata)
        _check_same(model, load_compact(temporary), architecture, arguments)


def load_compact(path: str | Path) -> nn.Module:
    """The model of a file written by `save_compact`, in its own precision and evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, altered, or no compact model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; save a compact model there with save_compact.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors ({error}); save the compact model anew.") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} is no compact model: its metadata lack the format {FORMAT!r}.")
    if metadata.get("sha256") != _digest(metadata, tensors):
        raise ValueError(
            f"{path} was altered after it was saved: names, shapes, numbers or configuration do not match its own "
            "SHA-256. It was not loaded; save the compact model anew."
        )
    model = _build(metadata["architecture"], json.loads(metadata["arguments"]))
    groups = json.loads(metadata["groups"])
    for part in parts(model):
        _narrow(model, part, torch.arange(part.count, device="cpu") < groups.get(part.path, part.count))
    largest = max((tensor for tensor in tensors.values() if tensor.is_floating_point()), key=torch.Tensor.numel)
    model.to(largest.dtype)  # of what is in no file, such as the masks of shifted windows
    try:
        model.load_state_dict(tensors, assign=True)  # each in the type it was saved in
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not fit {metadata['architecture']} as built here: {reason}") from error
    return model.eval()


def _narrow(model: nn.Module, part: Part, keep: torch.Tensor) -> None:
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


def _own_arguments(model: nn.Module) -> dict:
    """What `timm.create_model` must be told so that classes, channels and image size are the model's own."""
    if not isinstance(getattr(model, "num_classes", None), int):
        raise ValueError(
            f"{type(model).__name__} is no model as timm builds it, so a file could not build it again; save the timm "
            "model inside it."
        )
    channels, *sides = image_shape(model)
    own = {"num_classes": model.num_classes, "in_chans": channels}
    return own | ({"img_size": sides} if getattr(getattr(model, "patch_embed", None), "img_size", None) else {})


def _build(architecture: str, arguments: Mapping) -> nn.Module:
    if architecture not in LITE_MODELS and not timm.is_model(architecture):
        raise ValueError(f"timm has no model {architecture!r}; this version of timm cannot build the compact model.")
    with torch.device("cpu"):  # whatever the default is
        if architecture in LITE_MODELS:
            return create_lite(architecture)
        return timm.create_model(architecture, **arguments)


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the configuration and every tensor's name, shape, type and bytes."""
    found = hashlib.sha256()
    for key in ("format", "architecture", "arguments", "groups"):
        found.update(f"{key}={metadata.get(key)};".encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype};".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


@torch.inference_mode()
def _check_same(model: nn.Module, loaded: nn.Module, architecture: str, arguments: Mapping) -> None:
    """Raise ValueError unless both give the same logits for one image of noise, on the CPU."""
    images = noise(loaded)
    own = copy.deepcopy(model).cpu().eval()(images)
    if not torch.allclose(own, loaded(images), rtol=1e-3, atol=1e-4):
        raise ValueError(
            f"{architecture} with {dict(arguments)} does not compute what this model computes; give the other "
            "arguments that it was made with. Nothing was saved."
        )
