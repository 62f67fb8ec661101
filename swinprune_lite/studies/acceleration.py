"""Past the paper: accuracy of compact and patterned lite models at the same MACs, before and after fine-tuning."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from swinprune_lite.files import RESTORE, RESULTS
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import spread
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import Store, percent
from swinprune_lite.studies.profiles import PROFILES
from swinprune_lite.training.recipe import Recipe

RECIPE = Recipe(epochs=4, lr=1e-3, warm_up=0.1, weight_decay=0.05, label_smoothing=0.0, precision=torch.float32)
"""Short: four passes over the 10,000 shipped training pairs. It is the first recipe that was tried."""

PROFILE = replace(PROFILES["lite"], recipe=RECIPE, batch_size=100, finetune_steps=100)
"""The lite profile with this study's recipe: a hundred steps an epoch are a whole pass."""

KEPT = RESULTS / "beyond_accuracy.json"
ACCURACIES = ("dense_top1", "one_shot_top1", "tuned_top1")
SEEDS = (0, 1, 2)
WAYS = {"compact": "compact", "masks": "dimap", "blocks 16": "blocks 16", "blocks 32": "blocks 32", "2:4": "2:4"}
"""What the chapter calls a way to prune -> the setting's method."""
WAY_OF = {method: way for way, method in WAYS.items()}


def cases(seeds: Sequence[int] = SEEDS) -> list[Setting]:
    """What the chapter shows, fine-tuned: on tiny everything, on small and base the compact model."""
    found = []
    for seed in seeds:
        found += [_case("swin_lite_tiny", seed, way) for way in WAYS]
        found += [_case("swin_lite_tiny", seed, "compact", removed) for removed in (0.3, 0.6, 0.7)]
        found.append(replace(_case("swin_lite_tiny", seed, "compact"), teacher="labels"))
        found += [_case(model, seed, "compact") for model in ("swin_lite_small", "swin_lite_base")]
    return found


def _case(model: str, seed: int, way: str, removed: float = 0.5) -> Setting:
    """Half of the MACs, unless said otherwise; 2:4 removes half of the weights, which is what it can."""
    budget = "weights" if way == "2:4" else "macs"
    steps = PROFILE.finetune_steps
    return Setting(model, WAYS[way], removed, seed, seed, steps, budget=budget, teacher="dense")


def one_shot(case: Setting) -> Setting:
    """The same without fine-tuning."""
    return replace(case, seed=0, steps=0, teacher="labels")


def dense(case: Setting) -> Setting:
    """The dense model of a case, on all images."""
    return Setting(case.model, training_seed=case.training_seed)


def whole() -> list[Setting]:
    """What the store holds for the chapter: the dense models, and each case in one shot."""
    return list(dict.fromkeys([*map(dense, cases()), *map(one_shot, cases())]))


def finetuned(path: Path = KEPT) -> dict[Setting, dict]:
    """The fine-tuned cases, minutes of a core each, as a run kept them: case -> its row.

    A row has dense_top1, one_shot_top1 and tuned_top1 in percent, on all test images, and where it comes from.
    It keeps no verdicts on single images: in float32 those differ between processors.

    Args:
        path: a JSON list of rows.

    Raises:
        LookupError: nothing was kept.
        ValueError: a damaged file.
    """
    if not path.is_file():
        raise LookupError(f"{path} is missing; {RESTORE}.")
    try:
        rows = json.loads(path.read_text())
        return {replace(_case(row["model"], row["seed"], row["way"], row["removed"]), teacher=row["teacher"]):
                row for row in rows if all(row[name] >= 0 for name in ACCURACIES) and row["versions"]["torch"]
                and row["device"] and row["date"]}  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); {RESTORE}.") from error


def results(store: Store | None = None, path: Path = KEPT) -> pd.DataFrame:
    """One row a case: dense and in one shot from the store, fine-tuned from `finetuned`.

    Args:
        store: None: the one that ships.
        path: of the fine-tuned cases.

    Returns:
        model, seed (of the training), way, removed (share of the MACs), teacher; macs_left and params_left (shares
        of the dense model's); dense_top1, one_shot_top1, tuned_top1 (percent, on so many test images); device, torch
        and date of the fine-tuning.

    Raises:
        LookupError: a measurement is not there.
        ValueError: a damaged file, or a fine-tuning that began with another accuracy than the store has.
    """
    evidence, tuned = Evidence(PROFILE, store or Store()), finetuned(path)
    rows = []
    for case in cases():
        found = untuned(case, evidence)
        if case not in tuned:
            raise LookupError(f"{case} is not in {path}; {RESTORE}.")
        kept = tuned[case]
        if differing := [name for name in ACCURACIES if name in found and found[name] != kept[name]]:
            raise ValueError(f"{path} and the store differ in {differing[0]} of {case}; {RESTORE}.")
        about = {"device": kept["device"], "torch": kept["versions"]["torch"], "date": kept["date"]}
        rows.append(found | {"tuned_top1": kept["tuned_top1"]} | about)
    return pd.DataFrame(rows)


def untuned(case: Setting, evidence: Evidence) -> dict:
    """A case before its fine-tuning.

    Args:
        case: of `cases`.
        evidence: of `PROFILE`.

    Returns:
        model, seed, way, removed, teacher, macs_left, params_left, dense_top1 and one_shot_top1 of `results`, and the
        number of images.

    Raises:
        LookupError: a measurement is not there.
    """
    before, cut = (evidence.measurement(asked) for asked in (dense(case), one_shot(case)))
    return {
        "model": case.model,
        "seed": case.training_seed,
        "way": WAY_OF[case.method],
        "removed": case.ratio,
        "teacher": case.teacher,
        "macs_left": cut.macs / before.macs,
        "params_left": cut.params / before.params,
        "dense_top1": percent(before.top1),
        "one_shot_top1": percent(cut.top1),
        "images": len(before.top1),
    }


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over training seeds, by model, way, share of the MACs removed and teacher.

    Args:
        rows: of `results`.

    Returns:
        seeds, "MACs left" (percent), top-1 dense, in one shot and tuned, "lost" (dense minus tuned, points)
        with "±", half its 95 % interval over seeds (nan for a single seed).
    """
    rows = rows.assign(lost=rows.dense_top1 - rows.tuned_top1, macs_left=100 * rows.macs_left)
    groups = rows.groupby(["model", "way", "removed", "teacher"], sort=False)
    means = groups[["macs_left", "dense_top1", "one_shot_top1", "tuned_top1", "lost"]].mean()
    means.insert(0, "seeds", groups.size())
    means["±"] = groups.lost.agg(lambda values: spread(list(values)))
    names = {"macs_left": "MACs left", "dense_top1": "dense", "one_shot_top1": "one shot", "tuned_top1": "tuned"}
    return means.rename(columns=names)


def against_time(rows: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Lite tiny's top-1 after fine-tuning with its 95 % half width over seeds, and its time over the dense one's.

    Args:
        rows: of `results`.
        times: "lite" of `runtimes.recorded`.
    """
    rows = rows.query("model == 'swin_lite_tiny' and teacher == 'dense'")
    groups = rows.groupby(["way", "removed"]).tuned_top1
    found = pd.DataFrame({"top1": groups.mean(), "spread": groups.agg(lambda values: spread(list(values)))})
    found["time"] = 1 / times.set_index(["way", "removed"]).speedup
    whole = {"way": "dense", "removed": 0.0, "top1": rows.dense_top1.mean(), "spread": 0.0, "time": 1.0}
    return pd.concat([pd.DataFrame([whole]), found.reset_index()], ignore_index=True)
