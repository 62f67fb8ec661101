"""The paper's module map (figure 3, appendix B): QKV-M, PRJ-M, MLP-M, and AUX-M for all the rest.

Only the weight matrices of the first three are pruned. Biases, LayerNorm, relative position tables, patch embedding,
patch merging and the head are AUX-M and kept whole; so are depthwise kernels. Which layers are whose, `units` tells.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy

from swinprune_lite.anatomy.units import AUXILIARY, FC1, FC2, KINDS, PRJ, Kind, Role, is_auxiliary, is_depthwise, units

PRUNED_MODULES = tuple(dict.fromkeys(kind.module for kind in KINDS))

PROJECTION = re.compile(r"(^|_)(qkvs?|[qkv]_proj|in_proj|query|key|value)(_|$)")
ATTENTION = r"(^|_)(attn|attention|att|mha|mhsa|mhca|xca)\d*(_|$)"
BLOCK = re.compile(rf"{ATTENTION}|(^|_)(mlp|ffn?|feed_?forward)\d*(_|$)|{PROJECTION.pattern}")
"""Names of an attention, an MLP, or a layer that only an attention has, by whoever wrote the network."""
LISTED, ALIKE = 12, 6
"""Layers that a line names one by one, and kinds of them where they are more."""
BESIDE = re.compile(r"(linear|fc)_?\d+")
"""Names of an MLP's layers where they stand beside an attention, as in torch's own transformers."""


class Mapped(NamedTuple):
    """Where a prunable weight is at work.

    Attributes:
        role: in its attention or MLP.
        unit: path of that.
        block: path of the block that holds it.
    """

    role: Role
    unit: str
    block: str

    @property
    def kind(self) -> Kind:
        """Its kind, of `units.KINDS`."""
        return self.role.kind


def mapped(model: nn.Module) -> dict[str, Mapped]:
    """Parameter name -> where it is at work, of every prunable weight, in the model's own order."""
    found = {
        f"{layer}.weight": Mapped(role, unit.path, unit.block)
        for unit in units(model)
        for layer, role in unit.layers.items()
    }
    return {name: found[name] for name, _ in model.named_parameters() if name in found}


def modules(model: nn.Module) -> dict[str, list[str]]:
    """The module of every parameter.

    Args:
        model: any network; of its attentions and MLPs those count that `units` understands, such as those of Swin,
            Swin V2, ViT, PVT v2, Twins, MaxViT, MViT v2, Hiera or LeViT.

    Returns:
        "QKV-M", "PRJ-M", "MLP-M" and "AUX-M", each with its parameters' names in the model's own
        order; every parameter is in exactly one. A network without such layers is all AUX-M.
    """
    places = mapped(model)
    groups: dict[str, list[str]] = {module: [] for module in (*PRUNED_MODULES, "AUX-M")}
    for name, _ in model.named_parameters():
        groups[places[name].kind.module if name in places else "AUX-M"].append(name)
    return groups


def prunable(model: nn.Module) -> list[str]:
    """Names of the weights that may be pruned, in the model's own order."""
    return list(mapped(model))


def writers(model: nn.Module) -> dict[str, tuple[str, int]]:
    """What is known to write what a weight reads: v for the projection, fc1 for fc2.

    Returns:
        Parameter name of a projection or fc2 -> name of the weight that writes its inputs, and the first of the rows
        that do. Those without a single such weight are left out.
    """
    found = {}
    for unit in units(model):
        writing = [path for path, role in unit.layers.items() if role.kind is FC1 or role.values is not None]
        reading = [path for path, role in unit.layers.items() if role.kind in (PRJ, FC2)]
        if len(writing) == len(reading) == 1:
            found[f"{reading[0]}.weight"] = (f"{writing[0]}.weight", unit.layers[writing[0]].values or 0)
    return found


