"""Fine-tuning of a pruned model with its masks held, on one CPU or, under `accelerate launch`, on many GPUs."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from numbers import Integral, Real
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.data import Mixup
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.utils.data import DataLoader

from swinprune_lite.files import atomic, check_finite, load_weights_only, reason, require_writable
from swinprune_lite.training.batches import (
    Batch,
    check_ahead,
    check_logits,
    check_trainable,
    check_training_batch,
    outputs,
)
from swinprune_lite.training.surroundings import (
    kept_generators,
    kept_modes,
    own_accelerator,
    plain_arithmetic,
)

_STATE = {"identity": dict, "losses": list, "model": dict, "optimizer": dict, "schedule": dict}
_BEGIN_ANEW = "it was not used. Remove it to begin anew."


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

    @property
    def mixes(self) -> bool:
        """Whether batches are mixed."""
        return bool(self.mixup or self.cutmix)

    def check(self) -> None:
        """Raise ValueError unless every value means something."""
        if self.epochs == 0:
            raise ValueError("There is nothing to fine-tune on: the epochs of the recipe are zero.")
        if not isinstance(self.epochs, Integral) or self.epochs < 0:
            raise ValueError(f"The recipe's epochs must be a whole number, 1 or more; got {self.epochs!r}.")
        ranges = {"lr": math.inf, "min_lr": self.lr, "warm_up_lr": self.lr, "warm_up": 1, "weight_decay": math.inf,
                  "label_smoothing": 1, "clip_norm": math.inf, "mixup": math.inf, "cutmix": math.inf}  # fmt: skip
        for name, top in ranges.items():
            value = getattr(self, name)
            number = isinstance(value, Real) and (math.isfinite(value) or name == "clip_norm")
            if not number or not 0 <= value <= top or (value == 0 and name in ("lr", "clip_norm")):
                least = "above 0" if name in ("lr", "clip_norm") else "0 or more"
                most = f", and at most {'its lr, ' if top == self.lr else ''}{top}" if top < math.inf else ""
                raise ValueError(f"The recipe's {name} must be a number {least}{most}; got {value!r}.")
        if self.precision not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(
                f"The recipe's precision must be torch.float64, float32, bfloat16 or float16; got {self.precision!r}."
            )

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
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
    accelerator: Accelerator | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
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
        return _train(model, batches, recipe, progress, accelerator, checkpoint, seed)


@contextmanager
def _in_precision(model: nn.Module, precision: torch.dtype, losses: list[float]) -> Iterator[None]:
    """The model in another precision meanwhile; as it was to the bit, if no step was taken."""
    own = next(model.parameters()).dtype
    loses = torch.promote_types(own, precision) != precision
    tensors = [*model.parameters(), *model.buffers()] if loses else []
    kept = [tensor.detach().clone() for tensor in tensors]
    model.to(precision)
    try:
        yield
    finally:
        model.to(own)
        if loses and not losses:
            for tensor, values in zip([*model.parameters(), *model.buffers()], kept):
                tensor.data.copy_(values)


def _train(
    model: nn.Module,
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Callable[[int, int], None],
    accelerator: Accelerator,
    checkpoint: Path | None,
    seed: int,
) -> list[float]:
    steps_an_epoch = len(batches) // accelerator.num_processes
    steps = recipe.epochs * steps_an_epoch
    identity = _identity(model, recipe, steps, accelerator.num_processes, seed)
    state = _read(checkpoint, identity, model) if checkpoint and checkpoint.exists() else None
    losses = state["losses"] if state else []
    with _in_precision(model, recipe.precision, losses):
        model.to(accelerator.device).train()
        optimizer = torch.optim.AdamW(param_groups_weight_decay(model, recipe.weight_decay), recipe.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, steps))
        parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
        parts |= {"scaler": accelerator.scaler} if accelerator.scaler else {}
        if state:
            _load(state, parts, checkpoint)
        replaced = "forward" in vars(model)
        wrapped, optimizer = accelerator.prepare(model, optimizer)
        shares = accelerator.prepare(batches) if isinstance(batches, DataLoader) else batches
        try:
            for epoch in range(len(losses) // steps_an_epoch, recipe.epochs):
                set_seed((1_000_003 * seed + 1_009 * epoch) % 2**31, device_specific=True)
                for images, targets in _share(shares, epoch, steps_an_epoch, accelerator, recipe, model):
                    losses.append(_step(accelerator, wrapped, optimizer, recipe, images, targets, len(losses)))
                    schedule.step()
                    progress(len(losses), steps)
                if len(losses) != (epoch + 1) * steps_an_epoch:
                    done = len(losses) - epoch * steps_an_epoch
                    raise ValueError(
                        f"Epoch {epoch} ended after {done} of {steps_an_epoch} batches; give batches that can be "
                        "iterated once an epoch and are as many as their length says."
                    )
                if checkpoint and accelerator.is_main_process:
                    _save(checkpoint, parts, identity, losses)
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


def _share(
    batches: Iterable, epoch: int, steps: int, accelerator: Accelerator, recipe: Recipe, model: nn.Module
) -> Iterator[Batch]:
    """This process's batches of an epoch, mixed if the recipe says so. A DataLoader was shared out by Accelerate."""
    if hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)
    if not isinstance(batches, DataLoader):
        batches = islice(batches, accelerator.process_index, None, accelerator.num_processes)
    classes = None
    for batch in islice(batches, steps):
        classes = classes or outputs(model, batch)
        images, targets = check_training_batch(batch, classes, recipe.mixes)
        if recipe.mixes:  # in place, so not in the caller's own tensors
            mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=classes)
            images, targets = mix(images.clone(), targets)
        yield images, targets


