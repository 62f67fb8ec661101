"""How far pruning moves what a model makes of images, where no labels say what is right."""

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import image_type
from swinprune_lite.training.batches import pairs
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Batches


def features(model: nn.Module, batches: Batches) -> torch.Tensor:
    """What a timm model hands to its head: of a ViT with a class token that token after the last norm.

    Args:
        model: one of timm's; it is run in evaluation mode, in its own precision and on its own device.
        batches: images (B, C, H, W) and classes (B,), which are not looked at.

    Returns:
        float64 (images, width), on the CPU.

    Raises:
        TypeError: a model that does not part features from head as timm's do.
        ValueError: no images, or features that are not finite numbers (images, width).
    """
    if not all(hasattr(model, part) for part in ("forward_features", "forward_head")):
        raise TypeError(f"{type(model).__name__} has no forward_features and forward_head; give one of timm's models.")
    device, dtype = image_type(model)
    with in_evaluation(model), plain_arithmetic(), torch.inference_mode():
        found = [
            model.forward_head(model.forward_features(images.to(device, dtype)), pre_logits=True).cpu().double()
            for images, _ in pairs(batches)
        ]
    if not found:
        raise ValueError("There are no images to take features of: the batches are empty.")
    whole = torch.cat(found)
    if whole.ndim != 2 or not torch.isfinite(whole).all():
        raise ValueError(f"Features must be finite numbers (images, width); {type(model).__name__}'s are not.")
    return whole


def feature_distance(model: nn.Module, dense: nn.Module, batches: Batches) -> float:
    """How far a model's features f are from the dense model's f0, against how far those are from their mean:

        sum over images of ||f - f0||^2 / sum over images of ||f0 - mean(f0)||^2

    0: nothing moved; 1: as far off as if every image had the mean feature.

    Args:
        model: pruned.
        dense: before pruning.
        batches: images (B, C, H, W), two or more in all, and classes (B,), which are not looked at; they are gone
            through twice.

    Raises:
        TypeError: a model that does not part features from head as timm's do.
        ValueError: no images, features that are not finite or of different shapes, or dense features that are the
            same for all images.
    """
    own, theirs = features(model, batches), features(dense, batches)
    if own.shape != theirs.shape:
        raise ValueError(f"The features must be of one shape; got {tuple(own.shape)} and {tuple(theirs.shape)}.")
    spread = (theirs - theirs.mean(0)).square().sum()
    if not spread > 0:
        raise ValueError("The dense features are the same for all images, so there is no distance to compare with.")
    return float((own - theirs).square().sum() / spread)
