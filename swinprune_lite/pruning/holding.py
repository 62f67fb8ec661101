"""Masks held on a model: pruned weights are zero now and stay zero while the model trains."""

from collections.abc import Mapping
from weakref import WeakSet

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

_masked_modules: WeakSet[nn.Module] = WeakSet()


def apply_masks(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Set the masked weights to zero in place and hold them there through later training.

    They are set to zero again after every optimizer step and before every forward pass and
    state_dict, and their gradients are zero. The state_dict keys do not change. A second call
    replaces the masks of the weights it names; what was zero by then is zero still.

    Args:
        model: the network that the masks were made for.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.

    Raises:
        ValueError: a name the model does not have, or a mask of another shape or type.
    """
    check_masks(model, masks)
    for name, mask in masks.items():
        path, _, leaf = name.rpartition(".")
        _hold(model.get_submodule(path), leaf, mask)


def remove_masks(model: nn.Module) -> None:
    """Make the masks permanent: the zeros stay, but nothing holds them any longer."""
    for module in model.modules():
        for leaf in list(getattr(module, "held_masks", ())):
            _zero(module)
            _release(module, leaf)


def check_masks(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError unless every mask is a bool tensor of the shape of the parameter it names."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"The model has no parameter {name!r}; give masks that were made for this model.")
        shape = tuple(parameters[name].shape)
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or tuple(mask.shape) != shape:
            got = f"{tuple(mask.shape)} of {mask.dtype}" if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise ValueError(f"The mask of {name} must be a bool tensor of shape {shape}; got {got}.")
        if mask.is_meta:
            raise ValueError(f"The mask of {name} is on the meta device, which holds no values; make it elsewhere.")


def _hold(module: nn.Module, leaf: str, mask: torch.Tensor) -> None:
    if leaf in getattr(module, "held_masks", ()):
        _release(module, leaf)
    parameter, buffer = getattr(module, leaf), f"{leaf}_mask"
    module.register_buffer(buffer, mask.to(parameter.device), persistent=False)
    module.held_masks = {
        **getattr(module, "held_masks", {}),
        leaf: (
            module.register_forward_pre_hook(_zero),
            module.register_state_dict_pre_hook(_zero),
            parameter.register_hook(lambda gradient: gradient * getattr(module, buffer)),
        ),
    }
    _masked_modules.add(module)
    _zero(module)


def _release(module: nn.Module, leaf: str) -> None:
    for hook in module.held_masks.pop(leaf):
        hook.remove()
    delattr(module, f"{leaf}_mask")
    if not module.held_masks:
        _masked_modules.discard(module)


def _zero(module: nn.Module, *_hook_arguments) -> None:
    for leaf in module.held_masks:
        # .data: a graph recorded before this point must not see its weights as modified; zeros were zeros.
        getattr(module, leaf).data.mul_(getattr(module, f"{leaf}_mask"))


# An optimizer that was made before the masks moves pruned weights by its old momentum: undo it.
@register_optimizer_step_post_hook
def _zero_after_step(*_hook_arguments) -> None:
    for module in _masked_modules:
        _zero(module)
