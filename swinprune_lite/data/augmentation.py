"""Training images, augmented as Swin's code does.

An image is drawn and augmented by (seed, epoch, image) alone: whatever the number of workers and
processes, and wherever a run was resumed, it looks the same in the same epoch.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from timm.data.auto_augment import posterize
from timm.models import PretrainedCfg
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.datasets import ImageFolder

from swinprune_lite.data.folders import Transform, open_folder, require_counts, undisturbed, workers

SWIN_AUGMENTATION = {
    "color_jitter": 0.4, "auto_augment": "rand-m9-mstd0.5-inc1", "re_prob": 0.25, "re_mode": "pixel", "re_count": 1,
}  # fmt: skip
"""Colour jitter, AutoAugment and random erasing as Swin's code sets them in timm (paper, section 4.1)."""


def training_images(
    folder: Path,
    config: PretrainedCfg,
    transform: Transform,
    batch_size: int,
    seed: int = 0,
    steps: int | None = None,
    augmentation: dict | None = None,
) -> DataLoader:
    """Augmented images in an order drawn afresh in every epoch.

    Args:
        folder: with a folder of images for every class.
        config: of the model, which says how its classes are numbered.
        transform: size, interpolation and normalisation of the images that the model takes.
        batch_size: images a batch and process; of a smaller folder, all of it, in an even number.
        seed: of the order and of the augmentation.
        steps: at most so many batches an epoch; None: all whole batches.
        augmentation: arguments of timm's `create_transform`; None: Swin's, `SWIN_AUGMENTATION`.

    Raises:
        FileNotFoundError: no such folder, or no images in it.
        ValueError: classes that are not the model's, or an image that is an empty file.
    """
    require_counts(batch_size=batch_size, steps=steps)
    augment = create_transform(
        transform.input_size, is_training=True, interpolation=transform.interpolation, mean=transform.mean,
        std=transform.std, **(SWIN_AUGMENTATION if augmentation is None else augmentation),
    )  # fmt: skip
    for step in augment.transforms:
        for operation in getattr(step, "ops", ()):
            if operation.aug_fn is posterize:
                operation.aug_fn = _posterized
    dataset = _Augmented(open_folder(folder, config, augment), seed)
    batch_size = min(batch_size, len(dataset) // 2 * 2 or 1)
    order = _EpochOrder(dataset, None if steps is None else steps * batch_size)
    return DataLoader(
        dataset, batch_size, sampler=order, num_workers=workers(len(dataset)), drop_last=True,
        worker_init_fn=undisturbed,
    )  # fmt: skip


def _posterized(image: Image.Image, bits: int, **_) -> Image.Image:
    """timm's; of no bit, which timm draws now and then, black as always: Pillow 13 refuses to make that."""
    return posterize(image, bits) if bits else Image.new(image.mode, image.size)


class _EpochOrder(Sampler[int]):
    """A new permutation every epoch, or its first `count` elements."""

    def __init__(self, dataset: "_Augmented", count: int | None) -> None:
        self.dataset, self.count = dataset, min(count or len(dataset), len(dataset))

    def set_epoch(self, epoch: int) -> None:
        self.dataset.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(_mixed(self.dataset.seed, self.dataset.epoch))
        return iter(torch.randperm(len(self.dataset), generator=generator, device="cpu")[: self.count].tolist())


class _Augmented(Dataset):
    """Images whose augmentation is drawn from seed, epoch and number alone."""

    def __init__(self, images: ImageFolder, seed: int) -> None:
        self.images, self.seed, self.epoch = images, seed, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with _seeded(_mixed(self.seed, self.epoch, index)):
            return self.images[index]


def _mixed(*numbers: int) -> int:
    """A seed below 2^32 from several numbers."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=4).digest(), "big")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the three generators that timm's augmentation draws from, and put them back."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # of the CPU alone: a GPU's draws stochastic depth meanwhile
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
