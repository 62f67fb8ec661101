"""What images a model takes: their size, channels, type and device; and images of noise to run it on."""

import operator
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from swinprune_lite.anatomy.counting import count_products
from swinprune_lite.types import InputSize

COMPILED = "_orig_mod"  # where torch.compile keeps the model, which takes the same images


def image_shape(model: nn.Module, input_size: InputSize | None = None) -> tuple[int, int, int]:
    """(channels, height, width) of one image in pixels: as given, and what is not given as the model says of itself.

    A timm model says its size by the patch embedding around its first layer or, where that knows none, by its
    `pretrained_cfg`; its channels by its first layer. Where the two disagree in channels, those count
    with which the model runs.

    Args:
        model: the network; it is not run on real numbers.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Raises:
        ValueError: another input size, or one that the model does not say and that has to be given.
    """
    size = None if input_size is None else _checked(input_size)
    if size and len(size) == 3:
        return size
    told = _told(model)
    size = size or _own_size(model) or told[1:]
    if not size:
        raise ValueError(f"{type(model).__name__} does not say its input size; give input_size, e.g. 224.")
    channels = list(dict.fromkeys([*_layer_channels(model), *told[:1]]))
    if not channels:
        raise ValueError(
            f"{type(model).__name__} does not say how many channels its images have; give input_size as (channels, "
            f"height, width), e.g. (3, {size[0]}, {size[1]})."
        )
    runs = (count for count in channels if len(channels) == 1 or _runs(model, (count, *size)))
    return (next(runs, channels[0]), *size)


def image_type(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of the images that a model takes: those of the first layer that they meet.

    Where that is unknown or holds no floating numbers, the model's first parameter that does decides; a model
    without any takes float32 on the device of whatever it holds.
    """
    first = _first_layer(model)[1]
    own = [] if first is None else [*first.parameters(), getattr(first, "weight", None)]
    tensors = [*own, *model.parameters(), *model.buffers()]
    held = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]
    for tensor in held:
        if tensor.is_floating_point() and tensor.element_size() > 1:  # nothing computes in 8 bits as it is
            return tensor.device, tensor.dtype
    return (held[0].device if held else torch.device("cpu")), torch.float32


def noise(model: nn.Module, batch: int = 1, input_size: InputSize | None = None) -> torch.Tensor:
    """The same images of noise every time, in the model's `image_type`.

    Args:
        model: the network.
        batch: how many images.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Returns:
        Tensor (batch, channels, height, width), standard normal.

    Raises:
        ValueError: another input size, or one that has to be given.
    """
    shape = (batch, *image_shape(model, input_size))
    device, dtype = image_type(model)
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(device, dtype)


def _checked(input_size: InputSize) -> tuple[int, ...]:
    """(height, width) or (channels, height, width) as Python's own whole numbers."""
    try:
        sides = [input_size] * 2 if _is_whole(input_size) else list(input_size)
    except TypeError:
        sides = []
    size = tuple(operator.index(side) for side in sides if _is_whole(side))
    if len(sides) not in (2, 3) or len(size) != len(sides) or min(size) < 1:
        raise ValueError(
            "input_size must be a side, (height, width) or (channels, height, width) in pixels, whole numbers above "
            f"zero; got {input_size!r}."
        )
    return size


def _is_whole(number: object) -> bool:
    """Whether it is Python's, NumPy's or torch's integer; True and False are none."""
    try:
        return not isinstance(number, bool) and operator.index(number) is not None
    except TypeError:
        return False


def _configuration(model: nn.Module) -> Mapping:
    """What timm says of the weights that it has for this architecture."""
    found = getattr(model, "pretrained_cfg", None)
    return found if isinstance(found, Mapping) else {}


def _told(model: nn.Module) -> tuple[int, ...]:
    """(channels, height, width) of timm's own weights for this architecture, or ()."""
    return tuple(_configuration(model).get("input_size") or ())


def _first_layer(model: nn.Module) -> tuple[str, nn.Module | None]:
    """Path and module of the layer that meets the images: the one timm names, else the first convolution."""
    named = _configuration(model).get("first_conv") or ()
    for path in (named,) if isinstance(named, str) else named:
        try:
            return path, model.get_submodule(path)
        except AttributeError:
            continue  # a model that was changed after timm had made it
    return next((pair for pair in model.named_modules() if hasattr(pair[1], "kernel_size")), ("", None))


def _layer_channels(model: nn.Module) -> Iterator[int]:
    _, first = _first_layer(model)
    for module in first.modules() if first is not None else ():
        if isinstance(getattr(module, "in_channels", None), int):
            yield module.in_channels
            return


def _own_size(model: nn.Module) -> tuple[int, ...]:
    """(height, width) of the module nearest around the first layer that has an `img_size`, or ().

    Of a network that is not timm's only its own patch embedding counts: what stands between the images and
    the embedding of a network inside is unknown.
    """
    parts = _first_layer(model)[0].split(".")[:-1]
    for depth in range(len(parts), -1, -1):
        if depth - (parts[:1] == [COMPILED]) > 1 and not _configuration(model):
            continue
        size = getattr(model.get_submodule(".".join(parts[:depth])), "img_size", None)
        if size is not None:
            return _checked(size)
    return ()


def _runs(model: nn.Module, shape: tuple[int, int, int]) -> bool:
    try:
        count_products(model, shape)
    except ValueError:
        return False
    return True
