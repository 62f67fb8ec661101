"""Pretrained models from timm's hub, and folders of images."""

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import ClassVar

import torch
from timm.data import ImageNetInfo
from torch import nn
from torch.utils.data import DataLoader

from swinprune_lite.data.augmentation import training_images
from swinprune_lite.data.folders import (
    FolderImages,
    Transform,
    evaluation_images,
    require_same_classes,
)
from swinprune_lite.data.imagenette import (
    IMAGENETTE_SIZES,
    check_imagenette,
    fetch_imagenette,
    find_imagenette,
)
from swinprune_lite.data.listing import class_names, listing_digest
from swinprune_lite.files import atomic, home, read_json
from swinprune_lite.models.pretrained import (
    PAPER_MODELS,
    best_device,
    config,
    digest,
    load_pretrained,
    weights_file,
)
from swinprune_lite.training.evaluate import evaluate
from swinprune_lite.training.memory import advise_on_memory

TOLERANCE = 0.1  # points of top-1 that a dense model may differ from what it must reach


@dataclass(frozen=True)
class Pretrained:
    """Pretrained models from timm's hub and folders of images, a folder a class.

    Attributes:
        data: "imagenette" (ten classes of ImageNet, fetched if it is not there), "imagenet" (all thousand,
            in `val` and `train`), or "folder" (the reader's own).
        folder: where the images are; None: below `files.home()` (Imagenette also below `data/` or `../data/`).
        batch_size: images evaluated at a time.
        crop_pct: of the test images' crop; None: as timm has it for the weights.
        dense_top1: model -> percent that the dense model must reach, within `TOLERANCE`, before it is handed out.
        device: "cpu" or "cuda", where models are put.
    """

    data: str
    folder: Path | None = None
    batch_size: int = 64
    crop_pct: float | None = None
    dense_top1: dict[str, float] = field(default_factory=dict, hash=False)
    device: str = "cpu"
    ships: ClassVar[bool] = False

    def resolve(self, models: Sequence[str]) -> tuple[str, ...]:
        """The models' full names, checked: known to timm, and all taking the same images.

        The paper's architectures without a tag are those trained on ImageNet-1k alone.
        """
        tagged = {name.partition(".")[0]: name for name in PAPER_MODELS}
        models = tuple(tagged.get(model, model) for model in models)
        kinds = {model: (Transform.of(config(model), self.crop_pct), config(model).num_classes) for model in models}
        other = [model for model in models if kinds[model] != kinds[models[0]]]
        if other:
            raise ValueError(
                f"The models of one run must take the same images and tell the same classes apart; {models[0]} and "
                f"{other[0]} do not. Run them one by one."
            )
        return models

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The pretrained model; with `dense_top1`, only if it is as good as it must be."""
        if model in self.dense_top1:
            self._check_dense(model)
        torch.backends.cudnn.allow_tf32 = False  # verdicts near a tie need all of float32
        return copy.deepcopy(_loaded(model)).to(self.device)

    def training_seeds(self, model: str) -> list[int]:
        """There is one set of weights."""
        return [0]

    def test_batches(self, models: Sequence[str], images: int | None = None) -> FolderImages:
        """What accuracy is measured on: all of it, or the first so many images in a fixed, shuffled order."""
        self._compare_splits(models[0])
        return _evaluation(self._split("val"), models[0], self.crop_pct, self.batch_size, images)

    def training_batches(self, models: Sequence[str], batch_size: int, seed: int, steps: int | None) -> DataLoader:
        """Augmented training images, at most `steps` batches an epoch."""
        self._compare_splits(models[0])
        known = config(models[0])
        return training_images(self._split("train"), known, Transform.of(known), batch_size, seed, steps)

    def calibration_batches(self, models: Sequence[str], images: int) -> Iterator:
        """The first so many images of an epoch of training, augmented as there."""
        return islice(self.training_batches(models, images, 0, 1), 1)

    def digests(self, models: Sequence[str], model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the weights, and over the names and sizes of the images; the transform in words."""
        found = {
            "weights": _weights_digest(model),
            "test": listing_digest(self._split("val")),
            "transform": str(Transform.of(config(model), self.crop_pct)),
        }
        return found | ({"train": listing_digest(self._split("train"))} if training else {})

    def say(self, models: Sequence[str], live_images: int) -> str:
        """What the numbers are, and what they are not."""
        test = self.test_batches(models)
        classes = len(test.dataset.classes)
        known = config(models[0])
        what = {
            "imagenette": "Imagenette's validation images; comparable among themselves, not with the paper's ImageNet",
            "imagenet": "ImageNet-1k's validation images",
            "folder": "the images of the folder given; comparable among themselves, not with the paper's",
        }[self.data]
        return (
            f"Real pretrained weights from timm's hub, evaluated on this machine's {best_device().upper()}.\n"
            f"Accuracy: on {test.images:,} images of {classes} classes, predictions among {known.num_classes:,};\n"
            f"{what}.\nThe text of this notebook speaks of the lite profile."
        )

    def identity(self) -> str:
        """A short name for the images, so that results on others are kept apart."""
        return "" if self.data != "folder" else "-" + listing_digest(self._split("val"))[:8]

    def _split(self, split: str) -> Path:
        """The folder of a split, checked once in a process."""
        if self.data == "folder":
            return _own(self.folder, split)
        return (_imagenette if self.data == "imagenette" else _imagenet)(self.folder, split)

    def _compare_splits(self, model: str) -> None:
        """Raise ValueError if `train` and `val` of the reader's folder have other classes, by name."""
        if self.data == "folder" and all((self.folder / split).is_dir() for split in ("train", "val")):
            require_same_classes(self.folder / "train", self.folder / "val", config(model))

    def _check_dense(self, name: str) -> None:
        """Raise ValueError unless the dense model is as accurate as it must be; measured once."""
        path = home() / "results" / self.data / "dense_top1.json"
        key = hashlib.sha256(str(sorted(self.digests([name], name, 0, False).items())).encode()).hexdigest()
        advice = "remove it, so that the dense models are measured again"
        known = read_json(path, advice) if path.is_file() else {}
        if not isinstance(known, dict) or not all(isinstance(top1, float) for top1 in known.values()):
            raise ValueError(f"{path} is damaged (it must hold an accuracy for every key); {advice}.")
        if key not in known:
            with advise_on_memory(self.batch_size):
                model = copy.deepcopy(_loaded(name)).to(best_device())
                known[key] = evaluate(model, self.test_batches([name])).top1
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(known, indent=1))
        if not abs(known[key] - self.dense_top1[name]) <= TOLERANCE:
            raise ValueError(
                f"{name}, not pruned, has a top-1 of {known[key]:.2f} % on {self._split('val')}; the paper prints "
                f"{self.dense_top1[name]:.2f} %, and {TOLERANCE} points are allowed. Nothing was pruned, since no "
                "number would mean what the paper's do. Other weights, other images, classes in another order or "
                f"another crop (here {self.crop_pct or config(name).crop_pct} of the resized side) would explain it."
            )


