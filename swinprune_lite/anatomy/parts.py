"""What can leave a network whole: hidden units of an MLP, and attention heads."""

from collections import Counter
from dataclasses import dataclass

from timm.layers import Attention, Mlp
from timm.models.swin_transformer import WindowAttention
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import nn

HIDDEN, HEADS = "hidden units", "heads"
PART_KINDS = (HIDDEN, HEADS)


@dataclass(frozen=True)
class Part:
    """The groups of one MLP or one attention.

    Attributes:
        path: the submodule's name, such as "layers.0.blocks.1.mlp".
        kind: "hidden units" or "heads".
        count: how many groups there are.
        width: rows that a group has of fc1, or of each of q, k and v: 1, or the head's dimension.
    """

    path: str
    kind: str
    count: int
    width: int

    @property
    def reader(self) -> str:
        """Name of the layer whose columns read the groups."""
        return f"{self.path}.{'fc2' if self.kind == HIDDEN else 'proj'}"

    @property
    def writer(self) -> str:
        """Name of the layer whose rows write them."""
        return f"{self.path}.{'fc1' if self.kind == HIDDEN else 'qkv'}"


def parts(model: nn.Module) -> list[Part]:
    """Every MLP and attention of the model whose groups can leave, in the model's own order.

    timm's Mlp, and the attention of its Swin, Swin V2, ViT and DeiT. Where a layer between the two matrices
    ties the groups together (a norm, a gate) they cannot leave one by one, and the part is left out; so it is
    where one of the two is no Linear with a weight of its own, but wrapped, parametrized, or shared.
    """
    uses = Counter(id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False))
    found = []
    for path, module in model.named_modules():
        if type(module) is Mlp and isinstance(module.norm, nn.Identity):
            part = Part(path, HIDDEN, getattr(module.fc1, "out_features", 0), 1)
        elif _has_free_heads(module):
            part = Part(path, HEADS, module.num_heads, getattr(module.proj, "in_features", 0) // module.num_heads)
        else:
            continue
        if all(_has_own_weight(model.get_submodule(layer), uses) for layer in (part.writer, part.reader)):
            found.append(part)
    return found


def _has_free_heads(module: nn.Module) -> bool:
    if type(module) is Attention:
        return isinstance(module.norm, nn.Identity) and getattr(module, "gate", None) is None
    return isinstance(module, (WindowAttention, WindowAttentionV2))


def _has_own_weight(layer: nn.Module, uses: Counter[int]) -> bool:
    own = dict(layer.named_parameters(recurse=False))
    return isinstance(layer, nn.Linear) and "weight" in own and all(uses[id(each)] == 1 for each in own.values())
