"""Top-1 and top-5 accuracy, the same to the last image on every machine."""

import copy
import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.training.batches import Batch, check_logits, check_range, check_weights, pairs
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic

MARGIN = 1e-4  # of the largest logit: far above what float32 arithmetic differs by between processors


class Accuracy(NamedTuple):
    """Shares of images, in percent, whose class is the first, or among the first five, predicted.

    Of a model with fewer than five classes `top5` is nan: all of them would be among the first five.
    """

    top1: float
    top5: float
    images: int


class Answers(NamedTuple):
    """What a classifier says to every image.

    Attributes:
        rank: how many classes it prefers to the image's own, int64 (images,).
        own: the image's own class, int64 (images,).
        sure: the largest probability of the softmax of its logits, float64 (images,).
        classes: that it tells apart.
    """

    rank: torch.Tensor
    own: torch.Tensor
    sure: torch.Tensor
    classes: int

    @property
    def top1(self) -> torch.Tensor:
        """Whether the image's class is the first predicted, bool (images,)."""
        return self.rank < 1

    @property
    def top5(self) -> torch.Tensor:
        """Whether it is among the first five, bool (images,); (0,) of a model with fewer than five classes."""
        return (self.rank if self.classes >= 5 else self.rank[:0]) < 5


def evaluate(model: nn.Module, batches: Iterable[Batch]) -> Accuracy:
    """Accuracy of a classifier, computed in its own precision and on its own device; see `verdicts`.

    Of a model with fewer than five classes top-1 alone is reported, and top-5 is nan.
    """
    top1, top5 = verdicts(model, batches)
    return Accuracy(_percent(top1), _percent(top5), len(top1))


def _percent(right: torch.Tensor) -> float:
    return 100 * int(right.sum()) / len(right) if len(right) else math.nan


def verdicts(model: nn.Module, batches: Iterable[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    """For every image, whether its class is the first predicted, and whether it is among the first five.

    The few images whose verdict hangs on a difference of logits that rounding could turn are judged
    again in float64, so that processors that round differently still agree; of a model that cannot be computed in
    float64, such as a quantised one, its own precision decides. Nothing that the process was set to before, such as
    autocast or TF32, has a part in it.

    Args:
        model: maps images (B, C, H, W) to logits (B, classes); it is run in evaluation mode and left as it was.
        batches: pairs of images (B, C, H, W) and classes (B,), whole numbers below the number of logits.

    Returns:
        Two bool tensors (images,). The second is empty, (0,), for a model with fewer than five classes.

    Raises:
        TypeError: the batches are not iterable.
        ValueError: no images; a batch that is not such a pair, or has a class that the model does not; a model
            without weights, or whose logits are not (B, classes), of two classes or more, and finite.
    """
    found = answers(model, batches)
    return found.top1, found.top5


def answers(
    model: nn.Module,
    batches: Iterable[Batch],
    accelerator: Accelerator | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> Answers:
    """What the model says to every image; see `verdicts`, which says also what may be raised.

    Args:
        model: as there.
        batches: as there; with several processes each takes every so-many-th batch, by the batches' own `share`
            (index, processes) if they have one.
        accelerator: of Hugging Face Accelerate; None: one process. Every process has the model on its own device, and
            gets the answers to all images.
        progress: called with the images of each batch of this process.
    """
    check_weights(model)
    device, dtype = image_type(model)
    index, count = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    found: list[tuple[int, Answers]] = []
    precise = None
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        for number, (inputs, own) in enumerate(pairs(_share(batches, index, count))):
            if not len(inputs):
                continue
            logits = model(inputs.to(device, dtype))
            classes = check_logits(logits, len(inputs))
            check_range(own, classes)
            logits, own = logits.cpu(), own.cpu()
            rank, doubtful = _ranks(logits, own)
            if doubtful.any():
                precise = _in_float64(model) if precise is None else precise
                again = precise(inputs[doubtful])
                if again is not None:
                    rank[doubtful], _ = _ranks(again, own[doubtful])
            sure = logits.double().softmax(1).amax(1)
            found.append((index + number * count, Answers(rank, own, sure, classes)))
            progress(len(inputs))
    if count > 1:
        found = gather_object(found)
    if not found:
        raise ValueError("There are no images to evaluate on: the batches are empty.")
    parts = [part for _, part in sorted(found, key=lambda pair: pair[0])]
    return Answers(*(torch.cat([part[place] for part in parts]) for place in range(3)), parts[0].classes)


class Mixed(nn.Module):
    """A model in torch's automatic mixed precision: bfloat16 on a CPU, float16 on a GPU; its logits are float32.

    What `answers` judges again in float64 is judged in float64.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, C, H, W) to logits (B, classes)."""
        with torch.autocast(images.device.type):
            logits = self.model(images)
        return logits if logits.dtype == torch.float64 else logits.float()


def _share(batches: Iterable[Batch], index: int, count: int) -> Iterable[Batch]:
    """Every `count`-th batch from the one of this index on."""
    if count == 1:
        return batches
    return batches.share(index, count) if hasattr(batches, "share") else islice(batches, index, None, count)


def _in_float64(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor | None]:
    """What the model gives images in float64 on the CPU: logits (B, classes), or None where it does not run so."""
    try:
        precise = copy.deepcopy(model).cpu().double()
    except Exception:  # whatever a model may raise, here and below
        return lambda images: None

    def logits(images: torch.Tensor) -> torch.Tensor | None:
        try:
            return precise(images.cpu().double())
        except Exception:
            return None

    return logits


def _ranks(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rank (from 0) of each image's class among its logits (B, classes), and whether rounding could move it
    into or out of the first one or five. Of equal logits the lower class ranks first.
    """
    if not torch.isfinite(logits).all():
        raise ValueError("The model's logits are not finite; check its weights for NaN or infinity.")
    classes = classes[:, None]
    own = logits.gather(1, classes)
    earlier = torch.arange(logits.shape[1], device=logits.device) < classes
    rank = ((logits > own) | ((logits == own) & earlier)).sum(1)
    margin = MARGIN * logits.abs().amax(1, keepdim=True)
    best = (logits > own + margin).sum(1)
    worst = (logits >= own - margin).sum(1) - 1
    doubtful = sum((best < k) & (worst >= k) for k in (1, 5)) > 0
    return rank, doubtful
