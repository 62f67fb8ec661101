"""The lite models, trained and shipped: three small Swins that relate as Swin-T, S and B do, and three that are full.

The Swins are timm's own SwinTransformer with four stages. Small deepens stage 3 of tiny, base widens small; micro has a
quarter of tiny's width, so that its task fills it. Two of micro's size are of other families: Swin V2 in micro's own
shape, and PVT v2-b0 at a quarter of its width. `data_scripts/train_lite.py` trains them; each checkpoint (float16
safetensors) has a JSON card beside it with its recipe, versions, accuracies and digest.
"""

import os
import re

import torch
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import nn

from swinprune_lite.data.pairs import GARMENTS
from swinprune_lite.files import (
    RESTORE,
    SHIPPED,
    check_digest,
    check_finite,
    read_json,
    read_safetensors,
    reason,
)

LITE_MODELS = {
    "swin_lite_tiny": {"embed_dim": 32, "depths": (2, 2, 6, 2)},
    "swin_lite_small": {"embed_dim": 32, "depths": (2, 2, 12, 2)},
    "swin_lite_base": {"embed_dim": 40, "depths": (2, 2, 12, 2)},
    "swin_lite_micro": {"embed_dim": 8, "depths": (2, 2, 6, 2)},
    "swinv2_lite_micro": {"embed_dim": 8, "depths": (2, 2, 6, 2)},
    "pvt_v2_lite_micro": {"embed_dims": (8, 16, 40, 64), "depths": (2, 2, 2, 2)},
}
LIKE_THE_PAPERS = ("swin_lite_tiny", "swin_lite_small", "swin_lite_base")
"""Those that stand for Swin-T, S and B in the reproduction, in this order."""
SWINS = (*LIKE_THE_PAPERS, "swin_lite_micro")
OTHERS = ("swinv2_lite_micro", "pvt_v2_lite_micro")
"""Those of other families."""

INPUT_SIZE = (32, 64)
_WINDOWED = {"img_size": INPUT_SIZE, "patch_size": 4, "window_size": 4, "num_heads": (1, 2, 4, 8)}
_FAMILIES = {
    "swin": (SwinTransformer, _WINDOWED | {"drop_path_rate": 0.0}),
    "swinv2": (SwinTransformerV2, _WINDOWED | {"drop_path_rate": 0.0}),
    "pvt": (
        PyramidVisionTransformerV2,
        {"num_heads": (1, 2, 5, 8), "sr_ratios": (8, 4, 2, 1), "mlp_ratios": (8, 8, 4, 4)},
    ),
}
_CARD = ("model", "seed", "data", "recipe", "versions", "device", "sha256")


def create_lite(name: str) -> nn.Module:
    """An untrained lite model, timm's class of its family: grey images (B, 1, 32, 64) to logits (B, 100).

    Args:
        name: one of `LITE_MODELS`.

    Raises:
        ValueError: unknown name.
    """
    if name not in LITE_MODELS:
        raise ValueError(f"Unknown lite model {name!r}; choose one of {', '.join(LITE_MODELS)}.")
    family, shared = _FAMILIES[name.partition("_")[0]]
    model = family(in_chans=1, num_classes=len(GARMENTS) ** 2, **shared, **LITE_MODELS[name])
    if family is PyramidVisionTransformerV2:  # which takes images of any size, and so does not say which
        model.pretrained_cfg = {"input_size": (1, *INPUT_SIZE)}
    return model


def lite_seeds(name: str) -> list[int]:
    """Training seeds for which a checkpoint of `name` is shipped, ascending."""
    card = re.compile(rf"{re.escape(name)}_seed(\d+)\.json")
    found = (card.fullmatch(file) for file in os.listdir(SHIPPED))
    return sorted(int(one[1]) for one in found if one)


def lite_card(name: str, seed: int = 0) -> dict:
    """The checkpoint's card: data digest, recipe, seed, epochs, versions, device, accuracies, SHA-256.

    Raises:
        ValueError: unknown model, no checkpoint shipped for this seed, or a card that is damaged or another's.
    """
    if name not in LITE_MODELS:
        raise ValueError(f"Unknown lite model {name!r}; choose one of {', '.join(LITE_MODELS)}.")
    if seed not in (seeds := lite_seeds(name)):
        raise ValueError(f"No checkpoint of {name} with seed {seed!r} is shipped; shipped seeds: {seeds}.")
    path = SHIPPED / f"{name}_seed{seed}.json"
    card = read_json(path, RESTORE)
    said = card if isinstance(card, dict) else {}
    if missing := [key for key in _CARD if key not in said]:
        raise ValueError(f"{path} is no card of a checkpoint: it lacks {', '.join(missing)}; {RESTORE}.")
    if (said["model"], said["seed"]) != (name, seed):
        raise ValueError(f"{path} is the card of {said['model']!r} with seed {said['seed']!r}; {RESTORE}.")
    if not re.fullmatch("[0-9a-f]{64}", str(said["sha256"])):
        raise ValueError(f"{path} has no SHA-256 of its weights; {RESTORE}.")
    for accuracy in ("top1", "top5"):  # not there yet while the checkpoint is being made
        if not isinstance(value := said.get(accuracy, 0.0), (int, float)) or not 0 <= value <= 100:
            raise ValueError(f"{path} has a {accuracy} of {value!r}, which is no percentage; {RESTORE}.")
    return card


def load_lite(name: str, seed: int = 0) -> nn.Module:
    """A trained lite model in float32 and evaluation mode, digest-checked.

    Args:
        name: one of `LITE_MODELS`.
        seed: training seed; `lite_seeds(name)` lists those shipped.

    Raises:
        ValueError: unknown model or seed, or a checkpoint that is truncated, altered or of another model.
        FileNotFoundError: the checkpoint is missing.
    """
    card = lite_card(name, seed)
    path = SHIPPED / f"{name}_seed{seed}.safetensors"
    check_digest(path, card["sha256"])
    model = create_lite(name)
    try:
        _, weights = read_safetensors(path)
        for key, tensor in weights.items():
            if not tensor.is_floating_point():
                raise ValueError(f"{key} is of {tensor.dtype}")
        check_finite(weights)
        model.load_state_dict({key: tensor.to(torch.float32) for key, tensor in weights.items()})
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of {name}: {reason(error)}; {RESTORE}.") from error
    return model.eval()
