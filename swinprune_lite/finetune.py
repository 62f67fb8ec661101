"""Fine-tuning of a pruned model with its masks held."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.optim import param_groups_weight_decay
from torch import nn


@dataclass(frozen=True)
class Recipe:
    """AdamW with a linear warm-up and a cosine to zero.

    Attributes:
        epochs: passes over the batches.
        lr: peak learning rate.
        warm_up: share of all steps, in [0, 1].
        weight_decay: of the weight matrices (not of biases and norms).
        label_smoothing: share of the target spread over all classes.
        clip_norm: largest norm of the gradient.
        precision: type the whole model is trained in. float64 costs about twice the time of float32 and
            buys results that agree between processors to the printed digit.
    """

    epochs: int = 1
    lr: float = 1e-4
    warm_up: float = 0.25
    weight_decay: float = 1e-8
    label_smoothing: float = 0.05
    clip_norm: float = 1.0
    precision: torch.dtype = torch.float64


def finetune(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Train in place; masks held by `apply_masks` stay held. The model comes back in its own precision and mode.

    Args:
        model: the network, usually pruned.
        batches: sized iterable of images (B, C, H, W) and classes (B,), iterated once an epoch.
        recipe: how.
        progress: called after each step with the steps done and their total.

    Returns:
        The loss of every step.

    Raises:
        ValueError: no batches.
        FloatingPointError: the loss is not finite.
    """
    steps = recipe.epochs * len(batches)
    if steps == 0:
        raise ValueError("There is nothing to fine-tune on: the batches or the epochs are zero.")
    own_precision, was_training = next(model.parameters()).dtype, model.training
    model.to(recipe.precision).train()
    optimizer = torch.optim.AdamW(param_groups_weight_decay(model, recipe.weight_decay), recipe.lr)
    warm = max(1, round(recipe.warm_up * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))) / 2),
    )
    device, losses = next(model.parameters()).device, []
    for _ in range(recipe.epochs):
        for images, classes in batches:
            logits = model(images.to(device, recipe.precision))
            loss = F.cross_entropy(logits, classes.to(device), label_smoothing=recipe.label_smoothing)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"The loss is {loss.item()} at step {len(losses)}; lower the learning rate.")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            progress(len(losses), steps)
    model.to(own_precision).train(was_training)
    return losses
