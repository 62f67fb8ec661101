"""Fine-tuning of a pruned model with its masks held, on one CPU or, under `accelerate launch`, on many GPUs."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.data import Mixup
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.utils.data import DataLoader

from swinprune_lite.files import require_writable
from swinprune_lite.training.batches import (
    Batch,
    check_ahead,
    check_logits,
    check_range,
    check_trainable,
    check_training_batch,
    outputs,
)
from swinprune_lite.training.distillation import told
from swinprune_lite.training.recipe import Recipe
from swinprune_lite.training.state import identity_of, load_state, save_state, state_of_run
from swinprune_lite.training.surroundings import (
    kept_generators,
    kept_modes,
    own_accelerator,
    plain_arithmetic,
)


def finetune(
    model: nn.Module,
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
    accelerator: Accelerator | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    teacher: nn.Module | None = None,
    after_epoch: Callable[[list[float]], None] = lambda losses: None,
) -> list[float]:
    """Train in place; masks held by `apply_masks` stay held. The model comes back in its own precision and mode.

    What the process was set to before (autocast, TF32, an Accelerator elsewhere) has no part in it, apart from the
    `accelerator` given, and is as it was afterwards, the random generators too.

    Args:
        model: the network, usually pruned: images (B, C, H, W) to logits (B, classes).
        batches: sized iterable of images (B, C, H, W) and classes (B,), whole numbers, or in their place
            probabilities (B, classes); iterated once an epoch. If it has `set_epoch`, that is called with the
            epoch's number first. With several processes each takes its share: one step of n processes sees n of
            the batches.
        recipe: how.
        progress: called after each step with the steps done and their total.
        accelerator: of Hugging Face Accelerate; None: one process, on the model's device.
        checkpoint: a file, written after every epoch and gone on from if it is there; None: none.
        seed: of mixup and of the model's own randomness. Python's, NumPy's and torch's generators are seeded
            from it anew in every epoch, so that a run that was resumed equals one that was not.
        teacher: in evaluation mode and on the accelerator's device, images to logits (B, classes); its probabilities of
            each image, mixed as it was, take the classes' place. None: the classes are learned.
        after_epoch: called in every process with the losses so far, before the epoch's checkpoint is written: after a
            kill the epoch is done again, this with it.

    Returns:
        The loss of every step, the mean over the processes; of a resumed run from its very beginning.

    Raises:
        TypeError: batches without a length.
        ValueError: no batches, or fewer than their length; a recipe or a seed that means nothing; a model that
            cannot learn, or whose logits are not (B, classes); a batch that does not go with it; or a checkpoint
            that is damaged or belongs to another run. All of it but what only later batches show is checked
            before the first step, of a list of batches everything.
        OSError: a checkpoint that cannot be written.
        FloatingPointError: the loss is not finite; the step was not taken.
    """
    device = check_trainable(model).device
    recipe.check()
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise ValueError(f"The seed must be a whole number; got {seed!r}.")
    if checkpoint := Path(checkpoint) if checkpoint else None:
        require_writable(checkpoint)
    own = own_accelerator(device) if accelerator is None else nullcontext(accelerator)
    with (
        own as accelerator, kept_generators(), kept_modes(model), plain_arithmetic(), torch.inference_mode(False),
        torch.enable_grad(),
    ):  # fmt: skip
        check_ahead(model, batches, recipe.mixes, accelerator.num_processes)
        shares = _Shares(recipe, model, accelerator, teacher)
        return _train(model, batches, recipe, progress, accelerator, checkpoint, seed, shares, after_epoch)


@contextmanager
def _in_precision(model: nn.Module, precision: torch.dtype, losses: list[float]) -> Iterator[None]:
    """The model in another precision meanwhile. What no step changed is as it was to the bit, and buffers have their
    own types again.
    """
    own = next(model.parameters()).dtype
    loses = torch.promote_types(own, precision) != precision
    weights = [(weight, weight.detach().clone()) for weight in model.parameters() if loses]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules() for name, buffer in module._buffers.items() if buffer is not None
    ]  # fmt: skip
    model.to(precision)
    try:
        yield
    finally:
        now = [module._buffers.get(name) for module, name, _, _ in buffers]
        weights = [(weight, before) for weight, before in weights if not losses or _is_rounded(weight, before)]
        model.to(own)
        for weight, before in weights:
            weight.data.copy_(before)
        for (module, name, buffer, before), after in zip(buffers, now):
            if after is not None:
                values = before if not losses or _is_rounded(after, before) else after
                buffer.data = values.to(after.device, before.dtype)
                module._buffers[name] = buffer


def _is_rounded(after: torch.Tensor, before: torch.Tensor) -> bool:
    """Whether a tensor holds what it held before, in its present type."""
    return after.shape == before.shape and torch.equal(after, before.to(after.device, after.dtype))


def _train(
    model: nn.Module,
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Callable[[int, int], None],
    accelerator: Accelerator,
    checkpoint: Path | None,
    seed: int,
    shares: "_Shares",
    after_epoch: Callable[[list[float]], None],
) -> list[float]:
    steps_an_epoch = len(batches) // accelerator.num_processes
    steps = recipe.epochs * steps_an_epoch
    identity = identity_of(model, recipe, steps, accelerator.num_processes, seed)
    state = state_of_run(checkpoint, identity, model) if checkpoint and checkpoint.exists() else None
    losses = state["losses"] if state else []
    with _in_precision(model, recipe.precision, losses):
        model.to(accelerator.device).train()
        optimizer = torch.optim.AdamW(param_groups_weight_decay(model, recipe.weight_decay), recipe.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, steps))
        parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
        parts |= {"scaler": accelerator.scaler} if accelerator.scaler else {}
        if state:
            load_state(state, parts, checkpoint)
        replaced = "forward" in vars(model)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        batches = accelerator.prepare(batches) if isinstance(batches, DataLoader) else batches
        try:
            for epoch in range(len(losses) // steps_an_epoch, recipe.epochs):
                set_seed((1_000_003 * seed + 1_009 * epoch) % 2**31, device_specific=True)
                for images, targets in shares.of(batches, epoch, steps_an_epoch):
                    losses.append(_step(accelerator, wrapped, optimizer, recipe, images, targets, len(losses)))
                    schedule.step()
                    progress(len(losses), steps)
                if len(losses) != (epoch + 1) * steps_an_epoch:
                    done = len(losses) - epoch * steps_an_epoch
                    raise ValueError(
                        f"Epoch {epoch} ended after {done} of {steps_an_epoch} batches; give batches that can be "
                        "iterated once an epoch and are as many as their length says."
                    )
                after_epoch(losses)
                if checkpoint and accelerator.is_main_process:
                    save_state(checkpoint, parts, identity, losses)
            accelerator.wait_for_everyone()
        finally:
            accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
            if not replaced:
                vars(model).pop("forward", None)  # that Accelerate left in the model
    return losses


def _step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    images: torch.Tensor,
    targets: torch.Tensor,
    step: int,
) -> float:
    """One step on this process's batch; the loss, the mean over the processes."""
    logits = model(images.to(accelerator.device, recipe.precision))
    check_logits(logits, len(images))
    targets = targets.to(accelerator.device, logits.dtype if targets.is_floating_point() else None)
    loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    mean = accelerator.reduce(loss.detach(), "mean").item()
    if not math.isfinite(mean):
        raise FloatingPointError(f"The loss is {mean} at step {step}; lower the learning rate.")
    optimizer.zero_grad()
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    optimizer.step()
    return mean


@dataclass
class _Shares:
    """What each process learns from."""

    recipe: Recipe
    model: nn.Module
    accelerator: Accelerator
    teacher: nn.Module | None

    def of(self, batches: Iterable, epoch: int, steps: int) -> Iterator[Batch]:
        """This process's batches of an epoch, mixed if the recipe says so, and with the answers of a teacher, if any.

        A DataLoader was shared out by Accelerate.
        """
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(epoch)
        if not isinstance(batches, DataLoader):
            batches = islice(batches, self.accelerator.process_index, None, self.accelerator.num_processes)
        recipe, classes = self.recipe, None
        for batch in islice(batches, steps):
            classes = classes or outputs(self.model, batch)
            images, targets = check_training_batch(batch, classes, recipe.mixes)
            if recipe.mixes:  # in place, so not in the caller's own tensors
                mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=classes)
                images, targets = mix(images.clone(), targets)
            if self.teacher is not None:
                targets = told(self.teacher, images)
                check_range(targets, classes)
            yield images, targets
