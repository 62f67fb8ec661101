"""The magnitudes of a weight as integers: a float's bits without its sign order as its magnitude does.

The upper 16 of them (exponent and leading digits) name one of `BINS` bins. Everything runs in the thread
that calls, by numpy: the steps are so short that threads would wait for each other longer than they work,
above all beside another job.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

from swinprune_lite.pruning.importance import NOT_FINITE, check_loaded

BINS = 2**15
CHUNK = 2**17  # elements that stay in a core's cache as float64
INTEGERS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


class Magnitudes:
    """The magnitudes of one weight, in row-major order.

    Args:
        name: of the weight, for errors.
        weight: any shape, on any device, in float16, bfloat16, float32 or float64; of 8 bits it is widened.

    Attributes:
        bins: those that hold any, ascending, int64 (used,).
        counts: how many each of them holds, int64 (used,).
        low: the smallest magnitude that each of them may hold, float64 (used,).
        high: the largest.

    Raises:
        ValueError: a weight of another type, on the meta device, or that holds NaN or infinity.
    """

    def __init__(self, name: str, weight: torch.Tensor) -> None:
        weight = weight.float() if weight.is_floating_point() and weight.element_size() == 1 else weight
        if weight.dtype not in INTEGERS:
            raise ValueError(f"{name} is {weight.dtype}; masks are made from float16, bfloat16, float32 or float64.")
        check_loaded(name, weight)
        self._signed = weight.detach().cpu().reshape(-1).view(INTEGERS[weight.dtype]).numpy()
        self._below = 8 * self._signed.itemsize - 16  # bits below those that name the bin
        self._scale = 1.0
        self._low, high = _edges(weight.dtype)
        counts = np.zeros(BINS, np.int64)
        for _, bits in self._pieces():
            some = np.bincount((bits >> self._below).astype(np.intp))
            counts[: len(some)] += some
        self.bins = np.flatnonzero(counts)
        self.counts, self.low, self.high = counts[self.bins], self._low[self.bins], high[self.bins]
        if not np.isfinite(self.high).all():
            raise ValueError(NOT_FINITE.format(name))

    def __len__(self) -> int:
        return len(self._signed)

    def rescale(self, scale: float) -> None:
        """Take all magnitudes times `scale`, a power of two, so that squares of float64 stay in range."""
        self.low, self.high, self._scale = self.low * scale, self.high * scale, self._scale * scale

    def split(self, first: int, last: int) -> tuple[torch.Tensor, np.ndarray, float]:
        """Which weights lie above the bins `first` to `last`, the positions of those in them, and the former's energy.

        Returns:
            bool tensor (n,), int64 array and the sum of squares in float64.
        """
        above = torch.empty(len(self), dtype=torch.bool, device="cpu")
        positions, energy = [np.empty(0, np.intp)], 0.0
        for start, bits in self._pieces():
            larger = np.greater(bits, ((last + 1) << self._below) - 1, out=above.numpy()[start : start + len(bits)])
            positions.append(np.flatnonzero((bits >= first << self._below) ^ larger) + start)
            energy += np.square(self._rescaled(self._values(np.multiply(bits, larger, out=bits)))).sum()
        return above, np.concatenate(positions), energy

    def descending(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The magnitudes at `positions` from the largest, of equal ones the earlier first.

        Returns:
            Their order (indices into `positions`, int64), and in it their values (float64) and these as they were
            before any rescaling.
        """
        bits = self._signed[positions] & np.iinfo(self._signed.dtype).max
        order = _order(bits)
        values = self._values(bits[order])
        return order, self._rescaled(values), values

    def _pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Start and bits without the sign of every chunk, in memory that the next one uses again."""
        scratch = np.empty(min(CHUNK, len(self)), self._signed.dtype)
        for start in range(0, len(self), CHUNK):
            piece = self._signed[start : start + CHUNK]
            yield start, np.bitwise_and(piece, np.iinfo(piece.dtype).max, out=scratch[: len(piece)])

    def _values(self, bits: np.ndarray) -> np.ndarray:
        """The magnitudes in float64, of their bits, before any rescaling."""
        # in the types of 16 bits a bin holds one magnitude
        return bits.view(f"f{bits.itemsize}").astype(np.float64) if self._below else self._low[bits]

    def _rescaled(self, values: np.ndarray) -> np.ndarray:
        return values if self._scale == 1 else values * self._scale


@cache
def _edges(dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest magnitude of each bin, float64 (BINS,); not finite where the bin is NaN's or infinity's."""
    below = torch.finfo(dtype).bits - 16
    lowest = torch.arange(BINS, device="cpu") << below
    return tuple(
        edge.to(INTEGERS[dtype]).view(dtype).to(torch.float64).numpy() for edge in (lowest, lowest | (1 << below) - 1)
    )


def _order(bits: np.ndarray) -> np.ndarray:
    """Indices from the largest to the smallest, of equal ones the earlier first: a radix sort of 16 bits at a time."""
    if len(bits) == 0:
        return np.empty(0, np.intp)
    rest = bits.max() - bits
    order = np.argsort(rest.astype(np.uint16), kind="stable")
    while (rest := rest >> 16).any():
        order = order[np.argsort(rest[order].astype(np.uint16), kind="stable")]
    return order
