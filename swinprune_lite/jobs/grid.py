"""A whole table of one-shot measurements on many cores, GPUs or machines, by Dask's distributed (the extra "grid").

A unit of work is one setting of one profile, and its key the store's own: what the store has is not computed again, and
two tables that are filled at once through one scheduler share their units. Every worker writes what it found into the
store, which locks its files; a worker that dies loses the unit it was at, which another takes.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from swinprune_lite.files import RESULTS, home, require_writable
from swinprune_lite.jobs.processes import unheard
from swinprune_lite.measurements.intervals import accuracy, paired_difference
from swinprune_lite.measurements.measure import COMPACT, WITH_HEAD, measure, method_of, pattern_of, ways
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store, question
from swinprune_lite.models.lite import LITE_MODELS, lite_and_seed, require_weights
from swinprune_lite.pruning.masks import check_asked
from swinprune_lite.repairing.rules import RULES
from swinprune_lite.studies.profiles import get_profile

NONE = "none"
MISSING = "The grid needs Dask's distributed: install the extra, pip install 'swinprune-lite[grid]'."
PATIENCE = 30  # seconds to find a scheduler
_TRIES = 3  # workers that may die of one unit


@dataclass(frozen=True)
class Unit:
    """One measurement: a setting of a profile."""

    profile: Profile
    setting: Setting

    @property
    def key(self) -> str:
        """The store's: SHA-256 over what is asked, the weights and the images."""
        return question(self.profile, self.setting)

    @property
    def told(self) -> str:
        """In a few words, such as "swin_lite_tiny, lamp at 0.5, refit"."""
        setting = self.setting
        cut = "dense" if setting.method == "dense" else f"{setting.method} at {setting.ratio:g}"
        return ", ".join(filter(None, (setting.model, cut, setting.repair)))


def units(
    models: Sequence[str],
    methods: Sequence[str],
    ratios: Sequence[float],
    repairs: Sequence[str] = (NONE,),
    data: str = "lite",
    images: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> list[Unit]:
    """What a table needs: each model dense, and pruned by each method at each ratio with each repair.

    Args:
        models: lite models (with ":" and a training seed for another than 0), or timm names and "local-dir:FOLDER".
        methods: of `measure.ways`; a criterion, a grouping and a budget with "/" between; or "compact".
        ratios: shares removed, in (0, 1); of the prunable weights, of "compact" of the MACs.
        repairs: "none", or rules of `RULES`, with " + head" behind where the head is refitted too.
        data: "lite", the pairs that ship, or a folder with a folder a class (or `val` with them).
        images: the first so many; None: all.
        seed: of methods that draw.
        device: "cpu" or "cuda", where models are put.

    Raises:
        FileNotFoundError: images that are not there.
        ValueError: an unknown name, or a ratio outside of its range.
    """
    found = []
    for what, values in (("model", models), ("method", methods), ("ratio", ratios), ("repair", repairs)):
        if not values:
            raise ValueError(f"Give at least one {what}.")
    for ratio in ratios:
        if not 0 < ratio < 1:
            raise ValueError(f"A ratio is in (0, 1), and the dense model is in every table; got {ratio!r}.")
    for word in repairs:
        if word != NONE and word.removesuffix(WITH_HEAD) not in RULES:
            raise ValueError(
                f"Unknown repair {word!r}; choose of {NONE}, {', '.join(RULES)}, each also with '{WITH_HEAD}'."
            )
    for model in models:
        profile, training_seed = _profile(model, data, device)
        test = profile.test_batches(images)
        dense = Setting(profile.models[0], training_seed=training_seed, images=images or 0)
        if images and images > test.images:
            raise ValueError(f"There are {test.images} images, fewer than {images}; ask for no more.")
        found.append(Unit(profile, dense))
        for method in methods:
            for ratio in ratios:
                found += [Unit(profile, _setting(dense, method, ratio, word, seed)) for word in repairs]
    return list({unit.key: unit for unit in found}.values())


def _profile(model: str, data: str, device: str) -> tuple[Profile, int]:
    if Path(model).is_file():
        raise ValueError(
            f"{model} is a file, and a table prunes dense models by name: a lite model, a timm name, or "
            "local-dir:FOLDER of timm's save_for_hf."
        )
    name, seed = lite_and_seed(model) if model.partition(":")[0] in LITE_MODELS else (model, 0)
    if data == "lite":
        profile = get_profile("lite", [name])
    elif name in LITE_MODELS:
        raise ValueError(f"{name} takes the pairs that ship, --data lite, and no folder.")
    else:
        profile = get_profile("folder", [name], data=data)
        profile = replace(profile, source=replace(profile.source, device=device))
    if seed not in profile.training_seeds(name):
        raise ValueError(f"{name} has the training seeds {profile.training_seeds(name)}; got {seed}.")
    if name in LITE_MODELS:
        require_weights(name, seed)
    return profile, seed


def _setting(dense: Setting, method: str, ratio: float, repair: str, seed: int) -> Setting:
    compact = method.split("/")[0] == COMPACT
    if method not in ways() and "/" not in method:
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(ways())}.")
    asked = replace(dense, method=method, ratio=ratio, budget="macs" if compact else "weights")
    if (pattern_of(asked) is None and method in ways()) or ("/" in method and not compact):
        check_asked(ratio, method_of(asked))
        criterion = method_of(asked).parts()[0]
        if criterion.wants:
            raise ValueError(f"{method} wants statistics of images, and this table is made without; choose another.")
        asked = replace(asked, seed=seed if criterion.draws else 0)
    if repair == NONE:
        return asked
    return replace(asked, repair=repair.removesuffix(WITH_HEAD) if compact else repair, propagated=compact)


