"""Groupings: lists of the weights that compete with each other."""

from collections.abc import Callable, Hashable

from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, blocks, mapped, modules, prunable
from swinprune_lite.types import Grouping


def by_module(model: nn.Module) -> list[list[str]]:
    """QKV-M, PRJ-M and MLP-M apart, each over all stages."""
    groups = modules(model)
    return [groups[module] for module in PRUNED_MODULES if groups[module]]


def whole_model(model: nn.Module) -> list[list[str]]:
    """All prunable weights together: the paper's "model as module"."""
    return [prunable(model)]


def by_layer(model: nn.Module) -> list[list[str]]:
    """Each layer alone."""
    return [[name] for name in prunable(model)]


def by_block(model: nn.Module) -> list[list[str]]:
    """The layers of each block: its attention and its MLP."""
    return _alike(model, {name: place.block for name, place in mapped(model).items()}.get)


def by_stage(model: nn.Module) -> list[list[str]]:
    """Each stage of the hierarchy; all blocks together where a model has no stages."""
    return _alike(model, _stages(model).get)


def by_module_and_stage(model: nn.Module) -> list[list[str]]:
    """The three modules apart, and each within its stage."""
    of, stages = modules_of(model), _stages(model)
    return _alike(model, lambda name: (of[name], stages[name]))


def by_fan_in(model: nn.Module) -> list[list[str]]:
    """Layers whose outputs read equally many numbers: equal columns of a matrix."""
    return _alike(model, lambda name: model.get_parameter(name)[0].numel())


def modules_of(model: nn.Module) -> dict[str, str]:
    """Parameter name -> its module, such as "MLP-M", of every prunable weight."""
    return {name: place.kind.module for name, place in mapped(model).items()}


def _stages(model: nn.Module) -> dict[str, int]:
    numbers = blocks(model)
    return {name: numbers[place.block][0] for name, place in mapped(model).items()}


def _alike(model: nn.Module, key: Callable[[str], Hashable]) -> list[list[str]]:
    """The prunable weights of equal key together, in the model's order."""
    groups: dict[Hashable, list[str]] = {}
    for name in prunable(model):
        groups.setdefault(key(name), []).append(name)
    return list(groups.values())


GROUPINGS: dict[str, Grouping] = {
    each.__name__: each
    for each in (by_module, whole_model, by_layer, by_block, by_stage, by_module_and_stage, by_fan_in)
}
