"""Fine-tuning of a pruned model with its masks held, on one CPU or, under `accelerate launch`, on many GPUs."""

import hashlib
import math
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.data import Mixup
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.utils.data import DataLoader

from swinprune_lite.files import atomic
from swinprune_lite.holding import held_masks


@dataclass(frozen=True)
class Recipe:
    """AdamW with a linear warm-up and a cosine.

    Attributes:
        epochs: passes over the batches.
        lr: peak learning rate.
        min_lr: where the cosine ends.
        warm_up_lr: where the warm-up begins.
        warm_up: share of all steps, in [0, 1].
        weight_decay: of the weight matrices (not of biases and norms).
        label_smoothing: share of the target spread over all classes.
        clip_norm: largest norm of the gradient.
        mixup, cutmix: alphas of timm's Mixup, which takes one of the two for each batch; 0: none. A batch
            is mixed within itself, so it must hold an even number of images.
        precision: type the whole model is trained in. float64 costs about twice the time of float32 and
            buys results that agree between processors to the printed digit.
    """

    epochs: int = 1
    lr: float = 1e-4
    min_lr: float = 0.0
    warm_up_lr: float = 0.0
    warm_up: float = 0.25
    weight_decay: float = 1e-8
    label_smoothing: float = 0.05
    clip_norm: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    precision: torch.dtype = torch.float64

    def scaled(self, factor: float) -> "Recipe":
        """The recipe with every learning rate times `factor`, as Swin's code scales them with the batch size."""
        return replace(self, lr=self.lr * factor, min_lr=self.min_lr * factor, warm_up_lr=self.warm_up_lr * factor)

    def factor(self, step: int, steps: int) -> float:
        """What `lr` is multiplied by in step `step` (from 0) of `steps`."""
        warm = max(1, round(self.warm_up * steps))
        start, end = self.warm_up_lr / self.lr, self.min_lr / self.lr
        rise = start + (1 - start) * ((step + 1) / warm)
        fall = (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))) / 2
        return min(rise, end + (1 - end) * fall)


PAPER_RECIPE = Recipe(
    epochs=30, lr=2e-5, min_lr=2e-7, warm_up_lr=2e-8, warm_up=0.5, weight_decay=1e-8,
    label_smoothing=0.1, clip_norm=5.0, mixup=0.8, cutmix=1.0, precision=torch.float32,
)  # fmt: skip
"""The paper's (section 4.1). What it leaves open, label smoothing, gradient clipping and the alphas, is Swin's own;
stochastic depth is the model's, which timm builds with 0.1."""