def blocks(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Path of every block that has an attention or MLP -> its stage, and its number in it, both from 1.

    A stage is what is numbered first in the paths (`layers.0`, `stages.0`, `blocks.0`) if it holds several numbered
    blocks. Else blocks that stand in one list are one stage as long as their width stays the same.
    """
    widths = {unit.block: _width(model, list(unit.layers)) for unit in units(model)}
    outer = {path: re.match(r"(.*?\.)??\d+(?=\.|$)", path) for path in widths}
    stages = {}
    for path, width in widths.items():
        above = outer[path] and outer[path][0]
        inside = above and any(other.startswith(f"{above}.") for other in widths)
        stages[path] = above if inside else (path.rpartition(".")[0], width)
    order = {key: number for number, key in enumerate(dict.fromkeys(stages.values()), 1)}
    if all(isinstance(key, str) and re.search(r"(^|\.)(stages|layers|levels)\.\d+$", key) for key in order):
        order = {key: int(key.rpartition(".")[2]) + 1 for key in order}  # stages of convolutions count too
    counts: dict[int, int] = {}
    found = {}
    for path, key in stages.items():
        stage = order[key]
        counts[stage] = counts.get(stage, 0) + 1
        found[path] = (stage, counts[stage])
    return found


def unpruned_layers(model: nn.Module, pruned: Iterable[str]) -> list[str]:
    """Paths of the attention and MLP layers that have a weight matrix of which nothing is pruned.

    They are told by their names, or by what `units` understands. A layer may hold its matrix in any way: as a
    parameter of another name, wrapped in a parametrization or an adapter, or quantised. Depthwise kernels are none.

    Args:
        model: the network.
        pruned: names of the parameters that are pruned.
    """
    parameters = {id(model.get_parameter(name)) for name in pruned}  # a shared one has other names too
    tree = dict(model.named_modules())
    built = {unit.path for unit in units(model)}
    built |= {path for path, module in tree.items() if path and "Attention" in type(module).__name__}
    lone = {path.rpartition(".")[0] for path in tree if PROJECTION.search(path.rpartition(".")[2])} - {""}
    beside = {path.rpartition(".")[0] for path in tree if re.search(ATTENTION, path.rpartition(".")[2])}
    found: dict[str, None] = {}
    for path, module in tree.items():
        above, _, leaf = path.rpartition(".")
        within = any(map(BLOCK.search, path.split("."))) or not built.isdisjoint(_upwards(path))
        inside = within or above in lone or (above in beside and BESIDE.fullmatch(leaf))
        if inside and not is_auxiliary(path) and not is_depthwise(module):
            own = list(_matrices(module))
            if own and parameters.isdisjoint(map(id, own)):
                found[path.partition(".parametrizations.")[0]] = None
    return list(found)


def listed(paths: Sequence[str]) -> str:
    """Layers in a line: each, or, where they are many, those of the same place in every block together.

    Args:
        paths: of the layers, such as "blocks.0.attn.qkv"; many of them become "blocks.*.attn.qkv (12 layers)".
    """
    if len(paths) <= LISTED:
        return ", ".join(paths)
    alike = Counter(re.sub(r"(?<![^.])\d+(?![^.])", "*", path) for path in paths)
    told = [f"{path} ({count} layer{'s' * (count > 1)})" for path, count in alike.most_common()]
    more = f" and {len(told) - ALIKE} more kinds" if len(told) > ALIKE else ""
    return f"{len(paths)} layers, {', '.join(told[:ALIKE])}{more}"


def _upwards(path: str) -> Iterator[str]:
    """The path and those of what holds it."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _matrices(module: nn.Module) -> Iterator[object]:
    """The module's own weight matrices, kernels included; of a packed quantised layer what gives it."""
    layer = isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))
    for name, parameter in module.named_parameters(recurse=False):
        wide = sum(side > 1 for side in parameter.shape) > 1
        if not AUXILIARY.search(name) and (wide or (layer and name == "weight")):
            yield parameter
    for name, buffer in module.named_buffers(recurse=False):
        if "weight" in name and "mask" not in name and sum(side > 1 for side in buffer.shape) > 1:
            yield buffer
    if callable(packed := getattr(type(module), "weight", None)):
        yield packed


def tell_of_unpruned(model: nn.Module, pruned: list[str]) -> None:
    """Warn, in the name of the caller's caller, of what stays whole though it lies in an attention or MLP.

    Args:
        model: the network.
        pruned: names of the parameters that are pruned.

    Warns:
        UserWarning: layers of an attention or MLP are left out, which it names as `listed` does, or one of the
            three pruned modules is empty.

    Raises:
        ValueError: nothing is pruned.
    """
    name, layers = type(model).__name__, unpruned_layers(model, pruned)
    if not pruned:
        kept = f"; what is called so is built otherwise: {listed(layers)}" if layers else ""
        raise ValueError(
            f"{name} has nothing to prune: it has no attention with queries, keys, values and a projection, and no MLP "
            f"of two linear layers or convolutions of 1 x 1, as `anatomy.units` understands them{kept}."
        )
    groups = modules(model)
    told = []
    if empty := [module for module in PRUNED_MODULES if not groups[module]]:
        told.append(f"{name} has nothing in {', '.join(empty)}.")
    if layers:
        told.append(
            f"These layers of attention or MLPs in {name} stay whole, since they are not built as `anatomy.units` "
            f"understands: {listed(layers)}."
        )
    if told:
        warnings.warn(" ".join(told), stacklevel=3)


def _width(model: nn.Module, layers: list[str]) -> int:
    """What the last of the layers gives; 0 where that is not known yet."""
    weight = model.get_submodule(layers[-1]).weight if layers else None
    return 0 if weight is None or is_lazy(weight) else len(weight)
