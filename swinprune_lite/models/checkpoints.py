"""Checkpoints: Swin's in the naming of its original repository, as the paper's authors publish theirs, and timm's.

timm's own conversion brings them into timm's naming. Nothing that may be in a file is run.
"""

import difflib
import re
import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import timm
import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import nn

from swinprune_lite.files import load_weights_only, read_safetensors, reason
from swinprune_lite.models.layouts import from_torchvision, unprefixed, unwrapped
from swinprune_lite.pruning.importance import check_weight

ARCHITECTURES = {
    (96, (2, 2, 6, 2)): "Swin-T",
    (96, (2, 2, 18, 2)): "Swin-S",
    (128, (2, 2, 18, 2)): "Swin-B",
}  # fmt: skip
"""The paper's models by embedding dimension and depths."""

IMAGE_SIZE = 224
_ADVICE = "download it again, or give a file that holds weights alone."
_BUFFERS = ("relative_position_index", "attn_mask")  # which timm computes itself
WINDOW = 7  # of the paper's models: the same widths and depths with windows of 12 are other models, with other costs


def tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors in a checkpoint, without what training scripts wrap around them and put before their names.

    Args:
        path: of torch.save (weights alone, or under a key of `layouts.WRAPPERS`) or of safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, or one that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give a checkpoint (.pth or .safetensors).")
    if path.suffix == ".safetensors":
        try:
            _, found = read_safetensors(path)
        except ValueError as error:
            raise ValueError(f"{path} is no whole checkpoint: {error}; {_ADVICE}") from error
    else:
        # Training checkpoints of Swin's code hold its settings too; a dictionary stands in for their class.
        settings = [(OrderedDict, "yacs.config.CfgNode"), Namespace]
        found = load_weights_only(path, "whole checkpoint", _ADVICE, settings)
    return unprefixed(unwrapped(found))


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The weights in a Swin's checkpoint, as they are named there.

    Args:
        path: of torch.save (weights alone, or under a key of `layouts.WRAPPERS`) or of safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that would run code, one of this package, or one without weights of a Swin.
    """
    weights = tensors(path)
    if (path := Path(path)).suffix == ".safetensors" and "swinprune" in read_safetensors(path)[0].get("format", ""):
        raise ValueError(
            f"{path} was written by swinprune, so how it was pruned is known; `swinprune inspect` and the record "
            "beside it tell. The audit is of checkpoints of others."
        )
    if not any(key.endswith("attn.qkv.weight") for key in weights):
        raise ValueError(
            f"{path} holds no weights of a Swin: nothing in it is named layers.0.blocks.0.attn.qkv.weight."
        )
    return weights


def load_as(architecture: str, path: str | Path, image_size: tuple[int, int] | None = None) -> nn.Module:
    """A timm architecture with a checkpoint's weights, as many classes as its head has, in evaluation mode.

    Args:
        architecture: timm's name; a tag says nothing here.
        path: in timm's layout, its original repository's as timm reads it, or torchvision's.
        image_size: (height, width) in pixels; None: the architecture's own.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an architecture that timm does not have; a file that is damaged, would run code, or is not of this
            architecture: weights that are missing, left over, of other shapes, no floating numbers or not finite.
    """
    name = check_known(architecture)
    if not (weights := from_torchvision(tensors(path))):
        raise ValueError(f"{path} holds no weights; {_ADVICE}")
    for key, tensor in weights.items():
        if not key.endswith((*_BUFFERS, "num_batches_tracked")):
            _check_kind(f"{key} in {path}", tensor)
    try:
        model = _fitting(name, weights, image_size)
        filter_ = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        named = filter_(dict(weights), model) if filter_ else weights
        named = {key: tensor for key, tensor in named.items() if not key.endswith(_BUFFERS)}
        own = {key: tensor.shape for key, tensor in model.state_dict().items()}
        other = [key for key, tensor in named.items() if key in own and own[key] != tensor.shape]
        if other:
            key = other[0]
            raise ValueError(f"{key} is {tuple(named[key].shape)} and would have to be {tuple(own[key])}")
        missing, left_over = model.load_state_dict(named, strict=False)
        missing = [key for key in missing if not key.endswith(_BUFFERS)]
        said = [f"{w} {', '.join(keys[:3])}" for w, keys in (("lacks", missing), ("has also", left_over)) if keys]
        if said:
            raise ValueError(f"it {'; '.join(said)}")
    except (LookupError, RuntimeError, ValueError, AttributeError, TypeError, AssertionError, ArithmeticError) as error:
        raise ValueError(
            f"{path} does not hold the weights of {name}: {reason(error)}; name the architecture that it is of."
        ) from error
    for key, parameter in model.named_parameters():
        check_weight(f"{key} in {path}", parameter)
    return model.eval()


def check_known(architecture: str) -> str:
    """The architecture's name without a tag; ValueError, naming what is near, unless timm has it."""
    name = architecture.partition(".")[0]
    if not timm.is_model(name):
        known = timm.list_models()
        near = difflib.get_close_matches(name, known, 3) or difflib.get_close_matches("swin", known, 3, 0.3)
        raise ValueError(f"timm has no model {name!r}; near it are {', '.join(near)}.")
    return name


