"""Statistics of layers over a few images, gathered once: what each prunable weight reads, and its gradients."""

from collections.abc import Iterable
from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.training.batches import Batch, check_weights, pairs
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Gradients, InputMoments


def input_moments(model: nn.Module, batches: Iterable[Batch]) -> dict[str, InputMoments]:
    """Moments of what each prunable layer reads, in float64, in evaluation mode; the model is left as it is.

    Args:
        model: a network whose prunable weights are used by `F.linear`, as nn.Linear does it.
        batches: pairs of images (B, C, H, W) and classes, which are not looked at.

    Returns:
        Parameter name -> `InputMoments`.

    Raises:
        ValueError: no images, or a prunable weight that no linear map used.
    """
    check_weights(model)
    device, dtype = image_type(model)
    watch = _Inputs({id(model.get_parameter(name)): name for name in prunable(model)})
    images = 0
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        for batch, _ in pairs(batches):
            images += len(batch)
            with watch:
                model(batch.to(device, dtype))
    if not images:
        raise ValueError("There are no images to gather statistics from: the batches are empty.")
    if missing := [name for name in prunable(model) if name not in watch.found]:
        raise ValueError(f"{missing[0]} was used by no linear map, so what it reads cannot be told.")
    return {
        name: InputMoments(total / count, second / count, count)
        for name, (total, second, count) in ((name, watch.found[name]) for name in prunable(model))
    }


class _Inputs(TorchFunctionMode):
    """Sums over the inputs of every linear map whose weight is watched, in whatever way it is called."""

    def __init__(self, watched: dict[int, str]) -> None:
        super().__init__()
        self.watched, self.found = watched, {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.linear:
            read, weight = _operands(*args, **kwargs)
            if name := self.watched.get(id(weight)):
                rows = read.detach().double().reshape(-1, read.shape[-1])
                sums = rows.sum(0).cpu(), (rows.T @ rows).cpu(), len(rows)
                self.found[name] = tuple(map(sum, zip(self.found.get(name, (0, 0, 0)), sums)))
        return func(*args, **kwargs)


def _operands(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> tuple:
    """What `F.linear` multiplies, however its arguments are given."""
    return input, weight


def gradients(model: nn.Module, batches: Iterable[Batch], images: int | None = None) -> dict[str, Gradients]:
    """Gradients of the cross-entropy with respect to every prunable weight, one image at a time, in evaluation mode.

    Args:
        model: images (B, C, H, W) to logits (B, classes); it is left as it is.
        batches: pairs of images and classes (B,).
        images: the first so many; None: all.

    Returns:
        Parameter name -> `Gradients`.

    Raises:
        ValueError: no images, or a prunable weight that the loss does not depend on.
    """
    check_weights(model)
    device, dtype = image_type(model)
    names = prunable(model)
    weights = [model.get_parameter(name) for name in names]
    kept = [weight.requires_grad for weight in weights]
    sums = {
        name: [torch.zeros(weight.shape, dtype=torch.float64) for _ in "ab"] for name, weight in zip(names, weights)
    }
    count = 0
    single = ((image[None], label[None]) for batch in pairs(batches) for image, label in zip(*batch))
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with in_evaluation(model), plain_arithmetic():
            for image, label in islice(single, images):
                loss = F.cross_entropy(model(image.to(device, dtype)).float(), label.to(device))
                found = torch.autograd.grad(loss, weights, allow_unused=True)
                for name, gradient in zip(names, found):
                    if gradient is None:
                        raise ValueError(f"The loss does not depend on {name}, so it has no gradient.")
                    gradient = gradient.detach().cpu().double()
                    sums[name][0] += gradient
                    sums[name][1] += gradient.square()
                count += 1
    finally:
        for weight, needed in zip(weights, kept):
            weight.requires_grad_(needed)
    if not count:
        raise ValueError("There are no images to gather gradients from: the batches are empty.")
    return {name: Gradients(total / count, square / count, count) for name, (total, square) in sums.items()}


GATHER = {InputMoments: input_moments, Gradients: gradients}
"""Kind of statistic -> what gathers it from a model and batches."""
