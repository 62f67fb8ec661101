"""Methods of pruning, by name: a criterion, a grouping and a budget. DIMAP is one combination, LAMP another."""

from typing import NamedTuple

from swinprune_lite.pruning.budgets import erdos_renyi_kernel, same_share, uniform_plus
from swinprune_lite.pruning.criteria import magnitude, random, relative_energy
from swinprune_lite.pruning.groupings import by_layer, by_module, whole_model
from swinprune_lite.types import Budget, Criterion, Grouping


class Method(NamedTuple):
    """How weights are chosen.

    Attributes:
        criterion: the score of a weight.
        grouping: which weights compete.
        budget: how many of each group go.
    """

    criterion: Criterion
    grouping: Grouping
    budget: Budget


METHODS: dict[str, Method] = {
    "dimap": Method(relative_energy, by_module, same_share),
    "lamp": Method(relative_energy, whole_model, same_share),
    "uniform": Method(magnitude, by_layer, same_share),
    "global": Method(magnitude, whole_model, same_share),
    "module-magnitude": Method(magnitude, by_module, same_share),
    "random": Method(random, by_layer, same_share),
    "erk": Method(magnitude, by_layer, erdos_renyi_kernel),
    "uniform+": Method(magnitude, by_layer, uniform_plus),
}
