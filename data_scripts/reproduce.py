"""Compute the whole grid of measurements from the shipped weights, and compare it with the results store.

    python data_scripts/reproduce.py                 # into runs/reproduced, then compare with results/
    python data_scripts/reproduce.py --into results  # what is missing in the store itself

Started again after a kill, it goes on: a measurement is kept as soon as it is there.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from swinprune_lite.reproduction.grid import whole
from swinprune_lite.reproduction.measure import Measurement, Setting, measure
from swinprune_lite.reproduction.profiles import get_profile
from swinprune_lite.reproduction.store import RESULTS, Store

PROFILE = get_profile("lite")


def compute(missing: list[Setting], store: Store, jobs: int) -> None:
    """Measure in `jobs` processes, each on its share of the cores; this process alone writes."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with (
        Progress(*columns, TimeRemainingColumn()) as progress,
        ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,), max_tasks_per_child=None
        ) as pool,
    ):
        bar = progress.add_task("measurements", total=len(missing))
        work = {pool.submit(measure, PROFILE, setting): setting for setting in missing}
        for done in as_completed(work):
            setting, found = work[done], done.result()
            store.add(PROFILE, setting, found)
            progress.console.print(f"{setting}: top-1 {100 * found.top1.float().mean():.2f} %, {found.seconds:.0f} s")
            progress.advance(bar)


def differences(ours: Store, theirs: Store, settings: list[Setting]) -> list[str]:
    """One line for every setting in which the two stores do not agree."""
    lines = []
    for setting in settings:
        a, b = ours.find(PROFILE, setting), theirs.find(PROFILE, setting)
        if a is None or b is None:
            lines.append(f"{setting}: not in {(theirs if a else ours).folder}")
        elif not a.same_as(b):
            lines.append(f"{setting}: top-1 {_top1(a)} in {ours.folder}, {_top1(b)} in {theirs.folder}")
    return lines


def _top1(found: Measurement) -> str:
    return f"{100 * found.top1.float().mean():.2f} %"


def main(
    into: Annotated[Path, typer.Option(help="Store that is filled.")] = Path("runs/reproduced"),
    against: Annotated[Path, typer.Option(help="Store that it is compared with.")] = RESULTS,
    only: Annotated[str, typer.Option(help="Models whose name contains this.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = max(1, os.cpu_count() or 1),
) -> None:
    """Measure what is missing in INTO, then compare with AGAINST; exit code 1 if they differ."""
    try:
        store = Store(into)
        settings = [setting for setting in whole(PROFILE) if only in setting.model]
        missing = [setting for setting in settings if store.find(PROFILE, setting) is None]
        print(f"{len(settings)} measurements, {len(settings) - len(missing)} of them in {into}.")
        compute(missing, store, jobs)
        if into.resolve() != against.resolve():
            lines = differences(store, Store(against), settings)
            print("\n".join(lines) or f"{into} and {against} agree in all {len(settings)} measurements.")
            raise typer.Exit(bool(lines))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
