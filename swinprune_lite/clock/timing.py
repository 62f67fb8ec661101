"""Figure 4: the time that removed MACs save, measured beside the dense model in one run."""

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.files import RESULTS
from swinprune_lite.kept import keep, kept
from swinprune_lite.provenance import provenance
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.holding import apply_masks, remove_masks
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.types import Masks

ACCELERATION = "acceleration.json"  # in the results store
COLUMNS = dict.fromkeys(("ratio", "theory", "masked", "sparse", "dense ms"), float)


class SparseLinear(nn.Module):
    """A linear layer whose weight is kept in torch's compressed sparse row layout."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():  # torch calls its sparse layouts a beta feature
            warnings.simplefilter("ignore", UserWarning)
            self.weight, self.bias = linear.weight.detach().to_sparse_csr(), linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) to (..., outputs)."""
        product = (self.weight @ x.reshape(-1, x.shape[-1]).T).T
        return product.reshape(*x.shape[:-1], -1) + self.bias


def zeroed(model: nn.Module, masks: Masks) -> nn.Module:
    """A copy with the masks' zeros made permanent; its kernels stay dense."""
    model = copy.deepcopy(model)
    apply_masks(model, masks)
    remove_masks(model)
    return model


def pruned(model: nn.Module, ratio: float, method: str = "dimap") -> nn.Module:
    """A copy pruned by a method; its kernels stay dense."""
    return zeroed(model, make_masks(model, ratio, method))


def sparse(model: nn.Module) -> nn.Module:
    """A copy whose prunable layers are `SparseLinear`."""
    model = copy.deepcopy(model)
    for name in prunable(model):
        path = name.removesuffix(".weight")
        parent, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(parent), leaf, SparseLinear(model.get_submodule(path)))
    return model


@torch.inference_mode()
def interleaved(runs: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each run, `repeats` times, taken in turns so that a busy moment meets all of them alike.

    Args:
        runs: what is timed.
        repeats: turns.
        warm_up: turns before them that are not timed.

    Raises:
        ValueError: fewer repeats or turns before them than 1.
    """
    if repeats < 1 or warm_up < 1:
        name, value = ("repeats", repeats) if repeats < 1 else ("warm_up", warm_up)
        raise ValueError(f"{name} must be 1 or more; got {value!r}.")
    for _ in range(warm_up):
        for run in runs.values():
            run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def speed(seconds: pd.DataFrame, way: str) -> pd.Series:
    """Speed-up of a way over the dense model, turn by turn.

    Args:
        seconds: of `interleaved`, a column a way, "dense" among them.
        way: which.

    Raises:
        ValueError: a time that is not above zero, which would make any speed-up.
    """
    for column in ("dense", way):
        if not (seconds[column] > 0).all():
            raise ValueError(
                f"A pass of {column!r} took no time that the clock can tell ({seconds[column].min():g} s), so there is "
                "no speed-up; time more images at once."
            )
    return seconds["dense"] / seconds[way]


def acceleration(model: nn.Module, ratios: Sequence[float], repeats: int = 7, batch: int = 1) -> pd.DataFrame:
    """Forward time of the dense model, of masked weights in dense kernels, and in a sparse layout.

    Args:
        model: a timm model; random weights do, since time does not depend on them.
        ratios: shares of the prunable weights removed by DIMAP.
        repeats: forward passes of each, in turns; each is divided by the dense one of its turn.
        batch: images at a time.

    Returns:
        One row a ratio: theory (dense MACs / MACs left), then for "masked" and "sparse" the measured
        speed-up over the dense model (median and quartiles of the repeats), and the dense milliseconds.

    Raises:
        ValueError: fewer repeats than 1, or passes too short for the clock.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device)
    images = torch.randn(batch, *model.pretrained_cfg["input_size"], device=device)
    models = {"dense": model}
    theory = {}
    for ratio in ratios:
        models[f"masked {ratio}"] = pruned(model, ratio)
        models[f"sparse {ratio}"] = sparse(models[f"masked {ratio}"])
        left = cost(models[f"masked {ratio}"])
        theory[ratio] = left.macs / left.nonzero_macs
    seconds = pd.DataFrame(
        interleaved({name: lambda each=each: each(images) for name, each in models.items()}, repeats)
    )
    rows = []
    for ratio in ratios:
        row = {"ratio": ratio, "theory": theory[ratio], "dense ms": 1000 * seconds["dense"].median()}
        for way in ("masked", "sparse"):
            found = speed(seconds, f"{way} {ratio}")
            row |= {way: found.median(), f"{way} low": found.quantile(0.25), f"{way} high": found.quantile(0.75)}
        rows.append(row)
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """`acceleration` as a table: speed-ups by ratio, the dense time in milliseconds."""
    table = rows.set_index(rows["ratio"].map("{:.0%}".format))[["theory", "masked", "sparse", "dense ms"]]
    return table.round({"theory": 2, "masked": 2, "sparse": 2, "dense ms": 1})


def record(rows: pd.DataFrame, path: Path = RESULTS / ACCELERATION) -> None:
    """Keep a measured `acceleration` with its provenance."""
    keep(path, provenance("cuda" if torch.cuda.is_available() else "cpu") | {"rows": rows.to_dict("records")})


def recorded(path: Path = RESULTS / ACCELERATION) -> dict:
    """What `record` kept, "rows" as a data frame.

    Raises:
        LookupError: nothing was recorded.
        ValueError: a file that is damaged or was altered.
    """
    return kept(path, {"rows": COLUMNS}, "in the repository 'make reproduce' measures it")
