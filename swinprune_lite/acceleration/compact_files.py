"""Files of compact models, which say themselves how to build them, and are checked before they are believed."""

import copy
import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import nn

from swinprune_lite.acceleration.compacting import group_counts, narrow
from swinprune_lite.acceleration.comparing import check_depends, same
from swinprune_lite.acceleration.saving import noted, plain_state, with_note
from swinprune_lite.anatomy.inputs import image_shape, noise
from swinprune_lite.anatomy.parts import parts
from swinprune_lite.files import (
    atomic,
    check_finite,
    content_digest,
    parse_json,
    read_safetensors,
    reason,
)
from swinprune_lite.models.lite import LITE_MODELS, create_lite

FORMAT = "swinprune-lite compact model, version 1"
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
LARGEST = 2**32  # bytes that an image and what grows with it, the masks of windows, may take
DEEPEST = 10  # lists and dictionaries in each other that an argument may be

_KEYS = ("format", "architecture", "arguments", "groups")  # of the metadata, beside the digest
_LOADING = ("pretrained", "checkpoint_path", "cache_dir")  # with such arguments timm would load other weights
_PLACES = ("device", "dtype")  # and with these put them elsewhere: the file's are on the CPU, in their own types


def save_compact(
    model: nn.Module,
    path: str | Path,
    architecture: str | None = None,
    arguments: Mapping | None = None,
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a compact model to one safetensors file that says itself how to build it.

    The file is read back and must give the same logits before it takes its name.

    Args:
        model: of `compact`.
        path: file to write.
        architecture: timm's name, or a lite model's; None: what the model says of itself.
        arguments: of `timm.create_model`, beyond classes, channels and image size, which the model tells.
        about: what else the file says, as JSON holds it; `saving.about` reads it.

    Raises:
        ValueError: no architecture, one that with these arguments does not give this model, arguments that JSON
            cannot hold, weights that are no ordinary tensors (on the meta device, sparse, quantised) or not finite,
            or a model whose outputs do not depend on the image. Nothing is written.
    """
    tensors = {name: tensor.contiguous().clone() for name, tensor in plain_state(model).items()}
    architecture = architecture or (getattr(model, "pretrained_cfg", None) or {}).get("architecture")
    if not architecture:
        raise ValueError(f"{type(model).__name__} does not say its architecture; give timm's name, or a lite model's.")
    arguments = {} if architecture in LITE_MODELS else own_arguments(model) | dict(arguments or {})
    try:
        _check_tensors(tensors)
    except ValueError as error:
        raise ValueError(f"{type(model).__name__} cannot be saved: {error}. Nothing was saved.") from error
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "arguments": _as_json(architecture, arguments),
        "groups": json.dumps(group_counts(model)),
    } | noted(about)
    metadata["sha256"] = content_digest(metadata, with_note(_KEYS, metadata), tensors)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata)
        try:
            loaded = load_compact(temporary)
        except ValueError as error:
            raise ValueError(f"The model cannot be saved: {error.__cause__}. Nothing was saved.") from error
        check_same(model, loaded, architecture, arguments)


def load_compact(path: str | Path) -> nn.Module:
    """The model of a file written by `save_compact`, in its own precision and evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is damaged, altered, no compact model, or one that holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; save a compact model there with save_compact.")
    try:
        metadata, tensors = read_safetensors(path)
        return _loaded(metadata, tensors)
    except ValueError as error:
        raise ValueError(f"{path} is no compact model: {error}. Save it anew with save_compact.") from error


def _loaded(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The model of a file's content; ValueError unless all of it agrees, which is looked at before memory is taken."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"its metadata lack the format {FORMAT!r}")
    if metadata.get("sha256") != content_digest(metadata, with_note(_KEYS, metadata), tensors):
        raise ValueError(
            "it was altered after it was saved: names, shapes, numbers or configuration do not match its own SHA-256"
        )
    if missing := set(_KEYS) - metadata.keys():
        raise ValueError(f"its metadata lack {', '.join(sorted(missing))}")
    arguments, groups = (parse_json(metadata[key]) for key in ("arguments", "groups"))
    return assembled(metadata["architecture"], arguments, groups, tensors)


def assembled(architecture: str, arguments: object, groups: object, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """A model with these weights, in their own types and evaluation mode, on the CPU.

    Args:
        architecture: timm's name, or a lite model's.
        arguments: what it is built with.
        groups: path -> how many heads or hidden units, of each of its `parts`.
        tensors: its state.

    Raises:
        ValueError: they do not all fit each other, which is looked at before memory is taken.
    """
    _check_tensors(tensors)
    _check_arguments(architecture, arguments, len(tensors))
    shaped = _built(architecture, arguments, groups, "meta")
    wanted = shaped.state_dict()
    if differing := sorted(wanted.keys() ^ tensors.keys()):
        raise ValueError(f"{architecture} as built here and the file do not both have {', '.join(differing[:3])}")
    for name, tensor in tensors.items():
        if wanted[name].shape != tensor.shape or wanted[name].is_floating_point() != tensor.is_floating_point():
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} of {tensor.dtype}; {architecture} as built here needs "
                f"{tuple(wanted[name].shape)} of {wanted[name].dtype}"
            )
    beside = sum(buffer.numel() * buffer.element_size() for buffer in shaped.buffers())
    beside += 8 * math.prod(getattr(getattr(shaped, "patch_embed", None), "img_size", None) or ())
    if beside > LARGEST:
        raise ValueError(f"{architecture} with {arguments} would take {beside / 1e9:.0f} GB for one image")
    model = _built(architecture, arguments, groups, "cpu")
    largest = max((tensor for tensor in tensors.values() if tensor.is_floating_point()), key=torch.Tensor.numel)
    model.to(largest.dtype)  # what is in no file, such as the masks of shifted windows
    model.load_state_dict(tensors, assign=True)  # each in the type it was saved in
    types = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(types) > 1:
        try:
            with torch.inference_mode():
                model.eval()(noise(model))
        except RuntimeError as error:
            raise ValueError(f"its weights are of several types that do not go together: {reason(error)}") from error
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} would be on {tensor.device}; {architecture} must be built on the CPU")
    return model.eval()


