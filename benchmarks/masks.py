"""DIMAP masks for Swin-B against the textbook way and one numpy.sort, interleaved in one run.

The textbook way sorts each layer, sums, and takes a global top-k of a module. Weights are drawn with a
scale of its own for each layer, as trained weights have; `--same-scale` draws them all alike.
"""

import platform
import statistics
import time
from typing import Annotated

import numpy as np
import timm
import torch
import typer
from rich.console import Console
from rich.table import Table

import swinprune_lite as sp
from swinprune_lite.anatomy.modules import PRUNED_MODULES


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


def timed(function, *arguments) -> tuple[float, object]:
    """Seconds, and what the function gave."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


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
    seconds: dict[str, list[float]] = {"textbook": [], "numpy.sort": [], "make_masks": []}
    for _ in range(repeats):
        spent, expected = timed(textbook, model, ratio)
        seconds["textbook"].append(spent)
        seconds["numpy.sort"].append(timed(np.sort, every)[0])
        spent, masks = timed(sp.make_masks, model, ratio)
        seconds["make_masks"].append(spent)
    differing = sum(int((masks[name] != expected[name]).sum()) for name in masks)

    title = f"{len(every) / 1e6:.1f} M weights, ratio {ratio}, {torch.get_num_threads()} threads, {platform.machine()}"
    table = Table("way", "median s", "range s", "times make_masks", title=title)
    ours = statistics.median(seconds["make_masks"])
    for way, values in seconds.items():
        middle = statistics.median(values)
        table.add_row(way, f"{middle:.2f}", f"{min(values):.2f} to {max(values):.2f}", f"{middle / ours:.1f}")
    Console().print(table)
    print(f"weights on which the two masks differ: {differing}")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    typer.run(main)