def _fitting(name: str, weights: dict[str, torch.Tensor], image_size: tuple[int, int] | None) -> nn.Module:
    """The architecture, with as many classes as the weights' head, channels as their first layer."""
    arguments = {} if image_size is None else {"img_size": image_size}
    with torch.device("meta"):
        about = timm.create_model(name).pretrained_cfg
    head, first = about.get("classifier"), about.get("first_conv")
    heads = [head] if isinstance(head, str) else list(head or ())  # of those with a distilled one both are named
    for key in [*heads, *(each.removesuffix(".fc") for each in heads)]:
        if f"{key}.weight" in weights or f"{key}.bias" in weights:
            arguments["num_classes"] = len(weights.get(f"{key}.weight", weights.get(f"{key}.bias")))
            break
    if isinstance(first, str) and f"{first}.weight" in weights:
        arguments["in_chans"] = weights[f"{first}.weight"].shape[1]
    return create(name, **arguments)


def create(name: str, **arguments) -> nn.Module:
    """timm's model with random weights; `img_size` is left out where the architecture takes images of any size."""
    try:
        return timm.create_model(name, **arguments)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **{key: value for key, value in arguments.items() if key != "img_size"})


def load(path: str | Path) -> tuple[str, nn.Module]:
    """The model in a checkpoint, and which of the paper's it is ("" if none).

    The architecture is read off the weights' shapes; images are 224 × 224.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that would run code, one that is no Swin, or weights that are missing, left
            over, of other shapes, empty, no floating numbers, or not finite.
    """
    weights = read(path)
    for name, tensor in weights.items():
        if not name.endswith(_BUFFERS):
            _check_kind(f"{name} in {path}", tensor)
    try:
        shape = _shape(weights)
        model = SwinTransformer(img_size=IMAGE_SIZE, **shape).eval()
        missing, left_over = model.load_state_dict(checkpoint_filter_fn(dict(weights), model), strict=False)
    except (LookupError, RuntimeError, ValueError, AttributeError, TypeError, AssertionError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is no Swin that timm knows ({type(error).__name__}: {reason}).") from error
    if missing or left_over:
        said = [f"{what} {', '.join(keys[:3])}" for what, keys in (("lacks", missing), ("has also", left_over)) if keys]
        raise ValueError(f"{path} is not a whole Swin in the naming of its repository or timm's: it {'; '.join(said)}.")
    for name, parameter in model.named_parameters():
        check_weight(f"{name} in {path}", parameter)
    papers = ARCHITECTURES.get((shape["embed_dim"], shape["depths"]), "")
    return papers if shape["window_size"] == WINDOW else "", model


def _check_kind(name: str, tensor: torch.Tensor) -> None:
    """Raise ValueError, naming the tensor, unless it is dense and of floating numbers, one at least."""
    dense = tensor.layout == torch.strided
    if not dense or tensor.is_meta or not tensor.is_floating_point():
        kind = "on the meta device" if tensor.is_meta else f"of {tensor.dtype if dense else tensor.layout}"
        raise ValueError(f"{name} is {kind}, and weights must be dense floating numbers; {_ADVICE}")
    if not tensor.numel():
        raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, which holds no number; {_ADVICE}")


def _depths(places: list[tuple[int, int]]) -> tuple[int, ...]:
    """How many blocks each stage has; ValueError unless both are numbered without gaps."""
    stages: dict[int, set[int]] = {}
    for stage, block in places:
        stages.setdefault(stage, set()).add(block)
    for what, found in [("stages", set(stages)), *((f"blocks of stage {s}", stages[s]) for s in sorted(stages))]:
        if max(found) != len(found) - 1:
            raise ValueError(f"its {what} must be numbered from 0 without gaps; it has {len(found)} up to {max(found)}")
    return tuple(len(stages[stage]) for stage in range(len(stages)))


def _shape(weights: dict[str, torch.Tensor]) -> dict:
    """Arguments of timm's SwinTransformer, from the shapes of the weights."""
    embed_dim, in_chans, patch_size, _ = weights["patch_embed.proj.weight"].shape
    blocks = [re.match(r"layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.weight$", key) for key in weights]
    places = [(int(block[1]), int(block[2])) for block in blocks if block]
    if not places:
        raise ValueError("its blocks are not named layers.0.blocks.0")
    depths = _depths(places)
    tables = [weights[f"layers.{s}.blocks.0.attn.relative_position_bias_table"].shape for s in range(len(depths))]
    if len({rows for rows, _ in tables}) > 1:
        raise ValueError("its stages have windows of different sizes")
    head = next((weights[key] for key in ("head.weight", "head.fc.weight") if key in weights), None)
    if head is None:
        raise ValueError("it has neither head.weight nor head.fc.weight")
    return {
        "patch_size": patch_size,
        "in_chans": in_chans,
        "num_classes": len(head),
        "embed_dim": embed_dim,
        "depths": depths,
        "num_heads": tuple(heads for _, heads in tables),
        "window_size": (round(tables[0][0] ** 0.5) + 1) // 2,
    }
