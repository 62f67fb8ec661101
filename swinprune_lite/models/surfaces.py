"""The lite models that look at drawn surfaces: swin_lite_micro's architecture at other sizes, with a head for defects.

`swin_garments_*` has the shipped garments' weights under an untrained head; `swin_surfaces_*` is the same, adapted to
surfaces by `data_scripts/adapt_surfaces.py`, and ships with its cards. What follows the second "_" is the view.
"""

import re
import warnings
from typing import NamedTuple

from timm.models.swin_transformer import SwinTransformer
from torch import nn

from swinprune_lite.data.surfaces import KINDS
from swinprune_lite.files import RESTORE, SHIPPED, read_json
from swinprune_lite.models.lite import LITE_MODELS, lite_card, lite_seeds, load_lite
from swinprune_lite.models.shipped import check_seed, load_shipped, shipped_seeds

ORIGIN = "swin_lite_micro"
PATCH, WINDOW = 4, 4


class View(NamedTuple):
    """What a model is given of a surface.

    Attributes:
        camera: pixels a side of the camera.
        side: pixels a side of the model's input, to which the camera's are repeated.
    """

    camera: int
    side: int


VIEWS = {"64": View(64, 64), "32x2": View(32, 64), "32": View(32, 32), "16x2": View(16, 32)}
"""Two with 16 × 16 patches a surface, of four pixels or of two of the camera; two with 8 × 8."""

ADAPTED, UNADAPTED = "swin_surfaces", "swin_garments"
SURFACE_MODELS = tuple(f"{kind}_{view}" for kind in (ADAPTED, UNADAPTED) for view in VIEWS)
_CARD = ("model", "seed", "data", "recipe", "versions", "sha256")


def view_of(name: str) -> View:
    """The view of a model.

    Raises:
        ValueError: an unknown model.
    """
    if name not in SURFACE_MODELS:
        raise ValueError(f"Unknown surface model {name!r}; choose one of {', '.join(SURFACE_MODELS)}.")
    return VIEWS[name.rpartition("_")[2]]


def create_surface_model(side: int) -> SwinTransformer:
    """Untrained: surfaces (B, 1, side, side) to logits (B, 6), in the order of `KINDS`.

    Raises:
        ValueError: a side that the windows do not divide.
    """
    check_side(side)
    return SwinTransformer(
        img_size=side,
        patch_size=PATCH,
        window_size=WINDOW,
        in_chans=1,
        num_classes=len(KINDS),
        num_heads=(1, 2, 4, 8),
        drop_path_rate=0.0,
        **LITE_MODELS[ORIGIN],
    )


def check_side(side: int) -> None:
    """Raise ValueError unless in every stage windows of 4 × 4 patches, or one smaller window, cover the image whole."""
    stages = len(LITE_MODELS[ORIGIN]["depths"])
    whole = (
        isinstance(side, int) and not isinstance(side, bool) and side > 0 and side % (PATCH * 2 ** (stages - 1)) == 0
    )
    patches = [side // PATCH // 2**stage for stage in range(stages)] if whole else []
    if not whole or any(count > WINDOW and count % WINDOW for count in patches):
        raise ValueError(
            f"Windows of {WINDOW} × {WINDOW} patches of {PATCH} pixels must divide the image in each of {stages} "
            f"stages, so its side must be 32, 64, 128 or another such number of pixels; got {side!r}."
        )


def from_garments(side: int, seed: int = 0) -> SwinTransformer:
    """The garments' weights at another size, in float32 and evaluation mode; the head is new and all zero.

    Tables of relative positions are interpolated, as timm does it, where a stage's windows are others.

    Args:
        side: of the surfaces in pixels.
        seed: training seed of the garments' weights.

    Raises:
        ValueError: a side that the windows do not divide, or no such weights.
    """
    check_side(side)
    model = load_lite(ORIGIN, seed).double()  # so that interpolation rounds alike on all processors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy's and torch's ways in timm's interpolation
        model.set_input_size((side, side), window_size=WINDOW)
    model.reset_classifier(len(KINDS))
    for parameter in model.head.parameters():
        nn.init.zeros_(parameter)
    return model.float().eval()


def surface_seeds(name: str) -> list[int]:
    """Training seeds of which a model's weights ship, ascending.

    Raises:
        ValueError: an unknown model.
    """
    view_of(name)
    if name.startswith(UNADAPTED):
        return lite_seeds(ORIGIN)
    return shipped_seeds(SHIPPED, name)


def surface_card(name: str, seed: int = 0) -> dict:
    """The card of the weights: recipe, digests, accuracies; of a model that is not adapted, the garments'.

    Raises:
        ValueError: an unknown model, no weights of this seed, or a damaged card.
    """
    check_seed(name, seed, surface_seeds(name))
    if name.startswith(UNADAPTED):
        return lite_card(ORIGIN, seed)
    path = SHIPPED / f"{name}_seed{seed}.json"
    card = read_json(path, RESTORE)
    said = card if isinstance(card, dict) else {}
    whole = all(key in said for key in _CARD) and (said["model"], said["seed"]) == (name, seed)
    if not whole or not re.fullmatch("[0-9a-f]{64}", str(said["sha256"])):
        raise ValueError(f"{path} is no card of {name} with seed {seed}; {RESTORE}.")
    return card


def load_surface_model(name: str, seed: int = 0) -> SwinTransformer:
    """A model in float32 and evaluation mode, digest-checked.

    Args:
        name: one of `SURFACE_MODELS`.
        seed: training seed, of `surface_seeds(name)`.

    Raises:
        ValueError: unknown model or seed, or a checkpoint that is truncated, altered or of another model.
        FileNotFoundError: the checkpoint is missing.
    """
    view, card = view_of(name), surface_card(name, seed)
    if name.startswith(UNADAPTED):
        return from_garments(view.side, seed)
    path = SHIPPED / f"{name}_seed{seed}.safetensors"
    return load_shipped(create_surface_model(view.side), path, name, card["sha256"])
