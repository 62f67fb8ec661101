"""How sure a classifier is of what it says, and how far that is from how often it is right."""

from numbers import Integral

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.training.batches import check_logits, check_range, pairs, run
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Batches

BINS = 15
SLACK = 1e-2  # of the sum of an image's probabilities, which may be of half precision


def probabilities(model: nn.Module, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    """The softmax of a classifier's logits.

    Args:
        model: images (B, C, H, W) to logits (B, classes); it is run in evaluation mode and in its own precision.
        batches: images and classes (B,).

    Returns:
        float64 (images, classes), and the images' own classes, int64 (images,), on the CPU.

    Raises:
        ValueError: no images, such as the model does not take, or logits that are not (B, classes), of two classes or
            more and the images' own among them, and finite.
    """
    device, dtype = image_type(model)
    found = []
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        for images, classes in pairs(batches):
            if not len(images):
                continue
            logits = run(model, images.to(device, dtype))
            check_range(classes, check_logits(logits, len(images)))
            if not torch.isfinite(logits).all():
                raise ValueError("The model's logits are not finite; check its weights and images for NaN or infinity.")
            found.append((logits.cpu().double().softmax(1), classes.cpu()))
    if not found:
        raise ValueError("There are no images to be sure of: the batches are empty.")
    told, classes = zip(*found)
    return torch.cat(told), torch.cat(classes)


def calibration_error(told: torch.Tensor, classes: torch.Tensor, bins: int = BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017).

    Images are parted by the largest probability into bins of equal width; in each the mean of that probability is
    compared with the share of right predictions, and the distances are averaged over the images. A bin holds its upper
    end and not its lower one; of equally probable classes the first counts.

    Args:
        told: probabilities (images, classes).
        classes: int64 (images,), the images' own.
        bins: how many.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: no images, another number of classes than of images, fewer than one bin, or what are no
            probabilities.
    """
    whole = isinstance(bins, Integral) and not isinstance(bins, bool) and bins >= 1
    if not told.numel() or told.ndim != 2 or classes.shape != told.shape[:1] or not whole:
        raise ValueError(
            f"Give one class for each image, one image and one bin or more; got "
            f"probabilities {tuple(told.shape)}, classes {tuple(classes.shape)} and {bins!r} bins."
        )
    told = told.double()
    if not (told >= 0).all() or not ((told.sum(1) - 1).abs() < SLACK).all():
        raise ValueError("Each image's probabilities must be 0 or more and have the sum 1; give a softmax's.")
    sure, best = told.max(1)
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
    sure = sure.double()
    where = torch.bucketize(sure, torch.arange(1, bins, dtype=torch.float64, device=sure.device) / bins)
    off = sure - right.double()
    return sum(float(off[where == each].sum().abs()) for each in where.unique()) / len(sure)
