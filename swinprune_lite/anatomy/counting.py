"""Multiply-accumulates (MACs) counted where they happen.

A model runs once on the meta device, where tensors have shapes and no numbers, and every matrix product and
convolution is seen, whoever calls it.
"""

import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from itertools import count

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from swinprune_lite.anatomy.products import Product, Products, Source, View, made, mapped, rewritten, tensors_in

aten = torch.ops.aten
MATRICES = {
    aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2), aten.mv: (0, 1), aten.addmv: (1, 2),
    aten.dot: (0, 1), aten.vdot: (0, 1), aten.addbmm: (1, 2), aten._addmm_activation: (1, 2), aten._int_mm: (0, 1),
}  # fmt: skip
"""Products of two matrices, or stacks of them, or vectors in a matrix's place: which arguments they are."""
COLLECTIONS = (dict, OrderedDict, defaultdict, list, deque, set, tuple)
CONVOLUTIONS = (aten.convolution, aten._convolution, aten.cudnn_convolution, aten.convolution_overrideable)


def count_products(model: nn.Module, shape: tuple[int, int, int]) -> Products:
    """The products of one forward pass of one image; the model is left as it is.

    Floating types are all taken for one, since they do not change a count.

    Args:
        model: the network, in any type and on any device.
        shape: (channels, height, width) of the image.

    Raises:
        ValueError: the model does not take such an image, or cannot run on shapes alone.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    tensors = {name: _shape_of(tensor) for name, tensor in (parameters | buffers).items()}
    counter = _Counter(tensors, parameters)
    image = torch.empty(1, *shape, device="meta", dtype=torch.get_default_dtype())
    inside = {f"model.{name}": tensor for name, tensor in tensors.items()}
    with left_alone(model.modules()):
        try:
            with torch.no_grad(), counter:
                functional_call(_Evaluated(model, counter), inside, (image,))
        except Exception as error:  # whatever a model may raise
            reason = " ".join(f"{error}".split())[:200] or type(error).__name__
            if isinstance(error, NotImplementedError):
                raise ValueError(
                    f"The products of {type(model).__name__} cannot be counted, since it uses an operation that does "
                    f"not run on shapes alone; count it before it is quantised or compiled. {reason}"
                ) from error
            raise ValueError(
                f"{type(model).__name__} does not take an image of (channels, height, width) {shape}, or does not "
                f"run on the meta device; give the input_size that it takes. {reason}"
            ) from error
    return counter.found


def check_counted(model: nn.Module, found: Products, names: Iterable[str]) -> None:
    """Raise ValueError if one of these parameters of the model is a matrix that no product of it uses."""
    unused = [name for name in names if name not in found.weights]
    if unused := [name for name in unused if model.get_parameter(name).ndim > 1]:  # a vector is a bias or a norm's
        raise ValueError(
            f"{', '.join(unused)}: no matrix product or convolution of {type(model).__name__} uses this, so what its "
            "removal saves cannot be counted; leave it out of the masks, or whole."
        )


class _Evaluated(nn.Module):
    """The model, put into evaluation mode on shapes too: that may change weights, as where adapters are merged."""

    def __init__(self, model: nn.Module, counter: "_Counter") -> None:
        super().__init__()
        self.model, self.counter = model, counter

    def forward(self, image: torch.Tensor) -> object:
        self.model.eval()
        self.counter.found = Products()
        return self.model(image)


class _Counter(TorchDispatchMode):
    """Sees every operation on `tensors`, which stand for the model's parameters and buffers."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.found = Products()
        self.sources: dict[int, Source] = {}
        self.seeds = count()
        self.atomic: set = set()  # operations that no decomposition explains
        self.twins: dict[int, torch.Tensor] = {}  # of parameters that a module may hold in another way too
        for name, tensor in tensors.items():
            self._add(tensor, frozenset([name] if name in parameters else []))
        for name, parameter in parameters.items():
            if type(parameter) is nn.Parameter and parameter.is_contiguous() and not parameter.storage_offset():
                self.twins[_key(parameter)] = tensors[name]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in self.atomic:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            self.atomic.add(func)
        inputs = list(tensors_in((args, kwargs)))
        here = [tensor.is_meta and _key(tensor) not in self.twins for tensor in inputs]
        if not all(here) and (any(here) or any(_key(tensor) in self.twins for tensor in inputs)):
            args, kwargs = mapped((args, kwargs), self._to_meta)
            inputs = list(tensors_in((args, kwargs)))
        on_meta = any(tensor.is_meta for tensor in inputs) or getattr(kwargs.get("device"), "type", "") == "meta"
        if on_meta and getattr(kwargs.get("dtype"), "is_floating_point", False):
            kwargs = kwargs | {"dtype": torch.get_default_dtype()}
        sources = [self._source(tensor) for tensor in inputs]
        steady = None not in sources
        names = frozenset().union(*(source.names for source in sources)) if steady else frozenset()
        recorded = mapped((args, kwargs), self._view, numeric=True) if names else None
        is_product = self._count_matrices(func, args)
        out = func(*args, **kwargs)
        if not is_product:
            is_product = self._count_other(func, args, kwargs, out)
        if func._schema.is_mutable:
            given = args + tuple(kwargs.get(argument.name) for argument in func._schema.arguments[len(args) :])
            for argument, tensor in zip(func._schema.arguments, given):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    for written in tensors_in(tensor):
                        self._write(written, func, recorded, names, steady)
        elif steady:
            for index, tensor in enumerate(tensors_in(out)):
                if tensor.is_meta and self._source(tensor) is None:
                    make = None if is_product or not names else made(func, recorded, index, self._layout(tensor))
                    self._add(tensor, frozenset() if is_product else names, make)
        return out

    def _source(self, tensor: torch.Tensor) -> Source | None:
        return self.sources.get(_key(tensor))

    def _add(self, tensor: torch.Tensor, names: frozenset[str] = frozenset(), make: Callable | None = None) -> None:
        self.sources[_key(tensor)] = Source(tensor, next(self.seeds), names, make)

    def _view(self, tensor: torch.Tensor) -> View | None:
        source = self._source(tensor)
        return source and View(source, *self._layout(tensor), tensor.dtype)

    @staticmethod
    def _layout(tensor: torch.Tensor) -> tuple:
        return tuple(tensor.shape), tensor.stride(), tensor.storage_offset()

    def _to_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor that a module holds aside from its parameters and buffers, or makes on a device of its own."""
        if (twin := self.twins.get(_key(tensor))) is not None:
            return twin.as_strided(*self._layout(tensor))
        if tensor.is_meta:
            return tensor
        shape = _shape_of(tensor)
        self._add(shape)
        return shape

    def _write(self, tensor: torch.Tensor, func, recorded, names: frozenset[str], steady: bool) -> None:
        before = self._source(tensor)
        if not steady:
            self.sources.pop(_key(tensor), None)
        elif names and before:
            self._add(before.tensor, names, rewritten(func, recorded, before))

    def _count_matrices(self, func, args: tuple) -> bool:
        if (places := MATRICES.get(func._overloadpacket)) is None:
            return False
        left, right = (args[place] for place in places)
        left, right = left if left.ndim > 1 else left[None], right if right.ndim > 1 else right[:, None]
        self._note(left.numel() * right.shape[-1], left, right)
        return True

    def _count_other(self, func, args: tuple, kwargs: dict, out) -> bool:
        if func._overloadpacket is aten._trilinear:  # nn.Bilinear's
            factors = [tensor for tensor in args[:3] if (source := self._source(tensor)) and source.names]
            self._note(_trilinear_macs(args[:3], args[3:6]), None, factors[0] if factors else None)
            return True
        if (formula := flop_registry.get(func._overloadpacket)) is None:
            return False
        weight = args[1] if func._overloadpacket in CONVOLUTIONS else None
        self._note(formula(*args, **kwargs, out_val=out) // 2, None, weight)
        return True

    def _note(self, macs: int, left: torch.Tensor | None, right: torch.Tensor | None) -> None:
        views = [None if tensor is None else self._view(tensor) for tensor in (left, right)]
        views = [view if view and view.source.names else None for view in views]
        self.found.macs += macs
        if macs and any(views):
            self.found.of_weights.append(Product(macs, *views))


def _key(tensor: torch.Tensor) -> int:
    """The address of the tensor's storage."""
    return tensor.untyped_storage()._cdata


