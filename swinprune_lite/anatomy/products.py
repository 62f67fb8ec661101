"""The products of a forward pass, the weights that take part in them, and what vanishes with a mask.

What tells a weight is its storage: views and transposes share it. What is computed from parameters alone (a
cast, a concatenation, a standardised weight) carries them along, and is computed in numbers where it must
be known which of its elements vanish with a parameter's. `counting` finds the products.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch

WIDE = dict.fromkeys([torch.float16, torch.bfloat16, torch.float32, torch.float64], torch.float64)
WIDE |= dict.fromkeys([torch.complex32, torch.complex64, torch.complex128], torch.complex128)
"""The types in which numbers are computed: in narrow ones different numbers would become the same."""


@dataclass(eq=False, frozen=True)
class Source:
    """What a storage holds that no image changes.

    Attributes:
        tensor: on the meta device; while it lives, no other storage gets this one's address.
        seed: of the numbers that stand for it.
        names: the parameters that it is computed from; none for a buffer, a constant or the result of a product.
        make: its numbers, flat in the storage's order, from those of others; None: they are not computed.
    """

    tensor: torch.Tensor
    seed: int
    names: frozenset[str] = frozenset()
    make: Callable[["Numbers"], torch.Tensor] | None = None

    @property
    def size(self) -> int:
        """Elements of the storage."""
        return self.tensor.untyped_storage().nbytes() // self.tensor.element_size()


class View(NamedTuple):
    """A tensor on a source's storage."""

    source: Source
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @property
    def whole(self) -> bool:
        """Whether it shows every element of its storage once, in any order of its dimensions."""
        expected = 1
        for stride, size in sorted((stride, size) for size, stride in zip(self.size, self.stride) if size > 1):
            if stride != expected:
                return False
            expected *= size
        return expected == self.source.size and self.dtype == self.source.tensor.dtype


class Product(NamedTuple):
    """One product: (..., n, k) times (..., k, m), or a convolution with `right`; None: not a weight."""

    macs: int
    left: View | None
    right: View | None


