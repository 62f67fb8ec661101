"""Statistics of layers over a few images, gathered once: what each prunable weight reads, and its gradients."""

from collections.abc import Iterable, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.training.batches import Batch, check_logits, check_range, check_weights, pairs, run
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Gradients, InputMoments


def input_moments(
    model: nn.Module, batches: Iterable[Batch], names: Sequence[str] | None = None
) -> dict[str, InputMoments]:
    """Moments of what each prunable layer reads, in float64, in evaluation mode; the model is left as it is.

    Args:
        model: a network whose prunable weights are used by `F.linear` or by convolutions of one group, as torch's own
            layers do it. A kernel's columns are those of `weight.flatten(1)`: what one output reads.
        batches: pairs of images (B, C, H, W) and classes, which are not looked at.
        names: of the weights, as the model's parameters are named; None: all that are prunable.

    Returns:
        Parameter name -> `InputMoments`.

    Raises:
        ValueError: no images, images that the model does not take, or a weight that no linear map or convolution of
            one group used.
    """
    check_weights(model)
    names = prunable(model) if names is None else names
    device, dtype = image_type(model)
    watch = _Inputs({id(model.get_parameter(name)): name for name in names})
    images = 0
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        for batch, _ in pairs(batches):
            images += len(batch)
            with watch:
                run(model, batch.to(device, dtype))
    if not images:
        raise ValueError("There are no images to gather statistics from: the batches are empty.")
    if missing := [name for name in names if name not in watch.found]:
        raise ValueError(
            f"{missing[0]} was used by no linear map or convolution of one group, so what it reads cannot be told."
        )
    return {
        name: InputMoments(total / count, second / count, count)
        for name, (total, second, count) in ((name, watch.found[name]) for name in names)
    }


class _Inputs(TorchFunctionMode):
    """Sums over the inputs of every linear map and convolution whose weight is watched, however it is called."""

    def __init__(self, watched: dict[int, str]) -> None:
        super().__init__()
        self.watched, self.found = watched, {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in READ_BY:
            weight = kwargs["weight"] if "weight" in kwargs else args[1]
            if name := self.watched.get(id(weight)):
                rows = READ_BY[func](*args, **kwargs)
                sums = rows.sum(0).cpu(), (rows.T @ rows).cpu(), len(rows)
                self.found[name] = tuple(map(sum, zip(self.found.get(name, (0, 0, 0)), sums)))
        return func(*args, **kwargs)


def _by_linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """What `F.linear` multiplies with each row, float64 (positions, columns)."""
    return input.detach().double().reshape(-1, input.shape[-1])


def _by_convolution(
    input: torch.Tensor, weight: torch.Tensor, bias=None, stride=1, padding=0, dilation=1, groups: int = 1
) -> torch.Tensor:
    """What a convolution of one group multiplies with each kernel, float64 (positions, columns)."""
    image, sides = input.detach().double(), weight.shape[2:]
    image = image if image.ndim == weight.ndim else image[None]
    stride, dilation = (each if isinstance(each, tuple) else len(sides) * (each,) for each in (stride, dilation))
    if padding == "same":  # torch's own: the odd one comes last
        over = [step * (side - 1) for step, side in zip(dilation, sides)]
        image = F.pad(image, [end for each in reversed(over) for end in (each // 2, each - each // 2)])
    around = (0,) * len(sides) if isinstance(padding, str) else padding
    around = around if isinstance(around, tuple) else len(sides) * (around,)
    if len(sides) == 1:  # torch unfolds images alone
        image, sides, stride, dilation, around = (
            image[:, :, None],
            (1, *sides),
            (1, *stride),
            (1, *dilation),
            (0, *around),
        )
    columns = F.unfold(image, sides, dilation, around, stride)
    return columns.transpose(1, 2).reshape(-1, columns.shape[1])


READ_BY = {F.linear: _by_linear, F.conv1d: _by_convolution, F.conv2d: _by_convolution}


def gradients(model: nn.Module, batches: Iterable[Batch], images: int | None = None) -> dict[str, Gradients]:
    """Gradients of the cross-entropy with respect to every prunable weight, one image at a time, in evaluation mode.

    Args:
        model: images (B, C, H, W) to logits (B, classes); it is left as it is.
        batches: pairs of images and classes (B,).
        images: the first so many; None: all.

    Returns:
        Parameter name -> `Gradients`.

    Raises:
        ValueError: no images, images or classes that the model does not take, or a prunable weight that the loss does
            not depend on.
    """
    check_weights(model)
    device, dtype = image_type(model)
    names = prunable(model)
    weights = [model.get_parameter(name) for name in names]
    kept = [weight.requires_grad for weight in weights]
    sums = {
        name: [torch.zeros(weight.shape, dtype=torch.float64, device="cpu") for _ in "ab"]
        for name, weight in zip(names, weights)
    }
    count = 0
    single = ((image[None], label[None]) for batch in pairs(batches) for image, label in zip(*batch))
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with in_evaluation(model), plain_arithmetic():
            for image, label in islice(single, images):
                logits = run(model, image.to(device, dtype))
                check_range(label, check_logits(logits, 1))
                loss = F.cross_entropy(logits.float(), label.to(device))
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
