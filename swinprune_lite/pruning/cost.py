"""Parameters and multiply-accumulates (MACs; the paper's "FLOPs"), dense and after pruning."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from swinprune_lite.anatomy.counting import check_counted, count_products
from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.anatomy.products import Products
from swinprune_lite.pruning.importance import check_stored
from swinprune_lite.pruning.masks import check_masks, nonzero_masks
from swinprune_lite.types import InputSize


class Cost(NamedTuple):
    """Counts for one image.

    Attributes:
        params: parameters, pruned ones included.
        nonzero_params: those that are not pruned.
        macs: multiply-accumulates of the dense model.
        nonzero_macs: without the products of pruned weights; attention's own products stay.
    """

    params: int
    nonzero_params: int
    macs: int
    nonzero_macs: int


@dataclass(frozen=True)
class Counted:
    """What a model computes for one image, counted once for all masks.

    Attributes:
        shape: (channels, height, width) of the image.
        params: parameters of the model.
        products: of `count_products`.
    """

    shape: tuple[int, int, int]
    params: int
    products: Products

    @classmethod
    def of(cls, model: nn.Module, input_size: InputSize | None = None) -> "Counted":
        """Of a model and an image; ValueError as `cost` raises it for masks of all prunable weights."""
        check_stored(model)
        return _counted(model, input_size, prunable(model))

    def cost(self, masks: Mapping[str, torch.Tensor]) -> Cost:
        """As the function `cost` of the model with these masks."""
        gone = sum(mask.numel() - int(mask.sum()) for mask in masks.values())
        return Cost(self.params, self.params - gone, self.products.macs, self.products.macs - self.products.lost(masks))


def cost(
    model: nn.Module, masks: Mapping[str, torch.Tensor] | None = None, input_size: InputSize | None = None
) -> Cost:
    """Parameters and MACs of one forward pass of one image, dense and without the pruned weights.

    A pruned weight takes its own products away, one for every position (token or pixel) that it is applied
    to, at every use and in whatever way the model calls it. Attention's own products, query by key and
    attention by value, count as MACs and are never reduced. Additions, normalisation and activations are
    not counted, as in the paper.

    Args:
        model: the network; it is not run on real numbers, and left as it is.
        masks: parameter name -> bool, True = kept; weights not named count as kept. None counts
            the zeros that stand among the prunable weights as removed.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Returns:
        The four counts of `Cost`.

    Raises:
        ValueError: masks that do not fit the model or are of matrices that no product uses, weights on the
            meta device without masks, sparse ones, an input size that the model does not take, or one that has to
            be given.
    """
    parameters = dict(model.named_parameters())
    check_stored(model)
    if masks is None:
        if on_meta := [name for name in prunable(model) if parameters[name].is_meta]:
            raise ValueError(
                f"{on_meta[0]} is on the meta device, where no zeros can be counted; give masks, {{}} for none."
            )
        masks = nonzero_masks(model)
    else:
        check_masks(model, masks)
    return _counted(model, input_size, [name for name, mask in masks.items() if not mask.all()]).cost(masks)


def _counted(model: nn.Module, input_size: InputSize | None, names: Iterable[str]) -> Counted:
    """`Counted`; ValueError if a parameter of these names is of a matrix that no product uses."""
    shape = image_shape(model, input_size)
    products = count_products(model, shape)
    check_counted(model, products, names)
    return Counted(shape, sum(parameter.numel() for parameter in model.parameters()), products)


def macs_and_positions(model: nn.Module, input_size: InputSize | None = None) -> tuple[int, dict[str, int | float]]:
    """MACs of the whole network for one image, and the positions that each weight is applied to.

    Args:
        model: the network; it is not run on real numbers, and left as it is.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Returns:
        The MACs, and parameter name -> positions (tokens or pixels), for every weight of a matrix product or
        convolution, in the order of their use: n positions are n products for each of its elements. Of a weight
        that is used at several places they are added; where its elements differ it is their mean.

    Raises:
        ValueError: sparse weights, an input size that the model does not take, or one that has to be given.
    """
    check_stored(model)
    found = count_products(model, image_shape(model, input_size))
    positions = {}
    for name, products in found.weights.items():
        parameter = model.get_parameter(name)
        everything = {name: torch.zeros(parameter.shape, dtype=torch.bool, device="cpu")}
        whole, rest = divmod(macs := found.lost(everything, products), parameter.numel())
        positions[name] = macs / parameter.numel() if rest else whole
    return found.macs, positions
