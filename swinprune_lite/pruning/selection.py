"""Which weights of a group go: an exact order statistic of the scores, found without sorting the weights.

A float's upper 16 bits without its sign (exponent and leading digits) order magnitudes coarsely. Counting
them bounds the score of every bin from below and above, and so tells for all but a few percent of the
weights on which side of the threshold they lie. Only the rest is scored exactly. Both bounds and scores
come from the criterion's score; DIMAP's is equation 10, `importance.relative_energy`.
"""

from collections.abc import Mapping

import numpy as np
import torch

from swinprune_lite.pruning.importance import check_weight, denormals
from swinprune_lite.pruning.magnitudes import BINS, Magnitudes
from swinprune_lite.types import Masks, Score

EXACT_BELOW = 2**16  # groups smaller than this are scored whole: bounds would save nothing
SERIAL = 2**14  # elements for which torch starts no threads
SLACK = 1e-9  # what rounding may do to a bound; it only adds candidates


@denormals()
def select(layers: dict[str, torch.Tensor], remove: int, score: Score | None) -> dict[str, torch.Tensor]:
    """Masks that remove exactly the `remove` lowest-scored numbers of one group of layers.

    Args:
        layers: name -> weight, or the numbers that are scored in its place, of any shape, on any device, in float16,
            bfloat16, float32 or float64, or of 8 bits.
        remove: how many weights of the group go, 0 <= remove <= their number.
        score: of squares and energies, see `Score`; None: the numbers are the scores.

    Returns:
        name -> bool tensor of the weight's shape and device, True = kept. Of equal scores the earlier
        position is kept: earlier layer first, then row-major order. Of numbers whose squares are below float64's
        normal range (some 1e-154 of the group's largest) and whose scores are equal, the larger is kept.

    Raises:
        ValueError: a weight of another type, on the meta device, or that holds NaN or infinity; a score that is
            NaN, or is seen to fall with the square or to grow with the energy.
    """
    if score is None:
        return _largest_numbers(layers, remove)
    group = [Magnitudes(name, weight) for name, weight in layers.items()]
    _keep_squares_in_range(group)
    kept, positions, scores, tiny = [], [], [], []
    surely_removed = 0
    for layer, (first, last) in zip(group, _undecided_bins(group, remove, score)):
        above, undecided, energy_above = layer.split(first, last)
        kept.append(above)
        positions.append(undecided)
        for found, part in zip((scores, tiny), _exact_scores(layer, undecided, energy_above, score)):
            found.append(part)
        surely_removed += int(layer.counts[layer.bins < first].sum())
    keep = sum(map(len, scores)) - (remove - surely_removed)
    stays = _largest(np.concatenate(scores), keep, np.concatenate(tiny))
    ends = np.cumsum([len(undecided) for undecided in positions])
    for keep, undecided, stay in zip(kept, positions, np.split(stays, ends[:-1])):
        keep.numpy()[undecided] = stay
    return {name: keep.view(weight.shape).to(weight.device) for keep, (name, weight) in zip(kept, layers.items())}


def select_within(
    layers: dict[str, torch.Tensor], remove: int, score: Score | None, within: Mapping[str, torch.Tensor]
) -> Masks:
    """`select` among the numbers that earlier masks keep, the others being away.

    Args:
        layers: see `select`; so are `remove` and `score`.
        within: name -> bool tensor of the weight's shape, True = kept; a layer without one is whole.

    Returns:
        name -> bool tensor, True = kept now and earlier.
    """
    earlier = {name: within[name].to(layers[name].device) for name in layers.keys() & within.keys()}
    left = {name: numbers[earlier[name]] if name in earlier else numbers for name, numbers in layers.items()}
    left = {name: numbers for name, numbers in left.items() if numbers.numel() or name not in earlier}
    found = select(left, remove, score) if left else {}
    return earlier | {
        name: earlier[name].masked_scatter(earlier[name], kept) if name in earlier else kept
        for name, kept in found.items()
    }


def _largest_numbers(layers: dict[str, torch.Tensor], remove: int) -> dict[str, torch.Tensor]:
    """The same for numbers that are the scores themselves, whose sign counts."""
    for name, numbers in layers.items():
        check_weight(name, numbers)
    flat = [numbers.detach().cpu().double().reshape(-1).numpy() for numbers in layers.values()]
    stays = _largest(np.concatenate(flat), sum(map(len, flat)) - remove)
    parts = np.split(stays, np.cumsum([len(numbers) for numbers in flat])[:-1])
    return {
        name: torch.from_numpy(part).view(numbers.shape).to(numbers.device)
        for part, (name, numbers) in zip(parts, layers.items())
    }