def _trilinear_macs(tensors: tuple, expanded: tuple) -> int:
    """One for every product of three numbers, so that each weight of `nn.Bilinear` counts once a position."""
    shapes = [list(tensor.shape) for tensor in tensors]
    for shape, places in zip(shapes, expanded):
        for place in sorted(places):
            shape.insert(place, 1)
    return math.prod(torch.broadcast_shapes(*shapes))


def _shape_of(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous tensor of this shape on the meta device; floating types become the default one."""
    dtype = torch.get_default_dtype() if tensor.is_floating_point() or tensor.is_quantized else tensor.dtype
    return torch.empty(tensor.shape, dtype=dtype, device="meta")


@contextmanager
def left_alone(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Whatever a forward pass sets on the modules or in their collections, and evaluation mode, is undone after it."""
    before = [(module, dict(module.__dict__)) for module in modules]
    caches = [(cache, copy(cache)) for cache in _collections_in(held for _, held in before)]
    try:
        yield
    finally:
        for module, held in before:
            for name in module.__dict__.keys() - held.keys():
                del module.__dict__[name]
            module.__dict__.update(held)
        for cache, content in caches:
            cache.clear()
            (cache.extend if isinstance(cache, (list, deque)) else cache.update)(content)


def _collections_in(things: Iterable) -> list:
    """Collections among these that can be changed in place, and those within them."""
    found, waiting = {}, list(things)
    while waiting:
        thing = waiting.pop()
        if type(thing) in COLLECTIONS and id(thing) not in found:
            found[id(thing)] = thing
            waiting += thing.values() if isinstance(thing, dict) else thing
    return [thing for thing in found.values() if not isinstance(thing, tuple)]
