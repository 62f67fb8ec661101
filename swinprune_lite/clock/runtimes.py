"""Time and memory of dense and pruned models in the runtimes that people deploy."""

import copy
import gc
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.sparse import to_sparse_semi_structured

from swinprune_lite.acceleration import block_masks, compact, structured_masks, two_four_masks
from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.clock.timing import SparseLinear, interleaved, speed, zeroed
from swinprune_lite.files import RESULTS, atomic
from swinprune_lite.kept import kept
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.types import Masks

KEPT = RESULTS / "beyond_times.json"
RUNTIMES = ("eager", "torch.compile", "ONNX Runtime")
BLOCK = 32
RATIO = 0.5  # of the prunable weights, for patterns that leave every shape
_TIMES = {"way": str, "runtime": str} | dict.fromkeys(
    ("batch", "theory", "speedup", "low", "high", "share", "ms", "dense ms"), float
)
TABLES = {
    "speedups": _TIMES | {"model": str},
    "lite": _TIMES | {"removed": float},
    "memory": {"model": str, "way": str, "batch": float, "bytes": float},
    "shares": {"model": str, "way": str, "group": str, "MACs": float, "time": float},
}


def variants(model: nn.Module, removed: float = 0.5) -> tuple[dict[str, nn.Module], dict[str, float]]:
    """The ways to prune a model, and the theoretical speed-up of each: the dense MACs divided by those left.

    Args:
        model: a timm model; random weights do.
        removed: share of the MACs that the compact model loses.

    On a GPU all ways are in half precision, since its kernels for 2:4 are.
    """
    device = next(model.parameters()).device
    models, theory = {"dense": model.eval()}, {"dense": 1.0}
    dense = cost(model).macs
    for way, masks in _masks(model).items():
        models[way] = zeroed(model, masks)
        theory[way] = dense / cost(model, masks).nonzero_macs
    models["compact"] = compact(model, structured_masks(model, removed)).eval()
    theory["compact"] = dense / cost(models["compact"]).macs
    if device.type == "cuda":
        models = {way: copy.deepcopy(each).half() for way, each in models.items()}
        models["2:4"] = _semi_structured(models["2:4"])
    models["blocks"] = block_sparse(models["blocks"])
    return models, theory


def _masks(model: nn.Module) -> dict[str, Masks]:
    return {
        "masked": make_masks(model, RATIO),
        "2:4": two_four_masks(model, RATIO),
        "blocks": block_masks(model, RATIO, (BLOCK, BLOCK)),
    }


def _semi_structured(model: nn.Module) -> nn.Module:
    """The model, changed in place, with its 2:4 weights in torch's layout for sparse tensor cores."""
    for name in prunable(model):
        path = name.removesuffix(".weight")
        weight = to_sparse_semi_structured(model.get_parameter(name).detach())
        model.get_submodule(path).weight = nn.Parameter(weight, requires_grad=False)
    return model


def block_sparse(model: nn.Module, side: int = BLOCK) -> nn.Module:
    """The model, changed in place, with its prunable layers in torch's block sparse row layout."""
    for name in prunable(model):
        parent, _, leaf = name.removesuffix(".weight").rpartition(".")
        layer = SparseLinear(model.get_submodule(f"{parent}.{leaf}"))
        layer.weight = model.get_parameter(name).detach().to_sparse_bsr((side, side))
        setattr(model.get_submodule(parent), leaf, layer)
    return model


def prepared(model: nn.Module, images: torch.Tensor, runtime: str) -> Callable[[], object]:
    """One forward pass of the model in a runtime, ready to be timed.

    Raises:
        ValueError: an unknown runtime.
        RuntimeError: torch cannot compile the model, as where there is no compiler.
    """
    if runtime == "eager":
        return lambda: model(images)
    if runtime == "torch.compile":
        compiled = torch.compile(model)
        try:
            with torch.inference_mode():
                compiled(images)
        except (RuntimeError, NotImplementedError) as error:
            if "can't allocate memory" in str(error):
                raise
            said = str(error).strip().partition("\n")[0]
            raise RuntimeError(f"torch.compile does not do its work here ({said}); leave it out.") from error
        return lambda: compiled(images)
    if runtime == "ONNX Runtime":
        from swinprune_lite.acceleration.onnx_export import export_onnx, session  # needs the extra "onnx"

        with tempfile.TemporaryDirectory() as folder:
            export_onnx(model, Path(folder) / "model.onnx", len(images))
            loaded, array = session(Path(folder) / "model.onnx"), images.numpy()
        return lambda: loaded.run(None, {"images": array})
    raise ValueError(f"Unknown runtime {runtime!r}; choose one of {', '.join(RUNTIMES)}.")


