"""Single garments of Fashion-MNIST, from the shipped files, as a model pretrained on photographs takes them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image

from swinprune_lite.data.folders import Transform
from swinprune_lite.data.pairs import GARMENTS, held_out, lite_data

SPLITS = ("test", "held-out", "calibration")


@dataclass(frozen=True)
class SingleGarments:
    """Batches of garments, enlarged, the same grey in every channel; iterate it as often as you like.

    Attributes:
        garments: uint8 tensor (N, 28, 28).
        labels: int64 tensor (N,), values 0..9, in the order of `pairs.GARMENTS`.
        transform: of the model.
        batch_size: garments a batch.

    Each batch is float32 (B, 3, H, W), resized and normalised by the transform, and int64 (B,) in 0..9.
    """

    garments: torch.Tensor
    labels: torch.Tensor
    transform: Transform
    batch_size: int = 50

    @property
    def images(self) -> int:
        """Garments in one pass."""
        return len(self.garments)

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        resizing = self.transform.resizing()
        for garments, labels in zip(self.garments.split(self.batch_size), self.labels.split(self.batch_size)):
            coloured = (Image.fromarray(garment).convert("RGB") for garment in garments.numpy())
            pixels = torch.stack([torch.as_tensor(resizing(image)) for image in coloured])
            yield self.transform.normalise(pixels), labels


def single_garments(split: str, transform: Transform, each: int, batch_size: int = 50) -> SingleGarments:
    """The first garments of each kind, one of every kind in turn, so that the first so many are a sample of all.

    Args:
        split: "test", or of the training garments those that are "held-out" (200 of each kind) and those that are
            not, "calibration"; see `pairs.lite_data`.
        transform: of the model.
        each: garments of each kind.
        batch_size: garments a batch.

    Raises:
        ValueError: unknown split, or more garments than there are of a kind.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    data = lite_data("train" if split == "held-out" else split)
    garments, labels = data.garments, data.labels
    if split == "held-out":
        kept_back = held_out(labels)
        garments, labels = garments[kept_back], labels[kept_back]
    most = int(labels.bincount(minlength=len(GARMENTS)).min())
    if not 0 < each <= most:
        raise ValueError(f"each must be from 1 to {most}, the garments of each kind in {split}; got {each!r}.")
    chosen = torch.stack([(labels == kind).nonzero()[:each, 0] for kind in range(len(GARMENTS))], dim=1).flatten()
    return SingleGarments(garments[chosen], labels[chosen], transform, batch_size)
