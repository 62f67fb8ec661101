"""Pruned models in files that say themselves how to build them, and how they were pruned."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from swinprune_lite.acceleration import compact_files, storage
from swinprune_lite.acceleration.compacting import group_counts
from swinprune_lite.acceleration.saving import about
from swinprune_lite.files import atomic
from swinprune_lite.models.lite import LITE_MODELS
from swinprune_lite.pruning.holding import remove_masks
from swinprune_lite.pruning.masks import check_masks
from swinprune_lite.types import Masks

PARTS = ("architecture", "arguments", "groups", "image_size", "pruned")
TAKEN = ("mean", "std", "interpolation", "crop_pct", "crop_mode", "label_names")
"""What timm knows of the images that weights were trained on, and how their classes are called, in `pretrained_cfg`."""
HALVES = (torch.float16, torch.bfloat16)


def keep(
    model: nn.Module,
    path: str | Path,
    architecture: str,
    arguments: Mapping[str, object],
    image_size: tuple[int, int],
    pruned: Mapping[str, object],
    masks: Mapping[str, torch.Tensor] | None = None,
    dtype: str = "float32",
) -> None:
    """Write a model to a file of its own; it must give the same outputs when it is read before it takes its name.

    Args:
        model: pruned or compact.
        path: file to write.
        architecture: timm's name, or a lite model's.
        arguments: that timm builds it with, beyond classes, channels and image size, which the model tells.
        image_size: (height, width) in pixels.
        pruned: what the file says of how it was pruned, as JSON holds it.
        masks: parameter name -> bool, True = kept: what is removed is left out of the file (`save_pruned`). None: the
            model is compact, or dense (`save_compact`).
        dtype: "float16", "bfloat16", "float32" or "float64", to which the weights are rounded.

    Raises:
        ValueError: another type, or a model that the file would not give back. Nothing is written.
    """
    if dtype not in storage.VALUES:
        raise ValueError(f"dtype must be one of {', '.join(storage.VALUES)}; got {dtype!r}.")
    known = getattr(model, "pretrained_cfg", None) or {}
    note = {"image_size": list(image_size), "pruned": dict(pruned)}
    note |= {"images": {key: known[key] for key in TAKEN if known.get(key) is not None}}
    if masks is None:
        model = copy.deepcopy(model).to(storage.VALUES[dtype])
        compact_files.save_compact(model, path, architecture, None if _lite(architecture) else arguments, note)
        return
    check_masks(model, masks)
    arguments = {} if _lite(architecture) else compact_files.own_arguments(model) | dict(arguments)
    note |= {"architecture": architecture, "arguments": arguments, "groups": group_counts(model)}
    with atomic(path) as temporary:
        storage.save_pruned(model, temporary, masks, dtype, note)
        again = kept_pruned(temporary)[0]
        rounded = copy.deepcopy(model).to(storage.VALUES[dtype])
        compact_files.check_same(_cut(rounded, masks, again), again, architecture, arguments)


def kept_pruned(path: str | Path) -> tuple[nn.Module, dict, Masks]:
    """A model whose removed weights are left out of its file, what the file says of it, and its masks.

    Returns:
        The model in float32, or float64 where the file has that, in evaluation mode, on the CPU; "architecture",
        "arguments", "image_size" and "pruned"; and the masks, which are not held.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, or does not say how to build its model.
    """
    state, masks = storage.load_pruned(path)
    said = about(path)
    if missing := [key for key in PARTS if key not in said]:
        raise ValueError(
            f"{path} holds weights and does not say how to build their model (it lacks {', '.join(missing)}); load it "
            "in Python with load_pruned, or prune again with `swinprune prune`."
        )
    try:
        model = compact_files.assembled(said["architecture"], said["arguments"], said["groups"], state)
        check_masks(model, masks)
    except ValueError as error:
        raise ValueError(f"{path} does not hold the model that it names: {error}; make it again.") from error
    return widened(model), said, masks


def remember(model: nn.Module, said: Mapping[str, object]) -> None:
    """Give a model's `pretrained_cfg` what its file says of its images; earlier files say nothing of them."""
    if (images := said.get("images")) and isinstance(images, dict):
        own = {key: tuple(value) if isinstance(value, list) else value for key, value in images.items() if key in TAKEN}
        own |= {"num_classes": model.num_classes} if "label_names" in own else {}
        model.pretrained_cfg = dict(getattr(model, "pretrained_cfg", None) or {}) | own


def widened(model: nn.Module) -> nn.Module:
    """The model with its half-precision numbers in float32, which holds each of them exactly."""
    halves = any(tensor.dtype in HALVES for tensor in model.state_dict().values())
    return model.float() if halves else model


@torch.no_grad()
def _cut(model: nn.Module, masks: Mapping[str, torch.Tensor], like: nn.Module) -> nn.Module:
    """The model, changed in place, with zeros where the masks prune, in the precision of another."""
    cut = model.to(next(like.parameters()).dtype)
    remove_masks(cut)
    for name, mask in masks.items():
        weight = cut.get_parameter(name)
        weight.masked_fill_(~mask.to(weight.device), 0)
    return cut


def _lite(architecture: str) -> bool:
    return architecture in LITE_MODELS
