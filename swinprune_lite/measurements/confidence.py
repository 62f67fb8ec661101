"""How sure a classifier is of what it says, and how far that is from how often it is right."""

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.training.batches import pairs
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Batches

BINS = 15


def probabilities(model: nn.Module, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    """The softmax of a classifier's logits.

    Args:
        model: images (B, C, H, W) to logits (B, classes); it is run in evaluation mode and in its own precision.
        batches: images and classes (B,).

    Returns:
        float64 (images, classes), and the images' own classes, int64 (images,), on the CPU.

    Raises:
        ValueError: no images.
    """
    device, dtype = image_type(model)
    found = []
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        for images, classes in pairs(batches):
            found.append((model(images.to(device, dtype)).cpu().double().softmax(1), classes))
    if not found:
        raise ValueError("There are no images to be sure of: the batches are empty.")
    told, classes = zip(*found)
    return torch.cat(told), torch.cat(classes)


def calibration_error(told: torch.Tensor, classes: torch.Tensor, bins: int = BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017).

    Images are parted by the largest probability into bins of equal width; in each the mean of that probability is
    compared with the share of right predictions, and the distances are averaged over the images.

    Args:
        told: probabilities (images, classes).
        classes: int64 (images,), the images' own.
        bins: how many.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: no images, another number of classes than of images, or fewer than one bin.
    """
    if not len(told) or len(told) != len(classes) or bins < 1:
        raise ValueError(
            f"Give one class for each image, one image and one bin or more; got {len(told)} images, {len(classes)} "
            f"classes and {bins} bins."
        )
    sure, best = told.double().max(1)
    return error_of_confidence(sure, best == classes, bins)


def error_of_confidence(sure: torch.Tensor, right: torch.Tensor, bins: int = BINS) -> float:
    """`calibration_error` of the largest probabilities alone.

    Args:
        sure: float (images,), one image or more.
        right: bool (images,), whether that prediction is right.
        bins: how many.

    Returns:
        A share in [0, 1].
    """
    where = (sure * bins).ceil().long().clamp(1, bins) - 1
    off = sure - right.double()
    return sum(float(off[where == each].sum().abs()) for each in where.unique()) / len(sure)
