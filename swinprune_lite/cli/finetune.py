"""Prune a model and fine-tune it by the paper's recipe, its masks held, on one CPU or many GPUs.

    python -m swinprune_lite.cli.finetune swin_lite_tiny --epochs 2
    accelerate launch -m swinprune_lite.cli.finetune swin_tiny_patch4_window7_224.ms_in1k --ratio 0.55

Under `accelerate launch` the processes share the batch; the folder of the outcome must be one that all of them
see. Started again after a kill, it goes on from the last whole epoch, to the same losses. What it leaves in its
folder: run.json (what is run on what), state.pt (of the last epoch), losses.csv (of every step),
model.safetensors (the pruned weights are zeros) and card.json (recipe, seeds, versions, digests, accuracy).
"""

import json
import math
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from accelerate import Accelerator, InitProcessGroupKwargs, PartialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file

from swinprune_lite.files import atomic, read_json, require_writable, sha256
from swinprune_lite.measurements.profile import Profile, replicate
from swinprune_lite.measurements.setting import Measurement
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.lite import LITE_MODELS
from swinprune_lite.models.pretrained import best_device
from swinprune_lite.provenance import provenance
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.holding import apply_masks, remove_masks
from swinprune_lite.pruning.masks import check_asked, digest, make_masks
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.studies.profiles import SWIN_BATCH, get_profile
from swinprune_lite.training.evaluate import verdicts
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.memory import advise_on_memory
from swinprune_lite.training.recipe import PAPER_RECIPE, Recipe
from swinprune_lite.training.state import read_state

STARTED = time.perf_counter()
_DAMAGED = "remove it, or give another --folder"
HOURS = 12  # that other processes wait for the main one, which evaluates at the end


def prepare(folder: Path, about: dict, accelerator: Accelerator) -> None:
    """Make the folder ready to begin a run or to go on with it.

    Raises:
        OSError: the folder cannot be written into.
        ValueError: another run's folder, a damaged state, or a state that not every process sees.
    """
    state, described = folder / "state.pt", folder / "run.json"
    if accelerator.is_main_process:
        for written in ("run.json", "state.pt", "losses.csv", "model.safetensors", "card.json"):
            require_writable(folder / written)
        known = read_json(described, _DAMAGED) if described.is_file() else about
        if not isinstance(known, dict):
            raise ValueError(f"{described} is damaged (it holds no JSON object); {_DAMAGED}.")
        if differing := [f"{key} {known.get(key)} there and {here} here" for key, here in about.items()
                         if known.get(key) != here]:  # fmt: skip
            raise ValueError(f"{folder} belongs to another run: {'; '.join(differing)}. Give another --folder.")
        for left_over in folder.glob(".*.*.*"):  # of a process that was killed while it wrote
            left_over.unlink()
        if state.exists():
            read_state(state)
        with atomic(described) as temporary:
            temporary.write_text(json.dumps(about, indent=1) + "\n")
    accelerator.wait_for_everyone()
    size = torch.tensor([state.stat().st_size if state.exists() else 0], device=accelerator.device)
    if len(set(accelerator.gather(size).tolist())) > 1:
        raise ValueError(f"Not every process sees the same {state}; give a --folder that all of them share.")


def train(
    run: Profile, method: str, ratio: float, recipe: Recipe, folder: Path, accelerator: Accelerator
) -> tuple[torch.nn.Module, str, list[float]]:
    """The pruned and fine-tuned model, its zeros permanent, the digest of its masks, and the loss of every step."""
    if run.batch_size % (2 * accelerator.num_processes):
        raise ValueError(
            f"A batch of {run.batch_size} images cannot be shared by {accelerator.num_processes} processes in equal, "
            f"even parts; give a --batch-size that {2 * accelerator.num_processes} divides."
        )
    run.test_batches()  # images that are not there are better missed now than after days
    about = {"profile": run.name, "model": run.models[0], "method": method, "ratio": ratio, "seed": run.seed}
    about |= {"precision": accelerator.mixed_precision} | run.digests(run.models[0], 0, training=True)
    prepare(folder, about, accelerator)
    steps = None if run.finetunes_in_notebooks else run.finetune_steps
    batches = run.training_batches(run.seed, steps and steps * accelerator.num_processes, accelerator.num_processes)
    with accelerator.main_process_first():  # which evaluates the dense model where the profile asks for that
        model = run.load(run.models[0])
    masks = make_masks(model, ratio, method, run.seed)
    apply_masks(model, masks)
    columns = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, disable=not accelerator.is_main_process) as progress:
        bar = progress.add_task("steps")
        with advise_on_memory(run.batch_size):
            losses = finetune(
                model, batches, recipe, lambda done, total: progress.update(bar, completed=done, total=total),
                accelerator, folder / "state.pt", run.seed,
            )  # fmt: skip
    remove_masks(model)
    return model, digest(masks), losses


