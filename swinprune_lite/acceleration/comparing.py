"""Outputs of a model before it was written and after, compared so that a difference would show."""

import torch

TOLERANCE = 1e-3  # of the largest output, between devices; in half precision some units of its last digit
LEAST = 1e-6  # of the largest output: what two images must at least make it differ by


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


def same(own: torch.Tensor, again: torch.Tensor) -> bool:
    """Whether two outputs of one shape differ by `TOLERANCE` at most."""
    tolerance = max(TOLERANCE, 8 * torch.finfo(own.dtype).eps)
    return own.shape == again.shape and bool((own - again).abs().max() <= tolerance * own.abs().max())
