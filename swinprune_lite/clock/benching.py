"""Two models on one clock: latency, memory, size and energy of a model and of what it is held against, in turns."""

import copy
import gc
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.inputs import image_type, noise
from swinprune_lite.clock.energy import Meter
from swinprune_lite.clock.runtimes import RUNTIMES, peak_memory, prepared
from swinprune_lite.clock.timing import interleaved, speed
from swinprune_lite.provenance import device_name
from swinprune_lite.pruning.cost import cost

EAGER, COMPILE, ONNX = RUNTIMES
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ENERGY_TURNS, ENERGY_SECONDS = 3, 0.5  # a GPU's counter is renewed ten times a second


class Bench(NamedTuple):
    """What `bench` found.

    Attributes:
        rows: one a model, runtime and precision: model, runtime, precision, p50_ms and p95_ms (of one pass of a whole
            batch), images_per_second (of the median), peak_memory_bytes and joules_per_image (None where they are not
            measured).
        ratios: one a runtime and precision, of the first model over the second: runtime, precision, ratio (median over
            the turns), low and high (its quartiles), theory (MACs that the second needs over those the first does);
            empty for one model.
    """

    rows: pd.DataFrame
    ratios: pd.DataFrame


def bench(
    models: Mapping[str, nn.Module],
    batch_size: int = 1,
    runtimes: Sequence[str] = (EAGER,),
    precisions: Sequence[str] = ("float32",),
    repeats: int = 31,
    warm_up: int = 5,
    threads: int | None = None,
    meter: Meter | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Bench:
    """Time models in turns, so that a busy moment meets all of them alike, and measure their memory and energy.

    A speed-up is taken turn by turn. Memory is that of loading the model and of one pass beyond the libraries' own, on
    a GPU that of its tensors; where torch compiles it is not measured. Energy is measured apart from time, and is that
    of the whole processor.

    Args:
        models: name -> network, of one device; the first is held against the second. They are left as they are.
        batch_size: images at a time.
        runtimes: of `RUNTIMES`; each is timed by itself.
        precisions: of `PRECISIONS`; ONNX Runtime in float32 alone.
        repeats: turns that are timed.
        warm_up: turns before these.
        threads: of the processor; None: torch's present number.
        meter: counters of energy; None: energy is not measured.
        progress: called with the runtimes and precisions that are done, and their number.

    Raises:
        ValueError: something unknown, numbers below 1, models that take other images, ONNX Runtime in another precision
            or on a GPU, or passes too short for the clock.
    """
    device = check_asked(models, batch_size, runtimes, precisions, repeats, warm_up, threads)
    meter = meter or Meter([])
    needed = {name: cost(model).nonzero_macs for name, model in models.items()}
    cases = [(runtime, precision) for runtime in runtimes for precision in precisions]
    rows, ratios = [], []
    with _threads(threads):
        for done, (runtime, precision) in enumerate(cases):
            progress(done, len(cases))
            cast = {name: copy.deepcopy(model).eval().to(PRECISIONS[precision]) for name, model in models.items()}
            memory = {name: _memory(model, batch_size, runtime, device) for name, model in cast.items()}
            runs = {name: prepared(model, noise(model, batch_size), runtime) for name, model in cast.items()}
            seconds = pd.DataFrame(interleaved(runs, repeats, warm_up))
            joules = _energy(runs, meter)
            del runs, cast
            gc.collect()
            for name in models:
                middle, late = np.percentile(seconds[name], [50, 95])
                rows.append({
                    "model": name, "runtime": runtime, "precision": precision, "p50_ms": 1000 * middle,
                    "p95_ms": 1000 * late, "images_per_second": batch_size / middle if middle else float("inf"),
                    "peak_memory_bytes": memory[name],
                    "joules_per_image": None if joules[name] is None else joules[name] / batch_size,
                })  # fmt: skip
            if len(models) > 1:
                first, second = models
                found = speed(seconds.rename(columns={second: "dense"}), first)
                ratios.append({
                    "runtime": runtime, "precision": precision, "ratio": found.median(), "low": found.quantile(0.25),
                    "high": found.quantile(0.75), "theory": needed[second] / needed[first],
                })  # fmt: skip
        progress(len(cases), len(cases))
    return Bench(
        pd.DataFrame(rows).astype({"peak_memory_bytes": object, "joules_per_image": object}), pd.DataFrame(ratios)
    )


def check_asked(
    models: Mapping[str, nn.Module],
    batch_size: int,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    repeats: int,
    warm_up: int,
    threads: int | None,
) -> str:
    """The device that the models are on, "cpu" or "cuda"; ValueError unless all that `bench` is asked can be done."""
    for name, value in (("batch_size", batch_size), ("repeats", repeats), ("warm_up", warm_up), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more; got {value!r}.")
    if threads and threads > (cores := os.cpu_count() or threads):
        raise ValueError(f"This machine has {cores} logical cores; ask for so many threads at most; got {threads}.")
    for what, asked, known in (("runtime", runtimes, RUNTIMES), ("precision", precisions, PRECISIONS)):
        if not asked:
            raise ValueError(f"Give at least one {what} of {', '.join(known)}.")
        if unknown := [one for one in asked if one not in known]:
            raise ValueError(f"Unknown {what} {unknown[0]!r}; choose of {', '.join(known)}.")
    if not 1 <= len(models) <= 2:
        raise ValueError(f"One model or two are timed; got {len(models)}.")
    devices = {image_type(model)[0].type for model in models.values()}
    if len(devices) > 1:
        raise ValueError(f"The models are on several devices, {', '.join(sorted(devices))}; put them on one.")
    (device,) = devices
    if ONNX in runtimes and (device != "cpu" or set(precisions) != {"float32"}):
        raise ValueError("ONNX Runtime is timed in float32 on the CPU; leave it out, or ask for these alone.")
    shapes = {name: tuple(noise(model).shape[1:]) for name, model in models.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"The models take other images, so their times do not compare: {said}.")
    return device


def machine(device: str = "cpu") -> str:
    """The machine in words: its processor, cores and system, and of "cuda" the GPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    processor = named or platform.processor() or platform.machine()
    words = f"{processor}, {os.cpu_count()} logical cores, {platform.system()}; {device_name('cpu')}"
    return words if device == "cpu" else f"{device_name(device)}; {words}"


def _memory(model: nn.Module, batch_size: int, runtime: str, device: str) -> int | None:
    if device == "cuda":
        if runtime != EAGER:
            return None
        own = sum(each.numel() * each.element_size() for each in [*model.parameters(), *model.buffers()])
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.inference_mode():
            model(noise(model, batch_size))
        return torch.cuda.max_memory_allocated() - before + own
    if runtime == COMPILE or not Path("/proc/self/status").exists():
        return None
    return int(peak_memory(model, batch_size, runtime))


@torch.inference_mode()
def _energy(runs: Mapping[str, Callable[[], object]], meter: Meter) -> dict[str, float | None]:
    """Joules a pass, of turns long enough for the counters to be renewed many times."""
    if not meter.counters:
        return dict.fromkeys(runs)
    joules, passes = dict.fromkeys(runs, 0.0), dict.fromkeys(runs, 0)
    for _ in range(ENERGY_TURNS):
        for name, run in runs.items():
            before, start = meter.read(), time.perf_counter()
            while time.perf_counter() - start < ENERGY_SECONDS:
                run()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                passes[name] += 1
            joules[name] += meter.joules(before, meter.read())
    return {name: joules[name] / passes[name] for name in runs}


@contextmanager
def _threads(count: int | None):
    before = torch.get_num_threads()
    try:
        if count:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
