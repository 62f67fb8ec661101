"""Recipes of fine-tuning: the paper's, and what each of their numbers may be."""

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real

import torch


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
