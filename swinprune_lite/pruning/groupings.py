"""Groupings: lists of the weights that compete with each other."""

from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules, prunable
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


GROUPINGS: dict[str, Grouping] = {each.__name__: each for each in (by_module, whole_model, by_layer)}