@cache
def _loaded(model: str) -> nn.Module:
    return load_pretrained(model)


@cache
def _weights_digest(model: str) -> str:
    return digest(weights_file(model))


def _evaluation(folder: Path, model: str, crop_pct: float | None, batch_size: int, images: int | None) -> FolderImages:
    known = config(model)
    return evaluation_images(folder, known, Transform.of(known, crop_pct), batch_size, images)


@cache
def _imagenette(folder: Path | None, split: str) -> Path:
    if folder is None:
        found = (find_imagenette(place) for place in (home(), Path("data"), Path("..", "data")))
        root = next(filter(None, found), None) or fetch_imagenette()
    elif (root := folder if (folder / "val").is_dir() else find_imagenette(folder)) is None:
        raise FileNotFoundError(
            f"There is no Imagenette in {folder}; give a folder that holds {', '.join(IMAGENETTE_SIZES.values())}, "
            "or `train` and `val` themselves, or leave `data` out, so that it is fetched."
        )
    check_imagenette(root, [split])
    return root / split


@cache
def _imagenet(folder: Path | None, split: str) -> Path:
    place = (folder or home() / "imagenet") / split
    if not place.is_dir():
        raise FileNotFoundError(
            f"ImageNet's {split} images are not in {place}. They need a registration at ImageNet's site; prepare the "
            "folder with 'swinprune fetch imagenet', and say where it is with `data`."
        )
    names = class_names(place)
    if odd := sorted(set(names) ^ set(ImageNetInfo().label_names())):
        raise ValueError(
            f"{place} has {len(names)} classes and ImageNet-1k 1000, in folders named by their WordNet ids "
            f"({odd[0]} is only in one of the two); prepare it anew with "
            "'swinprune fetch imagenet'."
        )
    return place


def _own(folder: Path, split: str) -> Path:
    """`val` and `train` of the reader's folder; one without a `val` is itself what accuracy is measured on."""
    there = set(class_names(folder)) if folder.is_dir() else set()
    if split == "val" and "val" not in there:
        if there and there <= {"train", "test", "valid", "validation"}:
            raise FileNotFoundError(
                f"{folder} has no val folder, but {', '.join(sorted(there))}; name the split that accuracy is measured "
                "on val."
            )
        return folder
    if split not in there:
        raise FileNotFoundError(
            f"{folder} has no {split} folder, so there is nothing to fine-tune on; put one there, with a folder of "
            "images for every class."
        )
    return folder / split
