"""Recall class by class, and its change, from verdicts on single images."""

import math

import torch

from swinprune_lite.measurements.intervals import spread

DECIMALS = 4
"""Of what is given, so that a page with many models and classes stays small."""


def recalls(verdicts: torch.Tensor, classes: torch.Tensor, count: int) -> list[dict]:
    """Recall of each class: mean over sets of weights, and half its 95 % interval over images and sets.

    Args:
        verdicts: bool (sets, images), True where the first prediction is right.
        classes: int64 (images,), the images' own.
        count: number of classes.

    Returns:
        A row a class: percent, half (points) and images; of a class without images percent and half are None.
    """
    means, _, images = _by_class(verdicts.double(), classes, count)
    shares = (means.mean(0) / 100).clamp(0, 1)
    over_images = 196 * (shares * (1 - shares) / images).sqrt()
    return _rows("percent", means, over_images, images)


def recall_changes(after: torch.Tensor, before: torch.Tensor, classes: torch.Tensor, count: int) -> list[dict]:
    """Recall after minus before in points, image by image and set by set, as `paired_difference` of each class.

    Args:
        after: bool (sets, images).
        before: the same of the same sets and images.
        classes: int64 (images,), the images' own.
        count: number of classes.

    Returns:
        A row a class: points, half (of the 95 % interval) and images.
    """
    changes = after.double() - before.double()
    means, spreads, images = _by_class(changes, classes, count)
    return _rows("points", means, 1.96 * spreads / images.sqrt(), images)


def _by_class(values: torch.Tensor, classes: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """Means (sets, classes) and deviations of the sets' mean (classes,), both times 100, and images (classes,)."""
    member = torch.nn.functional.one_hot(classes, count).double()
    images = member.sum(0)
    mean = values.mean(0)
    centre = mean @ member / images
    squares = ((mean - centre[classes]) ** 2) @ member
    return 100 * values @ member / images, 100 * (squares / (images - 1)).sqrt(), images


def _rows(name: str, means: torch.Tensor, over_images: torch.Tensor, images: torch.Tensor) -> list[dict]:
    found = []
    for column, half, number in zip(means.T.tolist(), over_images.tolist(), images.tolist()):
        known = number > 0 and math.isfinite(half)
        half = math.hypot(half, spread(column) if len(column) > 1 else 0.0) if known else None
        mean = sum(column) / len(column) if number else None
        values = (None if value is None else round(value, DECIMALS) for value in (mean, half))
        found.append({**dict(zip((name, "half"), values)), "images": int(number)})
    return found
