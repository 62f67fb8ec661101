"""DIMAP masks for Swin-B against the textbook way and one numpy.sort, interleaved in one run.

The textbook way sorts each layer, sums, and takes a global top-k of a module. Weights are drawn with a
scale of its own for each layer, as trained weights have; `--same-scale` draws them all alike. Beside
another job means: while a second process keeps one core busy. Where the processor has AVX-512, a second
table is made with numpy and torch held to AVX2, by which numpy sorts faster on some processors.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import timm
import torch
import typer
from rich.console import Console
from rich.table import Table

import swinprune_lite as sp
from swinprune_lite.anatomy.modules import PRUNED_MODULES

SIMD = np.show_config(mode="dicts")["SIMD Extensions"]


def textbook(model: torch.nn.Module, ratio: float) -> dict[str, torch.Tensor]:
    """Equation 10 by torch.sort of each layer, and torch.topk over each module."""
    masks = {}
    for module in PRUNED_MODULES:
        names, scores = sp.modules(model)[module], []
        for name in names:
            square, positions = model.get_parameter(name).detach().flatten().double().square().sort(descending=True)
            score = torch.empty_like(square)
            score[positions] = square / square.cumsum(0)
            scores.append(score)
        every = torch.cat(scores)
        threshold = every.topk(len(every) - round(ratio * len(every))).values[-1]
        for name, score in zip(names, scores):
            masks[name] = (score >= threshold).view_as(model.get_parameter(name))
    return masks


def timed(function, *arguments) -> tuple[tuple[float, float], object]:
    """Seconds on the clock and of all threads on processors, and what the function gave."""
    start, used = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return (time.perf_counter() - start, time.process_time() - used), result


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that keeps one core busy: the last one, where processes can be pinned."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(other.pid, {max(os.sched_getaffinity(0))})
        time.sleep(0.5)
        yield
    finally:
        other.kill()
        other.wait()


def processor() -> str:
    """The processor's name and what of it torch and numpy use."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    used = f"torch {torch.backends.cpu.get_cpu_capability()}, numpy {' '.join(SIMD['baseline'] + SIMD['found'])}"
    return f"{name or platform.machine()}, {os.cpu_count()} cores ({used})"


def main(
    ratio: float = 0.5,
    repeats: int = 3,
    same_scale: Annotated[bool, typer.Option(help="Draw the weights of all layers alike.")] = False,
) -> None:
    """Print medians, ranges and ratios; stop if the masks differ."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = timm.create_model("swin_base_patch4_window7_224")
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        scale = 1.0 if same_scale else float(10 ** torch.empty(()).uniform_(-0.5, 0.5))
        torch.nn.init.normal_(parameter, std=0.02 * scale)
    every = np.concatenate([model.get_parameter(name).detach().numpy().ravel() for name in sp.prunable(model)])

    one, all_cores = 1, os.cpu_count() or 1
    seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def ours(threads: int, beside: str = "") -> dict[str, torch.Tensor]:
        torch.set_num_threads(threads)
        spent, masks = timed(sp.make_masks, model, ratio)
        seconds[f"make_masks, {threads} thread{'s' * (threads > 1)}{beside}"].append(spent)
        return masks

    torch.set_num_threads(one)
    spent, expected = timed(textbook, model, ratio)  # once: it takes longer than all the rest
    for _ in range(repeats):
        masks = ours(one)
        seconds["numpy.sort, 1 thread"].append(timed(np.sort, every)[0])
        ours(all_cores)
        with busy_core():
            ours(one, ", beside a busy process")
            ours(all_cores, ", beside a busy process")
    seconds["textbook, 1 thread"].append(spent)
    differing = sum(int((masks[name] != expected[name]).sum()) for name in masks)

    Console().print(f"{len(every) / 1e6:.1f} M weights, ratio {ratio}, {processor()}", soft_wrap=True)
    table = Table("way", "median s", "range s", "processor s", "times make_masks, 1 thread")
    base = statistics.median(clock for clock, _ in seconds["make_masks, 1 thread"])
    for way, values in seconds.items():
        clock, used = zip(*values)
        middle, busy = statistics.median(clock), statistics.median(used)
        spread = f"{min(clock):.2f} to {max(clock):.2f}"
        table.add_row(way, f"{middle:.2f}", spread, f"{busy:.2f}", f"{middle / base:.1f}")
    Console().print(table)
    print(f"weights on which the two masks differ: {differing}", flush=True)
    wide = [feature for feature in SIMD["found"] if feature == "X86_V4" or feature.startswith("AVX512")]
    if wide and not differing:
        narrow = {"ATEN_CPU_CAPABILITY": "avx2", "NPY_DISABLE_CPU_FEATURES": " ".join(wide)}
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=os.environ | narrow).returncode)
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    typer.run(main)
