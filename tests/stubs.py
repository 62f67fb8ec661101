"""A hub and folders of images in the real layouts, with random weights and tiny images."""

import hashlib
import os
import random
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import ImageNetInfo
from torchvision.datasets import Imagenette

REVISION = "0123456789abcdef0123456789abcdef01234567"


def make_hub(cache: Path, names: list[str]) -> None:
    """The hub's cache as `huggingface_hub` lays it out, with random weights of each model."""
    for name in names:
        torch.manual_seed(0)
        state = timm.create_model(name).state_dict()
        repository = cache / f"models--timm--{name}"
        (repository / "blobs").mkdir(parents=True)
        file = repository / "blobs" / "new"
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, file)
        blob = file.rename(file.with_name(hashlib.sha256(file.read_bytes()).hexdigest()))
        snapshot = repository / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        (snapshot / "model.safetensors").symlink_to(os.path.relpath(blob, snapshot))
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(REVISION)


def make_folder(folder: Path, classes: list[str], images: int, size: tuple[int, int] = (48, 40)) -> None:
    """A folder with a folder of JPEGs for every class."""
    drawn = random.Random(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(images):
            colour = tuple(drawn.randrange(256) for _ in range(3))
            Image.new("RGB", size, colour).save(folder / name / f"{name}_{number}.JPEG")


def make_imagenette(home: Path, train: int = 2, val: int = 1) -> Path:
    """Imagenette's ten classes in `train` and `val`."""
    root = home / "imagenette2-320"
    for split, images in (("train", train), ("val", val)):
        make_folder(root / split, list(Imagenette._WNID_TO_CLASS), images)
    return root


def make_imagenet(folder: Path, val: int = 1) -> None:
    """ImageNet's thousand classes in `val`."""
    make_folder(folder / "val", ImageNetInfo().label_names(), val, (8, 8))