def finetune(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
    accelerator: Accelerator | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
) -> list[float]:
    """Train in place; masks held by `apply_masks` stay held. The model comes back in its own precision and mode.

    Args:
        model: the network, usually pruned.
        batches: sized iterable of images (B, C, H, W) and classes (B,), iterated once an epoch; if it has
            `set_epoch`, that is called with the epoch's number first. With several processes each takes its
            share: one step of n processes sees n of the batches.
        recipe: how.
        progress: called after each step with the steps done and their total.
        accelerator: of Hugging Face Accelerate; None: one process, on the model's device.
        checkpoint: a file, written after every epoch and gone on from if it is there; None: none.
        seed: of mixup and of the model's own randomness. Python's, NumPy's and torch's generators are seeded
            from it anew in every epoch, so that a run that was resumed equals one that was not.

    Returns:
        The loss of every step, the mean over the processes; of a resumed run from its very beginning.

    Raises:
        ValueError: no batches, or a checkpoint that is damaged or belongs to another run.
        FloatingPointError: the loss is not finite.
    """
    accelerator = accelerator or Accelerator(cpu=next(model.parameters()).device.type == "cpu")
    if recipe.epochs == 0 or (steps_an_epoch := len(batches) // accelerator.num_processes) == 0:
        raise ValueError(
            "There is nothing to fine-tune on: the epochs are zero, or there are fewer batches "
            f"({len(batches)}) than processes ({accelerator.num_processes})."
        )
    steps = recipe.epochs * steps_an_epoch
    own_precision, was_training = next(model.parameters()).dtype, model.training
    model.to(accelerator.device, recipe.precision).train()
    optimizer = torch.optim.AdamW(param_groups_weight_decay(model, recipe.weight_decay), recipe.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, steps))
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    parts |= {"scaler": accelerator.scaler} if accelerator.scaler else {}
    identity = _identity(model, recipe, steps, accelerator.num_processes, seed)
    losses = _resume(checkpoint, parts, identity) if checkpoint and checkpoint.exists() else []
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    shares = accelerator.prepare(batches) if isinstance(batches, DataLoader) else batches
    for epoch in range(len(losses) // steps_an_epoch, recipe.epochs):
        set_seed((1_000_003 * seed + 1_009 * epoch) % 2**31, device_specific=True)
        for images, targets in _share(shares, epoch, steps_an_epoch, accelerator, recipe, model):
            loss = _step(accelerator, wrapped, optimizer, recipe, images, targets)
            if not math.isfinite(loss):
                raise FloatingPointError(f"The loss is {loss} at step {len(losses)}; lower the learning rate.")
            schedule.step()
            losses.append(loss)
            progress(len(losses), steps)
        if checkpoint and accelerator.is_main_process:
            _save(checkpoint, parts, identity, losses)
    accelerator.wait_for_everyone()
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
    model.to(own_precision).train(was_training)
    return losses


def _step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    images: torch.Tensor,
    targets: torch.Tensor,
) -> float:
    """One step on this process's batch; the loss, the mean over the processes."""
    logits = model(images.to(accelerator.device, recipe.precision))
    loss = F.cross_entropy(logits, targets.to(accelerator.device), label_smoothing=recipe.label_smoothing)
    optimizer.zero_grad()
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    optimizer.step()
    return accelerator.reduce(loss.detach(), "mean").item()


def _share(
    batches: Iterable, epoch: int, steps: int, accelerator: Accelerator, recipe: Recipe, model: nn.Module
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """This process's batches of an epoch, mixed if the recipe says so. A DataLoader was shared out by Accelerate."""
    if hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)
    if not isinstance(batches, DataLoader):
        batches = islice(batches, accelerator.process_index, None, accelerator.num_processes)
    mix = None
    if recipe.mixup or recipe.cutmix:
        mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=model.num_classes)
    for images, classes in islice(batches, steps):
        yield mix(images, classes) if mix else (images, classes)


def _identity(model: nn.Module, recipe: Recipe, steps: int, processes: int, seed: int) -> dict[str, str]:
    """What a checkpoint must agree in with the run that goes on from it."""
    held = hashlib.sha256()
    for name, mask in sorted(held_masks(model).items()):
        held.update(f"{name}_mask".encode() + mask.cpu().numpy().tobytes())
    told = {name: str(value) for name, value in asdict(recipe).items()}
    return told | {
        "steps": str(steps),
        "processes": str(processes),
        "seed": str(seed),
        "masks": held.hexdigest()[:12],
    }


def _save(path: Path, parts: dict, identity: dict[str, str], losses: list[float]) -> None:
    with atomic(path) as temporary:
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"identity": identity, "losses": losses} | state, temporary)


def _resume(path: Path, parts: dict, identity: dict[str, str]) -> list[float]:
    """Load a checkpoint into the model, the optimizer and the schedule; its losses."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, losses = state["identity"], state["losses"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(
            f"{path} is no checkpoint of a fine-tuning ({reason}); it was not used. Remove it to begin anew."
        ) from error
    if differing := [name for name, value in identity.items() if found.get(name) != value]:
        said = ", ".join(f"{name} {found.get(name)} there and {identity[name]} here" for name in differing)
        raise ValueError(f"{path} belongs to another run: {said}. Remove it to begin anew, or give the same settings.")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return losses