def _as_json(architecture: str, arguments: Mapping) -> str:
    """The arguments as JSON; ValueError, naming the first that JSON cannot hold."""
    for name, value in arguments.items():
        try:
            json.dumps({name: value})
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"The argument {name} of {architecture} is {textwrap.shorten(repr(value), 80)}, and a file holds "
                "numbers, text, lists and dictionaries alone; give such a one, as timm takes the name of a layer as "
                "text. Nothing was saved."
            ) from error
    return json.dumps(dict(arguments))


def own_arguments(model: nn.Module) -> dict:
    """What `timm.create_model` must be told so that classes, channels and image size are the model's own."""
    if not isinstance(getattr(model, "num_classes", None), int):
        raise ValueError(
            f"{type(model).__name__} is no model as timm builds it, so a file could not build it again; save the timm "
            "model inside it."
        )
    channels, *sides = image_shape(model)
    own = {"num_classes": model.num_classes, "in_chans": channels}
    return own | ({"img_size": sides} if getattr(getattr(model, "patch_embed", None), "img_size", None) else {})


def _check_tensors(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError, naming the tensor, unless there are some, all of types that networks compute in, and finite."""
    if not any(tensor.dtype in FLOATING for tensor in tensors.values()):
        raise ValueError(f"it holds no weights of a type among {', '.join(map(str, FLOATING))}")
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATING + WHOLE:
            raise ValueError(f"{name} is of {tensor.dtype}; known are {', '.join(map(str, FLOATING + WHOLE))}")
    check_finite(tensors)


def _check_arguments(architecture: str, arguments: object, tensors: int) -> None:
    """Raise ValueError unless these are arguments to build an architecture with, of no more layers than tensors."""
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {architecture} must be a JSON object; they are {arguments!r}")
    if architecture in LITE_MODELS:
        if arguments:
            raise ValueError(f"{architecture} takes no arguments; the file has {arguments}")
        return
    if not timm.is_model(architecture):
        raise ValueError(f"timm has no model {architecture!r}; this version of timm cannot build it")
    if loading := [name for name, _ in _all(arguments) if name.startswith(_LOADING)]:
        raise ValueError(f"with {', '.join(loading)} timm would load other weights than the file's")
    for name, value in _all(arguments):
        if name in _PLACES:
            raise ValueError(f"with {name} the weights would not be on the CPU in the file's types; it is {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value}, and numbers must be finite")
    for name, value in arguments.items():
        counts = value if isinstance(value, list) else [value]
        if ("depth" in name or "layers" in name) and sum(c for c in counts if isinstance(c, (int, float))) > tensors:
            raise ValueError(f"{name} is {value}, more layers than the file has tensors")


def _all(arguments: Mapping | list, name: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Name and value of every argument, and of what lists and dictionaries among them hold; a list's have its name."""
    if depth > DEEPEST:
        raise ValueError(f"{name} holds lists or dictionaries in each other to a depth of more than {DEEPEST}")
    pairs = arguments.items() if isinstance(arguments, Mapping) else ((name, each) for each in arguments)
    for key, value in pairs:
        yield key, value
        if isinstance(value, (Mapping, list)):
            yield from _all(value, key, depth + 1)


def _built(architecture: str, arguments: Mapping, groups: object, device: str) -> nn.Module:
    """The architecture with so many groups in each of its parts, its weights random, or on the meta device absent."""
    try:
        with torch.device(device):  # whatever the default is
            create = create_lite if architecture in LITE_MODELS else timm.create_model
            model = create(architecture, **arguments)
    except Exception as error:  # arguments of another architecture can raise almost anything
        raise ValueError(f"{architecture} cannot be built with {arguments}: {reason(error)}") from error
    found = parts(model)
    if not isinstance(groups, dict):
        raise ValueError(f"its groups must be a JSON object; they are {groups!r}")
    if differing := sorted(groups.keys() ^ {part.path for part in found}):
        raise ValueError(f"{architecture} as built here and its groups do not both have {', '.join(differing[:3])}")
    for part in found:
        count = groups[part.path]
        if type(count) is not int or not 1 <= count <= part.count:
            raise ValueError(f"{part.path} has 1 to {part.count} {part.kind}; the file says {count!r}")
        narrow(model, part, torch.arange(part.count, device="cpu") < count)
    return model


@torch.inference_mode()
def check_same(model: nn.Module, loaded: nn.Module, architecture: str, arguments: Mapping) -> None:
    """Raise ValueError unless both give the same features and logits for two images of noise, on the CPU.

    Features are what the head reads: a head of zeros gives the same logits whatever stands before it.
    """
    own = _outputs(copy.deepcopy(model).cpu().eval())
    check_depends(own[0], f"The features of {architecture}")
    if not all(map(same, own, _outputs(loaded))):
        raise ValueError(
            f"{architecture} with {dict(arguments)} does not compute what this model computes; give the other "
            "arguments that it was made with. Nothing was saved."
        )


def _outputs(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and logits for two images of noise."""
    images = noise(model, 2)
    return model.forward_features(images), model(images)
