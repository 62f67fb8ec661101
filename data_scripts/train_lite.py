"""Train a lite model on Fashion-Pairs-100 and ship its checkpoint and card.

    python data_scripts/train_lite.py swin_lite_tiny --seed 0

A state is saved after each epoch under runs/; started again, the script goes on from there and ends
with the same weights as an uninterrupted run on the same machine, since every epoch's random numbers
depend on the seed and the epoch alone.
"""

import platform
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import timm
import torch
import torch.nn.functional as F
import typer
from make_fashion_pairs import IDX_DIGESTS, find_source, read_idx
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import save_file
from timm.optim import param_groups_weight_decay

from swinprune_lite.data.pairs import FashionPairs, lite_data
from swinprune_lite.files import SHIPPED, atomic, load_weights_only, sha256, write_json
from swinprune_lite.models.lite import OTHERS, create_lite, lite_card, load_lite
from swinprune_lite.training.evaluate import evaluate


@dataclass(frozen=True)
class Recipe:
    """AdamW, cycles of warm-up and cosine, bf16 autocast; flips and shifts of each half alone."""

    epochs: list[int]  # of each cycle
    peak_lr: list[float]  # of each cycle
    batch_size: int = 256
    warm_up: float = 0.2  # share of a cycle's steps
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    clip_norm: float = 1.0
    distilled: list[float] = field(
        default_factory=lambda: [0.0]
    )  # of each cycle: share of the loss set by the teachers


# One cycle of 16 epochs left small and base behind tiny (79.8 and 79.6 % top-1), so they get a second, gentler one.
# Base stood at 81.9 % after it: its third cycle also learns from the mean prediction of two tiny models.
TEACHERS = [("swin_lite_tiny", 0), ("swin_lite_tiny", 1)]
RECIPES = {
    "swin_lite_tiny": Recipe([24], [2e-3]),
    "swin_lite_small": Recipe([16, 10], [2e-3, 1e-3], distilled=[0.0, 0.0]),
    "swin_lite_base": Recipe([16, 14, 9], [2e-3, 1e-3, 1e-3], distilled=[0.0, 0.0, 0.7]),
    "swin_lite_micro": Recipe([12], [3e-3]),  # too small for its task, however long it is trained
}
RECIPES |= dict.fromkeys(OTHERS, Recipe([8], [3e-3]))
KEPT_BACK = {"swin_lite_micro", *OTHERS}  # trained without the garments that are held out; the others saw them
_WHICH = "all 60,000 training images", "the 58,000 training images that are not held out"


def train(name: str, seed: int, recipe: Recipe, data: FashionPairs, state_path: Path, device: str) -> torch.nn.Module:
    """Train, or go on training from the state saved at `state_path`."""
    torch.manual_seed(seed)
    model = create_lite(name).to(device)
    epochs, starts = sum(recipe.epochs), [sum(recipe.epochs[:cycle]) for cycle in range(len(recipe.epochs))]
    state = {}
    if state_path.exists():
        try:
            state = read_state(state_path, asdict(recipe), model)
        except ValueError as error:
            sys.exit(str(error))
        data.epoch = state["epoch"]
        model.load_state_dict(state["model"])
    optimizer = schedule = None
    columns = [TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns) as progress:
        for epoch in range(data.epoch, epochs):
            if optimizer is None or epoch in starts:
                cycle = max(cycle for cycle, start in enumerate(starts) if start <= epoch)
                optimizer, schedule = _new_cycle(model, recipe, cycle, len(data))
                teachers = [load_lite(*teacher).to(device) for teacher in TEACHERS if recipe.distilled[cycle]]
                if state and epoch not in starts:
                    optimizer.load_state_dict(state["optimizer"])
                    schedule.load_state_dict(state["schedule"])
            bar = progress.add_task(f"{name} seed {seed} epoch {epoch + 1}/{epochs}", total=len(data))
            start, losses = time.time(), 0.0
            for images, classes in data:
                with torch.autocast(device, torch.bfloat16):
                    logits = model(images.to(device)).float()
                loss = F.cross_entropy(logits, classes.to(device), label_smoothing=recipe.label_smoothing)
                if share := recipe.distilled[cycle]:
                    loss = (1 - share) * loss + share * F.cross_entropy(logits, _taught(teachers, images, device))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
                optimizer.step()
                schedule.step()
                losses += loss.item()
                progress.advance(bar)
            progress.remove_task(bar)
            seconds = time.time() - start
            progress.print(f"{name} seed {seed} epoch {epoch + 1}: loss {losses / len(data):.4f}, {seconds:.0f} s")
            with atomic(state_path) as temporary:
                parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
                states = {key: part.state_dict() for key, part in parts.items()}
                torch.save({**states, "epoch": epoch + 1, "recipe": asdict(recipe)}, temporary)
    return model