def store_of(unit: Unit) -> Path:
    """The folder of the store that a unit's measurement goes to: never the one that ships."""
    return home() / "results" / "grid" if unit.profile.shipped else unit.profile.results


def there(wanted: Sequence[Unit]) -> dict[str, Measurement]:
    """Key -> measurement of the units that a store has: the reader's own, or the one that ships."""
    stores: dict[Path, Store] = {}
    found = {}
    for unit in wanted:
        for folder in (store_of(unit), RESULTS):
            if folder not in stores:
                stores[folder] = Store(folder)
            if unit.key not in found and (known := stores[folder].find(unit.profile, unit.setting)):
                found[unit.key] = known
    return found


def fill(
    wanted: Sequence[Unit],
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
    known: Mapping[str, Measurement] | None = None,
) -> dict[str, Measurement]:
    """Measure what no store has, on many workers; key -> measurement of all units.

    Args:
        wanted: of `units`.
        workers: processes of this machine, which share its cores and GPUs; None: one a GPU, or else a core.
        scheduler: address of a Dask scheduler whose workers have this package, the weights, the images, and the store's
            folder in the same places; None: workers are started here.
        progress: called with the number of units that are there, from the beginning on and after each.
        known: of `there`; None: the stores are asked.

    Raises:
        ImportError: distributed is not installed.
        ConnectionError: no scheduler at the address.
        ValueError: fewer workers than 1, both ways asked for, or units that could not be measured; the others are kept.
    """
    if scheduler == "" or (workers is not None and (scheduler or workers < 1)):
        raise ValueError("Give either a number of workers, 1 or more, or the address of a scheduler.")
    found = there(wanted) if known is None else dict(known)
    progress(len(found))
    missing = {unit.key: unit for unit in wanted if unit.key not in found}
    if not missing:
        return found
    for folder in {store_of(unit) for unit in missing.values()}:
        require_writable(folder / "a record")
    try:
        import distributed
    except ImportError as error:
        raise ImportError(MISSING) from error
    failed = []
    with ExitStack() as stack:
        with unheard():
            client = _client(stack, workers, scheduler)
        futures = [
            client.submit(_measured, unit.profile, unit.setting, store_of(unit), key=key)
            for key, unit in missing.items()
        ]
        for future in distributed.as_completed(futures, loop=client.loop):
            unit = missing[future.key]
            if (error := future.exception()) is not None:
                failed.append((unit, error))
                continue
            found[future.key] = future.result()
            store = Store(store_of(unit))
            if store.find(unit.profile, unit.setting) is None:  # a worker elsewhere has another folder of this name
                store.add(unit.profile, unit.setting, found[future.key])
            progress(len(found))
    if failed:
        unit, error = failed[0]
        died = isinstance(error, distributed.KilledWorker)
        said = f"{_TRIES + 1} workers died of it" if died else str(error).rstrip(".") or type(error).__name__
        raise ValueError(
            f"{len(failed)} of {len(missing)} measurements failed, the first ({unit.told}) since: {said}. The others "
            "are kept; the same command measures these alone."
        )
    return found