def speedups(
    models: Mapping[str, nn.Module], theory: Mapping[str, float], batch: int, runtime: str, repeats: int
) -> pd.DataFrame:
    """Measured speed-ups over the dense model, the ways taking turns.

    Args:
        models, theory: of `variants`.
        batch: images at a time.
        runtime: one of `RUNTIMES`. Each is measured by itself: the waiting threads of one would slow another.
        repeats: turns; each is divided by the dense pass of its turn.

    Returns:
        One row a way but "dense": theory, speed-up (median) with its quartiles "low" and "high", share of
        theory, milliseconds of the way and of the dense model (medians).

    Raises:
        ValueError: an unknown runtime, fewer repeats than 1, or passes too short for the clock.
    """
    images = noise(models["dense"], batch)
    runs = {way: prepared(model, images, runtime) for way, model in models.items()}
    seconds = pd.DataFrame(interleaved(runs, repeats))
    del runs
    gc.collect()
    rows = []
    for way in models:
        if way == "dense":
            continue
        found = speed(seconds, way)
        rows.append({
            "way": way, "batch": batch, "runtime": runtime, "theory": theory[way], "speedup": found.median(),
            "low": found.quantile(0.25), "high": found.quantile(0.75), "share": found.median() / theory[way],
            "ms": 1000 * seconds[way].median(), "dense ms": 1000 * seconds["dense"].median(), "repeats": repeats,
        })  # fmt: skip
    return pd.DataFrame(rows)


_PEAK = """
import sys, numpy, torch, timm
from swinprune_lite.anatomy.inputs import noise
def peak():  # of this process: what getrusage says begins with its parent's
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
file, batch, runtime = sys.argv[1:]
if runtime != "eager":
    import onnxruntime
before = peak()
if runtime == "eager":
    model = torch.load(file, weights_only=False)
    with torch.inference_mode():
        model(noise(model, int(batch)))
else:
    loaded = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    loaded.run(None, {"images": numpy.zeros(loaded.get_inputs()[0].shape, "float32")})
print(peak() - before)
"""


def peak_memory(model: nn.Module, batch: int, runtime: str = "eager") -> float:
    """Bytes at the peak of loading a model and of one forward pass, beyond the libraries' own.

    Each is measured in a process of its own, on Linux and on the CPU.

    Args:
        model: the network.
        batch: images at a time.
        runtime: "eager" or "ONNX Runtime"; the memory of a compiled model would be its compiler's.

    Raises:
        MemoryError, RuntimeError: the model does not run, as with more images than there is memory for.
    """
    # A pickle, since compact and sparse layers cannot be built from their weights alone. It is safe to open: this
    # process has just written it, into a folder that nobody else may write.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model"
        if runtime == "eager":
            with atomic(file) as temporary:
                torch.save(model, temporary)
        else:
            from swinprune_lite.acceleration.onnx_export import export_onnx  # needs the extra "onnx"

            export_onnx(model, file, batch)
        command = [sys.executable, "-c", _PEAK, str(file), str(batch), runtime]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode == -signal.SIGKILL:
        raise MemoryError(f"the system ended a process that ran batches of {batch} images")
    if told.returncode:
        raise RuntimeError(f"Memory was not measured: {told.stderr.strip().rpartition(chr(10))[2] or told.returncode}")
    return float(told.stdout)


def recorded(path: Path = KEPT) -> dict:
    """What `benchmarks/acceleration.py --keep` kept, with its provenance.

    "speedups", "lite", "memory" and "shares" are data frames.

    Raises:
        LookupError: nothing was kept.
        ValueError: a file that is damaged or was altered.
    """
    return kept(path, TABLES, "in the repository 'python benchmarks/acceleration.py --keep' measures it")


def targets(found: pd.DataFrame, least: Mapping[int, float]) -> pd.DataFrame:
    """The compact models' rows with whether the share of theory reaches `least` for the batch."""
    rows = found.query("way == 'compact'").copy()
    rows["reached"] = rows.share >= rows.batch.map(least)
    return rows


def table(rows: pd.DataFrame, columns: Sequence[str] = ("theory", "speedup", "low", "high", "share")) -> pd.DataFrame:
    """Rows of `speedups` as a table, by model, runtime, batch and way."""
    index = [name for name in ("model", "runtime", "batch", "way") if name in rows]
    return rows.set_index(index)[list(columns)].round(2)
