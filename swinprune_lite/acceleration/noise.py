"""Images of noise, to compare, export and time models with."""

import torch
from torch import nn


def noise(model: nn.Module, batch: int = 1) -> torch.Tensor:
    """The same images of noise every time, (batch, channels, height, width) as a timm model says that it takes them.

    They are of the type and on the device of its weights.
    """
    patches = model.patch_embed
    shape = (batch, patches.proj.in_channels, *patches.img_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(patches.proj.weight)
