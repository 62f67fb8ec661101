"""Images of noise, to compare, export and time models with."""

import torch
from torch import nn

LEAST = 1e-6  # of the largest output: what two images must at least make it differ by


def noise(model: nn.Module, batch: int = 1) -> torch.Tensor:
    """The same images of noise every time, (batch, channels, height, width) as a timm model says that it takes them.

    They are of the type and on the device of its weights.
    """
    shape = (batch, *image_shape(model))
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(model.patch_embed.proj.weight)


def image_shape(model: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of the images that a timm model says that it takes.

    Raises:
        ValueError: it does not say.
    """
    patches = getattr(model, "patch_embed", None)
    projection, sides = getattr(patches, "proj", None), getattr(patches, "img_size", None)
    if not isinstance(projection, nn.Conv2d) or not sides:
        raise ValueError(
            f"{type(model).__name__} does not say what images it takes: it lacks timm's patch_embed with an img_size, "
            "as Swin and ViT have it."
        )
    return (projection.in_channels, *sides)


def check_depends(outputs: torch.Tensor, what: str) -> None:
    """Raise ValueError where outputs are not finite or do not depend on the image, so that comparing them says nothing.

    Args:
        outputs: (2, ...), those for two images.
        what: what the outputs are, and of which model.
    """
    if not torch.isfinite(outputs).all():
        raise ValueError(f"{what} are not finite for an image of noise; check its weights for NaN or infinity.")
    if not (outputs[0] - outputs[1]).abs().max() > LEAST * outputs.abs().max():
        raise ValueError(
            f"{what} are the same for two different images, so comparing them would say nothing. Nothing was saved; "
            "give a model whose weights are trained, or random."
        )
