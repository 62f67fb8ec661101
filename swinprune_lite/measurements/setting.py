"""What is measured, and what was found."""

from dataclasses import dataclass, field, fields

import torch


@dataclass(frozen=True, order=True)
class Setting:
    """What is measured.

    Attributes:
        model: name in the profile.
        method: one of `measure.ways()`; a criterion, a grouping and a budget with "/" between; "compact" with the
            criterion and `heads_share` of `structured_masks`, as in "compact/variance/0.5"; or "dense".
        ratio: share that is removed, of what `budget` says.
        training_seed: which of the trained weights.
        seed: of random masks and of the fine-tuning's drawing of images; 0 where neither is used.
        steps: of fine-tuning an epoch with the masks held; 0: one shot.
        images: evaluated, the first so many; 0: all.
        budget: what the ratio is a share of: the prunable "weights", or the model's "macs".
        teacher: what the fine-tuning learns from: "labels", or "dense", the dense model's predictions.
        repair: rule by which the weights that stay are changed, of `repairing.rules.RULES`, and with
            " + head" behind it if the head is refitted too; "": they are not.
        calibration: real images that the criterion's statistics, or else the repair's, are gathered on; 0: none.
        drawn: images that the repair draws where it has no real ones.
        propagated: whether the repair goes by `propagated_moments` where it has no real images, in place of drawn ones.
        masks_from: another model of the profile's source, of the same layers, whose weights the masks are made from;
            "": the model's own.
    """

    model: str
    method: str = "dense"
    ratio: float = 0.0
    training_seed: int = 0
    seed: int = 0
    steps: int = 0
    images: int = 0
    budget: str = "weights"
    teacher: str = "labels"
    repair: str = ""
    calibration: int = 0
    drawn: int = 64
    propagated: bool = False
    masks_from: str = ""

    def told(self) -> dict:
        """The attributes that differ from their default, so that a new attribute changes nothing of old settings."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was found.

    Attributes:
        top1: bool tensor (images,), True where the first prediction is right.
        top5: bool tensor (images,), True where the class is among the first five; of a model with fewer than
            five classes empty, (0,).
        params: parameters that are not pruned away.
        macs: MACs of one image that are not pruned away.
        masks: digest of the masks (see `masks.digest`); "" of a dense model.
        seconds: that the measurement took.
    """

    top1: torch.Tensor
    top5: torch.Tensor
    params: int
    macs: int
    masks: str = ""
    seconds: float = field(default=0.0)

    def same_as(self, other: "Measurement") -> bool:
        """Whether both agree in the masks, in the counts and on every image that both were measured on."""
        images = min(len(self.top1), len(other.top1))
        return (self.params, self.macs, self.masks) == (other.params, other.macs, other.masks) and all(
            torch.equal(a[:images], b[:images]) for a, b in ((self.top1, other.top1), (self.top5, other.top5))
        )
