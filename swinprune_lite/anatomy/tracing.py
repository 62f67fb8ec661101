"""Multiply-accumulates (MACs) counted where they happen, with the weights that take part in them.

A model runs once on the meta device, where tensors have shapes and no numbers, and every matrix product and
convolution is seen, whoever calls it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from swinprune_lite.anatomy.products import Numbers, Product, Products, Source, View

aten = torch.ops.aten
MATRICES = {
    aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2), aten.mv: (0, 1), aten.addmv: (1, 2),
}  # fmt: skip
"""Products of two matrices, or stacks of them, or a matrix and a vector: which arguments they are."""
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
    counter = _Counter({name: tensors[name] for name in parameters}, [tensors[name] for name in buffers])
    image = torch.empty(1, *shape, device="meta", dtype=torch.get_default_dtype())
    with _left_alone(model):
        try:
            model.eval()
            with torch.no_grad(), counter:
                functional_call(model, tensors, (image,))
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


class _Counter(TorchDispatchMode):
    def __init__(self, parameters: Mapping[str, torch.Tensor], buffers: list[torch.Tensor]) -> None:
        super().__init__()
        self.found = Products()
        self.sources: dict[int, Source] = {}
        self.atomic: set = set()  # operations that no decomposition explains
        for name, tensor in parameters.items():
            self._add(tensor, frozenset([name]))
        for tensor in buffers:
            self._add(tensor)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in self.atomic:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            self.atomic.add(func)
        if getattr(kwargs.get("dtype"), "is_floating_point", False):
            kwargs = kwargs | {"dtype": torch.get_default_dtype()}
        inputs = list(_tensors((args, kwargs)))
        if any(tensor.is_meta for tensor in inputs) and not all(tensor.is_meta for tensor in inputs):
            args, kwargs = _mapped((args, kwargs), self._to_meta)
            inputs = list(_tensors((args, kwargs)))
        sources = [self._source(tensor) for tensor in inputs]
        steady = None not in sources
        names = frozenset().union(*(source.names for source in sources)) if steady else frozenset()
        recorded = _mapped((args, kwargs), self._view, on_cpu=True) if names else None
        is_product = self._count_matrices(func, args)
        out = func(*args, **kwargs)
        if not is_product:
            is_product = self._count_other(func, args, kwargs, out)
        if func._schema.is_mutable:
            given = args + tuple(kwargs.get(argument.name) for argument in func._schema.arguments[len(args) :])
            for argument, tensor in zip(func._schema.arguments, given):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    for written in _tensors(tensor):
                        self._write(written, func, recorded, names, steady)
        elif steady:
            for index, tensor in enumerate(_tensors(out)):
                if tensor.is_meta and self._source(tensor) is None:
                    make = None if is_product or not names else _made(func, recorded, index, self._layout(tensor))
                    self._add(tensor, frozenset() if is_product else names, make)
        return out

    def _source(self, tensor: torch.Tensor) -> Source | None:
        return self.sources.get(tensor.untyped_storage()._cdata)

    def _add(self, tensor: torch.Tensor, names: frozenset[str] = frozenset(), make: Callable | None = None) -> None:
        key = tensor.untyped_storage()._cdata
        self.sources[key] = Source(tensor, len(self.sources), names, make)

    def _view(self, tensor: torch.Tensor) -> View | None:
        source = self._source(tensor)
        return source and View(source, *self._layout(tensor), tensor.dtype)

    @staticmethod
    def _layout(tensor: torch.Tensor) -> tuple:
        return tuple(tensor.shape), tensor.stride(), tensor.storage_offset()

    def _to_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor that a module holds aside from its parameters and buffers, or makes on a device of its own."""
        if tensor.is_meta:
            return tensor
        shape = _shape_of(tensor)
        self._add(shape)
        return shape

    def _write(self, tensor: torch.Tensor, func, recorded, names: frozenset[str], steady: bool) -> None:
        before = self._source(tensor)
        if not steady:
            self.sources.pop(tensor.untyped_storage()._cdata, None)
        elif names and before:
            self._add(before.tensor, names, _rewritten(func, recorded, before))

    def _count_matrices(self, func, args: tuple) -> bool:
        if (places := MATRICES.get(func._overloadpacket)) is None:
            return False
        left, right = (args[place] for place in places)
        right = right if right.ndim > 1 else right.unsqueeze(1)
        self._note(left.numel() * right.shape[-1], left, right)
        return True

    def _count_other(self, func, args: tuple, kwargs: dict, out) -> bool:
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


def _made(func, recorded: tuple, index: int, layout: tuple) -> Callable[[Numbers], torch.Tensor]:
    """What an operation computes: its tensor of that index, laid out as on the meta device."""

    def make(numbers: Numbers) -> torch.Tensor:
        args, kwargs = _mapped(recorded, numbers.of)
        out = list(_tensors(func(*args, **kwargs)))[index]
        laid = torch.empty_strided(*layout[:2], dtype=out.dtype, device="cpu")
        return laid.copy_(out).as_strided((laid.untyped_storage().nbytes() // laid.element_size(),), (1,), 0)

    return make


def _rewritten(func, recorded: tuple, before: Source) -> Callable[[Numbers], torch.Tensor]:
    """What a storage holds after an operation that writes into it."""

    def make(numbers: Numbers) -> torch.Tensor:
        inside = Numbers(numbers.masks)
        inside.made = numbers.made | {before: numbers.flat(before).clone()}
        args, kwargs = _mapped(recorded, inside.of)
        func(*args, **kwargs)
        return inside.made[before]

    return make


def _tensors(thing) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for each in thing:
            yield from _tensors(each)
    elif isinstance(thing, dict):
        yield from _tensors(tuple(thing.values()))


def _mapped(thing, change: Callable, on_cpu: bool = False):
    """The same nested structure with every tensor or view changed, and, if wanted, no device but the CPU."""
    if isinstance(thing, (torch.Tensor, View)):
        return change(thing)
    if isinstance(thing, (tuple, list)):
        return type(thing)(_mapped(each, change, on_cpu) for each in thing)
    if isinstance(thing, dict):
        return {key: _mapped(each, change, on_cpu) for key, each in thing.items()}
    return torch.device("cpu") if on_cpu and isinstance(thing, torch.device) else thing


def _shape_of(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous tensor of this shape on the meta device; floating types become the default one."""
    dtype = torch.get_default_dtype() if tensor.is_floating_point() or tensor.is_quantized else tensor.dtype
    return torch.empty(tensor.shape, dtype=dtype, device="meta")


@contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """Whatever a forward pass sets on the modules, and evaluation mode, is undone after it."""
    before = [(module, dict(module.__dict__)) for module in model.modules()]
    caches = [cache for _, held in before for cache in held.values() if type(cache) is dict]
    contents = [dict(cache) for cache in caches]
    try:
        yield
    finally:
        for module, held in before:
            for name in module.__dict__.keys() - held.keys():
                del module.__dict__[name]
            module.__dict__.update(held)
        for cache, content in zip(caches, contents):
            cache.clear()
            cache.update(content)