def _identity(model: nn.Module, recipe: Recipe, steps: int, processes: int, seed: int) -> dict[str, str]:
    """What a checkpoint must agree in with the run that goes on from it."""
    held = hashlib.sha256()
    for name, buffer in sorted(model.named_buffers()):
        if name.endswith("_mask") and buffer.dtype == torch.bool:
            held.update(name.encode() + buffer.cpu().numpy().tobytes())
    told = {name: str(value) for name, value in asdict(recipe).items()}
    told |= {"steps": str(steps), "processes": str(processes), "seed": str(seed)}
    return told | {"masks": held.hexdigest()[:12]}


def _save(path: Path, parts: dict, identity: dict[str, str], losses: list[float]) -> None:
    with atomic(path) as temporary:
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"identity": identity, "losses": losses} | state, temporary)


def _read(path: Path, identity: dict[str, str], model: nn.Module) -> dict:
    """A checkpoint of this very run; nothing is loaded into anything yet."""
    state = read_state(path)
    found = state["identity"]
    if differing := [name for name, value in identity.items() if found.get(name) != value]:
        said = ", ".join(f"{name} {found.get(name)} there and {identity[name]} here" for name in differing)
        raise ValueError(f"{path} belongs to another run: {said}. Remove it to begin anew, or give the same settings.")
    if not _alike(state["model"], model.state_dict()):
        raise ValueError(f"{path} belongs to another model, with other weights. Remove it to begin anew.")
    return state


def read_state(path: Path) -> dict:
    """The content of a checkpoint: identity, losses, and the states of model, optimizer and schedule.

    Raises:
        ValueError: a file that is none, damaged, or holds NaN or infinity.
    """
    state = load_weights_only(path, "checkpoint of a fine-tuning", _BEGIN_ANEW)
    try:
        for key, type_ in _STATE.items():
            if not isinstance(state, dict) or not isinstance(state.get(key), type_):
                raise ValueError(f"it lacks {key}")
        losses = state["losses"]
        if not all(isinstance(loss, float) and math.isfinite(loss) for loss in losses):
            raise ValueError("its losses are not all finite numbers")
        if state["schedule"]["last_epoch"] != len(losses):
            raise ValueError(f"it holds {len(losses)} losses after {state['schedule']['last_epoch']} steps")
        check_finite(state["model"])
        for number, held in state["optimizer"]["state"].items():
            check_finite({f"{key} of parameter {number}": value for key, value in held.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no checkpoint of a fine-tuning: {reason(error)}; {_BEGIN_ANEW}") from error
    return state


def _load(state: dict, parts: dict, path: Path) -> None:
    """Bring the states back, that of the model last, so that a refusal leaves it as it was."""
    try:
        for name in sorted(parts, key="model".__eq__):
            parts[name].load_state_dict(state[name])
            if name == "optimizer":
                for parameter, held in parts[name].state.items():
                    moments = {key: held[key] for key in ("exp_avg", "exp_avg_sq")}
                    if not _alike(moments, dict.fromkeys(moments, parameter)):
                        raise ValueError("its optimizer is one of other weights")
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no checkpoint of a fine-tuning: {reason(error)}; {_BEGIN_ANEW}") from error


def _alike(tensors: dict, others: dict) -> bool:
    """Whether the names and shapes are the same, and the types of a kind."""
    return tensors.keys() == others.keys() and all(
        tensor.shape == others[name].shape and tensor.is_floating_point() == others[name].is_floating_point()
        for name, tensor in tensors.items()
    )