def _keep_squares_in_range(group: list[Magnitudes]) -> None:
    """Scale a group by the power of two that brings its largest magnitude next to 1: no digit is lost.

    Only float64 needs it: its squares may leave float64's range, those of the other types do not.
    """
    exponent = int(np.frexp(max(layer.high.max(initial=0) for layer in group))[1])
    if abs(exponent) > 150:
        for layer in group:
            layer.rescale(2.0 ** -min(max(exponent, -1022), 1022))


def _undecided_bins(group: list[Magnitudes], remove: int, score: Score) -> list[tuple[int, int]]:
    """For each layer the first and last bin whose weights may lie on either side of the threshold.

    The remove-th lowest score lies between the remove-th lowest lower bound and upper bound.
    """
    if sum(map(len, group)) < EXACT_BELOW:
        return [(0, BINS - 1)] * len(group)
    bounds = [_bounds(layer, score) for layer in group]
    counts = np.concatenate([layer.counts for layer in group])
    least, most = (_order_statistic(np.concatenate(bound), counts, remove) for bound in zip(*bounds))
    return [
        (
            int(layer.bins[upper < least].max(initial=-1)) + 1,
            int(layer.bins[lower > most].min(initial=BINS)) - 1,
        )
        for layer, (lower, upper) in zip(group, bounds)
    ]


def _bounds(layer: Magnitudes, score: Score) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest score that a weight in each of the layer's bins may have."""
    count, low, high = layer.counts, np.square(layer.low), np.square(layer.high)

    def energy_from(square: np.ndarray) -> np.ndarray:
        return np.flip(np.flip(count * square).cumsum()).copy()  # of this bin and all larger ones

    above = np.append(energy_from(low)[1:], 0)[: len(count)]
    lower = _scores(low, energy_from(high), score) * (1 - SLACK)
    upper = _scores(high, above + high, score) * (1 + SLACK)
    if not (lower <= upper).all():
        raise ValueError("A score must grow with the square and not grow with the energy; this one does not.")
    return lower, upper


def _order_statistic(values: np.ndarray, counts: np.ndarray, rank: int) -> float:
    """The rank-th smallest (from 1) of `values`, each present `counts` times."""
    order = values.argsort()
    return values[order[np.searchsorted(counts[order].cumsum(), rank)]]


def _exact_scores(
    layer: Magnitudes, positions: np.ndarray, energy_above: float, score: Score
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a layer's weights at `positions`, given the energy of all its weights larger than these; and the
    magnitudes, never rescaled, of those weights whose squares do not tell them, 0 for the others.
    """
    order, magnitude, unscaled = layer.descending(positions)
    square = np.square(magnitude)
    scores, tiny = np.empty_like(square), np.empty_like(square)
    scores[order] = _scores(square, energy_above + square.cumsum(), score)
    tiny[order] = np.where(square < np.finfo(np.float64).tiny, unscaled, 0)
    return scores, tiny


def _scores(square: np.ndarray, energy: np.ndarray, score: Score) -> np.ndarray:
    """The score of arrays (n,), in parts so small that torch computes them in this thread."""
    parts = [slice(start, start + SERIAL) for start in range(0, len(square), SERIAL)]
    square, energy = torch.from_numpy(square), torch.from_numpy(energy)
    scores = np.concatenate([np.empty(0), *(score(square[part], energy[part]).numpy() for part in parts)])
    if np.isnan(scores).any():
        raise ValueError("A score must be a number everywhere, also where square and energy are 0; this one is NaN.")
    return scores


def _largest(scores: np.ndarray, keep: int, then: np.ndarray | None = None) -> np.ndarray:
    """Bool array, True for the `keep` largest of `scores` (n,); of equal ones the larger in `then`, or the earlier."""
    if keep == 0:
        return np.zeros(len(scores), bool)
    threshold = np.partition(scores, len(scores) - keep)[len(scores) - keep]
    stays = scores > threshold
    ties = np.flatnonzero(scores == threshold)
    if then is not None and then[ties].any():
        ties = ties[np.argsort(-then[ties], kind="stable")]
    stays[ties[: keep - np.count_nonzero(stays)]] = True
    return stays
