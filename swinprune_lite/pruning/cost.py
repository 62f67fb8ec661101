"""Parameters and multiply-accumulates (MACs; the paper's "FLOPs"), dense and after pruning."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.pruning.holding import check_masks
from swinprune_lite.types import InputSize


class Cost(NamedTuple):
    """Counts for one image; `nonzero_` leaves out pruned weights and the products they take part in."""

    params: int
    nonzero_params: int
    macs: int
    nonzero_macs: int


def cost(
    model: nn.Module, masks: Mapping[str, torch.Tensor] | None = None, input_size: InputSize | None = None
) -> Cost:
    """Parameters and MACs of one forward pass of one image, dense and without the pruned weights.

    A pruned weight takes its own products away, one for every position (token) it is applied to.
    Attention's own products, query by key and attention by value, count as MACs and are never
    reduced. Additions, normalisation and activations are not counted, as in the paper.

    Args:
        model: the network; it is not run on real numbers, and left as it is.
        masks: parameter name -> bool, True = kept; weights not named count as kept. None counts
            the zeros that stand among the prunable weights as removed.
        input_size: side, (height, width) or (channels, height, width); None: the model's own.

    Raises:
        ValueError: masks that do not fit the model, an input size that the model does not take, or
            one that has to be given.
    """
    parameters = dict(model.named_parameters())
    if masks is None:
        removed = {name: int((parameters[name] == 0).sum()) for name in prunable(model)}
    else:
        check_masks(model, masks)
        removed = {name: mask.numel() - int(mask.sum()) for name, mask in masks.items()}
    params = sum(parameter.numel() for parameter in parameters.values())
    macs, positions = macs_and_positions(model, input_size)
    saved = sum(count * positions.get(name, 0) for name, count in removed.items())
    return Cost(params, params - sum(removed.values()), macs, macs - saved)


def macs_and_positions(model: nn.Module, input_size: InputSize | None = None) -> tuple[int, dict[str, int]]:
    """MACs of the whole network for one image, and the positions each linear layer's weight is applied to.

    Everything runs on the meta device: shapes only, no arithmetic. A weight of a layer that is applied
    to n positions (tokens) takes part in n products. Arguments and errors as for `cost`.
    """
    shape = _image_shape(model, input_size)
    positions: dict[str, int] = {}
    names = {module: name for name, module in model.named_modules() if isinstance(module, nn.Linear)}

    def record(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        name = f"{names[module]}.weight"
        positions[name] = positions.get(name, 0) + inputs[0].numel() // module.in_features

    hooks = [module.register_forward_pre_hook(record) for module in names]
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(model, shapes, torch.empty(1, *shape, device="meta"))
    except (AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{type(model).__name__} does not take an image of (channels, height, width) {shape}: {reason}"
        ) from error
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return counter.get_total_flops() // 2, positions


def _image_shape(model: nn.Module, input_size: InputSize | None) -> tuple[int, int, int]:
    """(channels, height, width) from what the caller gave, else from what timm's model says of itself."""
    patches = getattr(model, "patch_embed", None)
    own = tuple((getattr(model, "pretrained_cfg", None) or {}).get("input_size", ()))
    if (projection := getattr(patches, "proj", None)) is not None and getattr(patches, "img_size", None):
        own = (projection.in_channels, *patches.img_size)
    if input_size is None:
        if not own:
            raise ValueError(f"{type(model).__name__} does not say its input size; give input_size, e.g. 224.")
        return own
    size = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    size = size if len(size) == 3 else ((own or (3,))[0], *size)
    if len(size) != 3 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"input_size must be a side, (height, width) or (channels, height, width) in pixels; got {input_size!r}."
        )
    return size
