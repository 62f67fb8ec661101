"""What can leave a network whole: hidden units of an MLP, and attention heads."""

from dataclasses import dataclass

from timm.layers import Attention, Mlp
from timm.models.swin_transformer import WindowAttention
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import nn

from swinprune_lite.anatomy.modules import FC1, FC2, PRJ, QKV, Kind

HIDDEN, HEADS = "hidden units", "heads"
KINDS = (HIDDEN, HEADS)


@dataclass(frozen=True)
class Part:
    """The groups of one MLP or one attention.

    Attributes:
        path: the submodule's name, such as "layers.0.blocks.1.mlp".
        kind: "hidden units" or "heads".
        count: how many groups there are.
        width: rows of W_in a group has: 1, or the head's dimension.
    """

    path: str
    kind: str
    count: int
    width: int

    @property
    def reader(self) -> str:
        """Name of the layer whose columns read the groups."""
        return self._layer(FC2 if self.kind == HIDDEN else PRJ)

    @property
    def writer(self) -> str:
        """Name of the layer whose rows write them."""
        return self._layer(FC1 if self.kind == HIDDEN else QKV)

    def _layer(self, kind: Kind) -> str:
        return f"{self.path}.{kind.path.rpartition('.')[2]}"


def parts(model: nn.Module) -> list[Part]:
    """Every MLP and attention of the model whose groups can leave, in the model's own order.

    timm's Mlp, and the attention of its Swin, Swin V2, ViT and DeiT. Where a layer between the two matrices
    ties the groups together (a norm, a gate) they cannot leave one by one, and the part is left out.
    """
    found = []
    for path, module in model.named_modules():
        if type(module) is Mlp and isinstance(module.norm, nn.Identity) and isinstance(module.fc1, nn.Linear):
            found.append(Part(path, HIDDEN, module.fc1.out_features, 1))
        elif _has_free_heads(module):
            found.append(Part(path, HEADS, module.num_heads, module.proj.in_features // module.num_heads))
    return found


def _has_free_heads(module: nn.Module) -> bool:
    if type(module) is Attention:
        return isinstance(module.norm, nn.Identity) and getattr(module, "gate", None) is None
    return isinstance(module, (WindowAttention, WindowAttentionV2))
