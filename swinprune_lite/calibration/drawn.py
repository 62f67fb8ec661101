"""Images of nothing: dead leaves, drawn from a seed, for what wants images but must not be told of any data."""

import numpy as np
import torch

LEAVES = 100  # an image
SMALLEST, LARGEST = 0.05, 0.5  # radius of a leaf over the image's shorter side


def dead_leaves(images: int, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Disks of random shade that fall on one another, the small ones more often: the density of a radius r is r^-3.

    Such images have the edges, the plain areas and, at whatever scale one looks, the correlations of photographs
    (Ruderman, 1997; Lee, Mumford and Huang, 2001), and features learned on them serve photographs (Baradad et al.,
    2021). They are shifted and scaled to mean 0 and variance 1 over all of them, as a pipeline does with its images.

    Args:
        images: how many, 1 or more.
        shape: (channels, height, width) in pixels.
        seed: of what is drawn.

    Returns:
        float64 (images, channels, height, width).

    Raises:
        ValueError: fewer than one image.
    """
    if not isinstance(images, int) or isinstance(images, bool) or images < 1:
        raise ValueError(f"images must be a whole number of 1 or more; got {images!r}.")
    channels, height, width = shape
    drawn = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    found = np.zeros((images, channels, height, width))
    share = (SMALLEST / LARGEST) ** 2
    for image in found:
        for uniform, top, left, *shade in drawn.random((LEAVES, 3 + channels)):
            radius = min(height, width) * SMALLEST / np.sqrt(share + (1 - share) * uniform)
            covered = (rows - top * height) ** 2 + (columns - left * width) ** 2 < radius**2
            image[:, covered] = np.array(shade)[:, None]
    deviation = found.std() or 1.0
    return torch.from_numpy((found - found.mean()) / deviation)
