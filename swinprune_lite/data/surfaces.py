"""Surfaces with defects, drawn from a seed: synthetic, and of no factory.

Everything is drawn in whole numbers from PCG64's raw bits, whose stream NumPy guarantees: the same seed gives the same
pixels on any processor. A surface has `SIDE` pixels a side at the finest camera; a coarser camera averages them.
`sources.surface_sets` are what is trained and measured on; `draw_surface` draws more.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
from scipy.ndimage import convolve1d

SIDE = 64
TEXTURES = ("brushed metal", "cast grain", "woven fabric")
KINDS = ("clean", "scratch", "stain", "pit", "crack", "missing thread")
ON = {kind: TEXTURES[:2] for kind in ("scratch", "crack")} | {"missing thread": TEXTURES[2:]}
"""Textures that a kind occurs on, where not on all."""

SMALLEST, LARGEST = 1, SIDE - 2
"""Sizes of a defect in pixels of the finest camera that are drawn."""

_UNIT = 8  # parts of a pixel that outlines are drawn in
_SAMPLES = np.arange(1, _UNIT, 2)  # four a pixel and direction
_LINE = 5  # half the thickness of a scratch, in units
_THREAD = 4  # pixels from one thread to the next


def draw_surface(seed: int, texture: str, kind: str = "clean", size: float = 0) -> np.ndarray:
    """One surface, of one grey channel, as the finest camera sees it.

    Args:
        seed: whole number, 0 or more, of all that is drawn: noise, light, place, direction and contrast.
        texture: one of `TEXTURES`.
        kind: one of `KINDS`; scratches and cracks occur on metal, missing threads on fabric.
        size: longest extent of the defect in pixels, of a missing thread along it, from `SMALLEST` to `LARGEST`, in
            eighths; 0 if clean.

    Returns:
        uint8 (SIDE, SIDE).

    Raises:
        ValueError: an unknown texture or kind, a kind that does not occur on the texture, or a size or seed that
            does not fit.
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more; got {seed!r}.")
    for name, value, known in (("texture", texture, TEXTURES), ("kind", kind, KINDS)):
        if value not in known:
            raise ValueError(f"Unknown {name} {value!r}; choose one of {', '.join(known)}.")
    if texture not in ON.get(kind, TEXTURES):
        raise ValueError(f"A {kind} does not occur on {texture}; choose one of {', '.join(ON[kind])}.")
    fits = isinstance(size, Real) and not isinstance(size, bool) and SMALLEST <= size <= LARGEST
    if kind != "clean" and not fits:
        raise ValueError(
            f"A defect's size must be a number from {SMALLEST} to {LARGEST} pixels, so that it fits into the "
            f"{SIDE} pixels of a surface; got {size!r}."
        )
    if kind == "clean" and size != 0:
        raise ValueError(f"A clean surface has no defect, so its size is 0; got {size!r}.")
    drawn = Drawn(int(seed))
    field = _DRAW[texture](drawn) + _light(drawn) + _noise(drawn, 3)
    if kind == "missing thread":
        field += _missing_thread(drawn, round(_UNIT * size))
    elif kind != "clean":
        field += _DEFECTS[kind](drawn, round(_UNIT * size))
    return np.clip(field, 0, 255).astype(np.uint8)


