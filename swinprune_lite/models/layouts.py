"""How others lay their weights out in a file: what they wrap them in, what they put before names, what they call them.

timm's own functions (`checkpoint_filter_fn` of each architecture) bring the original repositories' names into timm's;
here is what they do not know.
"""

import re
from collections.abc import Mapping

import torch

Weights = dict[str, torch.Tensor]

WRAPPERS = ("model", "state_dict", "model_state", "model_state_dict", "state_dict_ema", "model_ema", "net", "weights")
"""Keys under which training scripts keep the weights beside optimizer, epoch and settings."""
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "net.", "network.", "student.", "swin.", "vit.")
"""Of wrappers: of several GPUs, of torch.compile, and of modules that hold the network and something else."""

_SWIN = (
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    (r"^features\.(\d+)\.(\d+)\.", lambda found: f"layers.{(int(found[1]) - 1) // 2}.blocks.{found[2]}."),
    (r"^features\.(\d+)\.(?=reduction|norm)", lambda found: f"layers.{int(found[1]) // 2}.downsample."),
    (r"^head\.", "head.fc."),
)
_VIT = (
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"^encoder\.ln\.", "norm."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"^heads\.head\.", "head."),
)
_MLP = ((r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."), (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."))


def unwrapped(found: object) -> Weights:
    """Name -> tensor of what a file holds, taken out of what training scripts wrap around it; {} where there is none.

    Args:
        found: what `torch.load` gave.
    """
    while isinstance(found, dict):
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), dict)), None)
        if inner is None:
            return {
                name: each for name, each in found.items() if isinstance(name, str) and isinstance(each, torch.Tensor)
            }
        found = inner
    return {}


def unprefixed(weights: Mapping[str, torch.Tensor]) -> Weights:
    """The weights without a prefix that most of them share, of those that wrappers put before names."""
    weights = dict(weights)
    while True:
        counts = {prefix: sum(name.startswith(prefix) for name in weights) for prefix in PREFIXES}
        prefix = max(counts, key=counts.__getitem__)
        if 2 * counts[prefix] <= len(weights) or _is_torchvisions(weights):
            return weights
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def from_torchvision(weights: Mapping[str, torch.Tensor]) -> Weights:
    """Weights of torchvision's Swin, Swin V2 or ViT under timm's names; others as they are."""
    if not _is_torchvisions(weights):
        return dict(weights)
    rules = (_SWIN if "features.0.0.weight" in weights else _VIT) + _MLP
    found = {}
    for name, tensor in weights.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        found[name] = tensor
    if any(name.endswith(".logit_scale") for name in found):  # Swin V2: one bias of q, k and v there, k's unused
        for name in [name for name in found if name.endswith(".qkv.bias")]:
            q, _, v = found.pop(name).chunk(3)
            found |= {name.replace("qkv.bias", "q_bias"): q, name.replace("qkv.bias", "v_bias"): v}
    return found


def _is_torchvisions(weights: Mapping[str, torch.Tensor]) -> bool:
    return "features.0.0.weight" in weights or "encoder.layers.encoder_layer_0.ln_1.weight" in weights
