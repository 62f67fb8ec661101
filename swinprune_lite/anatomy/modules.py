"""The paper's module map (figure 3, appendix B): QKV-M, PRJ-M, MLP-M, and AUX-M for all the rest.

Only the weight matrices of the first three are pruned. Biases, LayerNorm, relative position tables,
patch embedding, patch merging and the head are AUX-M and kept whole.
"""

import re

from torch import nn

PATTERNS = {
    "QKV-M": r"attn\.qkv\.weight",
    "PRJ-M": r"attn\.proj\.weight",
    "MLP-M": r"mlp\.fc[12]\.weight",
}
PRUNED_MODULES = tuple(PATTERNS)


def modules(model: nn.Module) -> dict[str, list[str]]:
    """The module of every parameter.

    Args:
        model: a network whose blocks name their layers as timm does (`attn.qkv`, `attn.proj`,
            `mlp.fc1`, `mlp.fc2`), such as Swin, Swin V2, ViT or DeiT.

    Returns:
        "QKV-M", "PRJ-M", "MLP-M" and "AUX-M", each with its parameters' names in the model's own
        order; every parameter is in exactly one. A network without such layers is all AUX-M.
    """
    groups: dict[str, list[str]] = {module: [] for module in (*PATTERNS, "AUX-M")}
    for name, _ in model.named_parameters():
        matches = (module for module, pattern in PATTERNS.items() if re.search(rf"(^|\.){pattern}$", name))
        groups[next(matches, "AUX-M")].append(name)
    return groups


def prunable(model: nn.Module) -> list[str]:
    """Names of the weights that may be pruned, in the model's own order."""
    auxiliary = set(modules(model)["AUX-M"])
    return [name for name, _ in model.named_parameters() if name not in auxiliary]
