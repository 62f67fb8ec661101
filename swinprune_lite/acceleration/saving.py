"""What a file of a model can hold: ordinary tensors."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.parameter import is_lazy

from swinprune_lite.files import parse_json, reason
from swinprune_lite.pruning.importance import check_dense, check_loaded

ABOUT = "about"


def noted(about: Mapping[str, object] | None) -> dict[str, str]:
    """Metadata of a file with what its writer notes in it; ValueError if JSON cannot hold that."""
    return {} if about is None else {ABOUT: json.dumps(dict(about), allow_nan=False)}


def with_note(keys: tuple[str, ...], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of metadata that a digest is over: earlier files have no note, and it is not in their digests."""
    return (*keys, ABOUT) if ABOUT in metadata else keys


def about(path: str | Path) -> dict[str, object]:
    """What was noted in a file of `save_pruned` or `save_compact`; the file's digest is checked when it is loaded.

    Raises:
        ValueError: a file that is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = parse_json((file.metadata() or {}).get(ABOUT, "{}"))
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"{path} is no whole file: {reason(error)}; get it again.") from error
    return found if isinstance(found, dict) else {}


def plain_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's state dict, detached and on the CPU.

    Raises:
        ValueError: something in it that is no ordinary tensor; the message names it.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        check_ordinary(name, tensor)
    return {name: tensor.detach().cpu() for name, tensor in state.items()}


def check_ordinary(name: str, tensor: object) -> None:
    """Raise ValueError, naming the tensor, unless it is an ordinary one: dense, whole, not quantised, with values."""
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(
            f"{name} is no tensor but of type {type(tensor).__name__}, as quantised layers and modules with a "
            "get_extra_state have it, and a file holds tensors alone; save the model without it."
        )
    if is_lazy(tensor):
        raise ValueError(f"{name} has no shape yet; run the model on one input first.")
    check_loaded(name, tensor)
    check_dense(name, tensor)
    if tensor.is_quantized:
        raise ValueError(f"{name} is quantised ({tensor.dtype}), which a file cannot hold; dequantise it first.")
    if type(tensor.detach()) is not torch.Tensor:
        raise ValueError(
            f"{name} is of {type(tensor).__name__}, which a file cannot hold; make it an ordinary torch.Tensor first."
        )
