"""Masks held on a model: pruned weights are zero now and stay zero while the model trains.

A masked weight carries its mask as the hook of its gradient. Every module from the model down to the weight's own
keeps a `_Held`, whose hooks zero what the mask prunes. Nothing else refers to either: they are copied, pickled and
dropped with the model.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle


def apply_masks(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Set the masked weights to zero in place and hold them there through later training.

    They are set to zero again before every forward pass and state_dict, and after every load_state_dict and
    optimizer step, and their gradients are zero. A copy or a pickle of the model holds them too. The state_dict
    keys do not change. A second call replaces the masks of the weights it names; what was zero by then is zero
    still. Weights that `torch.func.functional_call` puts in their place are masked for that call and left as they are.

    Args:
        model: the network that the masks were made for.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.

    Raises:
        ValueError: a name the model does not have, a mask of another shape or type, or a weight that
            cannot be held; the model is as it was.
    """
    check_masks(model, masks)
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        _check_holdable(model, name, mask)
    with torch.inference_mode(False):  # autograd saves no tensor that was made in inference mode
        made = {parameters[name]: _Mask(~mask.to(parameters[name].device)) for name, mask in masks.items()}
    for name, parameter in model.named_parameters(remove_duplicate=False):  # a tied parameter has several names
        if parameter not in made:
            continue
        path = name.split(".")
        for depth in range(len(path)):
            held = _Held.of(model.get_submodule(".".join(path[:depth])))
        if path[-1] in held.masks:
            held.masks[path[-1]].release(parameter)
        held.masks[path[-1]] = made[parameter]
        made[parameter].hold(parameter)


def remove_masks(model: nn.Module) -> None:
    """Make the masks permanent: the zeros stay, but nothing holds them any longer."""
    for module in model.modules():
        if held := module.__dict__.pop("held_masks", None):
            del module.__dict__["__prepare_scriptable__"]
            for handle in held.handles:
                handle.remove()
            for leaf in held.masks.keys() & module._parameters.keys():
                held.masks[leaf].hold(module._parameters[leaf])
                held.masks[leaf].release(module._parameters[leaf])


def held_masks(model: nn.Module) -> dict[str, torch.Tensor]:
    """The masks that the model holds: parameter name -> bool tensor of the parameter's shape, True = kept."""
    found = {}
    for name, _ in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        held = model.get_submodule(path).__dict__.get("held_masks")
        if held and leaf in held.masks:
            found[name] = ~held.masks[leaf].pruned
    return found


