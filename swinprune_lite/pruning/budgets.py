"""Budgets: how many weights each group loses, so that the whole model loses the wanted share of weights or MACs."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real

import torch
from torch import nn

from swinprune_lite.anatomy.counting import check_counted, count_products
from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.anatomy.modules import PRUNED_MODULES, prunable
from swinprune_lite.pruning.groupings import modules_of
from swinprune_lite.pruning.importance import check_stored, check_weight
from swinprune_lite.types import Budget, InputSize, Masks

LAST_LAYER_KEEPS = 0.2  # Uniform+ (Gale, Elsen and Hooker, 2019)
BISECTIONS = 10  # of the ratio of weights that removes a share of the MACs: to a thousandth


class TooHighError(ValueError):
    """A ratio that a budget cannot reach on this model; lower ones may be reached."""


def same_share(model: nn.Module, groups: Sequence[Sequence[str]], ratio: float) -> list[int]:
    """Every group loses the same share, round(ratio * n) of its n weights."""
    return [round(ratio * size) for size in _sizes(model, groups)]


def erdos_renyi_kernel(model: nn.Module, groups: Sequence[Sequence[str]], ratio: float) -> list[int]:
    """ERK (Evci et al., ICML 2020): a layer's density is proportional to (rows + columns) / (rows * columns).

    Layers whose density would exceed 1 stay whole and the others make up for it. Groups are single layers.

    Raises:
        ValueError: a group of several layers.
    """
    shapes = [_only(model, group).shape for group in groups]
    sizes = [shape.numel() for shape in shapes]
    kept = sum(sizes) - round(ratio * sum(sizes))
    keeps = _in_proportion([sum(shape) / shape.numel() for shape in shapes], sizes, sizes, kept)
    return [size - keep for size, keep in zip(sizes, keeps)]


def uniform_plus(model: nn.Module, groups: Sequence[Sequence[str]], ratio: float) -> list[int]:
    """Uniform+ (Gale, Elsen and Hooker, 2019): the first layer stays whole, the last keeps at least a fifth.

    The others all keep the same share. Groups are single layers in the model's order.

    Raises:
        ValueError: a group of several layers, or a ratio so high that the protected weights alone are more than
            may stay.
    """
    sizes = [_only(model, group).numel() for group in groups]
    kept, last = sum(sizes) - round(ratio * sum(sizes)), round(LAST_LAYER_KEEPS * sizes[-1])
    spare = kept - sizes[0]  # what may stay beyond the first layer
    if spare < (last if len(sizes) > 1 else 0):
        raise TooHighError(
            f"ratio {ratio} is too high for uniform+, which keeps the first layer and a fifth of the last: on this "
            f"model give less than {1 - (sizes[0] + last) / sum(sizes):.4f}."
        )
    exact = [sizes[0], *(spare * size / sum(sizes[1:]) for size in sizes[1:])]
    if exact[-1] < last:
        exact[1:] = [*((spare - last) * size / sum(sizes[1:-1]) for size in sizes[1:-1]), last]
    return [size - keep for size, keep in zip(sizes, _round_to_total(exact, sizes, kept))]


def alpha(model: nn.Module, groups: Sequence[Sequence[str]], ratio: float, spread: float = 0.3) -> list[int]:
    """AlphaPruning (Lu et al., NeurIPS 2024): a layer loses the more, the lighter the tail of its spectrum is.

    Its share is proportional to (1 - spread) + 2 spread (a - min) / (max - min), where a is its `tail_exponent` and
    min and max are those of all layers. Every layer keeps a weight at least. Groups are single layers. It looks at
    the weights alone.

    Args:
        model: the network.
        groups: names of the weights, one a group.
        ratio: share of all their weights to remove, met exactly.
        spread: the paper's epsilon, in [0, 1]: 0 gives all layers the same share.

    Returns:
        Number of weights that each group loses.

    Raises:
        ValueError: a group of several layers, a spread outside [0, 1], weights that hold NaN or infinity, or a ratio
            so high that a layer would lose all.
    """
    if not isinstance(spread, Real) or isinstance(spread, bool) or not 0 <= spread <= 1:
        raise ValueError(f"The spread of shares must be a number in [0, 1]; got {spread!r}.")
    weights = [_only(model, group) for group in groups]
    for (name,), weight in zip(groups, weights):
        check_weight(name, weight)
    found = [tail_exponent(weight) for weight in weights]
    finite = [exponent for exponent in found if exponent < math.inf] or [0.0]
    low, high = min(finite), max(finite)
    places = [(min(exponent, high) - low) / (high - low) if high > low else 0.5 for exponent in found]
    raw = [1 - spread + 2 * spread * place for place in places]
    return _remove_in_proportion(raw, [weight.numel() for weight in weights], ratio)


def tail_exponent(weight: torch.Tensor) -> float:
    """Hill's estimate of the power law in the upper half of a spectrum: 1 + n / sum_i ln(l_i / l_min).

    l_i are the n largest squared singular values, l_min the smallest of these, and n is half of their number, rounded
    up. The heavier the tail, the smaller the exponent, which says of a trained layer that it has learnt the more
    (Martin and Mahoney, 2021). Scale changes nothing.

    Args:
        weight: matrix (rows, columns) of any floating type, or a kernel, which is flattened to (rows, the rest).

    Returns:
        A number above 1; infinity where all l_i are equal to nine digits, or all are 0. Singular values that are zero
        to float64's rounding are left out.
    """
    matrix = weight.detach().cpu().double().flatten(1)
    values = torch.linalg.svdvals(matrix)
    values = values[values > values[0] * max(matrix.shape) * torch.finfo(torch.float64).eps]
    upper = values[: (len(values) + 1) // 2]
    spans = 2 * (upper / upper[-1:]).log().sum().item()
    return 1 + len(upper) / spans if spans > len(upper) * 1e-9 else math.inf


def shares(given: Mapping[str, float]) -> Budget:
    """A budget that removes unequal shares of the three modules.

    Args:
        given: module -> a number, 0 or more: the shares are in proportion to these, and scaled to meet the ratio
            exactly. 0 leaves a module whole. Where one would lose all, its groups keep a weight each, and the others
            make up for it.

    Returns:
        A budget for groups that lie within one module each, such as those of `by_module` or `by_layer`.

    Raises:
        ValueError: an unknown module, one that is missing, or numbers that are negative, not finite or all 0.
    """
    names = ", ".join(PRUNED_MODULES)
    if not isinstance(given, Mapping) or given.keys() != set(PRUNED_MODULES):
        got = ", ".join(map(str, given)) if isinstance(given, Mapping) else repr(given)
        raise ValueError(f"Give each of the modules {names} its share, and no other; got {got or 'none'}.")
    numbers = [isinstance(share, Real) and not isinstance(share, bool) for share in given.values()]
    if not all(numbers) or not all(0 <= share < math.inf for share in given.values()) or not any(given.values()):
        raise ValueError(f"Shares must be numbers, 0 or more, and one of them above 0; got {dict(given)}.")
    given = dict(given)

    def in_shares(model: nn.Module, groups: Sequence[Sequence[str]], ratio: float) -> list[int]:
        of = modules_of(model)
        found = [{of[name] for name in group} for group in groups]
        if mixed := next((one for one in found if len(one) != 1), None):
            raise ValueError(
                f"These shares are of single modules, and a group mixes {', '.join(sorted(mixed))}; give a grouping "
                "such as 'by_module' or 'by_layer' with them."
            )
        return _remove_in_proportion([given[module] for (module,) in found], _sizes(model, groups), ratio)

    return in_shares


def removing_macs(
    model: nn.Module, share: float, make: Callable[[float], Masks], input_size: InputSize | None = None
) -> Masks:
    """Masks that take a share of the MACs of the whole model, by bisection of the ratio they are made for.

    Args:
        model: the network; it is not run on real numbers, and left as it is.
        share: of its MACs, as `cost` counts them, attention's own products included, in [0, 1). At least so much
            goes, and more only by what a thousandth of the weights costs.
        make: from a ratio to masks that take the more, the higher it is.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Returns:
        Those of the smallest ratio that was seen to suffice, parameter name -> bool, True = kept.

    Raises:
        ValueError: a share that the prunable weights do not have, an input size that the model does not take or one
            that has to be given, sparse weights, or prunable ones that no product uses.
    """
    if share == 0:
        return make(0.0)
    check_stored(model)
    products = count_products(model, image_shape(model, input_size))
    check_counted(model, products, prunable(model))
    low, high, found, most = 0.0, 1.0, None, 0
    for _ in range(BISECTIONS):
        ratio = (low + high) / 2
        try:
            masks = make(ratio)
        except TooHighError:
            high = ratio
            continue
        lost = products.lost(masks)
        if products.macs - lost > (1 - share) * products.macs:
            low, most = ratio, lost
        else:
            high, found = ratio, masks
    if found is None:
        raise ValueError(
            f"{share:.2%} of the MACs of {type(model).__name__} cannot go: with {low:.2%} of its prunable weights "
            f"removed, the most that is possible, {most / products.macs:.2%} of them are gone; give less."
        )
    return found


def _remove_in_proportion(raw: list[float], sizes: list[int], ratio: float) -> list[int]:
    """Removed shares proportional to `raw`, so that round(ratio * sum(sizes)) go and each group keeps a weight."""
    total, most = round(ratio * sum(sizes)), [size - 1 if share > 0 else 0 for share, size in zip(raw, sizes)]
    if total > sum(most):
        raise TooHighError(
            f"ratio {ratio} is too high for this budget: it can remove {sum(most):,} of the {sum(sizes):,} weights, "
            "since a group of share 0 stays whole and every other keeps a weight; give a lower one."
        )
    return _in_proportion(raw, sizes, most, total)


def _in_proportion(raw: list[float], sizes: list[int], most: list[int], total: int) -> list[int]:
    """Whole numbers proportional to raw * size, none above its `most`, with the given sum; the others make up."""
    full: set[int] = set()
    while True:
        free = [index for index in range(len(sizes)) if index not in full]
        budget = total - sum(most[index] for index in full)
        weight = sum(raw[index] * sizes[index] for index in free)
        scale = budget / weight if weight else 0.0
        over = {index for index in free if scale * raw[index] > most[index] / sizes[index]}
        if not over:
            break
        full |= over
    exact = [most[index] if index in full else scale * raw[index] * size for index, size in enumerate(sizes)]
    return _round_to_total(exact, most, total)


def _round_to_total(exact: list[float], most: list[int], total: int) -> list[int]:
    """Whole numbers next to `exact`, none above its `most`, with the given sum: the largest remainders go up."""
    floor = [min(int(value), top) for value, top in zip(exact, most)]
    order = sorted(range(len(exact)), key=lambda index: floor[index] - exact[index])
    for index in [index for index in order if floor[index] < most[index]][: total - sum(floor)]:
        floor[index] += 1
    return floor


def _sizes(model: nn.Module, groups: Sequence[Sequence[str]]) -> list[int]:
    return [sum(model.get_parameter(name).numel() for name in group) for group in groups]


def _only(model: nn.Module, group: Sequence[str]) -> nn.Parameter:
    if len(group) != 1:
        raise ValueError("This budget is one of single layers; give the grouping 'by_layer' with it.")
    return model.get_parameter(group[0])


BUDGETS: dict[str, Budget] = {each.__name__: each for each in (same_share, erdos_renyi_kernel, uniform_plus, alpha)}