@dataclass
class Products:
    """All products of one forward pass.

    Attributes:
        macs: multiply-accumulates of all, those of unknown operands (attention's) included.
        of_weights: those in which a parameter takes part.
    """

    macs: int = 0
    of_weights: list[Product] = field(default_factory=list)

    @cached_property
    def weights(self) -> dict[str, list[Product]]:
        """Parameter name -> the products in which it takes part, in the order of the forward pass."""
        found: dict[str, list[Product]] = {}
        for product in self.of_weights:
            for name in sorted(frozenset().union(*(view.source.names for view in product[1:] if view))):
                found.setdefault(name, []).append(product)
        return found

    @cached_property
    def _whole(self) -> "Numbers":
        return Numbers({})

    def lost(self, masks: Mapping[str, torch.Tensor], products: list[Product] | None = None) -> int:
        """How many multiply-accumulates vanish, of the given products or of all, with the removed elements.

        Args:
            masks: parameter name -> bool tensor of its shape, True = kept.
            products: of `of_weights`; None: all.
        """
        numbers = Numbers({name: mask for name, mask in masks.items() if not mask.all()})
        total = 0
        for macs, left, right in self.of_weights if products is None else products:
            touched = [view for view in (left, right) if view and not view.source.names.isdisjoint(numbers.masks)]
            if len(touched) == 2:  # what both sides lose vanishes once
                kept = [~numbers.gone(view, self._whole) for view in touched]
                total += macs - int((kept[0].sum(-2) * kept[1].sum(-1)).sum())
            for view in touched if len(touched) == 1 else ():
                total += numbers.count(view, self._whole) * (macs // math.prod(view.size))
        return total


class Numbers:
    """Numbers that stand for what sources hold: positive and different, and zero where a mask removes."""

    def __init__(self, masks: Mapping[str, torch.Tensor]) -> None:
        self.masks = {name: mask.detach().cpu() for name, mask in masks.items()}
        self.done: dict[Source, torch.Tensor] = {}

    def gone(self, view: View, whole: "Numbers") -> torch.Tensor:
        """True where an element of the view vanishes with the masks, which concern its parameters."""
        if view.source.make is None and view.dtype == view.source.tensor.dtype:  # a parameter itself
            (name,) = view.source.names
            return ~self.masks[name].flatten().as_strided(view.size, view.stride, view.offset)
        return ((self.of(view) == 0) | self.of(view).isnan()) & (whole.of(view) != 0)

    def count(self, view: View, whole: "Numbers") -> int:
        """How many elements of the view vanish."""
        if view.source.make is None and view.whole:  # in the storage's own order, which is fast
            (name,) = view.source.names
            return self.masks[name].numel() - int(self.masks[name].sum())
        return int(self.gone(view, whole).sum())

    def of(self, view: View) -> torch.Tensor:
        """The view's numbers."""
        flat, own = self.flat(view.source), view.source.tensor.dtype
        if own in WIDE and view.dtype in WIDE:
            flat = flat.view(WIDE[view.dtype])  # complex numbers and their parts
        elif own != view.dtype:
            flat = flat.to(own).view(view.dtype)  # the bits
            flat = flat.to(WIDE.get(view.dtype, view.dtype))
        return flat.as_strided(view.size, view.stride, view.offset)

    def flat(self, source: Source) -> torch.Tensor:
        """All numbers of a storage."""
        if source not in self.done:
            try:
                self.done[source] = source.make(self) if source.make else self._given(source)
            except (RuntimeError, TypeError, IndexError) as error:
                raise ValueError(
                    f"It cannot be told which products a removed weight takes part in, since what is computed from "
                    f"{', '.join(sorted(source.names))} does not run on its own; leave it out of the masks. {error}"
                ) from error
        return self.done[source]

    def _given(self, source: Source) -> torch.Tensor:
        dtype = WIDE.get(source.tensor.dtype, source.tensor.dtype)
        numbers = torch.ones(source.size, dtype=dtype, device="cpu")
        if dtype in WIDE:
            generator = torch.Generator("cpu").manual_seed(source.seed)
            numbers += torch.rand(source.size, dtype=dtype, device="cpu", generator=generator)
        for name in source.names & self.masks.keys():
            numbers *= self.masks[name].flatten()
        return numbers


def made(func, recorded: tuple, index: int, layout: tuple) -> Callable[[Numbers], torch.Tensor]:
    """What an operation computes: its tensor of that index, laid out as on the meta device."""

    def make(numbers: Numbers) -> torch.Tensor:
        args, kwargs = mapped(recorded, numbers.of)
        out = list(tensors_in(func(*args, **kwargs)))[index]
        laid = torch.empty_strided(*layout[:2], dtype=out.dtype, device="cpu")
        return laid.copy_(out).as_strided((laid.untyped_storage().nbytes() // laid.element_size(),), (1,), 0)

    return make


def rewritten(func, recorded: tuple, before: Source) -> Callable[[Numbers], torch.Tensor]:
    """What a storage holds after an operation that writes into it."""

    def make(numbers: Numbers) -> torch.Tensor:
        inside = Numbers(numbers.masks)
        inside.done = numbers.done | {before: numbers.flat(before).clone()}
        args, kwargs = mapped(recorded, inside.of)
        func(*args, **kwargs)
        return inside.done[before]

    return make


def tensors_in(thing) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for each in thing:
            yield from tensors_in(each)
    elif isinstance(thing, dict):
        yield from tensors_in(tuple(thing.values()))


def mapped(thing, change: Callable, numeric: bool = False):
    """The same nested structure with every tensor or view changed, and, if `numeric`, on the CPU and in `WIDE`."""
    if isinstance(thing, (torch.Tensor, View)):
        return change(thing)
    if isinstance(thing, (tuple, list)):
        return type(thing)(mapped(each, change, numeric) for each in thing)
    if isinstance(thing, dict):
        return {key: mapped(each, change, numeric) for key, each in thing.items()}
    if numeric and isinstance(thing, torch.device):
        return torch.device("cpu")
    return WIDE.get(thing, thing) if numeric and isinstance(thing, torch.dtype) else thing
