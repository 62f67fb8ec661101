"""Where a forward pass spends its MACs, and where its time: the difference is what MACs do not show."""

import time
from collections import defaultdict

import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.pruning.cost import macs_and_positions

GROUPS = ("QKV", "attention", "projection", "FC1 and FC2", "activation", "norms", "merging and head", "the rest")
"""The rest: windows made, shifted and put together again, and residual additions; Python's own time too."""
ENDINGS = {
    "attn.qkv": "QKV", "attn.proj": "projection", "mlp.fc1": "FC1 and FC2", "mlp.fc2": "FC1 and FC2",
    "mlp.act": "activation", "norm1": "norms", "norm2": "norms", "attn": "attention",
    "patch_embed": "merging and head", "downsample": "merging and head", "norm": "norms", "head": "merging and head",
}  # fmt: skip


def shares(model: nn.Module, batch: int = 8, repeats: int = 5) -> pd.DataFrame:
    """Share of the MACs and of the time (percent) of each of `GROUPS`, in timm's Swin.

    Times are those of the modules' own forward passes; "attention" is what the attention takes beyond its
    two linear layers: products, position bias, softmax, copies. Of the repeats the fastest counts.

    Raises:
        ValueError: a batch or repeats below 1.
    """
    if batch < 1 or repeats < 1:
        raise ValueError(f"batch and repeats must be 1 or more; got {batch!r} and {repeats!r}.")
    groups = {name: group for name, module in model.named_modules() if (group := _group(name, module))}
    fastest: dict[str, float] = {}
    images = noise(model, batch)
    for _ in range(repeats):
        for group, seconds in _timed(model.eval(), images, groups).items():
            fastest[group] = min(seconds, fastest.get(group, seconds))
    macs = _macs(model, groups)
    rows = pd.DataFrame({"MACs": macs, "time": fastest}).reindex(GROUPS).fillna(0.0)
    return 100 * rows / rows.sum()


def _group(name: str, module: nn.Module) -> str | None:
    for ending, group in ENDINGS.items():
        if name == ending or name.endswith(f".{ending}"):
            inside = name.startswith(("patch_embed.", "head.")) or ".downsample." in name
            return None if inside or isinstance(module, nn.Identity) else group
    return None


@torch.inference_mode()
def _timed(model: nn.Module, images: torch.Tensor, groups: dict[str, str]) -> dict[str, float]:
    """Seconds of each group in one pass."""
    seconds: dict[str, float] = defaultdict(float)
    started: dict[str, float] = {}

    def begin(name: str):
        return lambda *_: started.__setitem__(name, time.perf_counter())

    def end(name: str):
        def add(*_) -> None:
            seconds[groups[name]] += time.perf_counter() - started[name]

        return add

    hooks = []
    for name in groups:
        module = model.get_submodule(name)
        hooks += [module.register_forward_pre_hook(begin(name)), module.register_forward_hook(end(name))]
    start = time.perf_counter()
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    whole = time.perf_counter() - start
    seconds["attention"] -= seconds["QKV"] + seconds["projection"]
    seconds["the rest"] = whole - sum(seconds.values())
    return seconds


def _macs(model: nn.Module, groups: dict[str, str]) -> dict[str, float]:
    total, positions = macs_and_positions(model)
    macs: dict[str, float] = defaultdict(float)
    for name, count in positions.items():
        group = groups.get(name.removesuffix(".weight"), "merging and head")
        macs[group] += count * model.get_parameter(name).numel()
    macs["attention"] = total - sum(macs.values())
    return macs
