"""Masks: which weights stay, by a `METHODS` or another criterion, grouping and budget; and which masks fit a model."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from swinprune_lite.anatomy.modules import prunable, tell_of_unpruned
from swinprune_lite.pruning.budgets import removing_macs
from swinprune_lite.pruning.criteria import Criterion
from swinprune_lite.pruning.importance import check_type
from swinprune_lite.pruning.methods import Method, combination
from swinprune_lite.pruning.selection import select_within
from swinprune_lite.types import Budget, Grouping, InputSize, Masks, Statistic, Values

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)


def make_masks(
    model: nn.Module,
    ratio: float,
    method: str | Method = "dimap",
    seed: int = 0,
    *,
    criterion: str | Criterion | Values | None = None,
    grouping: str | Grouping | None = None,
    budget: str | Budget | None = None,
    statistics: Mapping[str, Statistic] | None = None,
    of: str = "weights",
    input_size: InputSize | None = None,
    within: Mapping[str, torch.Tensor] | None = None,
) -> Masks:
    """Masks of all prunable weights; the model is left as it is, and none of the named methods uses an image.

    Args:
        model: any network in which `modules` finds something to prune.
        ratio: share of the prunable weights to remove, in [0, 1), met exactly: round(ratio * n) of
            a group's n weights, or of the model's for "erk" and "uniform+", which share them out
            unevenly. Or a share of the model's MACs, see `of`.
        method: "dimap", "lamp" (the whole model as one module), "uniform" (magnitude, each layer
            alone), "global" (one magnitude threshold), "module-magnitude" (a magnitude threshold a
            module), "random", "erk" or "uniform+" (uneven budgets a layer, see `budgets`); or a `Method`.
        seed: of "random"; the others need none.
        criterion: in place of the method's, of `CRITERIA`; or your own, a function of a weight and the statistic of
            its layer that gives a score for every weight.
        grouping: in place of the method's, of `GROUPINGS`; or your own.
        budget: in place of the method's, of `BUDGETS`; or your own.
        statistics: for criteria that want them, from `input_moments` or `gradients`; for your own, whatever was
            measured of each layer: parameter name -> statistic.
        of: what the ratio is a share of: the prunable "weights", or the "macs" of the whole model as `cost` counts
            them, met from above to a thousandth of the weights (see `removing_macs`).
        input_size: of the image that MACs are counted for: side, (height, width) or (channels, height, width) in
            pixels; None: the model's own.
        within: earlier masks; what they removed stays removed, counts in the ratio, and has no part in the scores.

    Returns:
        parameter name -> bool tensor of its shape, True = kept. Of equal scores the earlier is kept.

    Warns:
        UserWarning: one of the three pruned modules is empty, or layers of an attention or MLP stay whole;
            see `modules.listed`.

    Raises:
        ValueError: a ratio outside [0, 1) or too high for "uniform+", an unknown name, a model with
            nothing prunable, weights that are not floating numbers, are sparse, or hold NaN or infinity, a grouping
            that is no partition of the prunable weights, a budget beyond its group, statistics that the criterion
            does not want or that do not fit, or scores that are no finite numbers, one for each weight; earlier masks
            that do not fit, or have removed more than the ratio does; or a share of the MACs that cannot be removed.
    """
    check_asked(ratio, method)
    if of not in ("weights", "macs"):
        raise ValueError(f"The ratio is a share of the 'weights' or of the 'macs'; got of={of!r}.")
    check_masks(model, within := within or {})
    criterion, grouping, budget = combination(method, criterion, grouping, budget).parts()
    parameters = dict(model.named_parameters())
    for name in (names := prunable(model)):
        check_type(name, parameters[name])
    tell_of_unpruned(model, names)
    competing = grouping(model)
    if sorted(name for group in competing for name in group) != sorted(names):
        raise ValueError("A grouping must have each prunable weight, see `prunable`, in exactly one of its lists.")
    sizes = [sum(parameters[name].numel() for name in group) for group in competing]
    gone = [sum(int((~within[name]).sum()) for name in group if name in within) for group in competing]
    if criterion.draws:
        statistics = _chance(parameters, names, seed)
    criterion.check({name: parameters[name] for name in names}, statistics)

    values = cache(lambda name: _values(name, parameters[name], criterion, statistics))

    def cut(share: float) -> Masks:
        removals = budget(model, competing, share)
        _check_counts(removals, sizes)
        masks = {}
        for group, remove, lost in zip(competing, removals, gone):
            if remove < lost and of == "weights":
                raise ValueError(
                    f"An earlier pruning (`within`) has removed {lost:,} weights of a group, and ratio {ratio} removes "
                    f"{remove:,} of it; give a higher ratio, which counts those too, or the dense model."
                )
            masks |= select_within(
                {name: values(name) for name in group}, max(remove - lost, 0), criterion.score, within
            )
        return {name: masks[name].to(parameters[name].device) for name in names}

    return cut(ratio) if of == "weights" else removing_macs(model, ratio, cut, input_size)


def check_asked(ratio: float, method: str | Method) -> None:
    """Raise ValueError unless the ratio is a number in [0, 1) and the method a known one."""
    if not isinstance(ratio, Real) or isinstance(ratio, bool) or not 0 <= ratio < 1:
        raise ValueError(f"ratio must be a number in [0, 1), the share of weights to remove; got {ratio!r}.")
    combination(method).parts()


def _check_counts(removals: Sequence[int], sizes: Sequence[int]) -> None:
    whole = all(isinstance(remove, Integral) and 0 <= remove <= size for remove, size in zip(removals, sizes))
    if len(removals) != len(sizes) or not whole:
        raise ValueError(
            f"A budget must give a whole number from 0 to the group's size for each of the {len(sizes)} groups; "
            f"got {list(removals)} for sizes {list(sizes)}."
        )


def _chance(parameters: dict[str, nn.Parameter], names: list[str], seed: int) -> dict[str, torch.Tensor]:
    """A random number in [0, 1) for every weight."""
    how = {"generator": torch.Generator("cpu").manual_seed(seed), "dtype": torch.float32, "device": "cpu"}
    return {name: torch.rand(parameters[name].shape, **how) for name in names}


def _values(
    name: str, weight: torch.Tensor, criterion: Criterion, statistics: Mapping[str, Statistic] | None
) -> torch.Tensor:
    values = criterion.values(weight.detach(), None if statistics is None else statistics[name])
    if not isinstance(values, torch.Tensor) or values.shape != weight.shape:
        got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"The criterion must give {name} numbers of its shape {tuple(weight.shape)}; it gave {got}.")
    return values


def nonzero_masks(model: nn.Module) -> Masks:
    """Masks that keep what is not zero of the prunable weights: those of a model whose zeros were cut."""
    return {name: model.get_parameter(name).detach() != 0 for name in prunable(model)}


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


def check_holdable(model: nn.Module, name: str, mask: torch.Tensor) -> None:
    """Raise ValueError where `apply_masks` cannot hold a mask that has passed `check_masks`."""
    if mask.layout != torch.strided or hasattr(mask, "device_mesh"):
        raise ValueError(f"The mask of {name} must be an ordinary tensor: dense, and not distributed.")
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    parameter = module._parameters[leaf]
    if parameter.is_meta:
        raise ValueError(f"{name} is on the meta device and has no values; apply the masks after loading them.")
    if not _is_fillable(parameter):
        raise ValueError(
            f"{name} is a {parameter.layout} tensor of {parameter.dtype}, in which torch sets no weight to zero; "
            "make it a dense one of floating numbers first."
        )
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


class HeldMask:
    """One parameter's mask, and the hook that masks its gradient; by it an optimizer's parameter is known as held.

    Attributes:
        pruned: bool tensor of the parameter's shape.
        removed: the weights that were cut, (pruned weights,), for `repair`, until others are trained or loaded.
    """

    __torch_unserializable__ = True  # as torch's unserializable_hook: _Held puts the hook on again

    def __init__(self, pruned: torch.Tensor, removed: torch.Tensor | None = None):
        self.pruned, self.removed = pruned, removed

    def __getstate__(self) -> dict:
        return {"pruned": self.pruned, "removed": None}  # a pickle does not carry what was cut

    def remember(self, parameter: torch.Tensor, earlier: "HeldMask | None") -> None:
        """Keep what is about to be cut of a parameter, and what an `earlier` mask has cut of it."""
        if not hasattr(parameter, "device_mesh"):
            whole = earlier and earlier.whole(parameter)
            self.removed = as_fillable(parameter.detach() if whole is None else whole)[self.pruned]

    def whole(self, parameter: torch.Tensor) -> torch.Tensor | None:
        """The parameter as it was before it was cut; None where that is not known any longer."""
        if self.removed is None:
            return None
        left = as_fillable(parameter.detach())
        removed = self.removed.to(left.device, left.dtype)
        return left.masked_scatter(self._pruned_of(parameter), removed).view(parameter.dtype)

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor with zeros where the mask prunes."""
        if tensor.is_sparse:
            return tensor * ~self._pruned_of(tensor)
        filled = as_fillable(tensor).masked_fill(self._pruned_of(tensor), 0)
        return filled if filled.dtype == tensor.dtype else filled.view(tensor.dtype)

    def __deepcopy__(self, memo: dict) -> "HeldMask":
        return HeldMask(self.pruned, self.removed)  # which nothing changes in place

    def hold(self, parameter: torch.Tensor) -> None:
        """Be the parameter's hook, and zero what is pruned of it."""
        if parameter.shape != self.pruned.shape:
            raise ValueError(
                f"A weight of shape {tuple(parameter.shape)} cannot be held by a mask of shape "
                f"{tuple(self.pruned.shape)}; give one of the mask's shape, or call remove_masks first."
            )
        if not torch.compiler.is_dynamo_compiling():
            hooks = parameter._backward_hooks or OrderedDict()
            hooks[self] = self
            parameter._backward_hooks = hooks  # what register_hook does, but for a frozen parameter too
            if self.pruned.device != parameter.device and not parameter.is_meta:
                with torch.inference_mode(False):
                    self.pruned = self.pruned.to(parameter.device)
        # .data: a graph recorded before this point must not see its weights as modified; zeros were zeros.
        as_fillable(parameter.data).masked_fill_(self._pruned_of(parameter), 0)

    def release(self, parameter: torch.Tensor) -> None:
        """Be its hook no longer."""
        (parameter._backward_hooks or {}).pop(self, None)
        with torch.inference_mode(False):
            self.pruned = torch.zeros_like(self.pruned)  # for modules that took the mask with the parameter
            self.removed = None

    def _pruned_of(self, tensor: torch.Tensor) -> torch.Tensor:
        pruned = self.pruned.to(tensor.device)
        if not hasattr(tensor, "device_mesh"):
            return pruned
        from torch.distributed.tensor import DTensor, Replicate  # which not every build of torch has

        return DTensor.from_local(pruned, tensor.device_mesh, [Replicate()] * tensor.device_mesh.ndim, run_check=False)


def as_fillable(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor; if of float8, for which torch has no masked_fill, the same memory as uint8: its zero is theirs."""
    return tensor.view(torch.uint8) if tensor.dtype in _FLOAT8 else tensor


def _is_fillable(parameter: torch.Tensor) -> bool:
    if parameter.layout != torch.strided:
        return False
    try:
        one = as_fillable(torch.ones(1, dtype=parameter.dtype, device=parameter.device))
        one.masked_fill_(one == 1, 0)
    except RuntimeError:  # NotImplementedError is one
        return False
    return True


def digest(masks: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names and bits of masks: the same for equal masks, whatever device and order they come in."""
    found = hashlib.sha256()
    for name, mask in sorted(masks.items()):
        found.update(f"{name}{tuple(mask.shape)}".encode())
        found.update(np.packbits(mask.cpu().numpy().reshape(-1)).tobytes())
    return found.hexdigest()
