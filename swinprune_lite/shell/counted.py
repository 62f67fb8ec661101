"""A model's products, counted once for all that a command says of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from swinprune_lite.anatomy.counting import check_counted, count_products
from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.anatomy.products import Products
from swinprune_lite.pruning.cost import Cost
from swinprune_lite.pruning.importance import check_stored
from swinprune_lite.types import InputSize


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
        """Of a model and an image; ValueError as `cost` raises it."""
        check_stored(model)
        shape = image_shape(model, input_size)
        products = count_products(model, shape)
        check_counted(model, products, prunable(model))
        return cls(shape, sum(parameter.numel() for parameter in model.parameters()), products)

    def cost(self, masks: Mapping[str, torch.Tensor]) -> Cost:
        """As `pruning.cost.cost` of the model with these masks."""
        gone = sum(mask.numel() - int(mask.sum()) for mask in masks.values())
        return Cost(self.params, self.params - gone, self.products.macs, self.products.macs - self.products.lost(masks))
