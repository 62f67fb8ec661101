"""What a process may have been set to before, kept away from a computation and put back after it."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import nn

from swinprune_lite.anatomy.counting import left_alone
from swinprune_lite.pruning.importance import denormals

_LAUNCHED = ("ACCELERATE_", "LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "FORK_LAUNCHED")
_STATES = (PartialState, AcceleratorState, GradientState)


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Compute as a fresh process does and in full float32: no autocast, no TF32 or bfloat16 inside float32
    operations, new tensors in float32, oneDNN's kernels, denormal numbers. All of it is put back.
    """
    backends = torch.backends
    parts = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    parts += [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    kept = [part.fp32_precision for part in parts]
    matmul, tf32 = _or_none(torch.get_float32_matmul_precision), _or_none(lambda: backends.cudnn.allow_tf32)
    dtype, onednn = torch.get_default_dtype(), backends.mkldnn.enabled
    with ExitStack() as autocasts:
        autocasts.enter_context(denormals())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                autocasts.enter_context(torch.autocast(device, enabled=False))
        try:
            torch.set_default_dtype(torch.float32)
            torch.set_float32_matmul_precision("highest")
            backends.cudnn.allow_tf32 = False
            backends.mkldnn.enabled = True
            for part in parts:
                if part.fp32_precision not in ("none", "ieee"):
                    part.fp32_precision = "ieee"
            yield
        finally:
            torch.set_default_dtype(dtype)
            backends.mkldnn.enabled = onednn
            if matmul is not None:
                torch.set_float32_matmul_precision(matmul)
            if tf32 is not None:
                backends.cudnn.allow_tf32 = tf32
            for part, precision in zip(parts, kept):
                part.fp32_precision = precision


def _or_none(read):
    """torch refuses to read its older settings where they were made through its newer ones."""
    try:
        return read()
    except RuntimeError:
        return None


@contextmanager
def kept_generators() -> Iterator[None]:
    """Put Python's, NumPy's and torch's generators back to where they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Put every module back into training or evaluation mode, as each was, by its own `train` if it has one."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        with torch.inference_mode(False), torch.no_grad():
            for module, training in modes:
                if module.training != training and _works_in_train(module):
                    module.train(training)
        for module, training in modes:
            module.training = training


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode meanwhile. What a module's own `train` changes, as where it merges an adapter into a weight,
    comes back to the bit.
    """
    working = [module for module in model.modules() if _works_in_train(module)]
    tensors = {tensor: None for module in working for tensor in (*module.parameters(), *module.buffers())}
    with torch.inference_mode(False), torch.no_grad():
        kept = [tensor.clone() for tensor in tensors]
    try:
        with left_alone(working), kept_modes(model):
            with torch.inference_mode(False), torch.no_grad():
                model.eval()
            yield
    finally:
        with torch.inference_mode():  # which lets tensors of every kind be written into
            for tensor, values in zip(tensors, kept):
                tensor.data.copy_(values)


def _works_in_train(module: nn.Module) -> bool:
    return getattr(module.train, "__func__", None) is not nn.Module.train


@contextmanager
def own_accelerator(device: torch.device) -> Iterator[Accelerator]:
    """One process on one device, at full precision, whatever Accelerate was told before in this process.

    Accelerate has one state for a whole process, which the first Accelerator and its launcher's environment settle.
    It is set aside meanwhile, and an Accelerator that was made before works on afterwards.
    """
    kept = [dict(state._shared_state) for state in _STATES]
    try:
        for state in _STATES:
            state._shared_state.clear()
        with _environment(ACCELERATE_TORCH_DEVICE=str(device)):
            own = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        yield own
    finally:
        for state, values in zip(_STATES, kept):
            state._shared_state.clear()
            state._shared_state.update(values)


@contextmanager
def _environment(**added: str) -> Iterator[None]:
    """The environment without what a launcher says, and with what is added."""
    launched = {name: value for name, value in os.environ.items() if name.startswith(_LAUNCHED)}
    for name in launched:
        del os.environ[name]
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        os.environ.update(launched)
