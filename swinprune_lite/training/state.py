"""The checkpoint of a fine-tuning: one file, written after every epoch, believed only if it is of the same run."""

import hashlib
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from swinprune_lite.files import atomic, check_finite, load_weights_only, reason
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.training.recipe import Recipe

_STATE = {"identity": dict, "losses": list, "model": dict, "optimizer": dict, "schedule": dict}
_BEGIN_ANEW = "it was not used. Remove it to begin anew."


def identity_of(model: nn.Module, recipe: Recipe, steps: int, processes: int, seed: int) -> dict[str, str]:
    """What a checkpoint must agree in with the run that goes on from it."""
    held = hashlib.sha256()
    for name, mask in sorted(held_masks(model).items()):
        held.update(f"{name}_mask".encode() + mask.cpu().numpy().tobytes())
    told = {name: str(value) for name, value in asdict(recipe).items()}
    told |= {"steps": str(steps), "processes": str(processes), "seed": str(seed)}
    return told | {"masks": held.hexdigest()[:12]}


def save_state(path: Path, parts: dict, identity: dict[str, str], losses: list[float]) -> None:
    """Write the states of all parts, whose run they are, and the losses so far; the file is whole or the old one."""
    with atomic(path) as temporary:
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"identity": identity, "losses": losses} | state, temporary)


def state_of_run(path: Path, identity: dict[str, str], model: nn.Module) -> dict:
    """A checkpoint of this very run; nothing is loaded into anything yet.

    Raises:
        ValueError: it is damaged, or belongs to another run or model.
    """
    state = read_state(path)
    found = state["identity"]
    if differing := [name for name, value in identity.items() if found.get(name) != value]:
        said = ", ".join(f"{name} {found.get(name)} there and {identity[name]} here" for name in differing)
        raise ValueError(f"{path} belongs to another run: {said}. Remove it to begin anew, or give the same settings.")
    if not _alike(state["model"], model.state_dict()):
        raise ValueError(f"{path} belongs to another model, with other weights. Remove it to begin anew.")
    return state


def read_state(path: Path) -> dict:
    """The content of a checkpoint: identity, losses, and the states of model, optimizer and schedule.

    Raises:
        ValueError: a file that is none, damaged, or holds NaN or infinity.
    """
    state = load_weights_only(path, "checkpoint of a fine-tuning", _BEGIN_ANEW)
    try:
        for key, type_ in _STATE.items():
            if not isinstance(state, dict) or not isinstance(state.get(key), type_):
                raise ValueError(f"it lacks {key}")
        losses = state["losses"]
        if not all(isinstance(loss, float) and math.isfinite(loss) for loss in losses):
            raise ValueError("its losses are not all finite numbers")
        if state["schedule"]["last_epoch"] != len(losses):
            raise ValueError(f"it holds {len(losses)} losses after {state['schedule']['last_epoch']} steps")
        check_finite(state["model"])
        for number, held in state["optimizer"]["state"].items():
            check_finite({f"{key} of parameter {number}": value for key, value in held.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no checkpoint of a fine-tuning: {reason(error)}; {_BEGIN_ANEW}") from error
    return state


def load_state(state: dict, parts: dict, path: Path) -> None:
    """Bring the states back, that of the model last, so that a refusal leaves it as it was.

    Raises:
        ValueError: a state that does not fit its part.
    """
    try:
        for name in sorted(parts, key="model".__eq__):
            parts[name].load_state_dict(state[name])
            if name == "optimizer":
                for parameter, held in parts[name].state.items():
                    moments = {key: held[key] for key in ("exp_avg", "exp_avg_sq")}
                    if not _alike(moments, dict.fromkeys(moments, parameter)):
                        raise ValueError("its optimizer is one of other weights")
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no checkpoint of a fine-tuning: {reason(error)}; {_BEGIN_ANEW}") from error


def _alike(tensors: dict, others: dict) -> bool:
    """Whether the names and shapes are the same, and the types of a kind."""
    return tensors.keys() == others.keys() and all(
        tensor.shape == others[name].shape and tensor.is_floating_point() == others[name].is_floating_point()
        for name, tensor in tensors.items()
    )
