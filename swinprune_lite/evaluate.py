"""Top-1 and top-5 accuracy, the same to the last image on every machine."""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from swinprune_lite.importance import check_loaded
from swinprune_lite.inputs import image_type

MARGIN = 1e-4  # of the largest logit: far above what float32 arithmetic differs by between processors


class Accuracy(NamedTuple):
    """Shares of images, in percent, whose class is the first, or among the first five, predicted."""

    top1: float
    top5: float
    images: int


def evaluate(model: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Accuracy:
    """Accuracy of a classifier, computed in its own precision and on its own device; see `ranks`."""
    rank = ranks(model, batches)
    top1, top5 = (100 * int((rank < k).sum()) / len(rank) for k in (1, 5))
    return Accuracy(top1, top5, len(rank))


@torch.inference_mode()
def ranks(model: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """How many classes the model prefers to each image's own.

    The few images whose verdict hangs on a difference of logits that rounding could turn are judged
    again in float64, so that processors that round differently still agree.

    Args:
        model: maps images (B, C, H, W) to logits (B, classes); its training mode is left as it was.
        batches: pairs of images (B, C, H, W) and classes (B,).

    Returns:
        int64 tensor (images,): 0 where the top-1 prediction is right, below 5 where top-5 is. Other
        values may differ by one or two between processors.

    Raises:
        ValueError: no images, fewer than five classes, logits that are not finite, or a model on the meta device.
    """
    for name, parameter in model.named_parameters():
        check_loaded(name, parameter)
    was_training = model.training
    device, dtype = image_type(model)
    precise = None
    found = []
    model.eval()
    try:
        for inputs, classes in batches:
            logits = model(inputs.to(device, dtype)).cpu()
            rank, doubtful = _ranks(logits, classes)
            if doubtful.any():
                precise = precise or copy.deepcopy(model).cpu().double()
                rank[doubtful], _ = _ranks(precise(inputs[doubtful].cpu().double()), classes[doubtful])
            found.append(rank)
    finally:
        model.train(was_training)
    if not sum(map(len, found)):
        raise ValueError("There are no images to evaluate on: the batches are empty.")
    return torch.cat(found)


def _ranks(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rank (from 0) of each image's class among its logits (B, classes), and whether rounding could move it
    into or out of the first one or five. Of equal logits the lower class ranks first.
    """
    if logits.shape[-1] < 5:
        raise ValueError(f"Top-5 needs at least five classes; the model has {logits.shape[-1]}.")
    if not torch.isfinite(logits).all():
        raise ValueError("The model's logits are not finite; check its weights for NaN or infinity.")
    classes = classes.cpu()[:, None]
    own = logits.gather(1, classes)
    earlier = torch.arange(logits.shape[1], device="cpu") < classes
    rank = ((logits > own) | ((logits == own) & earlier)).sum(1)
    margin = MARGIN * logits.abs().amax(1, keepdim=True)
    best = (logits > own + margin).sum(1)
    worst = (logits >= own - margin).sum(1) - 1
    doubtful = sum((best < k) & (worst >= k) for k in (1, 5)) > 0
    return rank, doubtful