def _measured(profile: Profile, setting: Setting, folder: Path) -> Measurement:
    """In a worker: the measurement from the store or, if it is not there yet, made now and kept."""
    store = Store(folder)
    found = store.find(profile, setting)
    if found is None:
        found = measure(profile, setting)
        store.add(profile, setting, found)
    return found


def _client(stack: ExitStack, workers: int | None, scheduler: str | None):
    """A client of the scheduler, or of one that is started with its workers; all of it ends with the stack."""
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _TRIES}))
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a worker that died is no news: its unit is done again
    if scheduler:
        try:
            return stack.enter_context(Client(scheduler, timeout=PATIENCE, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"There is no Dask scheduler at {scheduler}; start one with 'dask scheduler', and its workers with "
                "'dask worker ADDRESS', then give that address."
            ) from error
    gpus, cores = torch.cuda.device_count(), os.cpu_count() or 1
    workers = workers or gpus or cores
    local = {"host": "127.0.0.1", "dashboard": False}
    options = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "silence_logs": logging.CRITICAL}
    spec = {
        number: {"cls": Nanny, "options": options | {"env": _environment(number, gpus, cores // workers)}}
        for number in range(workers)
    }
    cluster = stack.enter_context(
        SpecCluster(spec, {"cls": Scheduler, "options": local}, silence_logs=logging.CRITICAL)
    )
    return stack.enter_context(Client(cluster, set_as_default=False))


def _environment(number: int, gpus: int, threads: int) -> dict[str, str]:
    """Of one worker: its threads, and the one GPU that it sees."""
    return {"OMP_NUM_THREADS": str(max(1, threads))} | ({"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else {})


def table(wanted: Sequence[Unit], found: Mapping[str, Measurement]) -> pd.DataFrame:
    """A row a unit: what was measured, with its interval, and the difference to the dense model, paired by image.

    Returns:
        model, training_seed, method, repair, ratio, images, top1 with top1_low and top1_high (Wilson's 95 % interval),
        top5, lost (points of top-1, dense minus this) and lost_half (half of its 95 % interval), params and macs (that
        are left), key.
    """
    dense = {_of(unit): found[unit.key] for unit in wanted if unit.setting.method == "dense"}
    rows = []
    for unit in wanted:
        setting, one, whole = unit.setting, found[unit.key], dense[_of(unit)]
        top1, top5 = accuracy(one.top1), accuracy(one.top5)
        lost, half = paired_difference([whole.top1], [one.top1])
        rows.append({
            "model": setting.model, "training_seed": setting.training_seed, "method": setting.method,
            "repair": setting.repair or NONE, "ratio": setting.ratio, "images": len(one.top1),
            "top1": top1["percent"], "top1_low": top1["low"], "top1_high": top1["high"],
            "top5": top5 and top5["percent"], "lost": lost, "lost_half": half, "params": one.params,
            "macs": one.macs, "key": unit.key,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _of(unit: Unit) -> tuple[str, int]:
    return unit.setting.model, unit.setting.training_seed
