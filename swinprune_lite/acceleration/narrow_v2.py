"""Swin V2's attention with fewer heads than its width divided by their dimension, which timm's own cannot be."""

import math

import torch
import torch.nn.functional as F
from timm.models.swin_transformer_v2 import WindowAttention


class NarrowWindowAttentionV2(WindowAttention):
    """timm's WindowAttention of Swin V2 whose heads together may be narrower than the tokens (Liu et al., 2022)."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """x (windows, tokens, width) and a mask of 0 and -inf (kinds of windows, tokens, tokens) to x's shape."""
        windows, tokens, _ = x.shape
        bias = None if self.q_bias is None else torch.cat((self.q_bias, self.k_bias, self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).reshape(windows, tokens, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scale = self.logit_scale.clamp(max=math.log(100)).exp()
        logits = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * scale + self._position_bias()
        if mask is not None:
            logits = logits.view(-1, len(mask), self.num_heads, tokens, tokens) + mask[:, None]
            logits = logits.view(-1, self.num_heads, tokens, tokens)
        read = self.attn_drop(logits.softmax(-1)) @ v
        return self.proj_drop(self.proj(read.transpose(1, 2).reshape(windows, tokens, -1)))

    def _position_bias(self) -> torch.Tensor:
        """(heads, tokens, tokens)."""
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * table[self.relative_position_index].permute(2, 0, 1).sigmoid()
