"""A file for pruned weights that is as small as they are: a bit mask, the surviving values, both entropy-coded.

A weight that is removed with probability p costs H(p) bits to mark, and a surviving float16 value 16 bits:
H(p) + 16 (1 - p) bits a weight, the *information bound* for values of which nothing is known. But something
is: trained weights use a few of float16's exponents only. Bytes that hold sign and exponent are therefore
coded apart from the rest of the mantissa, which is as good as noise. Every stream of bytes gets a Huffman
code (deflate without matches, which random bits do not have) if that makes it smaller.

The container is safetensors: any reader can list it, and the metadata tell names, shapes and types.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.files import atomic
from swinprune_lite.pruning.holding import check_masks
from swinprune_lite.types import Masks

FORMAT = "swinprune-lite pruned weights, version 1"
VALUES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def save_pruned(
    model: nn.Module, path: str | Path, masks: Mapping[str, torch.Tensor] | None = None, dtype: str = "float16"
) -> None:
    """Write a model's weights; of masked tensors only the surviving values.

    Args:
        model: the network; masked weights count as zero, whatever they hold.
        path: file to write.
        masks: parameter name -> bool, True = kept. None: the zeros among the prunable weights are removed.
        dtype: "float16", "bfloat16", "float32" or "float64", to which the values are rounded first. The file
            gives back exactly what the rounding left.

    Raises:
        ValueError: masks that do not fit, an unknown type, or a value that is not finite in it.
    """
    if dtype not in VALUES:
        raise ValueError(f"dtype must be one of {', '.join(VALUES)}; got {dtype!r}.")
    if masks is None:
        masks = {name: model.get_parameter(name) != 0 for name in prunable(model)}
    check_masks(model, masks)
    streams, header = {}, {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu()
        values = tensor.to(VALUES[dtype]) if tensor.is_floating_point() else tensor
        if tensor.is_floating_point() and not torch.isfinite(values).all():
            raise ValueError(f"{name} holds a value that is not finite in {dtype}; give a wider dtype.")
        header[name] = {"shape": list(tensor.shape), "dtype": str(values.dtype).removeprefix("torch.")}
        if name in masks:
            mask = masks[name].cpu()
            values = values[mask]
            streams[f"{name}.mask"] = np.packbits(mask.numpy().reshape(-1))
        bytes_ = values.contiguous().reshape(-1).view(torch.uint8).numpy().reshape(-1, values.element_size())
        for place in range(bytes_.shape[1]):
            streams[f"{name}.{place}"] = np.ascontiguousarray(bytes_[:, place])
    coded = {key: _shorter(stream) for key, stream in streams.items()}
    tensors = {key: torch.from_numpy(np.frombuffer(code, np.uint8).copy()) for key, (code, _) in coded.items()}
    raw = [key for key, (_, is_coded) in coded.items() if not is_coded]
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "tensors": json.dumps(header), "uncoded": json.dumps(raw)})


def load_pruned(path: str | Path) -> tuple[dict[str, torch.Tensor], Masks]:
    """State dict (in the types it was saved with) and masks of a file written by `save_pruned`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; save pruned weights there with save_pruned.")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its metadata lack the format {FORMAT!r}")
            uncoded = set(json.loads(metadata["uncoded"]))
            streams = {}
            for key in file.keys():  # noqa: SIM118  (not a dictionary)
                code = file.get_tensor(key).tobytes()
                streams[key] = np.frombuffer(code if key in uncoded else zlib.decompress(code), np.uint8)
        state, masks = {}, {}
        for name, about in json.loads(metadata["tensors"]).items():
            state[name], mask = _decode(name, about, streams)
            if mask is not None:
                masks[name] = mask
    except (SafetensorError, ValueError, KeyError, zlib.error, OSError) as error:
        raise ValueError(f"{path} does not hold pruned weights ({error}); save them anew with save_pruned.") from error
    return state, masks


def information_bound(masks: Mapping[str, torch.Tensor], others: int = 0, bits: int = 16) -> float:
    """Bytes that masks and surviving values take at least, if nothing is known of the values.

    Args:
        masks: each tensor's share p of removed weights counts by itself: H(p) + bits (1 - p) bits a weight.
        others: how many numbers are stored beside them, whole.
        bits: of a value.
    """
    total = float(bits * others)
    for mask in masks.values():
        kept = int(mask.sum())
        total += bits * kept
        for count in (kept, mask.numel() - kept):
            total -= count * math.log2(count / mask.numel()) if count else 0
    return total / 8


def _shorter(stream: np.ndarray) -> tuple[bytes, bool]:
    """The stream Huffman-coded, or as it is where that is no longer; and whether it is coded."""
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    raw = stream.tobytes()
    code = coder.compress(raw) + coder.flush()
    return (code, True) if len(code) < len(raw) else (raw, False)


def _decode(name: str, about: dict, streams: Mapping[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor | None]:
    dtype = getattr(torch, about["dtype"])
    count = math.prod(about["shape"])
    planes = [streams[f"{name}.{place}"] for place in range(torch.empty(0, dtype=dtype).element_size())]
    values = torch.from_numpy(np.stack(planes, 1).reshape(-1)).view(dtype)
    if f"{name}.mask" not in streams:
        return values.reshape(about["shape"]), None
    mask = torch.from_numpy(np.unpackbits(streams[f"{name}.mask"], count=count).astype(bool))
    whole = torch.zeros(count, dtype=dtype)
    whole[mask] = values
    return whole.reshape(about["shape"]), mask.reshape(about["shape"])
