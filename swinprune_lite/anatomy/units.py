"""The attentions and MLPs of a network, found in its tree of submodules by what they hold, whoever wrote them.

An *attention* is a submodule whose children give queries, keys and values, together, in pairs or apart, and one of
which projects what the heads read. A child may wrap its matrix, in a normalisation, an activation or a list of one
layer a head. What makes fewer tokens before keys and values (`sr`) belongs to these.

An *MLP* is what its name or its class calls so, if its matrices, each linear or a convolution of 1 x 1, lead from the
tokens' width to hidden units and back: two, or three where one gates another.

Depthwise kernels, which mix positions and no channels, and tables of positions are no layers of either. Names decide
only between what is built alike, and the tables of them are here.
"""

import re
from functools import cache
from typing import NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy


class Kind(NamedTuple):
    """One kind of layer that is pruned: what figures call it, and its module."""

    label: str
    module: str


QKV, PRJ, FC1, FC2 = KINDS = (Kind("QKV", "QKV-M"), Kind("PRJ", "PRJ-M"), Kind("FC1", "MLP-M"), Kind("FC2", "MLP-M"))
"""In the paper's order, as a block applies them."""

PROJECTION, REDUCTION = "projection", "reduction"
NAMES = {
    "q": r"((to_|w)?q|(to_)?query)(_proj)?",
    "k": r"((to_|w)?k|(to_)?key)(_proj)?",
    "v": r"((to_|w)?v|(to_)?value)(_proj|_gate)?",
    "qk": r"(to_)?qk(_proj)?",
    "kv": r"(to_)?kv(_proj)?",
    "qkv": r"(to_)?qkvs?(_proj)?",
    PROJECTION: r"proj|(out|o)_proj|proj_out|to_out|output|wo",
    REDUCTION: r"sr",
}
"""What an attention's children are called that give queries, keys or values, the projection, and the reduction."""
MLP_NAMES = r"(.*_)?(mlp|ffn?|feed_?forward)\d*"
MLP_CLASSES = r"(?!.*Head).*(Mlp|MLP|Ffn|FFN|FeedForward).*"
"""What an MLP, or its class, is called; a head's MLP is the head's."""
FC_NAMES = {FC1: r"fc1(_[gx])?", FC2: r"fc2"}
"""What its layers are usually called; where they are called otherwise, their shapes tell."""
AUXILIARY = re.compile(
    r"(^|_)((rel|pos|position|cpb|meta|bias|biases|table|embed|talking|shortcut)(_|$)|proj_[lw]$"
    r"|(token|scale|temperature|latent)$)"
)
"""Names of what is no layer of theirs all the same: tables of positions, the small networks that make them, what mixes
the maps of different heads, shortcuts past them, and single tokens and factors (a `token_mixer` is a layer).
"""

DISORDERED = {
    "timm.models.nest.Attention": "the projection reads the heads' numbers in turn, one of each",
    "timm.models.davit.ChannelAttention": "queries are what is averaged, by weights that keys and values make",
    "timm.models.davit.ChannelAttentionV2": "as the former",
}
"""Attentions of which the rows of the values are not told, and why: the projection does not read them head by head."""


class Role(NamedTuple):
    """What a layer is to its attention or MLP.

    Attributes:
        kind: of `KINDS`.
        groups: equal parts of its rows (of a projection: of its columns), each one head's q, k or v; 1 where there
            are none.
        values: the first of the rows that give values, which are the last; None where they do not lie so.
    """

    kind: Kind
    groups: int = 1
    values: int | None = None


class Unit(NamedTuple):
    """An attention or an MLP.

    Attributes:
        path: of the submodule, such as "layers.0.blocks.1.attn".
        layers: path of each layer that has a matrix -> its role, in the network's order.
    """

    path: str
    layers: dict[str, Role]

    @property
    def block(self) -> str:
        """Path of the numbered submodule that holds it and the units beside it; "" where nothing is numbered."""
        above = re.sub(r"\.(attn|ffn|mlp)s\..*", "", self.path)
        numbered = re.match(r"(.*\.)?\d+(?=\.|$)", above)
        return numbered[0] if numbered else self.path.rpartition(".")[0]


def units(model: nn.Module) -> list[Unit]:
    """Every attention and MLP of a network that is understood, in the network's order.

    A shared submodule is one unit, where it comes first.
    """
    tree = {path: module for path, module in model.named_modules() if not is_auxiliary(path)}
    found = {path: unit for path, module in tree.items() if (unit := _attention(path, module))}
    taken = {layer for unit in found.values() for layer in unit.layers}
    for path, module in reversed(tree.items()):  # the innermost first
        named = re.fullmatch(MLP_NAMES, path.rpartition(".")[2])
        if named or (path and re.fullmatch(MLP_CLASSES, type(module).__name__)):
            unit = (named and _named_mlp(path, module)) or _shaped_mlp(path, module)
            if unit and taken.isdisjoint(unit.layers):
                found[path] = unit
                taken |= unit.layers.keys()
    return [found[path] for path in tree if path in found]


def matrices(module: nn.Module, path: str = "") -> dict[str, nn.Module]:
    """Path -> submodule of every layer within, or itself, whose weight leads from channels to channels.

    Args:
        module: to look through.
        path: of the module itself, with which the paths begin.
    """
    return {
        below: each
        for below, each in module.named_modules(prefix=path)
        if _is_matrix(each) and not is_auxiliary(below.removeprefix(path))
    }