def keep(
    run: Profile,
    method: str,
    ratio: float,
    recipe: Recipe,
    folder: Path,
    model: torch.nn.Module,
    masks: str,
    losses: list[float],
) -> float:
    """Evaluate and write what was found, also for the notebooks if the recipe is theirs; the top-1 in percent."""
    test = run.test_batches()
    with advise_on_memory(test.batch_size):
        top1, top5 = verdicts(model, test)
    left = cost(model.cpu())
    name = run.models[0]
    seconds = time.perf_counter() - STARTED
    found = Measurement(top1, top5, left.nonzero_params, left.nonzero_macs, masks, seconds)
    with atomic(folder / "losses.csv") as temporary:
        pd.DataFrame({"loss": losses}).rename_axis("step").to_csv(temporary, float_format="%.10g")
    with atomic(folder / "model.safetensors") as temporary:
        save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, temporary)
    percent = [100 * right.double().mean().item() for right in (top1, top5)]
    card = {
        "profile": run.name,
        "model": name,
        "method": method,
        "ratio": ratio,
        "seed": run.seed,
        "batch_size": run.batch_size,
        "processes": PartialState().num_processes,
        "recipe": {key: str(value) for key, value in asdict(recipe).items()},
        "top1": percent[0],
        "top5": None if math.isnan(percent[1]) else percent[1],  # of fewer than five classes
        "images": len(top1),
        "params": left.nonzero_params,
        "macs": left.nonzero_macs,
        "digests": run.digests(name, 0, training=True) | {"model": sha256(folder / "model.safetensors")},
        "provenance": provenance(best_device()),
    }
    with atomic(folder / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")
    if not run.shipped and recipe == run.recipe:
        Store(run.results).add(run, replicate(run, name, run.seed, method, ratio, run.finetune_steps), found)
    return percent[0]


def main(
    model: Annotated[str, typer.Argument(help="A lite model, or a timm model with its tag.")],
    profile: Annotated[
        str | None, typer.Option(help="lite (of lite models the default), imagenette, imagenet (of others) or folder.")
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "dimap",
    ratio: Annotated[float, typer.Option(help="Share of the prunable weights that goes, in [0, 1).")] = 0.55,
    data: Annotated[Path | None, typer.Option(help="Folder with train and val.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Half of them warm-up.")] = PAPER_RECIPE.epochs,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a step, all processes together. The learning rate, of 512 in the paper, follows it."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order and the augmentation.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Of the outcome; by default one under runs/.")] = None,
) -> None:
    """Prune MODEL, fine-tune it by the paper's recipe with its masks held, and evaluate it."""
    try:
        check_asked(ratio, method)
        if profile == "smoke":
            raise ValueError("The smoke profile is for tests; give lite, imagenette, imagenet or folder.")
        profile = profile or ("lite" if model in LITE_MODELS else "imagenet")
        run = get_profile(profile, [model], seed, data, batch_size)
        name = f"{run.name}_{run.models[0].rpartition('/')[2]}_{method}_{ratio:g}_seed{seed}"
        folder = folder or Path("runs/finetuned") / name
        recipe = replace(PAPER_RECIPE.scaled(run.batch_size / SWIN_BATCH), epochs=epochs)
        if not run.shipped:
            run = replace(run, source=replace(run.source, device=best_device()))
        patience = InitProcessGroupKwargs(timeout=timedelta(hours=HOURS))
        accelerator = Accelerator(cpu=best_device() == "cpu", kwargs_handlers=[patience])
        tuned, masks, losses = train(run, method, ratio, recipe, folder, accelerator)
        if accelerator.is_main_process:
            top1 = keep(run, method, ratio, recipe, folder, tuned, masks, losses)
            print(f"{name}: top-1 {top1:.2f} %, loss {losses[0]:.4f} to {losses[-1]:.4f}; in {folder}")
        accelerator.wait_for_everyone()
        accelerator.end_training()
    except (ValueError, OSError, LookupError, MemoryError, FloatingPointError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