def check_masks(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError unless every mask is a bool tensor of the shape of the parameter it names."""
    if not isinstance(masks, Mapping):
        raise ValueError(f"Masks must be a mapping of parameter name to bool tensor; got {type(masks).__name__}.")
    parameters = dict(model.named_parameters())
    every = dict(model.named_parameters(remove_duplicate=False))
    for name, mask in masks.items():
        if name in every and name not in parameters:
            first = next(other for other, parameter in parameters.items() if parameter is every[name])
            raise ValueError(f"{name!r} is tied to {first!r}; give the mask under that name.")
        if name not in parameters:
            raise ValueError(f"The model has no parameter {name!r}; give masks that were made for this model.")
        if is_lazy(parameters[name]):
            raise ValueError(f"{name} has no shape yet; run the model on one input first.")
        shape = tuple(parameters[name].shape)
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or tuple(mask.shape) != shape:
            got = f"{tuple(mask.shape)} of {mask.dtype}" if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise ValueError(f"The mask of {name} must be a bool tensor of shape {shape}; got {got}.")
        if mask.is_meta:
            raise ValueError(f"The mask of {name} is on the meta device, which holds no values; make it elsewhere.")


def _check_holdable(model: nn.Module, name: str, mask: torch.Tensor) -> None:
    if mask.is_meta or mask.layout != torch.strided or hasattr(mask, "device_mesh"):
        raise ValueError(f"The mask of {name} must be an ordinary tensor: dense, whole and not on the meta device.")
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    if module._parameters[leaf].is_meta:
        raise ValueError(f"{name} is on the meta device and has no values; apply the masks after loading them.")
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(f"{name} is in a module compiled by torch.jit, which holds no masks; apply them before.")
    # torch.nn.utils.prune and the norms: they compute `weight` from `weight_orig` or `weight_v` in a hook.
    hooks = module._forward_pre_hooks.values()
    computed = {getattr(hook, "_tensor_name", getattr(hook, "name", None)) for hook in hooks}
    if isinstance(module, ParametrizationList) or leaf.rpartition("_")[0] in computed:
        raise ValueError(
            f"{name} is what a layer computes its weight from (by torch.nn.utils.prune, parametrize or a norm), and "
            "its zeros would not be the weight's; make the weight a parameter again first, as prune.remove does."
        )


class _Mask:
    """One parameter's mask, and the hook that masks its gradient; by it an optimizer's parameter is known as held."""

    __torch_unserializable__ = True  # as torch's unserializable_hook: _Held puts the hook on again

    def __init__(self, pruned: torch.Tensor):
        self.pruned = pruned

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor with zeros where the mask prunes."""
        if tensor.is_sparse:
            return tensor * ~self._pruned_of(tensor)
        return tensor.masked_fill(self._pruned_of(tensor), 0)

    def __deepcopy__(self, memo: dict) -> "_Mask":
        return _Mask(self.pruned)  # which nothing changes in place

    def on(self, tensor: torch.Tensor) -> bool:
        return self in (tensor._backward_hooks or ())

    def hold(self, parameter: torch.Tensor) -> None:
        if not torch.compiler.is_dynamo_compiling():
            self._settle(parameter)
        # .data: a graph recorded before this point must not see its weights as modified; zeros were zeros.
        parameter.data.masked_fill_(self._pruned_of(parameter), 0)

    def _settle(self, parameter: torch.Tensor) -> None:
        """Be a hook of the parameter, and on its device."""
        hooks = parameter._backward_hooks or OrderedDict()
        hooks[self] = self
        parameter._backward_hooks = hooks  # what register_hook does, but for a frozen parameter too
        if self.pruned.device != parameter.device and not parameter.is_meta:
            with torch.inference_mode(False):
                self.pruned = self.pruned.to(parameter.device)

    def release(self, parameter: torch.Tensor) -> None:
        (parameter._backward_hooks or {}).pop(self, None)

    def _pruned_of(self, tensor: torch.Tensor) -> torch.Tensor:
        pruned = self.pruned.to(tensor.device)
        if not hasattr(tensor, "device_mesh"):
            return pruned
        from torch.distributed.tensor import DTensor, Replicate  # which not every build of torch has

        return DTensor.from_local(pruned, tensor.device_mesh, [Replicate()] * tensor.device_mesh.ndim, run_check=False)


@dataclass(eq=False)
class _Held:
    """What one module keeps in its __dict__: the masks of its own parameters, and its hooks.

    Attributes:
        parameters: the module's own dict of them. Copied or unpickled with the module, it is the copy's.
        masks: name within the module -> mask; none for a module that is only on the way to masked ones.
        handles: of the module's hooks.
        within: whether a forward pass is under way that zeroed this module's weights and all below.
        entered: those of the modules below that this module's forward pass has marked so.
        lent: what stood at a place below the module before this forward pass, and what stands there now.
    """

    parameters: dict[str, nn.Parameter]
    masks: dict[str, _Mask] = field(default_factory=dict)
    handles: list[RemovableHandle] = field(default_factory=list)
    within: bool = False
    entered: list["_Held"] = field(default_factory=list)
    lent: list[tuple[dict, str, torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def __post_init__(self):
        for leaf in self.masks.keys() & self.parameters.keys():
            self.masks[leaf].hold(self.parameters[leaf])

    def __reduce__(self):
        return _Held, (self.parameters, self.masks, self.handles)

    @staticmethod
    def of(module: nn.Module) -> "_Held":
        if "held_masks" not in module.__dict__:
            # Not by setattr, which a compiled module hands on to the original.
            module.__dict__["held_masks"] = _Held(module._parameters)
            module.__dict__["__prepare_scriptable__"] = _refuse_scripting
            module.__dict__["held_masks"].handles = [
                module.register_forward_pre_hook(_before_forward),
                module.register_forward_hook(_after_forward, always_call=True),
                module.register_state_dict_pre_hook(_hold),
                module.register_load_state_dict_post_hook(_hold),
            ]
        return module.__dict__["held_masks"]


def _hold(module: nn.Module, *_hook_arguments) -> None:
    if held := module.__dict__.get("held_masks"):  # quantisation hands hooks on without it
        for leaf, mask in held.masks.items():
            mask.hold(_parameter(module, leaf))


def _mask_below(module: nn.Module, *_hook_arguments) -> None:
    """Zero all below: a module's forward may use the weights of those within it without calling them."""
    mine = module.__dict__.get("held_masks")
    if mine is None or mine.within or torch.compiler.is_exporting():
        return
    for owner in module.modules():
        held = owner.__dict__.get("held_masks")
        sharded = hasattr(owner, "_is_fsdp_managed_module")  # by fully_shard, which gathers its weights later
        if held and held is not mine and not sharded:
            held.within = True
            mine.entered.append(held)
        for leaf, mask in held.masks.items() if held else ():
            if "_is_replica" in owner.__dict__:  # of DataParallel: its parameters are attributes, for this call only
                owner.__dict__[leaf] = mask(owner.__dict__[leaf])
                continue
            tensor = _parameter(owner, leaf)
            if torch.compiler.is_dynamo_compiling():
                ours = isinstance(tensor, nn.Parameter)
            else:
                ours = sharded or mask.on(tensor)
            if ours:
                mask.hold(tensor)
            elif not tensor.is_meta:  # a stranger, put there by functional_call: it is not ours to change
                owner._parameters[leaf] = mask(tensor)
                mine.lent.append((owner._parameters, leaf, tensor, owner._parameters[leaf]))


def _restore_below(module: nn.Module, *_hook_arguments) -> None:
    mine = module.__dict__.get("held_masks")
    while mine and mine.entered:
        mine.entered.pop().within = False
    while mine and mine.lent:
        parameters, leaf, before, now = mine.lent.pop()
        if parameters[leaf] is now:
            parameters[leaf] = before


def _parameter(module: nn.Module, leaf: str) -> torch.Tensor:
    if leaf not in module._parameters:
        raise ValueError(
            f"The mask of a {type(module).__name__}'s {leaf} cannot be held any longer, as {leaf} is no parameter now "
            "(it was parametrized, pruned by torch or flattened); call remove_masks before doing so."
        )
    return module._parameters[leaf]


# A compiled model's own hooks run before and after its graph. Within a graph, the functions that these call are traced.
@torch.compiler.disable
def _before_forward(module: nn.Module, *_hook_arguments) -> None:
    _mask_below(module)


@torch.compiler.disable
def _after_forward(module: nn.Module, *_hook_arguments) -> None:
    _restore_below(module)


torch.compiler.substitute_in_graph(_before_forward)(_mask_below)
torch.compiler.substitute_in_graph(_after_forward)(_restore_below)


def _refuse_scripting() -> None:
    raise ValueError("torch.jit.script takes no model that holds masks; make them permanent first, with remove_masks.")


@register_module_parameter_registration_hook
def _hold_replacement(module: nn.Module, leaf: str, parameter: nn.Parameter | None) -> None:
    held = module.__dict__.get("held_masks")
    if held and leaf in held.masks and parameter is not None:
        held.masks[leaf].hold(parameter)


# An optimizer that was made before the masks moves pruned weights by its old momentum: undo it.
@register_optimizer_step_post_hook
def _zero_after_step(optimizer: torch.optim.Optimizer, *_hook_arguments) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for hook in (parameter._backward_hooks or {}).values():
                if isinstance(hook, _Mask):
                    hook.hold(parameter)
