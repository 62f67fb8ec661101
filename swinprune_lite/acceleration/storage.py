"""A file for pruned weights that is as small as they are: a bit mask, the surviving values, both entropy-coded.

A weight that is removed with probability p costs H(p) bits to mark, and a surviving float16 value 16 bits:
H(p) + 16 (1 - p) bits a weight, the *information bound* for values of which nothing is known. But something
is: trained weights use a few of float16's exponents only. Bytes that hold sign and exponent are therefore
coded apart from the rest of the mantissa, which is as good as noise. Every stream of bytes gets a Huffman
code (deflate without matches, which random bits do not have) if that makes it smaller.

The container is safetensors: any reader can list it, and the metadata tell names, shapes and types, and a digest
of all that.
"""

import json
import math
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from swinprune_lite.acceleration.saving import ABOUT, check_ordinary, noted, plain_state, with_note
from swinprune_lite.files import atomic, check_finite, content_digest, parse_json, read_safetensors
from swinprune_lite.pruning.masks import check_masks, nonzero_masks
from swinprune_lite.types import Masks

FORMAT = "swinprune-lite pruned weights, version 1"
VALUES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
TYPES = VALUES | {
    name: getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "complex64", "complex128")
}
"""What a state dict may hold beside weights: buffers, which are kept as they are."""

_KEYS = ("format", "tensors", "uncoded")  # of the metadata