def seen_by(pixels: np.ndarray, camera: int, side: int) -> np.ndarray:
    """Surfaces as a camera sees them and a model takes them.

    Args:
        pixels: uint8 (images, SIDE, SIDE).
        camera: pixels a side of the camera, which divide `SIDE`: each is the mean of those it covers, halves upwards.
        side: pixels a side that the model takes, a multiple of the camera's, each of which is repeated.

    Returns:
        uint8 (images, side, side).

    Raises:
        ValueError: pixels of another shape, or sizes that do not divide one another.
    """
    array = isinstance(pixels, np.ndarray)
    if not array or pixels.ndim != 3 or pixels.shape[1:] != (SIDE, SIDE) or pixels.dtype != np.uint8:
        got = f"{pixels.dtype} {pixels.shape}" if array else type(pixels).__name__
        raise ValueError(f"Surfaces must be uint8 (images, {SIDE}, {SIDE}); got {got}.")
    if not isinstance(camera, Integral) or isinstance(camera, bool) or camera < 1 or SIDE % camera:
        raise ValueError(f"A camera's pixels a side must divide the {SIDE} of a surface; got {camera!r}.")
    if not isinstance(side, Integral) or side < camera or side % camera:
        raise ValueError(f"A model's pixels a side must be a multiple of the camera's, {camera}; got {side!r}.")
    block = SIDE // camera
    sums = pixels.reshape(len(pixels), camera, block, camera, block).sum((2, 4), dtype=np.int64)
    seen = ((2 * sums + block**2) // (2 * block**2)).astype(np.uint8)
    return seen.repeat(side // camera, 1).repeat(side // camera, 2)


class Drawn:
    """Whole numbers from a seed, the same with every version of NumPy."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def below(self, count: int) -> int:
        """From 0 to count - 1."""
        return int(self.bits.random_raw()) % count

    def between(self, low: int, high: int) -> int:
        """Both included."""
        return low + self.below(high - low + 1)

    def bytes(self, *shape: int) -> np.ndarray:
        """int64 of this shape, from 0 to 255."""
        count = math.prod(shape)
        raw = self.bits.random_raw(-(-count // 8)).astype("<u8").view(np.uint8)
        return raw[:count].astype(np.int64).reshape(shape)

    def vector(self, length: int) -> np.ndarray:
        """(rows, columns) of this length, in a direction that no other is preferred to."""
        while True:
            found = np.array([self.between(-128, 128), self.between(-128, 128)])
            if 64**2 <= (square := int(found @ found)) <= 128**2:
                return found * length // math.isqrt(square)


def _noise(drawn: Drawn, deviation: int, *blurs: tuple[int, int]) -> np.ndarray:
    """Noise of mean 0 and about this deviation, summed over boxes of (pixels, axis), which wrap around."""
    field, count = drawn.bytes(SIDE, SIDE), math.prod(width for width, _ in blurs)
    for width, axis in blurs:
        field = convolve1d(field, np.ones(width, dtype=np.int64), axis=axis, mode="wrap")
    return (2 * field - 255 * count) * deviation // (148 * math.isqrt(count))  # a byte deviates by 74


def _light(drawn: Drawn) -> np.ndarray:
    """How bright it is: a plane."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    down, right = drawn.between(-10, 10), drawn.between(-10, 10)
    return drawn.between(115, 140) + (rows * down + columns * right) // SIDE


def _metal(drawn: Drawn) -> np.ndarray:
    return _noise(drawn, 7, (25, drawn.below(2)))


def _cast(drawn: Drawn) -> np.ndarray:
    return _noise(drawn, 5, (3, 0), (3, 1)) + _noise(drawn, 4, (9, 0), (9, 1))


def _fabric(drawn: Drawn) -> np.ndarray:
    """A plain weave: threads pass over and under one another in turn."""
    profile = np.array([-10, 6, 6, -10])
    shades = [drawn.bytes(SIDE // _THREAD) // 32 - 4 for _ in range(2)]
    places = np.arange(SIDE)
    along = [profile[places % _THREAD] + shade[places // _THREAD] for shade in shades]
    return np.where(_over(), along[0][:, None], along[1][None, :]) + _noise(drawn, 2)


def _over() -> np.ndarray:
    """Where the thread that lies along a row is on top."""
    rows, columns = np.mgrid[:SIDE, :SIDE] // _THREAD
    return (rows + columns) % 2 == 0


def _missing_thread(drawn: Drawn, size: int) -> np.ndarray:
    """Along a thread the ground shows, dark, wherever it was on top; it begins with such a place."""
    pixels = -(-size // _UNIT)
    thread, across = drawn.below(SIDE // _THREAD), drawn.below(2)
    first = _THREAD * drawn.below((SIDE - pixels) // _THREAD + 1)
    if (first // _THREAD + thread + across) % 2:  # the other thread is on top here
        first += _THREAD if first + _THREAD + pixels <= SIDE else -_THREAD
    first = max(first, 0)
    gone = np.zeros((SIDE, SIDE), dtype=np.int64)
    gone[_THREAD * thread : _THREAD * (thread + 1), first : first + pixels] = 1
    gone = gone * (_over() if not across else ~_over().T)
    return -_contrast(drawn, 90) * (gone.T if across else gone)


def _contrast(drawn: Drawn, most: int) -> int:
    return most * drawn.between(60, 100) // 100


def _covered(lines: Sequence[np.ndarray], radius: int) -> np.ndarray:
    """How much of each pixel lies within `radius` units of a line through points (K, 2), in sixteenths.

    The squared distance from a segment of squared length n is compared after it is multiplied by n, in whole numbers.
    """
    found = np.zeros((SIDE, SIDE), dtype=np.int64)
    points = np.concatenate(lines)
    low = np.maximum((points.min(0) - radius) // _UNIT, 0)
    high = np.minimum((points.max(0) + radius) // _UNIT + 1, SIDE)
    places = [(np.arange(a, b)[:, None] * _UNIT + _SAMPLES).ravel() for a, b in zip(low, high)]
    inside = np.zeros((len(places[0]), len(places[1])), dtype=bool)
    for line in lines:
        for start, end in pairwise(line):
            way = end - start
            square = max(int(way @ way), 1)
            rows, columns = places[0][:, None] - start[0], places[1][None, :] - start[1]
            along = rows * way[0] + columns * way[1]
            nearest = along.clip(0, square)
            distance = (rows**2 + columns**2) * square - 2 * nearest * along + nearest**2
            inside |= distance <= radius**2 * square
    shape = (high[0] - low[0], len(_SAMPLES), high[1] - low[1], len(_SAMPLES))
    found[low[0] : high[0], low[1] : high[1]] = inside.reshape(shape).sum((1, 3))
    return found


def _centre(drawn: Drawn, size: int) -> np.ndarray:
    """A point so that what extends by half the size around it lies in the image, a pixel from its border."""
    least = size // 2 + _UNIT
    return np.array([drawn.between(least, SIDE * _UNIT - least) for _ in "RC"])


def _scratch(drawn: Drawn, size: int) -> np.ndarray:
    radius = min(_LINE, size // 2)
    centre, half = _centre(drawn, size), drawn.vector(size // 2 - radius)
    return _contrast(drawn, 110) * _covered([np.stack([centre - half, centre + half])], radius) // 16


def _crack(drawn: Drawn, size: int) -> np.ndarray:
    radius = min(_LINE - 1, size // 2)
    centre, half = _centre(drawn, size), drawn.vector(size // 2 - radius)
    joints, aside = 2 + size // (4 * _UNIT), np.array([-half[1], half[0]])
    line = [centre + half * (2 * number - joints) // joints for number in range(joints + 1)]
    line[1:-1] = [point + aside * drawn.between(-100, 100) // 400 for point in line[1:-1]]
    return -_contrast(drawn, 100) * _covered([np.stack(line)], radius) // 16


def _pit(drawn: Drawn, size: int) -> np.ndarray:
    """A dark round hole, the far wall of which is lit."""
    centre, radius = _centre(drawn, size), size // 2
    whole = _covered([np.stack([centre, centre])], radius)
    inner = _covered([np.stack([centre, centre]) - radius // 4], radius * 3 // 4)
    return _contrast(drawn, 100) * (whole // 2 - np.minimum(whole, inner) * 3 // 2) // 16


def _stain(drawn: Drawn, size: int) -> np.ndarray:
    """Three discs that run into one another, with a soft border."""
    centre, radius = _centre(drawn, size), size // 4
    discs = [centre + drawn.vector(size * drawn.between(0, 100) // 800) for _ in range(3)]
    field, width = _covered([np.stack([disc, disc]) for disc in discs], max(radius, 3)), size // (4 * _UNIT) | 1
    for axis in (0, 1):
        field = convolve1d(field, np.ones(width, dtype=np.int64), axis=axis, mode="constant")
    return -_contrast(drawn, 80) * field // (16 * width**2)


_DRAW = dict(zip(TEXTURES, (_metal, _cast, _fabric)))
_DEFECTS = {"scratch": _scratch, "stain": _stain, "pit": _pit, "crack": _crack}
