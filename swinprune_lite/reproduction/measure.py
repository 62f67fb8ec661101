"""One measurement: a model, pruned or not, fine-tuned or not, and for every test image whether it was right."""

import time
from dataclasses import dataclass, field

import torch

from swinprune_lite.cost import cost
from swinprune_lite.evaluate import verdicts
from swinprune_lite.finetune import finetune
from swinprune_lite.holding import apply_masks, remove_masks
from swinprune_lite.masks import make_masks
from swinprune_lite.reproduction.profiles import Profile


@dataclass(frozen=True, order=True)
class Setting:
    """What is measured.

    Attributes:
        model: name in the profile.
        method: of `make_masks`, or "dense".
        ratio: share of the prunable weights removed.
        training_seed: which of the trained weights.
        seed: of random masks and of the fine-tuning's drawing of images; 0 where neither is used.
        steps: of fine-tuning with the masks held; 0: one shot.
        images: evaluated, the first so many; 0: all.
    """

    model: str
    method: str = "dense"
    ratio: float = 0.0
    training_seed: int = 0
    seed: int = 0
    steps: int = 0
    images: int = 0


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was found.

    Attributes:
        top1: bool tensor (images,), True where the first prediction is right.
        top5: bool tensor (images,), True where the class is among the first five; of a model with fewer than
            five classes empty, (0,), and in percent nan.
        params: parameters that are not pruned away.
        macs: MACs of one image that are not pruned away.
        seconds: that the measurement took.
    """

    top1: torch.Tensor
    top5: torch.Tensor
    params: int
    macs: int
    seconds: float = field(default=0.0)

    def same_as(self, other: "Measurement") -> bool:
        """Whether both agree in the counts and on every image that both were measured on."""
        images = min(len(self.top1), len(other.top1))
        return (self.params, self.macs) == (other.params, other.macs) and all(
            torch.equal(a[:images], b[:images]) for a, b in ((self.top1, other.top1), (self.top5, other.top5))
        )


def measure(profile: Profile, setting: Setting, images: int | None = None) -> Measurement:
    """Load, prune, fine-tune if asked, and evaluate.

    Args:
        profile: gives the weights, the images and the recipe.
        setting: what to measure.
        images: evaluate on the first so many test images only; None: as the setting says.
    """
    start = time.perf_counter()
    model = profile.load(setting.model, setting.training_seed)
    masks = None
    if setting.method != "dense":
        masks = make_masks(model, setting.ratio, setting.method, setting.seed)
        apply_masks(model, masks)
    if setting.steps:
        finetune(model, profile.training_batches(setting.seed, setting.steps), profile.recipe)
        remove_masks(model)
    top1, top5 = verdicts(model, profile.test_batches(images or setting.images or None))
    left = cost(model, masks)
    seconds = time.perf_counter() - start
    return Measurement(top1, top5, left.nonzero_params, left.nonzero_macs, seconds)
