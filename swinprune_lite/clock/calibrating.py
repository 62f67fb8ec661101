"""What a criterion costs before anything is cut: time to gather what it wants and to make masks, and memory."""

import copy
import time
from collections.abc import Sequence

import pandas as pd
import torch
from torch import nn

from swinprune_lite.calibration.statistics import GATHER
from swinprune_lite.pruning.criteria import CRITERIA, GATHERED_BY
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.repairing.sparsegpt import SPARSE_GPT, sparse_gpt
from swinprune_lite.training.batches import Batch, pairs
from swinprune_lite.types import Gradients, InputMoments, Statistic


def costs(model: nn.Module, batches: Sequence[Batch], criteria: Sequence[str], ratio: float) -> pd.DataFrame:
    """Time and memory of criteria on one model, whatever else the machine does meanwhile.

    Args:
        model: the network; it is left as it is.
        batches: images and classes that statistics are gathered on.
        criteria: names of `CRITERIA` that draw nothing, or "sparsegpt".
        ratio: share of the prunable weights to remove, by layer.

    Returns:
        By criterion: wants ("" for none), "gather (s)" for what it wants, "masks (s)" for the masks after that (of
        "sparsegpt" with the weights it changes), "statistics (MB)" to keep until then, and "backward (MB)", what the
        gradient of a single image needs besides.
    """
    found, taken, rows = {type(None): None}, {type(None): 0.0}, {}
    backward = saved_bytes(model, next(pairs(batches)))
    for name in criteria:
        wants = InputMoments if name == SPARSE_GPT else CRITERIA[name].wants or type(None)
        if wants not in found:
            start = time.perf_counter()
            found[wants] = GATHER[wants](model, batches)
            taken[wants] = time.perf_counter() - start
        twin = copy.deepcopy(model)
        start = time.perf_counter()
        if name == SPARSE_GPT:
            sparse_gpt(twin, ratio, found[wants])
        else:
            make_masks(twin, ratio, "uniform", criterion=name, statistics=found[wants])
        masks = time.perf_counter() - start
        held = sum(map(statistic_bytes, (found[wants] or {}).values()))
        rows[name] = {
            "wants": GATHERED_BY.get(wants, ("",))[0],
            "gather (s)": taken[wants],
            "masks (s)": masks,
            "statistics (MB)": held / 1e6,
            "backward (MB)": backward / 1e6 if wants is Gradients else 0.0,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="criterion")


def statistic_bytes(statistic: Statistic) -> int:
    """Bytes of the numbers of what was measured of one layer."""
    tensors = [statistic] if isinstance(statistic, torch.Tensor) else vars(statistic).values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, torch.Tensor))


def saved_bytes(model: nn.Module, batch: Batch) -> int:
    """Bytes that a forward pass of one image keeps for the gradients of the model's weights, beyond these weights.

    Args:
        model: takes images (B, C, H, W); it is run in the mode that it is in.
        batch: images, of which the first is taken, and classes.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weight = next(model.parameters())
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(batch[0][:1].clone().to(weight.device, weight.dtype))  # alive until all is counted
    return sum(kept.values()) if output.requires_grad else 0
