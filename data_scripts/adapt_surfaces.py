"""Adapt the garments' lite models to drawn surfaces, and ship them with their cards.

    python data_scripts/adapt_surfaces.py 64 --choose  # seed 0 with every rate, of which the best on held-out stays
    python data_scripts/adapt_surfaces.py 64 --seed 1

All weights learn, from the garments' ones under a head of zeros; the classes come as often as one another. The recipe
is the one of `studies.surfaces`, in float32: the weights ship, so their digits need not be made again.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import torch
import typer
from rich.progress import Progress
from safetensors.torch import save_file
from torch import nn

from swinprune_lite.files import SHIPPED, atomic, sha256, write_json
from swinprune_lite.models.lite import lite_card
from swinprune_lite.models.surfaces import ADAPTED, ORIGIN, VIEWS, from_garments, load_surface_model
from swinprune_lite.provenance import provenance
from swinprune_lite.sources.surface_sets import digest_of_record
from swinprune_lite.studies.surfaces import ADAPT, BATCH, RATES, STEPS, profile
from swinprune_lite.training.evaluate import evaluate
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe


def adapted(view: str, seed: int, recipe: Recipe) -> nn.Module:
    """A model that was adapted."""
    model = from_garments(VIEWS[view].side, seed)
    with Progress() as progress:
        bar = progress.add_task(f"{view} seed {seed} rate {recipe.lr}", total=STEPS)
        batches = profile(view).training_batches(seed, STEPS)
        finetune(model, batches, recipe, lambda done, _: progress.update(bar, completed=done), seed=seed)
    return model


def held_out(model: nn.Module, view: str) -> float:
    """Top-1 on held-out surfaces, in percent."""
    return evaluate(model, profile(view, split="held-out").test_batches()).top1


def adapt(view: str, seed: int, rates: Sequence[float] = (ADAPT.lr,)) -> dict:
    """Train with every rate, and ship the best on held-out surfaces; its card, with the accuracies of the file."""
    start, recipes = time.time(), [replace(ADAPT, lr=rate, precision=torch.float32) for rate in rates]
    models = [(adapted(view, seed, recipe), recipe) for recipe in recipes]
    tried = {recipe.lr: held_out(model, view) for model, recipe in models}
    model, recipe = max(models, key=lambda pair: tried[pair[1].lr])
    name = f"{ADAPTED}_{view}"
    path = SHIPPED / f"{name}_seed{seed}.safetensors"
    with atomic(path) as temporary:
        save_file({key: tensor.half().contiguous() for key, tensor in model.state_dict().items()}, temporary)
    told = {key: value if isinstance(value, (int, float)) else str(value) for key, value in asdict(recipe).items()}
    card = {
        "model": name,
        "seed": seed,
        "data": {"name": "drawn surfaces", "sha256": digest_of_record("train")},
        "origin": {"model": ORIGIN, "sha256": lite_card(ORIGIN, seed)["sha256"]},
        "recipe": told | {"steps": STEPS, "batch_size": BATCH},
        "held_out_top1_by_rate": {str(rate): top1 for rate, top1 in tried.items()},
        "versions": provenance(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - start),
        "sha256": sha256(path),
    }
    write_json(path.with_suffix(".json"), card)
    loaded = load_surface_model(name, seed)
    card |= {"held_out_top1": held_out(loaded, view), "test_top1": evaluate(loaded, profile(view).test_batches()).top1}
    write_json(path.with_suffix(".json"), card)
    return card


def main(
    view: Annotated[str, typer.Argument(help=f"One of {', '.join(VIEWS)}.")],
    seed: Annotated[int, typer.Option(help="Of the garments' weights, and of the drawing of batches.")] = 0,
    choose: Annotated[bool, typer.Option("--choose", help="Try every rate, and keep the best on held-out.")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Adapt one model and write its checkpoint and card among the shipped files."""
    if view not in VIEWS:
        sys.exit(f"Unknown view {view!r}; choose one of {', '.join(VIEWS)}.")
    torch.set_num_threads(threads)
    try:
        card = adapt(view, seed, RATES if choose else (ADAPT.lr,))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(f"{card['model']} seed {seed}: held-out {card['held_out_top1']:.1f} %, test {card['test_top1']:.1f} %")


if __name__ == "__main__":
    typer.run(main)
