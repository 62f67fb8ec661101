"""Budgets: how many weights each group loses, so that the whole model loses the wanted share."""

from collections.abc import Sequence

from torch import Size

from swinprune_lite.types import Budget

LAST_LAYER_KEEPS = 0.2  # Uniform+ (Gale, Elsen and Hooker, 2019)


def same_share(groups: Sequence[Sequence[Size]], ratio: float) -> list[int]:
    """Every group loses the same share, round(ratio * n) of its n weights."""
    return [round(ratio * _size(group)) for group in groups]


def erdos_renyi_kernel(groups: Sequence[Sequence[Size]], ratio: float) -> list[int]:
    """ERK (Evci et al., ICML 2020): a layer's density is proportional to (rows + columns) / (rows * columns).

    Layers whose density would exceed 1 stay whole and the others make up for it. Groups are single layers.

    Raises:
        ValueError: a group of several layers.
    """
    sizes = [_size(group) for group in groups]
    raw = [sum(_only(group)) / size for group, size in zip(groups, sizes)]
    return _keep_in_proportion(raw, sizes, ratio)


def uniform_plus(groups: Sequence[Sequence[Size]], ratio: float) -> list[int]:
    """Uniform+ (Gale, Elsen and Hooker, 2019): the first layer stays whole, the last keeps at least a fifth.

    The others all keep the same share. Groups are single layers in the model's order.

    Raises:
        ValueError: a group of several layers, or a ratio so high that the protected weights alone are more than
            may stay.
    """
    sizes = [_only(group).numel() for group in groups]
    kept, last = sum(sizes) - round(ratio * sum(sizes)), round(LAST_LAYER_KEEPS * sizes[-1])
    spare = kept - sizes[0]  # what may stay beyond the first layer
    if spare < (last if len(sizes) > 1 else 0):
        raise ValueError(
            f"ratio {ratio} is too high for uniform+, which keeps the first layer and a fifth of the last: on this "
            f"model give less than {1 - (sizes[0] + last) / sum(sizes):.4f}."
        )
    exact = [sizes[0], *(spare * size / sum(sizes[1:]) for size in sizes[1:])]
    if exact[-1] < last:
        exact[1:] = [*((spare - last) * size / sum(sizes[1:-1]) for size in sizes[1:-1]), last]
    return [size - keep for size, keep in zip(sizes, _round_to_total(exact, sizes, kept))]


def _keep_in_proportion(raw: list[float], sizes: list[int], ratio: float) -> list[int]:
    """Densities proportional to `raw`, none above 1, keeping exactly sum(sizes) - round(ratio * sum(sizes))."""
    kept = sum(sizes) - round(ratio * sum(sizes))
    whole: set[int] = set()
    while True:
        free = [index for index in range(len(sizes)) if index not in whole]
        budget = kept - sum(sizes[index] for index in whole)
        weight = sum(raw[index] * sizes[index] for index in free)
        scale = budget / weight if free else 0.0
        over = {index for index in free if scale * raw[index] > 1}
        if not over:
            break
        whole |= over
    exact = [size if index in whole else scale * raw[index] * size for index, size in enumerate(sizes)]
    return [size - keep for size, keep in zip(sizes, _round_to_total(exact, sizes, kept))]


def _round_to_total(exact: list[float], sizes: list[int], total: int) -> list[int]:
    """Whole numbers next to `exact` with the given sum: the largest remainders are rounded up."""
    floor = [min(int(value), size) for value, size in zip(exact, sizes)]
    order = sorted(range(len(exact)), key=lambda index: floor[index] - exact[index])
    for index in [index for index in order if floor[index] < sizes[index]][: total - sum(floor)]:
        floor[index] += 1
    return floor


def _size(group: Sequence[Size]) -> int:
    return sum(shape.numel() for shape in group)


def _only(group: Sequence[Size]) -> Size:
    if len(group) != 1:
        raise ValueError("This budget is one of single layers; give the grouping 'by_layer' with it.")
    return group[0]


BUDGETS: dict[str, Budget] = {each.__name__: each for each in (same_share, erdos_renyi_kernel, uniform_plus)}
