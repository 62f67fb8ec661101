"""Prune the lite models to half of their MACs in several ways, fine-tune each briefly, and keep the accuracies.

    python data_scripts/finetune_compact.py        # half an hour on two cores

Started again after a kill, it goes on with the cases that are missing. Results lie in
results/beyond_accuracy.json, which the book shows.
"""

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from swinprune_lite.files import atomic
from swinprune_lite.studies.acceleration import KEPT, RECIPE, Case, cases, measure


def missing(path: Path, wanted: list[Case]) -> tuple[list[dict], list[Case]]:
    """The rows that are there, and the cases that are not."""
    rows = json.loads(path.read_text()) if path.is_file() else []
    if not isinstance(rows, list):
        raise ValueError("no list of rows")
    there = {Case(*(row[name] for name in Case.__dataclass_fields__)) for row in rows}
    return rows, [case for case in wanted if case not in there]


def main(
    into: Annotated[Path, typer.Option(help="File of rows that is filled.")] = KEPT,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = max(1, os.cpu_count() or 1),
    first: Annotated[int | None, typer.Option(help="The first so many cases.")] = None,
    images: Annotated[int | None, typer.Option(help="Evaluate on the first so many test images.")] = None,
) -> None:
    """Measure what is missing in INTO."""
    try:
        rows, todo = missing(into, cases()[:first])
    except (ValueError, KeyError) as error:
        sys.exit(f"{into} does not hold rows of this script ({error}); remove it, so that it is made anew.")
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    spawned = multiprocessing.get_context("spawn")
    with (
        Progress(*columns, TimeRemainingColumn()) as progress,
        ProcessPoolExecutor(jobs, spawned, torch.set_num_threads, (threads,)) as pool,
    ):
        bar = progress.add_task("cases", total=len(todo))
        work = {pool.submit(measure, case, RECIPE, images): case for case in todo}
        for done in as_completed(work):
            rows.append(done.result())
            with atomic(into) as temporary:
                temporary.write_text(json.dumps(rows, indent=1) + "\n")
            row = rows[-1]
            said = f"top-1 {row['dense_top1']:.2f} dense, {row['one_shot_top1']:.2f} cut, {row['tuned_top1']:.2f} tuned"
            progress.console.print(f"{work[done]}: {said}", soft_wrap=True)
            progress.advance(bar)


if __name__ == "__main__":
    typer.run(main)
