"""Fashion-Pairs-100: two Fashion-MNIST garments side by side, class = 10 * left + right.

A hundred classes give top-5 accuracy a meaning that ten would not. The test images are fixed (each
garment of Fashion-MNIST's test set as a left half, its partner given by a stored permutation); the
training pairs are drawn afresh in every pass. `data_scripts/make_fashion_pairs.py` makes the files.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from swinprune_lite.files import RESTORE, SHIPPED, check_digest

GARMENTS = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
PAIR_NAMES = tuple(f"{left} + {right}" for left in GARMENTS for right in GARMENTS)
"""Of the classes of pairs, in the order of lite models."""
MEAN, STD = 0.2860, 0.3530  # of Fashion-MNIST's training pixels, in [0, 1]
DIGESTS = {
    "test": "b2ff50e81efc70b3532aae739d091c30b3753cbeab25a1b8f7db8edcd575ed65",
    "train": "24d74f83c0e4a94128c7a62abb3c1c4dc09fcc94969baeba415a1f45d5107b7a",
}
SPLITS = ("test", "train", "smoke", "held-out", "calibration")
HELD_OUT = 200  # training garments of each kind, the first that ship


@dataclass
class FashionPairs:
    """Batches of garment pairs; iterate it as often as you like.

    Attributes:
        garments: uint8 tensor (N, 28, 28).
        labels: int64 tensor (N,), values 0..9.
        right: int64 tensor (N,): the partner of each left garment; None draws partners (and the
            order, flips and shifts) afresh in every pass, reproducibly from `seed` and `epoch`.
        batch_size: pairs a batch.
        seed: seed of the drawing when `right` is None.
        epoch: number of the next pass when `right` is None; grows by one a pass.

    Each batch is (images, classes): float32 (B, 1, 32, 64), normalised, and int64 (B,) in 0..99.
    """

    garments: torch.Tensor
    labels: torch.Tensor
    right: torch.Tensor | None
    batch_size: int = 100
    seed: int = 0
    epoch: int = 0

    @property
    def images(self) -> int:
        """Pairs in one pass."""
        return len(self.garments if self.right is None else self.right)

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.right is not None:
            left, right, augment = torch.arange(self.images, device="cpu"), self.right, None
        else:
            augment = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
            left, right = (torch.randperm(self.images, generator=augment, device="cpu") for _ in "LR")
            self.epoch += 1
        for a, b in zip(left.split(self.batch_size), right.split(self.batch_size)):
            halves = [_shift_and_flip(self.garments[i], augment) for i in (a, b)]
            pixels = torch.cat([half.float() for half in halves], dim=-1)[:, None] / 255
            yield (pixels - MEAN) / STD, 10 * self.labels[a] + self.labels[b]


def _shift_and_flip(garments: torch.Tensor, generator: torch.Generator | None, reach: int = 2) -> torch.Tensor:
    """Pad (B, 28, 28) to (B, 32, 32); with a generator also flip at random and shift by up to `reach` pixels."""
    if generator is None:
        return F.pad(garments, (2, 2, 2, 2))
    count = len(garments)
    flip = torch.rand(count, 1, 1, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    padded = F.pad(torch.where(flip, garments.flip(-1), garments), (2 + reach,) * 4)
    offset = torch.randint(0, 2 * reach + 1, (2, count, 1, 1), generator=generator, device="cpu")
    places = torch.arange(32, device="cpu")
    rows, columns = places[:, None] + offset[0], places + offset[1]
    return padded[torch.arange(count, device="cpu")[:, None, None], rows, columns]


@cache
def _arrays(name: str) -> dict[str, torch.Tensor]:
    path = SHIPPED / f"fashion_pairs_{name}.npz"
    check_digest(path, DIGESTS[name])
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key].copy()) for key in file.files}
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {RESTORE}.") from error


def lite_data(split: str, batch_size: int = 100, seed: int = 0) -> FashionPairs:
    """The shipped Fashion-Pairs-100 data, digest-checked.

    Args:
        split: "test" (10,000 fixed pairs), "smoke" (the first 200 of them) or "train" (10,000
            garments of the training set, paired, flipped and shifted afresh in each pass); 2,000 of these garments
            are kept back to choose on, "held-out" (4,000 fixed pairs), the others are "calibration" (8,000, paired,
            flipped and shifted as "train").
        batch_size: pairs a batch.
        seed: seed of the drawing for "train" and "calibration".

    Raises:
        ValueError: unknown split, or a file that is not the one shipped.
        FileNotFoundError: a file is missing.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    if split in ("test", "smoke"):
        arrays = _arrays("test")
        right = arrays["right"][: 200 if split == "smoke" else None]
        return FashionPairs(arrays["garments"], arrays["labels"], right, batch_size, seed)
    garments, labels = (_arrays("train")[name] for name in ("garments", "labels"))
    if split == "train":
        return FashionPairs(garments, labels, None, batch_size, seed)
    kept_back = held_out(labels)
    if split == "calibration":
        return FashionPairs(garments[~kept_back], labels[~kept_back], None, batch_size, seed)
    order = np.random.Generator(np.random.PCG64(20261126))
    count = int(kept_back.sum())
    right = [torch.from_numpy(order.permutation(count)) for _ in range(2)]  # each garment is left twice
    twice = (torch.cat([each[kept_back]] * 2) for each in (garments, labels))
    return FashionPairs(*twice, torch.cat(right), batch_size, seed)


def held_out(labels: torch.Tensor) -> torch.Tensor:
    """Which of the shipped training garments are kept back, to choose on: bool (N,) of labels (N,).

    No calibration sees them, and the trainings of swin_lite_micro did not; those of the other lite models did.
    """
    kept_back = torch.zeros(len(labels), dtype=torch.bool)
    for kind in range(len(GARMENTS)):
        kept_back[(labels == kind).nonzero()[:HELD_OUT, 0]] = True
    return kept_back
