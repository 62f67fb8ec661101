"""How far chance alone moves an accuracy, over test images and over seeds."""

import math
from collections.abc import Sequence
from functools import cache

import torch
from scipy.stats import t as student


def interval(percent: float, images: int) -> float:
    """Half the width, in points, of the 95 % confidence interval of an accuracy of `percent` on `images` images.

    Of no images nan, as their accuracy is. It is the normal approximation's: 0 where all images are right, or none.

    Raises:
        ValueError: a percentage outside [0, 100], or fewer images than none.
    """
    if not images >= 0 or (images and not 0 <= percent <= 100):
        raise ValueError(f"An accuracy is in [0, 100] percent, of 0 or more images; got {percent!r} of {images!r}.")
    if not images:
        return math.nan
    share = percent / 100
    return 100 * 1.96 * math.sqrt(share * (1 - share) / images)


def spread(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval (Student's t) of a mean over seeds; nan for a single value.

    Raises:
        ValueError: a value that is not finite.
    """
    count = len(values)
    if not all(map(math.isfinite, values)):
        raise ValueError(f"The values must all be finite numbers; got {[*values]}.")
    if count < 2:
        return math.nan
    mean = sum(values) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return _quantile(count - 1) * deviation / math.sqrt(count)


@cache
def _quantile(freedom: int) -> float:
    """Of Student's t at 97.5 %, as printed tables have it."""
    return round(float(student.ppf(0.975, freedom)), 3)


def mean_accuracy(replicates: Sequence[torch.Tensor]) -> tuple[float, float]:
    """Mean accuracy over replicates in percent, and half its 95 % interval in points.

    The half width joins (as the root of the sum of squares) the spread over replicates, where there are several, and
    that over images.

    Args:
        replicates: one or more, bool (images,): which images were right.
    """
    values = [100 * correct.double().mean().item() for correct in replicates]
    mean = sum(values) / len(values)
    over_seeds = spread(values) if len(values) > 1 else 0.0
    return mean, math.hypot(over_seeds, interval(mean, len(replicates[0])))


def paired_difference(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> tuple[float, float]:
    """Mean accuracy of `first` minus `second` in points, and half its 95 % interval.

    Both hold one bool tensor (images,) a replicate: which images were right; the first images that all
    have in common count. The same images and the same seeds stand on both sides, so what they share
    cancels. The half width joins (as the root of the sum of squares) that over images, of the mean
    difference of each image, and that over replicates (Student's t) where there are several. Of no images
    both are nan, and of one image the half width.

    Raises:
        ValueError: no replicates, or another number of them on each side.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"Give as many replicates on both sides, one or more; got {len(first)} and {len(second)}.")
    images = min(len(correct) for correct in (*first, *second))
    if not images:
        return math.nan, math.nan
    differences = torch.stack([a[:images].double() - b[:images].double() for a, b in zip(first, second, strict=True)])
    means = (100 * differences.mean(1)).tolist()
    over_images = 100 * 1.96 * differences.mean(0).std().item() / math.sqrt(images) if images > 1 else math.nan
    over_seeds = spread(means) if len(means) > 1 else 0.0
    return sum(means) / len(means), math.hypot(over_images, over_seeds)