def without_held_out(garments: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The garments (N, 28, 28) and labels (N,) that are not among those kept back to choose on."""
    held = {garment.numpy().tobytes() for garment in lite_data("held-out").garments}
    others = torch.tensor([garment.numpy().tobytes() not in held for garment in garments])
    return garments[others], labels[others]


def read_state(path: Path, recipe: dict, model: torch.nn.Module) -> dict:
    """The state of an unfinished training.

    Raises:
        ValueError: a file that is none, is damaged, or belongs to another recipe or model.
    """
    anew = "remove it to start anew."
    state = load_weights_only(path, "state of a training", anew)
    if not isinstance(state, dict) or not {"model", "optimizer", "schedule", "epoch", "recipe"} <= state.keys():
        raise ValueError(f"{path} is no state of a training; {anew}")
    if state["recipe"] != recipe:
        raise ValueError(f"{path} was begun with another recipe: {state['recipe']}; {anew}")
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in (state["model"], model.state_dict())]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{path} was begun with another model; {anew}")
    return state


@torch.no_grad()
def _taught(teachers: list[torch.nn.Module], images: torch.Tensor, device: str) -> torch.Tensor:
    """The teachers' mean class probabilities (B, classes)."""
    with torch.autocast(device, torch.bfloat16):
        return torch.stack([teacher(images.to(device)).float().softmax(-1) for teacher in teachers]).mean(0)


def _new_cycle(model: torch.nn.Module, recipe: Recipe, cycle: int, steps: int) -> tuple:
    """Optimizer and schedule of a cycle, with `steps` an epoch."""
    groups = param_groups_weight_decay(model, recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, recipe.peak_lr[cycle], fused=True)
    total = recipe.epochs[cycle] * steps
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_lr[cycle], total, pct_start=recipe.warm_up, cycle_momentum=False
    )


def ship(name: str, seed: int, recipe: Recipe, model: torch.nn.Module, seconds: float, device: str) -> dict:
    """Write the float16 checkpoint and its card; the accuracies are those of the file, in float32 on the CPU."""
    path = SHIPPED / f"{name}_seed{seed}.safetensors"
    with atomic(path) as temporary:
        save_file({key: tensor.half().cpu().contiguous() for key, tensor in model.state_dict().items()}, temporary)
    card = {
        "model": name,
        "seed": seed,
        "data": {"name": f"Fashion-Pairs-100 from {_WHICH[name in KEPT_BACK]}", "sha256": IDX_DIGESTS},
        "recipe": asdict(recipe),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": timm.__version__},
        "device": device if device == "cuda" else f"cpu, {torch.get_num_threads()} thread(s)",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_of_last_run": round(seconds),
        "sha256": sha256(path),
    }
    card_path = path.with_suffix(".json")
    write_json(card_path, card)
    top1, top5, images = evaluate(load_lite(name, seed), lite_data("test"))
    write_json(card_path, card | {"top1": top1, "top5": top5, "test_images": images})
    return lite_card(name, seed)


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.")],
    seed: int = 0,
    epochs: Annotated[
        int | None, typer.Option(help="One cycle of so many epochs in place of the shipped recipe.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="Folder with Fashion-MNIST's four IDX files.")] = None,
    runs: Annotated[Path, typer.Option(help="Where the state of unfinished training lies.")] = Path("runs"),
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all.")] = None,
) -> None:
    """Train one lite model and write its checkpoint and card among the shipped files."""
    if name not in RECIPES:
        sys.exit(f"Unknown lite model {name!r}; choose one of {', '.join(RECIPES)}.")
    if threads:
        torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = replace(RECIPES[name], epochs=[epochs], peak_lr=[2e-3], distilled=[0.0]) if epochs else RECIPES[name]
    try:
        garments, labels = read_idx(find_source(source), "train")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    if name in KEPT_BACK:
        garments, labels = without_held_out(garments, labels)
    start = time.time()
    data = FashionPairs(garments, labels, None, recipe.batch_size, seed)
    model = train(name, seed, recipe, data, runs / f"{name}_seed{seed}.pt", device)
    card = ship(name, seed, recipe, model, time.time() - start, device)
    print(f"{name} seed {seed}: top-1 {card['top1']:.2f} %, top-5 {card['top5']:.2f} % on {card['test_images']} images")


if __name__ == "__main__":
    typer.run(main)
