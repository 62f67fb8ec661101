"""A fine-tuning in a folder of its own: what is run on what, its last and its best model, and where it stands."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout
from torch import nn

from swinprune_lite.files import atomic, read_json, require_writable, write_json
from swinprune_lite.training.batches import Batch
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe
from swinprune_lite.training.state import read_state

RUN, STATE, LOSSES, EPOCHS, RECORD = "run.json", "state.pt", "losses.csv", "epochs.json", "record.json"
LATEST, BEST = "latest.safetensors", "best.safetensors"
WRITTEN = (RUN, STATE, LOSSES, EPOCHS, RECORD, LATEST, BEST)
_DAMAGED = "remove it, or give another folder"


class Tuned(NamedTuple):
    """What a run found.

    Attributes:
        losses: of every step.
        top1: in percent, before the first epoch and after every one.
    """

    losses: list[float]
    top1: list[float]

    @property
    def best(self) -> int:
        """Number of the epoch, from 1, whose model is kept as the best: the first of the highest top-1."""
        return self.top1.index(max(self.top1[1:]), 1)


@contextmanager
def run_folder(folder: Path, about: dict, accelerator: Accelerator) -> Iterator[None]:
    """A folder that belongs to one run, ready to begin or to go on, and to no second process meanwhile.

    Args:
        folder: is made if it is not there; all processes must see it.
        about: what is run on what, as JSON holds it.
        accelerator: of all processes.

    Raises:
        OSError: the folder cannot be written into.
        ValueError: another run's folder, one that a run works in, a damaged state, or a state that not every process
            sees.
    """
    state, lock = folder / STATE, FileLock(folder / ".lock")
    try:
        if accelerator.is_main_process:
            for written in WRITTEN:
                require_writable(folder / written)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise ValueError(f"A run is at work in {folder}; wait for it, or give another folder.") from None
            _claim(folder, about)
        accelerator.wait_for_everyone()
        size = torch.tensor([state.stat().st_size if state.exists() else 0], device=accelerator.device)
        if len(set(accelerator.gather(size).tolist())) > 1:
            raise ValueError(f"Not every process sees the same {state}; give a folder that all of them share.")
        yield
    finally:
        lock.release()


def _claim(folder: Path, about: dict) -> None:
    described, state = folder / RUN, folder / STATE
    if others := [name for name in WRITTEN if (folder / name).exists() and not described.exists()]:
        raise ValueError(f"{folder} holds {others[0]}, and no {RUN} that says of which run; give another folder.")
    known = read_json(described, _DAMAGED) if described.is_file() else about
    if not isinstance(known, dict):
        raise ValueError(f"{described} is damaged (it holds no JSON object); {_DAMAGED}.")
    if differing := [f"{key} {known.get(key)} there and {here} here" for key, here in about.items()
                     if known.get(key) != here]:  # fmt: skip
        raise ValueError(f"{folder} belongs to another run: {'; '.join(differing)}. Give another folder.")
    for written in WRITTEN:  # what a process left that was killed while it wrote
        for left_over in folder.glob(f".{written}.*"):
            left_over.unlink()
    if state.exists():
        read_state(state)
    write_json(described, about)


def tune(
    model: nn.Module,
    batches: Iterable[Batch],
    recipe: Recipe,
    folder: Path,
    top1: Callable[[], float],
    save: Callable[[Path], None],
    accelerator: Accelerator,
    progress: Callable[[int, int], None] = lambda done, total: None,
    seed: int = 0,
    teacher: nn.Module | None = None,
) -> Tuned:
    """Fine-tune in place, see `finetune`; after every epoch evaluate, and keep the latest and best model and the state.

    Started again after a kill it goes on from the last whole epoch, to the same losses.

    Args:
        model, batches, recipe, accelerator, progress, seed, teacher: of `finetune`.
        folder: of `run_folder`.
        top1: percent of the model as it is now; called in every process.
        save: writes the model as it is now; called in the main process.
    """
    steps = len(batches) // accelerator.num_processes
    history = _history(folder / EPOCHS) or [top1()]

    def after_epoch(losses: list[float]) -> None:
        done = len(losses) // steps
        if len(history) < done:
            raise ValueError(f"{folder / EPOCHS} lacks accuracies of earlier epochs; {_DAMAGED}.")
        history[done:] = [top1()]  # what a killed run had found of this epoch is found again
        if accelerator.is_main_process:
            save(folder / LATEST)
            if history[done] > max(history[1:done], default=-1.0):
                with atomic(folder / BEST) as temporary:
                    shutil.copyfile(folder / LATEST, temporary)
            keep()

    def keep() -> None:
        write_json(folder / EPOCHS, history)

    if accelerator.is_main_process:
        keep()
    losses = finetune(
        model, batches, recipe, progress, accelerator, folder / STATE, seed, teacher, after_epoch
    )  # fmt: skip
    if len(history) <= recipe.epochs:
        raise ValueError(f"{folder / EPOCHS} lacks accuracies of earlier epochs; {_DAMAGED}.")
    if accelerator.is_main_process:
        with atomic(folder / LOSSES) as temporary:
            pd.DataFrame({"loss": losses}).rename_axis("step").to_csv(temporary, float_format="%.10g")
    accelerator.wait_for_everyone()
    return Tuned(losses, history)


def _history(path: Path) -> list[float]:
    """Top-1 before and after each epoch of a run that is gone on with; [] of a new one."""
    found = read_json(path, _DAMAGED) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(one, float) and 0 <= one <= 100 for one in found):
        raise ValueError(f"{path} is damaged (it must hold an accuracy for every epoch); {_DAMAGED}.")
    return found