def save_pruned(
    model: nn.Module,
    path: str | Path,
    masks: Mapping[str, torch.Tensor] | None = None,
    dtype: str = "float16",
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a model's weights; of masked tensors only the surviving values.

    Args:
        model: the network; masked weights count as zero, whatever they hold, under every name that they have.
        path: file to write.
        masks: parameter name -> bool, True = kept. None: the zeros among the prunable weights are removed.
        dtype: "float16", "bfloat16", "float32" or "float64", to which the values are rounded first. The file
            gives back exactly what the rounding left.
        about: what else the file says, as JSON holds it; `saving.about` reads it.

    Raises:
        ValueError: masks that do not fit, an unknown type, a value that is not finite in it, or something that the
            file cannot hold: no ordinary tensor, or a buffer of another type. Nothing is written.
    """
    if dtype not in VALUES:
        raise ValueError(f"dtype must be one of {', '.join(VALUES)}; got {dtype!r}.")
    state = plain_state(model)
    if masks is None:
        masks = nonzero_masks(model)
    check_masks(model, masks)
    kept = _by_every_name(model, masks)
    streams, header = {}, {}
    for name, tensor in state.items():
        values = tensor.to(VALUES[dtype]) if tensor.is_floating_point() else tensor
        stored = str(values.dtype).removeprefix("torch.")
        if stored not in TYPES:
            raise ValueError(f"{name} is of {stored}, which the file cannot hold; convert it to one of {[*TYPES]}.")
        if name in kept:
            values = values.masked_fill(~kept[name], 0)
        if not torch.isfinite(values).all():
            worst = tensor[~torch.isfinite(values)].to(torch.complex128)
            advice = "give a wider dtype" if torch.isfinite(worst).all() else "mend the model, it holds NaN or infinity"
            raise ValueError(f"{name} holds a value that is not finite in {stored}; {advice}.")
        header[name] = {"shape": list(tensor.shape), "dtype": stored}
        if name in masks:
            values = values[kept[name]]
            streams[f"{name}.mask"] = np.packbits(kept[name].numpy().reshape(-1))
        bytes_ = values.contiguous().reshape(-1).view(torch.uint8).numpy().reshape(-1, values.element_size())
        for place in range(bytes_.shape[1]):
            streams[f"{name}.{place}"] = np.ascontiguousarray(bytes_[:, place])
    coded = {key: _shorter(stream) for key, stream in streams.items()}
    tensors = {key: torch.from_numpy(np.frombuffer(code, np.uint8).copy()) for key, (code, _) in coded.items()}
    raw = [key for key, (_, is_coded) in coded.items() if not is_coded]
    metadata = {"format": FORMAT, "tensors": json.dumps(header), "uncoded": json.dumps(raw)} | noted(about)
    metadata["sha256"] = content_digest(metadata, with_note(_KEYS, metadata), tensors)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_pruned(path: str | Path) -> tuple[dict[str, torch.Tensor], Masks]:
    """State dict (in the types it was saved with) and masks of a file written by `save_pruned`.

    `model.load_state_dict(state)` and `apply_masks(model, masks)` make a model of them.

    Warns:
        UserWarning: the file has no digest, as earlier ones have none. Its lengths, shapes and types agree, but an
            altered value would not be noticed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, altered or of another format, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; save pruned weights there with save_pruned.")
    try:
        metadata, tensors = read_safetensors(path)
        state, masks = _decoded(metadata, tensors)
    except (ValueError, RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} does not hold pruned weights ({said}); save them anew with save_pruned.") from error
    if "sha256" not in metadata:
        warnings.warn(
            f"{path} has no digest, so an altered value would not be noticed; save it anew with save_pruned.",
            stacklevel=2,
        )
    return state, masks


def information_bound(masks: Mapping[str, torch.Tensor], others: int = 0, bits: int = 16) -> float:
    """Bytes that masks and surviving values take at least, if nothing is known of the values.

    Args:
        masks: each tensor's share p of removed weights counts by itself: H(p) + bits (1 - p) bits a weight.
        others: how many numbers are stored beside them, whole; 0 or more.
        bits: of a value; 1 or more.

    Raises:
        ValueError: a mask that is not bool, or numbers below those.
    """
    if not others >= 0 or not bits >= 1:
        raise ValueError(f"others must be 0 or more and bits 1 or more; got {others!r} and {bits!r}.")
    total = float(bits * others)
    for name, mask in masks.items():
        if mask.dtype != torch.bool:
            raise ValueError(f"The mask of {name} must be a bool tensor; got {mask.dtype}.")
        kept = int(mask.sum())
        total += bits * kept
        for count in (kept, mask.numel() - kept):
            total -= count * math.log2(count / mask.numel()) if count else 0
    return total / 8


def _by_every_name(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> Masks:
    """The masks on the CPU, under all names of the parameters, since a tied one has several; and of what shares memory
    with a masked one.
    """
    for name, mask in masks.items():
        check_ordinary(f"The mask of {name}", mask)
    own = {_memory(model.get_parameter(name)): mask.cpu() for name, mask in masks.items()}
    every = dict(model.named_parameters(remove_duplicate=False))
    found = {name: own[_memory(each)] for name, each in every.items() if _memory(each) in own}
    return found | {name: mask.cpu() for name, mask in masks.items()}


def _memory(tensor: torch.Tensor) -> tuple:
    """Where a tensor's numbers lie, and how."""
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride()


def _shorter(stream: np.ndarray) -> tuple[bytes, bool]:
    """The stream Huffman-coded, or as it is where that is no longer; and whether it is coded."""
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    raw = stream.tobytes()
    code = coder.compress(raw) + coder.flush()
    return (code, True) if len(code) < len(raw) else (raw, False)


def _decoded(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], Masks]:
    """State dict and masks of the file's content; ValueError unless all of it agrees."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its metadata lack the format {FORMAT!r}")
    if metadata.keys() - {"sha256", ABOUT} != set(_KEYS):
        raise ValueError(f"its metadata must have the keys {', '.join(_KEYS)} and sha256; they have {[*metadata]}")
    if metadata.get("sha256", digest := content_digest(metadata, with_note(_KEYS, metadata), tensors)) != digest:
        raise ValueError("it was altered after it was saved: its content does not match its own SHA-256")
    header, uncoded = parse_json(metadata["tensors"]), parse_json(metadata["uncoded"])
    if not isinstance(header, dict) or not isinstance(uncoded, list) or not set(map(str, uncoded)) <= tensors.keys():
        raise ValueError("its metadata do not list its tensors")
    streams = _Streams(tensors, set(map(str, uncoded)))
    state, masks = {}, {}
    for name, about in header.items():
        shape, dtype = _described(name, about)
        count = kept = math.prod(shape)
        if f"{name}.mask" in tensors:
            bits = np.unpackbits(streams.take(f"{name}.mask", -(-count // 8)))
            if bits[count:].any():
                raise ValueError(f"the mask of {name} marks more weights than its shape {tuple(shape)} has")
            mask = torch.from_numpy(bits[:count].astype(bool))
            masks[name], kept = mask.reshape(shape), int(mask.sum())
        planes = [streams.take(f"{name}.{place}", kept) for place in range(dtype.itemsize)]
        raw = np.stack(planes, 1).reshape(-1)
        if dtype == torch.bool and raw.max(initial=0) > 1:
            raise ValueError(f"{name} holds a byte that is neither true nor false")
        values = torch.from_numpy(raw).view(dtype)
        if name in masks:
            values = torch.zeros(shape, dtype=dtype).masked_scatter_(masks[name], values)
        state[name] = values.reshape(shape)
    if streams.left:
        raise ValueError(f"it holds also {', '.join(sorted(streams.left)[:3])}, which its metadata do not list")
    check_finite(state)
    return state, masks


def _described(name: str, about: object) -> tuple[list[int], torch.dtype]:
    """Shape and type of a tensor, as the header has them."""
    about = about if isinstance(about, dict) else {}
    shape, dtype = about.get("shape"), about.get("dtype")
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{name} must have a shape of whole numbers; it has {shape!r}")
    if math.prod(shape) >= 2**48:
        raise ValueError(f"{name} has a shape of {tuple(shape)}, more numbers than any machine holds")
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise ValueError(f"{name} is of type {dtype!r}; known are {', '.join(TYPES)}")
    return shape, TYPES[dtype]


class _Streams:
    """The file's streams of bytes; `left` are those that were not taken yet."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], uncoded: set[str]) -> None:
        self.tensors, self.uncoded, self.left = tensors, uncoded, set(tensors)

    def take(self, key: str, length: int) -> np.ndarray:
        """The stream, decoded: uint8 (length,)."""
        code = self.tensors.get(key)
        if code is None or code.dtype != torch.uint8 or code.dim() != 1:
            raise ValueError(f"it has no stream of bytes {key}")
        self.left.discard(key)
        raw, whole = code.numpy().tobytes(), True
        if key not in self.uncoded:
            decoder = zlib.decompressobj()
            try:
                raw = decoder.decompress(raw, length + 1)  # no more memory than the shape needs
            except zlib.error as error:
                raise ValueError(f"{key} cannot be decoded: {error}") from error
            whole = decoder.eof and not decoder.unused_data
        if len(raw) != length or not whole:
            raise ValueError(f"{key} must hold {length} bytes, by its shape and mask, and does not")
        return np.frombuffer(raw, np.uint8)
