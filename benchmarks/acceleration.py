"""What a removed MAC is worth on a clock: dense and pruned Swins in turns, by runtime and batch.

    python benchmarks/acceleration.py            # prints; a quarter of an hour on two cores
    python benchmarks/acceleration.py --keep     # and keeps it in results/, for the book

Weights are random: time does not depend on them. On a GPU everything is in half precision and 2:4 weights go to its
sparse tensor cores; memory, energy and shares are the CPU's all the same.
"""

import re
from typing import Annotated

import onnxruntime
import pandas as pd
import timm
import torch
import typer
from rich.console import Console

from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.clock.energy import Meter
from swinprune_lite.clock.runtimes import (
    KEPT,
    block_sparse,
    peak_memory,
    prepared,
    speedups,
    variants,
)
from swinprune_lite.clock.time_shares import shares
from swinprune_lite.kept import keep as keep_file
from swinprune_lite.measurements.measure import pruned
from swinprune_lite.models.lite import load_lite
from swinprune_lite.paper.numbers import TIMM_NAMES
from swinprune_lite.provenance import provenance
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.holding import remove_masks
from swinprune_lite.studies import acceleration

REPEATS = {1: 31, 8: 9}
ENERGY_PASSES = 20


def energy(models: dict[str, torch.nn.Module]) -> list[dict]:
    """Joules an image at batch 1, where the processor counts them."""
    rows, meter = [], Meter.of()
    for way, model in models.items() if meter.counters else ():
        run = prepared(model, noise(model), "eager")
        with torch.inference_mode():
            before = meter.read()
            for _ in range(ENERGY_PASSES):
                run()
        rows.append({"way": way, "joules": meter.joules(before, meter.read()) / ENERGY_PASSES})
    return rows


def measure(model: str, architecture: str, console: Console) -> dict[str, list[dict]]:
    """Everything that is measured on one architecture."""
    torch.manual_seed(0)
    dense = timm.create_model(architecture)
    dense = dense.cuda() if torch.cuda.is_available() else dense
    models, theory = variants(dense)
    same_kernels = {way: each for way, each in models.items() if way != "blocks"}
    pair = {way: models[way] for way in ("dense", "compact")}
    rows = []
    for batch, repeats in REPEATS.items():
        cases = [("eager", models if model == "Swin-T" else same_kernels)]
        if model == "Swin-T":  # compiling takes a minute a model
            cases.append(("torch.compile", pair))
        if not torch.cuda.is_available():
            cases.append(("ONNX Runtime", {way: models[way] for way in ("dense", "masked", "compact")}))
        for runtime, those in cases:
            rows.append(speedups(those, theory, batch, runtime, repeats))
            torch.compiler.reset()
            console.print(f"{model}, batch {batch}, {runtime}")
            console.print(rows[-1][["way", "theory", "speedup", "low", "high", "share", "ms"]].round(3).to_string())
    pair = {way: each.cpu().float() for way, each in pair.items()}
    found = {"speedups": pd.concat(rows).assign(model=model).to_dict("records"), "energy": energy(pair)}
    found["memory"] = [
        {"model": model, "way": way, "batch": batch, "bytes": peak_memory(each, batch)}
        for way, each in pair.items()
        for batch in REPEATS
    ]
    found["shares"] = [
        {"model": model, "way": way, "group": group} | row
        for way, each in pair.items()
        for group, row in shares(each).to_dict("index").items()
    ]
    return found


def lite_times(repeats: int = 15) -> list[dict]:
    """The cases of the accuracies, timed on a hundred images of lite tiny: for accuracy against time."""
    models, theory = {"dense": load_lite("swin_lite_tiny")}, {"dense": 1.0}
    dense = cost(models["dense"]).macs
    settings = dict.fromkeys(acceleration.one_shot(case) for case in acceleration.cases((0,)) if "tiny" in case.model)
    for setting in settings:
        model, _ = pruned(acceleration.PROFILE, setting)
        remove_masks(model)
        name = f"{setting.method} {setting.ratio:.0%}"
        theory[name] = dense / cost(model).nonzero_macs
        side = re.fullmatch(r"blocks (\d+)", setting.method)
        models[name] = block_sparse(model, int(side[1])) if side else model.eval()
    rows = speedups(models, theory, 100, "eager", repeats).to_dict("records")
    return [
        row | {"way": acceleration.WAY_OF[setting.method], "removed": setting.ratio}
        for row, setting in zip(rows, settings)
    ]


def main(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the result for the book.")] = False,
    only: Annotated[str, typer.Option(help="Models whose name contains this: T, S or B.")] = "",
) -> None:
    """Measure and print."""
    if keep and only:
        raise typer.BadParameter("--keep needs all models; leave --only out.")
    console = Console()
    found: dict[str, list[dict]] = {"speedups": [], "energy": [], "memory": [], "shares": []}
    for model, architecture in TIMM_NAMES.items():
        if only in model:
            for name, rows in measure(model, architecture, console).items():
                found[name] += rows
    found["lite"] = lite_times()
    console.print(pd.DataFrame(found["lite"])[["way", "removed", "theory", "speedup", "ms"]].round(2).to_string())
    console.print(pd.DataFrame(found["memory"]).to_string())
    console.print("energy: " + (str(found["energy"]) if found["energy"] else "no counter that may be read"))
    if keep:
        about = provenance("cuda" if torch.cuda.is_available() else "cpu")
        about |= {"threads": torch.get_num_threads(), "onnxruntime": onnxruntime.__version__}
        keep_file(KEPT, about | found)


if __name__ == "__main__":
    typer.run(main)
