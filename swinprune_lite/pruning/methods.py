"""Methods of pruning, by name: a criterion, a grouping and a budget. DIMAP is one combination, LAMP another.

`make_masks` takes other combinations too, by names or by functions of your own. One that has a name here is in the
comparisons: `METHODS["lamp-erk"] = Method("relative_energy", "by_layer", "erdos_renyi_kernel")`.
"""

from typing import NamedTuple

from swinprune_lite.pruning.budgets import BUDGETS
from swinprune_lite.pruning.criteria import CRITERIA, Criterion, between_of
from swinprune_lite.pruning.groupings import GROUPINGS
from swinprune_lite.types import Budget, Grouping, Values


class Method(NamedTuple):
    """How weights are chosen: a name each, or what the name stands for.

    Attributes:
        criterion: the score of a weight; of `CRITERIA`, "between(0.5)" and the like, a `Criterion`, or a
            function of weight and statistic.
        grouping: which weights compete; of `GROUPINGS`.
        budget: how many of each group go; of `BUDGETS`.
    """

    criterion: str | Criterion | Values = "relative_energy"
    grouping: str | Grouping = "by_module"
    budget: str | Budget = "same_share"

    def parts(self) -> tuple[Criterion, Grouping, Budget]:
        """What the three names stand for.

        Raises:
            ValueError: an unknown name.
        """
        criterion, grouping, budget = (
            _known(what, each, named)
            for what, each, named in zip(self._fields, self, (CRITERIA, GROUPINGS, BUDGETS), strict=True)
        )
        return criterion if isinstance(criterion, Criterion) else Criterion(criterion), grouping, budget


def _known(what: str, given: object, named: dict) -> object:
    if callable(given) or isinstance(given, Criterion):
        return given
    if what == "criterion" and (found := between_of(given)):
        return found
    if not isinstance(given, str) or given not in named:
        raise ValueError(f"Unknown {what} {given!r}; choose one of {', '.join(named)}, or give a function.")
    return named[given]


METHODS: dict[str, Method] = {
    "dimap": Method("relative_energy", "by_module", "same_share"),
    "lamp": Method("relative_energy", "whole_model", "same_share"),
    "uniform": Method("magnitude", "by_layer", "same_share"),
    "global": Method("magnitude", "whole_model", "same_share"),
    "module-magnitude": Method("magnitude", "by_module", "same_share"),
    "random": Method("random", "by_layer", "same_share"),
    "erk": Method("magnitude", "by_layer", "erdos_renyi_kernel"),
    "uniform+": Method("magnitude", "by_layer", "uniform_plus"),
}
"""Name -> criterion, grouping and budget. `make_masks` takes the names, and the comparisons hold what is added here."""


def combination(method: str | Method, criterion=None, grouping=None, budget=None) -> Method:
    """The method, with other parts where one is given.

    Args:
        method: a name of `METHODS`, or a `Method`.
        criterion: see `Method`; None: the method's own. So also `grouping` and `budget`.

    Raises:
        ValueError: an unknown method.
    """
    if (isinstance(method, str) and method not in METHODS) or not isinstance(method, (str, tuple)):
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}, or give a Method.")
    chosen = Method(*(METHODS[method] if isinstance(method, str) else method))
    given = {"criterion": criterion, "grouping": grouping, "budget": budget}
    return chosen._replace(**{part: value for part, value in given.items() if value is not None})