def is_depthwise(module: nn.Module) -> bool:
    """Whether it mixes positions, each channel by itself."""
    groups = getattr(module, "groups", 1)
    return isinstance(groups, int) and 1 < groups == getattr(module, "in_channels", 0)


def is_auxiliary(path: str) -> bool:
    """Whether a submodule's path leads through what `AUXILIARY` names."""
    return any(map(_names_auxiliary, path.split(".")))


@cache
def _names_auxiliary(leaf: str) -> bool:
    return AUXILIARY.search(leaf) is not None


@cache
def _role(leaf: str) -> str | None:
    """Of `NAMES`, that of an attention's child."""
    return next((role for role, name in NAMES.items() if re.fullmatch(name, leaf)), None)


def _is_matrix(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    if weight is None or isinstance(module, (nn.Embedding, nn.modules.conv._ConvTransposeNd)):
        return False
    return is_lazy(weight) or (weight.ndim > 1 and getattr(module, "groups", 1) == 1)


def _slots(path: str, module: nn.Module) -> dict[str, dict[str, nn.Module]]:
    """Name of each child -> the matrices within it."""
    return {leaf: matrices(child, f"{path}.{leaf}".lstrip(".")) for leaf, child in module.named_children()}


def _attention(path: str, module: nn.Module) -> Unit | None:
    roles = {leaf: role for leaf, _ in module.named_children() if (role := _role(leaf))}
    if not roles:
        return None
    given = {letter for role in roles.values() if role not in (PROJECTION, REDUCTION) for letter in role}
    projections = [leaf for leaf, role in roles.items() if role == PROJECTION]
    whole = given == set("qkv") and len(projections) == 1
    if not whole and not (re.fullmatch(r"(.*\.)?attn", path) and given in (set(), set("qkv"))):
        return None
    slots = _slots(path, module)
    if not whole and any(slots[leaf] for leaf in slots.keys() - roles):  # else a piece of one, as of a cut-up Swin
        return None
    heads, by_head = _heads(module), getattr(module, "head_first", hasattr(module, "key_dim"))
    read = next((_columns(layer) for leaf in projections for layer in slots[leaf].values()), 0)
    ordered = f"{type(module).__module__}.{type(module).__qualname__}" not in DISORDERED
    layers = {}
    for leaf, role in roles.items():
        several = isinstance(module.get_submodule(leaf), nn.ModuleList)
        for layer, matrix in slots[leaf].items() if several or len(slots[leaf]) == 1 else ():
            if role == PROJECTION:
                layers[layer] = Role(PRJ, heads if ordered and _columns(matrix) % heads == 0 else 1)
            elif several or role == REDUCTION:
                layers[layer] = Role(QKV)
            else:
                giving = _giving(role, _rows(matrix), read, heads, by_head)
                layers[layer] = giving if ordered else giving._replace(values=None)
    return Unit(path, layers)


def _giving(gives: str, rows: int, read: int, heads: int, by_head: bool) -> Role:
    """The role of a layer that gives queries, keys or values, of which the projection reads so many numbers."""
    parts = 2 if gives == "qkv" and rows == 2 * read else len(gives)  # where queries are the whole image's
    alike = rows == parts * read
    groups = parts * heads if alike or not by_head else heads
    at_the_end = alike and gives.endswith("v") and (parts == 1 or not by_head)
    return Role(QKV, groups if rows % groups == 0 else 1, rows - read if at_the_end else None)


def _named_mlp(path: str, module: nn.Module) -> Unit | None:
    """One whose layers are called fc1 and fc2, and no other has a matrix."""
    slots = _slots(path, module)
    kinds = {leaf: kind for leaf in slots for kind, name in FC_NAMES.items() if re.fullmatch(name, leaf)}
    if not kinds or any(slots[leaf] for leaf in slots.keys() - kinds):
        return None
    return Unit(path, {layer: Role(kinds[leaf]) for leaf in kinds for layer in slots[leaf] if len(slots[leaf]) == 1})


def _shaped_mlp(path: str, module: nn.Module) -> Unit | None:
    """One whose two matrices lead from a width to hidden units and back, or whose three do, two of them gating."""
    found = matrices(module, path)
    weights = {layer: each.weight for layer, each in found.items()}
    if len(weights) not in (2, 3) or any(is_lazy(weight) or weight[0, 0].numel() > 1 for weight in weights.values()):
        return None
    shapes = {layer: tuple(weight.shape[:2]) for layer, weight in weights.items()}
    for last, (width, hidden) in reversed(shapes.items()):
        first = [shape for layer, shape in shapes.items() if layer != last]
        if first in ([(hidden, width)], [(2 * hidden, width)], [(hidden, width)] * 2):
            return Unit(path, {layer: Role(FC2 if layer == last else FC1) for layer in shapes})
    return None


def _heads(module: nn.Module) -> int:
    told = (getattr(module, name, None) for name in ("num_heads", "heads", "n_heads"))
    return next((heads for heads in told if isinstance(heads, int) and heads > 0), 1)


def _rows(matrix: nn.Module) -> int:
    return 0 if is_lazy(matrix.weight) else len(matrix.weight)


def _columns(matrix: nn.Module) -> int:
    return 0 if is_lazy(matrix.weight) else matrix.weight[0].numel()
