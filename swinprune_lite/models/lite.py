"""The lite models, trained and shipped: three small Swins that relate as Swin-T, S and B do, and three that are full.

The Swins are timm's own SwinTransformer with four stages. Small deepens stage 3 of tiny, base widens small; micro has a
quarter of tiny's width, so that its task fills it. Two of micro's size are of other families: Swin V2 in micro's own
shape, and PVT v2-b0 at a quarter of its width. `data_scripts/train_lite.py` trains them; each checkpoint (float16
safetensors) has a JSON card beside it with its recipe, versions, accuracies and digest.
"""

import re
from pathlib import Path

from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import nn

from swinprune_lite.data.pairs import GARMENTS
from swinprune_lite.files import RESTORE, SHIPPED, read_json
from swinprune_lite.models.shipped import check_seed, load_shipped, shipped_seeds

LITE_MODELS = {
    "swin_lite_tiny": {"embed_dim": 32, "depths": (2, 2, 6, 2)},
    "swin_lite_small": {"embed_dim": 32, "depths": (2, 2, 12, 2)},
    "swin_lite_base": {"embed_dim": 40, "depths": (2, 2, 12, 2)},
    "swin_lite_micro": {"embed_dim": 8, "depths": (2, 2, 6, 2)},
    "swinv2_lite_micro": {"embed_dim": 8, "depths": (2, 2, 6, 2)},
    "pvt_v2_lite_micro": {"embed_dims": (8, 16, 40, 64), "depths": (2, 2, 2, 2)},
}
"""Name of each lite model -> channels of its first stage, or of each, and blocks of each stage."""
LIKE_THE_PAPERS = ("swin_lite_tiny", "swin_lite_small", "swin_lite_base")
"""Those that stand for Swin-T, S and B in the reproduction, in this order."""
SWINS = (*LIKE_THE_PAPERS, "swin_lite_micro")
OTHERS = ("swinv2_lite_micro", "pvt_v2_lite_micro")
"""Those of other families."""
IN_A_CLONE_ALONE = (("swin_lite_base", 1), ("swin_lite_base", 2))
"""Checkpoints that an installed package leaves out, to stay below 100 MB; it has their cards and measurements."""

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
    """Training seeds of `name` whose weights are here, ascending; a package leaves out those of `IN_A_CLONE_ALONE`."""
    return [seed for seed in measured_seeds(name) if _is_here(name, seed)]


def measured_seeds(name: str) -> list[int]:
    """Training seeds of `name` that have a card, and so measurements, ascending; their weights may be left out."""
    return shipped_seeds(SHIPPED, name)


def _weights(name: str, seed: int) -> Path:
    return SHIPPED / f"{name}_seed{seed}.safetensors"


def _is_here(name: str, seed: int) -> bool:
    return (name, seed) not in IN_A_CLONE_ALONE or _weights(name, seed).exists()


def is_lite(name: str) -> bool:
    """Whether a name, with or without a seed, is of a family of lite models; timm's coat_lite_tiny is not."""
    families = {each.partition("_lite_")[0] for each in LITE_MODELS}
    family, of_lite, _ = name.partition(":")[0].partition("_lite_")
    return bool(of_lite) and family in families


def lite_and_seed(name: str) -> tuple[str, int]:
    """A lite model and its training seed: ("swin_lite_tiny", 1) of "swin_lite_tiny:1", with seed 0 where none is given.

    Raises:
        ValueError: what stands behind the ":" is no whole number.
    """
    lite, colon, seed = name.partition(":")
    if colon and not seed.isdecimal():
        raise ValueError(f"After {lite}: stands a training seed, such as {lite}:1; got {name!r}.")
    return lite, int(seed or 0)


def lite_card(name: str, seed: int = 0) -> dict:
    """The checkpoint's card: data digest, recipe, seed, epochs, versions, device, accuracies, SHA-256.

    Raises:
        ValueError: unknown model, no checkpoint shipped for this seed, or a card that is damaged or another's.
    """
    if name not in LITE_MODELS:
        raise ValueError(f"Unknown lite model {name!r}; choose one of {', '.join(LITE_MODELS)}.")
    check_seed(name, seed, measured_seeds(name))
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


def require_weights(name: str, seed: int) -> None:
    """Raise FileNotFoundError where a checkpoint is one of those that an installed package leaves out."""
    if not _is_here(name, seed):
        raise FileNotFoundError(
            f"The weights of {name} with training seed {seed} are not here: they come with a clone of the "
            f"repository, and an installed package leaves them out; clone it, restore them there, or take {name}:0."
        )


def load_lite(name: str, seed: int = 0) -> nn.Module:
    """A trained lite model in float32 and evaluation mode, digest-checked.

    Args:
        name: one of `LITE_MODELS`.
        seed: training seed; `lite_seeds(name)` lists those here.

    Raises:
        ValueError: unknown model or seed, or a checkpoint that is truncated, altered or of another model.
        FileNotFoundError: the checkpoint is missing.
    """
    card = lite_card(name, seed)
    require_weights(name, seed)
    return load_shipped(create_lite(name), _weights(name, seed), name, card["sha256"])
