"""Images of a folder without any word of what they show, for what layers read: `--calibrate`."""

import hashlib
from pathlib import Path

import torch
from timm.data import resolve_model_data_config
from torchvision.transforms.functional import rgb_to_grayscale

from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.data.folders import Transform, load_rgb, require_counts
from swinprune_lite.data.listing import images_below
from swinprune_lite.data.pairs import MEAN, STD
from swinprune_lite.models.lite import LITE_MODELS
from swinprune_lite.shell.named import Loaded

BATCH = 16
Unlabelled = list[tuple[torch.Tensor, torch.Tensor]]


def unlabelled(loaded: Loaded, folder: str | Path, images: int, seed: int = 0) -> tuple[Unlabelled, str]:
    """So many images of a folder, drawn from it by the seed, as the model takes them.

    Args:
        loaded: the model.
        folder: with images in it, or in folders below it in any arrangement.
        images: how many.
        seed: of the choice.

    Returns:
        Batches of images, float32 (B, C, H, W), and zeros in place of their classes; and a SHA-256 over the images'
        paths in the folder and their bytes.

    Raises:
        FileNotFoundError: no such folder, or no images in it.
        ValueError: fewer images than are asked for, or a damaged one.
    """
    require_counts(images=images)
    if not (folder := Path(folder)).is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; give one that holds images.")
    found = [name for name, size in images_below(folder).items() if size]
    if len(found) < images:
        raise ValueError(f"{folder} holds {len(found)} images and {images} are asked for; give a number up to that.")
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed), device="cpu")
    chosen = sorted(found[index] for index in order[:images].tolist())
    transform, digest, pixels = transform_of(loaded), hashlib.sha256(), []
    resizing = transform.resizing()
    for name in chosen:
        digest.update(name.encode(errors="surrogateescape") + (folder / name).read_bytes())
        each = torch.as_tensor(resizing(load_rgb(str(folder / name))))
        pixels.append(rgb_to_grayscale(each) if transform.input_size[0] == 1 else each)
    batches = [transform.normalise(torch.stack(pixels[at : at + BATCH])) for at in range(0, images, BATCH)]
    return [(batch, torch.zeros(len(batch), dtype=torch.int64)) for batch in batches], digest.hexdigest()


def transform_of(loaded: Loaded) -> Transform:
    """How images become what the model takes: as timm knows of its weights, at the size that it was loaded with."""
    shape = image_shape(loaded.model, loaded.image_size)
    if loaded.architecture in LITE_MODELS:
        return Transform(shape, "bilinear", 1.0, "squash", (MEAN,), (STD,))
    known = resolve_model_data_config(loaded.model)
    mean, std = (tuple(known[key])[: shape[0]] for key in ("mean", "std"))
    return Transform(shape, known["interpolation"], known["crop_pct"], known["crop_mode"], mean, std)
