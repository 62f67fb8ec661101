"""Compute the store's measurements of all studies from the shipped weights, and compare them with it.

    python data_scripts/reproduce.py                 # into runs/reproduced, then compare with results/
    python data_scripts/reproduce.py --into results  # what is missing in the store itself

Started again after a kill, it goes on: a measurement is kept as soon as it is there.
"""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import timm
import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from swinprune_lite.clock.timing import ACCELERATION, record
from swinprune_lite.clock.timing import acceleration as forward_times
from swinprune_lite.files import RESULTS
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.paper.numbers import TIMM_NAMES
from swinprune_lite.studies import reproduction
from swinprune_lite.studies.profiles import get_profile
from swinprune_lite.studies.reproduction import measurements

SPEED_RATIOS = (0.15, 0.35, 0.55, 0.8, 0.95)


Job = tuple[Profile, Setting]


def jobs_of(profile: str) -> list[Job]:
    """Every measurement that the store holds, of lite or of pretrained models; in the smoke profile the grid."""
    run = get_profile(profile)
    if not run.shipped:
        raise ValueError(f"The notebooks measure what they show in the {profile} profile; run them instead.")
    if profile == "smoke":
        return [(run, setting) for setting in reproduction.one_shot(run, range(run.replicates))]
    return [(each, setting) for each, setting in measurements() if each.name == profile]


def compute(missing: list[Job], store: Store, jobs: int) -> None:
    """Measure in `jobs` processes, each on its share of the cores; this process alone writes."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    forked = multiprocessing.get_context("forkserver")  # all jobs from one process that imports once
    forked.set_forkserver_preload([measure.__module__])
    with (
        Progress(*columns, TimeRemainingColumn()) as progress,
        ProcessPoolExecutor(jobs, forked, _start_worker, (threads,)) as pool,
    ):
        bar = progress.add_task("measurements", total=len(missing))
        work = {pool.submit(measure, profile, setting): (profile, setting) for profile, setting in missing}
        for done in as_completed(work):
            (profile, setting), found = work[done], done.result()
            store.add(profile, setting, found)
            progress.console.print(f"{setting}: top-1 {_top1(found)}, {found.seconds:.0f} s", soft_wrap=True)
            progress.advance(bar)


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A worker whose parent was killed would go on for nobody."""
    multiprocessing.parent_process().join()
    os._exit(1)


def time_forward_passes(folder: Path) -> None:
    """Figure 4's times, alone on the machine and kept once."""
    path = folder / ACCELERATION
    if not path.exists():
        torch.manual_seed(0)
        model = timm.create_model(TIMM_NAMES["Swin-T"])
        record(forward_times(model, SPEED_RATIOS, repeats=9), path)


def differences(ours: Store, theirs: Store, jobs: list[Job]) -> list[str]:
    """One line for every setting in which the two stores do not agree."""
    lines = []
    for profile, setting in jobs:
        a, b = ours.find(profile, setting), theirs.find(profile, setting)
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
    profile: Annotated[str, typer.Option(help="lite, pretrained (in one shot), or smoke (200 images).")] = "lite",
    first: Annotated[int | None, typer.Option(help="The first so many measurements.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = max(1, os.cpu_count() or 1),
) -> None:
    """Measure what is missing in INTO, then compare with AGAINST; exit code 1 if they differ."""
    try:
        store = Store(into)
        wanted = [(run, setting) for run, setting in jobs_of(profile) if only in setting.model][:first]
        missing = [(run, setting) for run, setting in wanted if store.find(run, setting) is None]
        print(f"{len(wanted)} measurements, {len(wanted) - len(missing)} of them in {into}.")
        compute(missing, store, jobs)
        time_forward_passes(into)
        if into.resolve() != against.resolve():
            lines = differences(store, Store(against), wanted)
            print("\n".join(lines) or f"{into} and {against} agree in all {len(wanted)} measurements.")
            raise typer.Exit(bool(lines))
    except (ValueError, OSError, LookupError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
