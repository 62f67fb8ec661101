"""Checkpoints in the naming of Swin's original repository, as the paper's authors publish theirs.

timm's own conversion brings them into timm's naming. Nothing that may be in a file is run.
"""

import re
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import nn

from swinprune_lite.files import load_weights_only, read_safetensors
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


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, as they are named there.

    Args:
        path: of torch.save (weights alone, or under "model" or "state_dict") or of safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that would run code, or one without weights.
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
    for wrapper in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    pairs = found.items() if isinstance(found, dict) else ()
    weights = {
        key.removeprefix("module."): value  # of a model that was trained on several GPUs
        for key, value in pairs
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }
    if not any(key.endswith("attn.qkv.weight") for key in weights):
        raise ValueError(
            f"{path} holds no weights of a Swin: nothing in it is named layers.0.blocks.0.attn.qkv.weight."
        )
    return weights


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
