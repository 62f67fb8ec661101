"""A model by the name that a shell gives it, wherever its weights lie."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import nn

from swinprune_lite.acceleration import compact_files, storage
from swinprune_lite.acceleration.saving import about
from swinprune_lite.anatomy.counting import count_products
from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.files import SHIPPED, read_safetensors, sha256
from swinprune_lite.models import checkpoints, pretrained
from swinprune_lite.models.lite import is_lite, lite_and_seed, lite_card, load_lite
from swinprune_lite.pruning.cost import Counted
from swinprune_lite.shell.keeping import kept_pruned, remember, widened
from swinprune_lite.types import Masks

FILES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".safetensors")
_ARCH = "say which timm architecture it is with --arch (in Python, arch=), such as swin_tiny_patch4_window7_224"


@dataclass(frozen=True)
class Loaded:
    """A model and where it comes from.

    Attributes:
        model: in evaluation mode, on the CPU, in float32, or float64 where its file has that.
        name: as it was asked for.
        architecture: timm's name, or a lite model's.
        sha256: of its weights' file, 64 hexadecimal digits.
        image_size: (height, width) in pixels.
        classes: that it tells apart; 0: it gives features.
        arguments: beside classes, channels and image size, what timm builds the architecture with.
        pruned: what its file says of how it was pruned; None: nothing.
        masks: of a pruned file, parameter name -> bool tensor of its shape, True = kept; they are not held.
    """

    model: nn.Module
    name: str
    architecture: str
    sha256: str
    image_size: tuple[int, int]
    classes: int
    arguments: dict = field(default_factory=dict)
    pruned: dict | None = None
    masks: Masks = field(default_factory=dict)

    @cached_property
    def counted(self) -> Counted:
        """What the model computes for one image of its size, so long as its shapes stay what they are."""
        return Counted.of(self.model, self.image_size)


def load_model(name: str, arch: str | None = None, image_size: tuple[int, int] | None = None) -> Loaded:
    """A model by name, without any network where its weights are on this machine.

    Args:
        name: timm's with its tag ("swin_tiny_patch4_window7_224.ms_in1k"), "local-dir:FOLDER" of timm's `save_for_hf`,
            a checkpoint file (.pth, .safetensors and the like; in timm's, its original repository's or torchvision's
            layout), a file of `save_pruned` or `save_compact`, or a lite model, "swin_lite_tiny" or, of another
            training seed, "swin_lite_tiny:1".
        arch: timm's name of a checkpoint's architecture; for others it is known, and must be left out.
        image_size: (height, width) in pixels; None: the model's own.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown name, a checkpoint without `arch`, or whose weights are not its; a file that is damaged
            or holds code; an image size that the model does not take.
        ConnectionError: weights that are neither on this machine nor to be had from the hub.
    """
    path = Path(name).expanduser()
    is_file = path.is_file() or (path.suffix in FILES and not name.startswith("local-dir:"))
    if arch and not is_file:
        raise ValueError(f"--arch is for checkpoint files, and {name!r} is none; leave it out.")
    if is_file:
        return _from_file(name, path, arch, image_size)
    if is_lite(name):
        lite, seed = lite_and_seed(name)
        return _checked(load_lite(lite, seed), name, lite, lite_card(lite, seed)["sha256"], image_size)
    model = pretrained.load_pretrained(name, image_size)
    architecture = (model.pretrained_cfg or {}).get("architecture") or name.partition(".")[0]
    digest = pretrained.digest(pretrained.weights_file(name))
    return _checked(model, name, architecture, digest, image_size, arguments=pretrained.own_arguments(name))


def file_of(name: str) -> Path:
    """The file that holds the weights of a model of `load_model`."""
    if (path := Path(name).expanduser()).is_file():
        return path
    if is_lite(name):
        lite, seed = lite_and_seed(name)
        return SHIPPED / f"{lite}_seed{seed}.safetensors"
    return pretrained.weights_file(name)


def _from_file(name: str, path: Path, arch: str | None, image_size: tuple[int, int] | None) -> Loaded:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give a model's file, or a name that timm knows.")
    digest, own = sha256(path), ""
    if path.suffix == ".safetensors":
        own = _format(path)
    if own in (compact_files.FORMAT, storage.FORMAT) and arch:
        raise ValueError(f"{path} says itself of which architecture it is; leave --arch out.")
    if own == compact_files.FORMAT:
        model = widened(compact_files.load_compact(path))
        metadata, said = read_safetensors(path)[0], about(path)
        more = {"arguments": json.loads(metadata["arguments"])}
        return _checked(model, name, metadata["architecture"], digest, image_size or _said_size(said), said, **more)
    if own == storage.FORMAT:
        model, said, masks = kept_pruned(path)
        more = {"arguments": said["arguments"], "masks": masks}
        return _checked(model, name, said["architecture"], digest, image_size or _said_size(said), said, **more)
    if not arch:
        raise ValueError(f"{path} is a checkpoint; {_ARCH}.")
    model = checkpoints.load_as(arch, path, image_size)
    return _checked(model, name, checkpoints.check_known(arch), digest, image_size)


def _format(path: Path) -> str:
    try:
        return read_safetensors(path)[0].get("format", "")
    except ValueError as error:
        raise ValueError(f"{path} is no whole file: {error}; get it again.") from error


def _said_size(said: Mapping[str, object]) -> tuple[int, int] | None:
    size = said.get("image_size")
    return tuple(size) if isinstance(size, list) else None


def _checked(
    model: nn.Module,
    name: str,
    architecture: str,
    digest: str,
    image_size: tuple[int, int] | None,
    said: Mapping[str, object] | None = None,
    **more,
) -> Loaded:
    """`Loaded`, with an image size that the model takes."""
    remember(model, said or {})
    shape = image_shape(model, image_size)
    if image_size:
        count_products(model, shape)
    classes, pruned = int(getattr(model, "num_classes", 0) or 0), (said or {}).get("pruned")
    return Loaded(model, name, architecture, digest, shape[1:], classes, pruned=pruned, **more)
