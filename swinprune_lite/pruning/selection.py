"""Which weights of a group go: an exact order statistic of the scores, found without sorting the weights.

A float's upper 16 bits without its sign (exponent and leading mantissa digits) order magnitudes
coarsely. Counting them bounds the score of every bin from below and above, and so tells for all but a
few percent of the weights on which side of the threshold they lie; only the rest is scored exactly.
"""

from collections.abc import Iterable
from functools import reduce

import torch

from swinprune_lite.types import Criterion

BINS = 2**15
EXACT_BELOW = 2**16  # groups smaller than this are scored whole: bounds would save nothing
CHUNK = 2**18  # elements that stay in a core's cache as float64
SLACK = 1e-9  # what rounding may do to a bound; it only adds candidates


def select(layers: dict[str, torch.Tensor], remove: int, criterion: Criterion) -> dict[str, torch.Tensor]:
    """Masks that remove exactly the `remove` lowest-scored weights of one group of layers.

    Args:
        layers: name -> weight of any shape, floating type and device. Types that differ are compared in the
            narrowest that holds them all.
        remove: how many weights of the group go, 0 <= remove <= their number.
        criterion: the score, see `Criterion`.

    Returns:
        name -> bool tensor of the weight's shape, True = kept. Of equal scores the earlier position
        is kept: earlier layer first, then row-major order.

    Raises:
        ValueError: a weight holds NaN or infinity.
    """
    dtype = _common_type(layers.values())
    flat = {name: weight.detach().reshape(-1).to(dtype) for name, weight in layers.items()}
    keys = {name: _key(weight) for name, weight in flat.items()}
    counts = torch.stack([torch.bincount(key, minlength=BINS).cpu() for key in keys.values()])
    low, high = _bin_edges(dtype)
    for name, count in zip(layers, counts):
        if count[~torch.isfinite(high)].any():
            raise ValueError(f"{name} holds NaN or infinity; prune a checkpoint whose weights are all finite.")
    if remove == 0:
        return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in layers.items()}

    first, last = _undecided_bins(counts, low.square(), high.square(), remove, criterion)
    surely_removed = sum(int(count[:begin].sum()) for count, begin in zip(counts, first))
    kept, positions, scores = {}, [], []
    for (name, weight), begin, end in zip(flat.items(), first, last):
        key = keys.pop(name)
        kept[name] = key > end
        undecided = ((key >= begin) & (key <= end)).nonzero().squeeze(1)
        positions.append(undecided)
        found = _exact_scores(weight[undecided], _energy(weight, kept[name]), criterion)
        scores.append(found.to(scores[0].device) if scores else found)
    stays = _largest(torch.cat(scores), sum(map(len, scores)) - (remove - surely_removed))
    for name, undecided, stay in zip(layers, positions, stays.split([len(part) for part in positions])):
        kept[name][undecided] = stay.to(undecided.device)
    return {name: kept[name].view(weight.shape) for name, weight in layers.items()}


def _common_type(weights: Iterable[torch.Tensor]) -> torch.dtype:
    """The narrowest type of 16 bits or more that holds the numbers of all."""
    found = {weight.dtype if weight.element_size() > 1 else torch.float32 for weight in weights}
    return reduce(torch.promote_types, found)


def _key(weight: torch.Tensor) -> torch.Tensor:
    """Upper 16 bits of each magnitude: int16 in [0, BINS), non-decreasing in |weight|. (Little-endian machines.)"""
    halves = weight.element_size() // 2
    return weight.view(torch.int16).view(-1, halves)[:, -1] & (BINS - 1)


def _bin_edges(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest and largest magnitude of each key, float64 (BINS,); not finite where the key is NaN's or infinity's."""
    bits = torch.finfo(dtype).bits
    integer = {16: torch.int16, 32: torch.int32, 64: torch.int64}[bits]
    lowest = torch.arange(BINS, device="cpu") << (bits - 16)
    highest = lowest | ((1 << (bits - 16)) - 1)
    return tuple(edge.to(integer).view(dtype).to(torch.float64) for edge in (lowest, highest))


def _undecided_bins(
    counts: torch.Tensor, low: torch.Tensor, high: torch.Tensor, remove: int, criterion: Criterion
) -> tuple[list[int], list[int]]:
    """For each layer the first and last bin whose weights may lie on either side of the threshold.

    `counts` is (layers, BINS); `low` and `high` are the bins' smallest and largest square. The
    remove-th lowest score lies between the remove-th lowest lower bound and upper bound.
    """
    if counts.sum() < EXACT_BELOW:
        return [0] * len(counts), [BINS - 1] * len(counts)
    used = counts > 0

    def energy_from(square: torch.Tensor) -> torch.Tensor:
        energy = torch.where(used, counts * square, 0)
        return energy.flip(1).cumsum(1).flip(1)  # of this bin and all larger ones

    above = energy_from(low) - torch.where(used, counts * low, 0)
    above.clamp_(min=0)
    lower = criterion(low.expand_as(above), energy_from(high)) * (1 - SLACK)
    upper = criterion(high.expand_as(above), above * (1 - SLACK) + high) * (1 + SLACK)
    least, most = (_order_statistic(bound[used], counts[used], remove) for bound in (lower, upper))
    first = ((upper < least) & used).int().mul(torch.arange(1, BINS + 1, dtype=torch.int32, device="cpu")).amax(1)
    last = torch.where((lower > most) & used, torch.arange(BINS, device="cpu"), BINS).amin(1) - 1
    return first.tolist(), last.tolist()


def _order_statistic(values: torch.Tensor, counts: torch.Tensor, rank: int) -> torch.Tensor:
    """The rank-th smallest (from 1) of `values`, each present `counts` times."""
    ordered, positions = values.sort()
    return ordered[torch.searchsorted(counts[positions].cumsum(0), rank)]


def _energy(weight: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Sum of the kept weights' squares in float64."""
    total = torch.zeros((), dtype=torch.float64, device=weight.device)
    for part, keep in zip(weight.split(CHUNK), kept.split(CHUNK)):
        masked = (part * keep).to(torch.float64)
        total += torch.dot(masked, masked)
    return total


def _exact_scores(weight: torch.Tensor, energy_above: torch.Tensor, criterion: Criterion) -> torch.Tensor:
    """Scores in float64 of a layer's weights (1-D), given the energy of all its weights larger than these."""
    ordered, positions = weight.abs().sort(descending=True, stable=True)
    square = ordered.to(torch.float64).square()
    scores = torch.empty_like(square)
    scores[positions] = criterion(square, energy_above + square.cumsum(0))
    return scores


def _largest(scores: torch.Tensor, keep: int) -> torch.Tensor:
    """Bool tensor, True for the `keep` largest of `scores` (1-D); of equal ones the earlier."""
    if keep == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - keep + 1).values
    stays = scores > threshold
    ties = (scores == threshold).nonzero().squeeze(1)
    stays[ties[: keep - int(stays.sum())]] = True
    return stays
