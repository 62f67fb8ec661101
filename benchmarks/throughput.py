"""Images a second and memory of the paper's Swins, for evaluation and for fine-tuning, on this machine.

    python benchmarks/throughput.py            # prints
    python benchmarks/throughput.py --keep     # and keeps them in results/, for the estimates in the book

Each case runs in a process of its own, so that its peak memory is its own; memory for an image is the
difference between two batch sizes. The fastest repeat counts: a busy machine only slows.
"""

import json
import resource
import subprocess
import sys
import time
from typing import Annotated

import timm
import torch
import typer

from swinprune_lite.kept import keep as keep_file
from swinprune_lite.paper.numbers import TIMM_NAMES
from swinprune_lite.provenance import provenance
from swinprune_lite.studies.estimate import THROUGHPUT

BATCHES = (4, 12)
REPEATS = 5


def case(architecture: str, training: bool, batch: int) -> dict[str, float]:
    """Seconds of one batch (the fastest of several) and peak memory in bytes; runs in a process of its own."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = timm.create_model(architecture).to(device).train(training)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    images = torch.randn(batch, 3, 224, 224, device=device)
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        with torch.set_grad_enabled(training):
            loss = model(images).square().mean()
        if training:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        loss.item()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * _peak_kilobytes()
    return {"seconds": min(seconds[1:]), "bytes": peak}


def _peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure() -> dict:
    """One row a model and kind of work, with where and when it was measured."""
    rows = []
    for model, architecture in TIMM_NAMES.items():
        for training in (False, True):
            few, many = (json.loads(_alone(architecture, training, batch)) for batch in BATCHES)
            each = (many["bytes"] - few["bytes"]) / (BATCHES[1] - BATCHES[0])
            rows.append({
                "model": model,
                "work": "fine-tuning" if training else "evaluation",
                "images_a_second": BATCHES[1] / many["seconds"],
                "bytes_an_image": each,
                "bytes_beside": few["bytes"] - BATCHES[0] * each,
            })  # fmt: skip
            print("  ".join(f"{key} {value:,.1f}" if key != "model" and key != "work" else value
                            for key, value in rows[-1].items()))  # fmt: skip
    return provenance("cuda" if torch.cuda.is_available() else "cpu") | {"rows": rows}


def _alone(*arguments: object) -> str:
    command = [sys.executable, __file__, "--case", json.dumps(arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the result for the book.")] = False,
    one: Annotated[str, typer.Option("--case", hidden=True)] = "",
) -> None:
    """Measure and print."""
    if one:
        print(json.dumps(case(*json.loads(one))))
        return
    found = measure()
    if keep:
        keep_file(THROUGHPUT, found)


if __name__ == "__main__":
    typer.run(main)
