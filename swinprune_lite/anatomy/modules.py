"""The paper's module map (figure 3, appendix B): QKV-M, PRJ-M, MLP-M, and AUX-M for all the rest.

Only the weight matrices of the first three are pruned. Biases, LayerNorm, relative position tables,
patch embedding, patch merging and the head are AUX-M and kept whole.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import nn


class Kind(NamedTuple):
    """One kind of layer that is pruned: what figures call it, its module, and its path within a block."""

    label: str
    module: str
    path: str


QKV, PRJ, FC1, FC2 = KINDS = (
    Kind("QKV", "QKV-M", "attn.qkv"),
    Kind("PRJ", "PRJ-M", "attn.proj"),
    Kind("FC1", "MLP-M", "mlp.fc1"),
    Kind("FC2", "MLP-M", "mlp.fc2"),
)
"""In the paper's order, as a block applies them; named as timm names them."""

PRUNED_MODULES = tuple(dict.fromkeys(kind.module for kind in KINDS))


PROJECTION = re.compile(r"(^|_)(qkv|[qkv]_proj|query|key|value)(_|$)")
ATTENTION = r"(^|_)(attn|attention|att|mha|mhsa|mhca|xca)\d*(_|$)"
BLOCK = re.compile(rf"{ATTENTION}|(^|_)(mlp|ffn?|feed_?forward)\d*(_|$)|{PROJECTION.pattern}")
"""Names of an attention, an MLP, or a layer that only an attention has, by whoever wrote the network."""
BESIDE = re.compile(r"(linear|fc)_?\d+")
"""Names of an MLP's layers where they stand beside an attention, as in torch's own transformers."""
NO_LAYER = re.compile(
    r"(^|_)((rel|pos|position|cpb|meta|bias|biases|table|embed)(_|$)|(token|scale|temperature|latent)$)"
)
"""Names of what is no layer of theirs all the same: tables of positions, the small networks that make them, and
single tokens and factors (a `token_mixer` is a layer).
"""


def kind_of(path: str) -> Kind | None:
    """The kind of layer at a submodule's path, such as "layers.0.blocks.1.attn.qkv"; None if it is not pruned."""
    return next((kind for kind in KINDS if path == kind.path or path.endswith(f".{kind.path}")), None)


def modules(model: nn.Module) -> dict[str, list[str]]:
    """The module of every parameter.

    Args:
        model: a network whose blocks name their layers as timm does (`attn.qkv`, `attn.proj`,
            `mlp.fc1`, `mlp.fc2`), such as Swin, Swin V2, ViT or DeiT.

    Returns:
        "QKV-M", "PRJ-M", "MLP-M" and "AUX-M", each with its parameters' names in the model's own
        order; every parameter is in exactly one. A network without such layers is all AUX-M.
    """
    groups: dict[str, list[str]] = {module: [] for module in (*PRUNED_MODULES, "AUX-M")}
    for name, _ in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        kind = kind_of(path) if leaf == "weight" else None
        groups[kind.module if kind else "AUX-M"].append(name)
    return groups


def prunable(model: nn.Module) -> list[str]:
    """Names of the weights that may be pruned, in the model's own order."""
    auxiliary = set(modules(model)["AUX-M"])
    return [name for name, _ in model.named_parameters() if name not in auxiliary]


def place(name: str) -> tuple[int, int] | None:
    """Stage and block, from 1, of a parameter or submodule of a Swin or its like; None for one outside its blocks."""
    match = re.match(r"(?:layers|stages)\.(\d+)\.blocks\.(\d+)\.", name)
    return (int(match[1]) + 1, int(match[2]) + 1) if match else None


def unpruned_layers(model: nn.Module, pruned: Iterable[str]) -> list[str]:
    """Paths of the attention and MLP layers that have a weight matrix of which nothing is pruned.

    A layer may hold its matrix in any way: as a parameter of another name, wrapped in a parametrization or
    an adapter, or quantised.

    Args:
        model: the network.
        pruned: names of the parameters that are pruned.
    """
    parameters = {id(model.get_parameter(name)) for name in pruned}  # a shared one has other names too
    found: dict[str, None] = {}
    layers = {name.rpartition(".")[0] for name in pruned}
    layers |= {path for path, _ in model.named_modules() if PROJECTION.search(path.rpartition(".")[2])}
    blocks = {layer.rpartition(".")[0] for layer in layers} - {""}
    beside = {
        above
        for above, _, leaf in (path.rpartition(".") for path, _ in model.named_modules())
        if re.search(ATTENTION, leaf)
    }
    for path, module in model.named_modules():
        parts = path.split(".")
        above, _, leaf = path.rpartition(".")
        inside = any(map(BLOCK.search, parts)) or above in blocks or (above in beside and BESIDE.fullmatch(leaf))
        if inside and not any(map(NO_LAYER.search, parts)):
            matrices = list(_matrices(module))
            if matrices and parameters.isdisjoint(map(id, matrices)):
                found[path.partition(".parametrizations.")[0]] = None
    return list(found)


def _matrices(module: nn.Module) -> Iterator[object]:
    """The module's own weight matrices, kernels included; of a packed quantised layer what gives it."""
    for name, parameter in module.named_parameters(recurse=False):
        if not NO_LAYER.search(name) and sum(side > 1 for side in parameter.shape) > 1:
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
        UserWarning: layers of an attention or MLP are left out, all of which it names, or one of the three
            pruned modules is empty.

    Raises:
        ValueError: nothing is pruned.
    """
    name, layers = type(model).__name__, unpruned_layers(model, pruned)
    groups = modules(model)
    empty = [module for module in PRUNED_MODULES if not groups[module]]
    if not pruned:
        kept = f" These layers of its attention and MLPs are not named so: {', '.join(layers)}." if layers else ""
        raise ValueError(
            f"{name} has nothing to prune: no parameter is named attn.qkv, attn.proj, mlp.fc1 or "
            f"mlp.fc2 as in timm's Swin and ViT models.{kept}"
        )
    told = []
    if empty:
        told.append(f"{name} has nothing in {', '.join(empty)}: its layers are not all named as timm's.")
    if layers:
        told.append(
            f"These layers of attention or MLPs in {name} stay whole, since their weights are not parameters "
            f"named as timm's (attn.qkv, attn.proj, mlp.fc1, mlp.fc2): {', '.join(layers)}."
        )
    if told:
        warnings.warn(" ".join(told), stacklevel=3)
