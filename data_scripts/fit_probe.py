"""Fit the linear head under which DINOv2's ViT-S/14 tells garments apart, and ship it with its card.

    swinprune fetch dinov2
    python data_scripts/fit_probe.py

A ridge regression on the class token after the last norm, of the dense backbone, of all training garments that ship
and are not held out; its penalty is the one of `PENALTIES` with the best top-1 on those held out.
"""

import sys

import torch
import typer
from safetensors.torch import save_file
from torch import nn

from swinprune_lite.data.garments import single_garments
from swinprune_lite.data.pairs import DIGESTS, GARMENTS
from swinprune_lite.files import SHIPPED, atomic, sha256, write_json
from swinprune_lite.measurements.features import features
from swinprune_lite.measurements.store import percent
from swinprune_lite.models.dinov2 import ARCHITECTURE, SHA256, WHEEL, dinov2_transform, load_dinov2
from swinprune_lite.models.probe import IMAGE_SIZE, NAME, TRAINING, fit_ridge, with_head
from swinprune_lite.provenance import provenance
from swinprune_lite.training.evaluate import evaluate

PENALTIES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
HELD_OUT, TEST = 200, 100  # garments of each kind


def fit(backbone: nn.Module) -> tuple[dict[str, torch.Tensor], float, dict[float, float]]:
    """The best head in float32, its penalty, and by penalty top-1 on held-out garments in percent."""
    transform = dinov2_transform(IMAGE_SIZE)
    known = single_garments("calibration", transform, TRAINING)
    kept_back = single_garments("held-out", transform, HELD_OUT)
    inputs, others = features(backbone, known), features(backbone, kept_back)
    heads, top1 = {}, {}
    for penalty in PENALTIES:
        heads[penalty] = head = fit_ridge(inputs, known.labels, penalty)
        right = (others @ head["weight"].T + head["bias"]).argmax(1) == kept_back.labels
        top1[penalty] = percent(right)
    best = max(PENALTIES, key=lambda penalty: (top1[penalty], penalty))
    return {name: tensor.float().contiguous() for name, tensor in heads[best].items()}, best, top1


def ship(backbone: nn.Module) -> dict:
    """Fit, evaluate, and only then write head and card; the card."""
    head, penalty, held_out_top1 = fit(backbone)
    transform = dinov2_transform(IMAGE_SIZE)
    found = evaluate(with_head(backbone, head), single_garments("test", transform, TEST))
    path = SHIPPED / f"{NAME}_probe.safetensors"
    with atomic(path) as temporary:
        save_file(head, temporary)
    card = {
        "model": NAME,
        "backbone": {"timm": ARCHITECTURE, "wheel": WHEEL, "sha256": SHA256},
        "data": {"name": "single garments of Fashion-Pairs-100", "sha256": DIGESTS},
        "recipe": {
            "features": "class token after the last norm",
            "transform": str(transform),
            "fit": "ridge regression on one-hot classes",
            "penalty": penalty,
            "training_garments": len(GARMENTS) * TRAINING,
            "held_out_garments": len(GARMENTS) * HELD_OUT,
        },
        "held_out_top1": {str(each): top1 for each, top1 in held_out_top1.items()},
        "versions": provenance(),
        "sha256": sha256(path),
        "top1": found.top1,
        "top5": found.top5,
        "test_images": found.images,
    }
    write_json(path.with_suffix(".json"), card)
    return card


def main() -> None:
    """Fit the head and write it with its card; minutes, most of them for the features."""
    try:
        card = ship(load_dinov2(image_size=IMAGE_SIZE))
        print(f"{NAME}: top-1 {card['top1']:.2f} % on {card['test_images']} images; held-out: {card['held_out_top1']}")
    except (OSError, ValueError, ImportError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
