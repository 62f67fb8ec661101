"""Checkpoints that ship with the package, each float16 safetensors named after its model and training seed."""

import os
import re
from numbers import Integral
from pathlib import Path

import torch
from torch import nn

from swinprune_lite.files import RESTORE, check_digest, check_finite, read_safetensors, reason


def shipped_seeds(folder: Path, name: str) -> list[int]:
    """Training seeds for which a folder has the card of a checkpoint of `name`, ascending."""
    card = re.compile(rf"{re.escape(name)}_seed(\d+)\.json")
    found = (card.fullmatch(file) for file in os.listdir(folder))
    return sorted(int(one[1]) for one in found if one)


def check_seed(name: str, seed: int, seeds: list[int]) -> None:
    """Raise ValueError unless a checkpoint of `name` ships with this seed, one of `seeds`."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed not in seeds:
        raise ValueError(f"No checkpoint of {name} with seed {seed!r} is shipped; shipped seeds: {seeds}.")


def load_shipped(model: nn.Module, path: Path, name: str, sha256: str) -> nn.Module:
    """The model with the weights of a checkpoint, in float32 and evaluation mode, digest-checked.

    Args:
        model: untrained, of the checkpoint's architecture; it is changed.
        path: of the checkpoint.
        name: of the model.
        sha256: of the file, 64 hexadecimal digits.

    Raises:
        ValueError: a checkpoint that is truncated, altered or of another model.
        FileNotFoundError: the checkpoint is missing.
    """
    check_digest(path, sha256)
    try:
        _, weights = read_safetensors(path)
        for key, tensor in weights.items():
            if not tensor.is_floating_point():
                raise ValueError(f"{key} is of {tensor.dtype}")
        check_finite(weights)
        model.load_state_dict({key: tensor.to(torch.float32) for key, tensor in weights.items()})
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of {name}: {reason(error)}; {RESTORE}.") from error
    return model.eval()
