"""The lite models: three small Swins that relate as Swin-T, S and B do, trained and shipped.

They are timm's own SwinTransformer with four stages; small deepens stage 3 of tiny, base widens
small. `data_scripts/train_lite.py` trains them; each checkpoint (float16 safetensors) has a JSON
card beside it with its recipe, versions, accuracies and digest.
"""

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.swin_transformer import SwinTransformer

from swinprune_lite.data.pairs import GARMENTS
from swinprune_lite.files import SHIPPED, check_digest

LITE_MODELS = {
    "swin_lite_tiny": {"embed_dim": 32, "depths": (2, 2, 6, 2)},
    "swin_lite_small": {"embed_dim": 32, "depths": (2, 2, 12, 2)},
    "swin_lite_base": {"embed_dim": 40, "depths": (2, 2, 12, 2)},
}
INPUT_SIZE = (32, 64)


def create_lite(name: str) -> SwinTransformer:
    """An untrained lite Swin: grey images (B, 1, 32, 64) to logits (B, 100).

    Args:
        name: "swin_lite_tiny", "swin_lite_small" or "swin_lite_base".

    Raises:
        ValueError: unknown name.
    """
    if name not in LITE_MODELS:
        raise ValueError(f"Unknown lite model {name!r}; choose one of {', '.join(LITE_MODELS)}.")
    return SwinTransformer(
        img_size=INPUT_SIZE,
        patch_size=4,
        window_size=4,
        in_chans=1,
        num_classes=len(GARMENTS) ** 2,
        num_heads=(1, 2, 4, 8),
        drop_path_rate=0.0,
        **LITE_MODELS[name],
    )


def lite_seeds(name: str) -> list[int]:
    """Training seeds for which a checkpoint of `name` is shipped, ascending."""
    return sorted(int(path.stem.rsplit("seed", 1)[1]) for path in SHIPPED.glob(f"{name}_seed*.json"))


def lite_card(name: str, seed: int = 0) -> dict:
    """The checkpoint's card: data digest, recipe, seed, epochs, versions, device, accuracies, SHA-256.

    Raises:
        ValueError: unknown model, or no checkpoint shipped for this seed.
    """
    if name not in LITE_MODELS:
        raise ValueError(f"Unknown lite model {name!r}; choose one of {', '.join(LITE_MODELS)}.")
    if seed not in (seeds := lite_seeds(name)):
        raise ValueError(f"No checkpoint of {name} with seed {seed!r} is shipped; shipped seeds: {seeds}.")
    return json.loads((SHIPPED / f"{name}_seed{seed}.json").read_text())


def load_lite(name: str, seed: int = 0) -> SwinTransformer:
    """A trained lite Swin in float32 and evaluation mode, digest-checked.

    Args:
        name: "swin_lite_tiny", "swin_lite_small" or "swin_lite_base".
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
        weights = {key: tensor.to(torch.float32) for key, tensor in load_file(path).items()}
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not hold the weights of {name}: {reason}") from error
    return model.eval()
