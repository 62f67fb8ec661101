"""What can leave a network whole: hidden units of an MLP, and attention heads.

A hidden unit is a row of fc1, its bias and a column of fc2. A head is its rows of q, k and v with their
biases, its column of the position bias, and its columns of the projection. Either way the block's output
loses exactly the product of two matrices, what writes the group (W_in: rows of fc1 or of v) and what reads
it (W_out: columns of fc2 or of the projection), and equation 7's argument bounds the change by norms:

    ||W_out[S] a(W_in[S] x)|| <= ||W_out[S]||_F ||W_in[S]||_F ||x||                 for a set S of groups
      <= 1/2 (||W_in[S]||_F^2 / ||W_in||_F^2 + ||W_out[S]||_F^2 / ||W_out||_F^2) ||W_in||_F ||W_out||_F ||x||

The first factor of the last line is a sum over the groups of S: each group's *energy*. Attention's rows sum
to one and q and k set only where a head looks, so they are not in the bound. Energy takes the place of w^2
in equation 10.
"""

from dataclasses import dataclass

import torch
from timm.layers import Attention, Mlp
from timm.models.swin_transformer import WindowAttention
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from torch import nn

from swinprune_lite.importance import scaled

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
        return f"{self.path}.{'fc2' if self.kind == HIDDEN else 'proj'}"

    @property
    def writer(self) -> str:
        """Name of the layer whose rows write them."""
        return f"{self.path}.{'fc1' if self.kind == HIDDEN else 'qkv'}"


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


def energies(model: nn.Module, part: Part) -> torch.Tensor:
    """Energy of each group of a part, float64 (count,), summing to 1: the derivation above.

    A matrix of zeros has no energy to share: its groups have none, and the sum is a half or zero.
    """
    rows = scaled(model.get_submodule(part.writer).weight.detach())
    rows = rows.unflatten(0, (-1, part.count, part.width))[-1]  # of q, k and v the last
    columns = scaled(model.get_submodule(part.reader).weight.detach()).T.unflatten(0, (part.count, part.width))
    shares = []
    for matrix in (rows, columns):
        energy = matrix.square().flatten(1).sum(1)
        shares.append(energy / (energy.sum() or 1))
    return sum(shares) / 2
