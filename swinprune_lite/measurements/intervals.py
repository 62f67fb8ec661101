"""How far chance alone moves an accuracy, over test images and over seeds."""

import math
from collections.abc import Sequence
from functools import cache

import pandas as pd
import torch
from scipy.stats import binomtest
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


def score_interval(right: int, images: int) -> tuple[float, float]:
    """Ends, in percent, of the 95 % interval of a share of images, by Wilson (1927).

    It holds for few images too, and where all are right or none, of which `interval` says 0.

    Args:
        right: images that are, at most `images`.
        images: of which they are; 1 or more.

    Raises:
        ValueError: other numbers.
    """
    if not 0 <= right <= images or images < 1:
        raise ValueError(f"Of 1 image or more, 0 to all are right; got {right!r} of {images!r}.")
    ends = binomtest(right, images).proportion_ci(0.95, "wilson")
    return 100 * float(ends.low), 100 * float(ends.high)


def share(right: int, images: int) -> dict[str, float]:
    """A share of images: "percent", its "low" and "high" end by `score_interval`, and "half" of what is between them.

    Args:
        right: images that are, at most `images`.
        images: of which they are; 1 or more.
    """
    low, high = score_interval(right, images)
    return {"percent": 100 * right / images, "half": (high - low) / 2, "low": low, "high": high}


def accuracy(right: torch.Tensor) -> dict[str, float] | None:
    """`share` of the images that are right; None of no images.

    Args:
        right: which images are, bool (images,).
    """
    return share(int(right.sum()), len(right)) if len(right) else None


def recalls(right: torch.Tensor, own: torch.Tensor) -> pd.DataFrame:
    """Recall of every class: the share of its images that are right.

    Args:
        right: which images are, bool (images,).
        own: their own classes, int64 (images,).

    Returns:
        Indexed by class, of those that have images: images, percent, low and high (of `score_interval`), and half, half
        of the distance between these.
    """
    kinds = own.unique().tolist()
    rows = [{"images": int((own == kind).sum())} | accuracy(right[own == kind]) for kind in kinds]
    return pd.DataFrame(rows, index=kinds)


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


def matched_difference(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """As `paired_difference` of one replicate, where the images are few: half by Agresti and Min (2005).

    Half an image is added to each of the four kinds (right by both, by one or the other, by none), so that a handful of
    equal verdicts does not pass for certainty.

    Args:
        first, second: which images were right, bool (images,), of the same images; one or more.
    """
    images, won, lost = len(first) + 2, int((first & ~second).sum()) + 0.5, int((second & ~first).sum()) + 0.5
    half = 1.96 * math.sqrt(won + lost - (won - lost) ** 2 / images) / images
    return 100 * (won - lost) / len(first), 100 * half
