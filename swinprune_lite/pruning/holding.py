"""Masks held on a model: pruned weights are zero now and stay zero while the model trains.

A masked weight carries its mask as the hook of its gradient. Every module from the model down to the weight's own
keeps a `_Held`, whose hooks zero what the mask prunes. Nothing else refers to either: they are copied, pickled and
dropped with the model.
"""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from swinprune_lite.anatomy.calls import innermost_call, is_functional_call, is_under_way
from swinprune_lite.pruning.masks import HeldMask, check_holdable, check_masks


def apply_masks(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    """Set the masked weights to zero in place and hold them there through later training.

    They are set to zero again before every forward pass and state_dict, and after every load_state_dict and
    optimizer step, and their gradients are zero. A copy or a pickle of the model holds them too. The state_dict
    keys do not change. A second call replaces the masks of the weights it names; what was zero by then is zero
    still. Weights that `torch.func.functional_call` puts in their place are masked for that call and left as they are;
    but in a function that torch.compile compiles, an nn.Parameter given so is set to zero itself.

    Args:
        model: the network that the masks were made for.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.

    Raises:
        ValueError: a name the model does not have, a mask of another shape or type, or a weight that
            cannot be held (computed from others, sparse, or of a type that torch cannot fill); the model is as it was.
    """
    check_masks(model, masks)
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        check_holdable(model, name, mask)
    with torch.inference_mode(False):  # autograd saves no tensor that was made in inference mode
        made = {parameters[name]: HeldMask(~mask.to(parameters[name].device)) for name, mask in masks.items()}
    for name, parameter in model.named_parameters(remove_duplicate=False):  # a tied parameter has several names
        if parameter not in made:
            continue
        path = name.split(".")
        for depth in range(len(path)):
            held = _Held.of(model.get_submodule(".".join(path[:depth])))  # in the end that of the weight's own module
        if (earlier := held.masks.get(path[-1])) is not made[parameter]:
            if made[parameter].removed is None:  # else it was under another name
                made[parameter].remember(parameter, earlier)
            if earlier is not None:
                earlier.release(parameter)
        held.masks[path[-1]] = made[parameter]
        made[parameter].hold(parameter)


def remove_masks(model: nn.Module) -> None:
    """Make the masks permanent: the zeros stay, but nothing holds them any longer.

    Raises:
        ValueError: a shallow copy, whose weights are the original's too; nothing has changed.
    """
    for module in model.modules():
        if (held := _held(module)) and held.home and held.home() not in (None, module):
            raise ValueError(
                f"This {type(module).__name__} is a shallow copy, and its weights are held in the model it was copied "
                "from too; give remove_masks that model, or a copy.deepcopy."
            )
    for module in model.modules():
        if held := _held(module):
            del module.__dict__["held_masks"], module.__dict__["__prepare_scriptable__"]
            for handle in held.handles:
                handle.remove()
            for leaf, mask in held.masks.items():
                if (parameter := module._parameters.get(leaf)) is not None:
                    if parameter.shape == mask.pruned.shape:
                        mask.hold(parameter)
                    mask.release(parameter)


def whole_weights(model: nn.Module) -> dict[str, torch.Tensor | None]:
    """The masked weights as they were before the masks cut them: parameter name -> tensor of its shape; None where
    that is not known any longer, since others were trained or loaded, or the model was pickled.
    """
    found = {}
    for name, parameter in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        if (held := _held(model.get_submodule(path))) and leaf in held.masks:
            found[name] = held.masks[leaf].whole(parameter)
    return found


def forget_whole_weights(model: nn.Module) -> None:
    """Drop what `whole_weights` gives: the weights that stay are no longer those that stood beside them."""
    for module in model.modules():
        _forget(module)


def held_masks(model: nn.Module) -> dict[str, torch.Tensor]:
    """The masks that the model holds: parameter name -> bool tensor of the parameter's shape, True = kept."""
    found = {}
    for name, _ in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        held = _held(model.get_submodule(path))
        if held and leaf in held.masks:
            found[name] = ~held.masks[leaf].pruned
    return found


def _held(module: nn.Module) -> "_Held | None":
    return module.__dict__.get("held_masks")


@dataclass(eq=False)
class _Held:
    """What one module keeps in its __dict__: the masks of its own parameters, and its hooks.

    Attributes:
        parameters: the module's own dict of them. Copied or unpickled with the module, it is the copy's.
        masks: name within the module -> mask; none for a module that is only on the way to masked ones.
        handles: of the module's hooks.
        home: the module, as far as it is known; a shallow copy has the original's.
        call: the forward pass that zeroed this module's weights and all below; none is known under dynamo.
        within: whose forward pass zeroed this module's weights; an interrupted one leaves itself here.
        entered: those that this module's forward pass has marked so.
        lent: what stood at a place below the module before this forward pass, and what stands there now.
    """

    parameters: dict[str, nn.Parameter]
    masks: dict[str, HeldMask] = field(default_factory=dict)
    handles: list[RemovableHandle] = field(default_factory=list)
    home: weakref.ref | None = None
    call: FrameType | None = None
    within: "_Held | None" = None
    entered: list["_Held"] = field(default_factory=list)
    lent: list[tuple[dict, str, torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def __post_init__(self):
        for leaf in self.masks.keys() & self.parameters.keys():
            self.masks[leaf].hold(self.parameters[leaf])

    def __reduce__(self):
        return _Held, (self.parameters, self.masks, self.handles)

    @staticmethod
    def of(module: nn.Module) -> "_Held":
        if _held(module) is None:
            # Not by setattr, which a compiled module hands on to the original.
            module.__dict__["held_masks"] = held = _Held(module._parameters, home=weakref.ref(module))
            module.__dict__["__prepare_scriptable__"] = _refuse_scripting
            held.handles = [
                module.register_forward_pre_hook(_before_forward),
                module.register_forward_hook(_after_forward, always_call=True),
                module.register_state_dict_pre_hook(_hold),
                module.register_load_state_dict_post_hook(_hold_loaded),
            ]
        return _held(module)

    def is_within(self) -> bool:
        """Whether a forward pass that zeroed this module's weights is still under way."""
        if self.within is None or torch.compiler.is_dynamo_compiling():
            return self.within is not None
        return is_under_way(self.within.call)


def _hold(module: nn.Module, *_hook_arguments) -> None:
    if held := _held(module):  # quantisation hands hooks on without it
        for leaf, mask in held.masks.items():
            mask.hold(_parameter(module, leaf))


def _hold_loaded(module: nn.Module, *_hook_arguments) -> None:
    _hold(module)
    _forget(module)


def _forget(module: nn.Module) -> None:
    for mask in held.masks.values() if (held := _held(module)) else ():
        mask.removed = None


def _mask_below(module: nn.Module, *_hook_arguments) -> None:
    """Zero all below: a module's forward may use the weights of those within it without calling them."""
    mine = _held(module)
    if mine is None or torch.compiler.is_exporting() or mine.is_within():
        return
    if not torch.compiler.is_dynamo_compiling():
        mine.call = innermost_call()
        mine.home = mine.home or weakref.ref(module)
    for owner in module.modules():
        held = _held(owner)
        sharded = hasattr(owner, "_is_fsdp_managed_module")  # by fully_shard, which gathers its weights later
        if held and not sharded:
            held.within = mine
            mine.entered.append(held)
        for leaf, mask in held.masks.items() if held else ():
            if "_is_replica" in owner.__dict__:  # of DataParallel: its parameters are attributes, for this call only
                owner.__dict__[leaf] = mask(owner.__dict__[leaf])
                continue
            tensor = _parameter(owner, leaf)
            ours = isinstance(tensor, nn.Parameter)  # dynamo, which sees no hooks of tensors, can ask no more
            if not torch.compiler.is_dynamo_compiling():
                ours = sharded or mask in _masks_on(tensor) or (ours and not is_functional_call())
            if ours:
                mask.hold(tensor)
            elif not tensor.is_meta:  # a stranger, put there by functional_call: it is not ours to change
                owner._parameters[leaf] = mask(tensor)
                mine.lent.append((owner._parameters, leaf, tensor, owner._parameters[leaf]))


def _restore_below(module: nn.Module, *_hook_arguments) -> None:
    mine = _held(module)
    if mine is None or not (torch.compiler.is_dynamo_compiling() or mine.call in (None, innermost_call())):
        return  # the end of a call of the module within its own call
    mine.call = None
    while mine.entered:
        mine.entered.pop().within = None
    while mine.lent:
        parameters, leaf, before, now = mine.lent.pop()
        if parameters[leaf] is now:
            parameters[leaf] = before


def _parameter(module: nn.Module, leaf: str) -> torch.Tensor:
    if module._parameters.get(leaf) is None:
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


# torch.fx and quantisation make new modules of held parameters, which take the mask with them.
@register_module_parameter_registration_hook
def _hold_replacement(module: nn.Module, leaf: str, parameter: nn.Parameter | None) -> None:
    held = _held(module)
    for mask in _masks_on(parameter):
        if held is None or mask not in held.masks.values():  # not one that torch.nn.utils.prune gives another name
            held = _Held.of(module)
            held.masks.setdefault(leaf, mask)
    if held and leaf in held.masks and parameter is not None:
        held.masks[leaf].hold(parameter)


# An optimizer that was made before the masks moves pruned weights by its old momentum: undo it. Within the graph of a
# compiled step no hook of a parameter is seen, so the graph ends before this.
@register_optimizer_step_post_hook
@torch.compiler.disable
def _zero_after_step(optimizer: torch.optim.Optimizer, *_hook_arguments) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for mask in _masks_on(parameter):
                mask.hold(parameter)
                mask.removed = None


def _masks_on(parameter: torch.Tensor | None) -> list[HeldMask]:
    return [hook for hook in (getattr(parameter, "_backward_hooks", None) or {}).values() if isinstance(hook, HeldMask)]
