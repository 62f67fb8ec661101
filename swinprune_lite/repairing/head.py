"""The head refitted: it learns to read what the pruned network gives, on drawn images of several kinds.

After cutting, the features that reach the head are turned and shifted, and the head still reads the dense ones. What
moved them is partly the same for all images, so drawn images show it. Two estimates keep what is true of drawn images
alone from doing harm: ridge regression, which pulls the head to the dense one, and shrinkage of each logit's shift by
how much the kinds of images disagree about it, as of a random effect.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic

PULL = 10.0  # to the dense head, in mean variances of a feature


def head_of(model: nn.Module) -> str | None:
    """Path of the linear layer that gives the logits; None where there is none, as in a backbone.

    It is what timm's `get_classifier` gives, or else the model's own `head`, `fc` or `classifier`.
    """
    found = model.get_classifier() if hasattr(model, "get_classifier") else None
    found = found or next((getattr(model, name) for name in ("head", "fc", "classifier") if hasattr(model, name)), None)
    plain = isinstance(found, nn.Linear) and found._parameters.get("weight") is not None  # not computed from others
    return next((path for path, each in model.named_modules() if each is found and plain), None)


@torch.no_grad()
def read_by(model: nn.Module, path: str, batches: Iterable[torch.Tensor]) -> torch.Tensor:
    """What a linear layer reads: float64 (rows, features), a row for each vector; (0, features) if it never runs.

    Args:
        model: in float64.
        path: of the layer.
        batches: images, float64 (B, C, H, W).
    """
    layer = model.get_submodule(path)
    found = [torch.empty(0, layer.in_features, dtype=torch.float64, device="cpu")]
    hook = layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].flatten(0, -2).cpu()))
    try:
        with in_evaluation(model), plain_arithmetic():
            for images in batches:
                model(images)
    finally:
        hook.remove()
    return torch.cat(found)


def refitted(
    weight: torch.Tensor, bias: torch.Tensor, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The head W', b' that reads the pruned network's features g as W, b read the dense one's f.

    W' minimises sum |W'(g - mean g) - W(f - mean f)|^2 + PULL v |W' - W|^2, where v is the mean over features of
    sum (g - mean g)^2. b' gives each logit back what is left of its shift: d, the mean over kinds of W mean(f - g),
    times s / (s + t). Here t is the variance over kinds, and s = max(0, d^2 - t / kinds) estimates the square of what
    they have in common.

    Args:
        weight: W, float64 (classes, features).
        bias: b, float64 (classes,).
        before: kind of image -> f, float64 (rows, features); two kinds or more.
        after: the same of g.

    Returns:
        W', b'.
    """
    f, g = (torch.cat([side[kind] for kind in before]) for side in (before, after))
    shifts = torch.stack([(before[kind] - after[kind]).mean(0) @ weight.T for kind in before])
    shift, spread = shifts.mean(0), shifts.var(0)
    common = (shift.square() - spread / len(shifts)).clamp_min(0)
    shift = shift * common / (common + spread).clamp_min(torch.finfo(torch.float64).tiny)
    centre = g.mean(0)
    read = g - centre
    gram = read.T @ read
    ridge = PULL * (float(gram.diagonal().mean()) or 1.0) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    change = weight @ torch.linalg.solve(gram + ridge, read.T @ (f - f.mean(0) - read)).T
    return weight + change, bias + shift - change @ centre
