"""Images of nothing: leaves and noise, drawn from a seed, for what wants images but must not be told of any data."""

from collections.abc import Sequence

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
    _check(images)
    channels, height, width = shape
    drawn = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    found = np.zeros((images, channels, height, width))
    share = (SMALLEST / LARGEST) ** 2
    for image in found:
        for uniform, top, left, *shade in drawn.random((LEAVES, 3 + channels)):
            radius = min(height, width) * SMALLEST / np.sqrt(share + (1 - share) * uniform)
            _cover(image, rows - top * height, columns - left * width, radius, shade)
    return _standardised(found)


def coloured_noise(images: int, shape: tuple[int, int, int], power: float, seed: int = 0) -> torch.Tensor:
    """Gaussian noise whose amplitude falls with the spatial frequency f as f^-power, as photographs' does with power 1.

    Shifted and scaled to mean 0 and variance 1 over all of them (Field, 1987; Baradad et al., 2021).

    Args:
        images: how many, 1 or more.
        shape: (channels, height, width) in pixels.
        power: 0 is white noise; 1 pink; 2 clouds.
        seed: of what is drawn.

    Returns:
        float64 (images, channels, height, width).

    Raises:
        ValueError: fewer than one image.
    """
    _check(images)
    height, width = shape[1:]
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((images, *shape)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)  # the mean's own is zero: take the lowest
    return _standardised(np.fft.irfft2(spectrum * frequency**-power, s=(height, width)))


def lone_disks(images: int, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """One disk of random shade, place and size on a dark ground: a thing by itself.

    Shifted and scaled to mean 0 and variance 1 over all of them.

    Args:
        images: how many, 1 or more.
        shape: (channels, height, width) in pixels.
        seed: of what is drawn.

    Returns:
        float64 (images, channels, height, width).

    Raises:
        ValueError: fewer than one image.
    """
    _check(images)
    channels, height, width = shape
    rows, columns = np.mgrid[:height, :width]
    found = np.zeros((images, channels, height, width))
    for image, (top, left, size, *shade) in zip(found, np.random.default_rng(seed).random((images, 3 + channels))):
        radius = min(height, width) * (0.1 + 0.35 * size)
        _cover(image, rows - (0.3 + 0.4 * top) * height, columns - (0.3 + 0.4 * left) * width, radius, shade)
    return _standardised(found)


def drawn_kinds(images: int, shape: tuple[int, int, int], seed: int = 0) -> dict[str, torch.Tensor]:
    """Kinds of images of nothing, so that what is true of one kind alone can be told from what is true of all.

    Args:
        images: of each kind, 1 or more.
        shape: (channels, height, width) in pixels.
        seed: of what is drawn.

    Returns:
        Kind -> float64 (images, channels, height, width).

    Raises:
        ValueError: fewer than one image.
    """
    grey = dead_leaves(images, (1, *shape[1:]), seed + 1)
    return {
        "leaves": dead_leaves(images, shape, seed),
        "grey leaves": grey.expand(-1, shape[0], -1, -1),
        "white noise": coloured_noise(images, shape, 0, seed + 2),
        "pink noise": coloured_noise(images, shape, 1, seed + 3),
        "clouds": coloured_noise(images, shape, 2, seed + 4),
        "disks on dark": lone_disks(images, shape, seed + 5),
        "disks on light": -lone_disks(images, shape, seed + 6),
    }


def _check(images: int) -> None:
    if not isinstance(images, int) or isinstance(images, bool) or images < 1:
        raise ValueError(f"images must be a whole number of 1 or more; got {images!r}.")


def _cover(image: np.ndarray, down: np.ndarray, right: np.ndarray, radius: float, shade: Sequence[float]) -> None:
    """Draw a disk: a shade for the pixels that lie less than a radius away, so far down and right of its centre."""
    image[:, down**2 + right**2 < radius**2] = np.array(shade)[:, None]


def _standardised(found: np.ndarray) -> torch.Tensor:
    deviation = found.std() or 1.0
    return torch.from_numpy((found - found.mean()) / deviation)
