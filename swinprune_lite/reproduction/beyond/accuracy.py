"""Accuracy of compact and patterned lite models at the same MACs, before and after a short fine-tuning."""

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import timm
import torch
from torch import nn

from swinprune_lite.acceleration import Taught, block_masks, compact, structured_masks, two_four_masks
from swinprune_lite.cost import cost
from swinprune_lite.data import DIGESTS, FashionPairs, lite_data
from swinprune_lite.evaluate import evaluate
from swinprune_lite.finetune import Recipe, finetune
from swinprune_lite.holding import apply_masks
from swinprune_lite.lite import lite_card, load_lite
from swinprune_lite.masks import Masks, make_masks
from swinprune_lite.reproduction.intervals import spread
from swinprune_lite.reproduction.store import RESULTS, device_name

KEPT = RESULTS / "beyond_accuracy.json"
RECIPE = Recipe(epochs=4, lr=1e-3, warm_up=0.1, weight_decay=0.05, label_smoothing=0.0, precision=torch.float32)
"""Short: four passes over the 10,000 shipped training pairs. It is the first recipe that was tried."""

WAYS = ("compact", "masks", "blocks 16", "blocks 32", "2:4")
BLOCKS = {"blocks 16": (16, 16), "blocks 32": (32, 32)}


@dataclass(frozen=True)
class Case:
    """One model pruned in one way.

    Attributes:
        model, seed: a lite model and its training seed.
        way: "compact"; "masks" (DIMAP, single weights); "blocks 16" or "blocks 32"; "2:4"; or "dense".
        removed: share of the model's MACs that goes ("2:4" removes what it can).
        teacher: "dense" (its logits) or "labels", in the fine-tuning.
    """

    model: str
    seed: int
    way: str
    removed: float = 0.5
    teacher: str = "dense"


def cases(seeds: tuple[int, ...] = (0, 1, 2)) -> list[Case]:
    """What the book shows: on tiny everything, on small and base the compact model."""
    found = []
    for seed in seeds:
        tiny = [("compact", 0.5), ("masks", 0.5), ("blocks 16", 0.5), ("blocks 32", 0.5), ("2:4", 0.5)]
        tiny += [("compact", removed) for removed in (0.3, 0.6, 0.7)]
        found += [Case("swin_lite_tiny", seed, *way) for way in tiny]
        found.append(Case("swin_lite_tiny", seed, "compact", teacher="labels"))
        found.append(Case("swin_lite_small", seed, "compact"))
    return [*found, Case("swin_lite_base", 0, "compact")]


def pruned(model: nn.Module, way: str, removed: float) -> nn.Module:
    """The model compacted, or with the masks of a pattern held, in place.

    For single weights and blocks the ratio of weights is searched that removes the wanted share of MACs.
    """
    if way == "compact":
        return compact(model, structured_masks(model, removed))
    apply_masks(model, _masks(model, way, removed))
    return model


def _masks(model: nn.Module, way: str, removed: float) -> Masks:
    if way == "2:4":
        return two_four_masks(model, 0.5)
    make = make_masks if way == "masks" else lambda model, ratio: block_masks(model, ratio, BLOCKS[way])
    low, high = 0.0, 1.0
    for _ in range(10):  # a thousandth of the weights
        ratio = (low + high) / 2
        left = cost(model, make(model, ratio))
        low, high = (ratio, high) if left.nonzero_macs > (1 - removed) * left.macs else (low, ratio)
    return make(model, high)


def measure(case: Case, recipe: Recipe = RECIPE, images: int | None = None) -> dict:
    """A row: the case, MACs and parameters left, accuracy dense, in one shot and fine-tuned (percent), provenance."""
    teacher = load_lite(case.model, case.seed)
    test = lite_data("test")
    if images:
        test = FashionPairs(test.garments, test.labels, test.right[:images])
    whole, dense = cost(teacher), evaluate(teacher, test)
    model = pruned(load_lite(case.model, case.seed), case.way, case.removed)
    left, one_shot = cost(model), evaluate(model, test)
    batches = lite_data("train", 100, seed=case.seed)
    torch.manual_seed(case.seed)
    finetune(model, Taught(batches, teacher) if case.teacher == "dense" else batches, recipe, seed=case.seed)
    tuned = evaluate(model, test)
    return asdict(case) | {
        "macs_left": left.nonzero_macs / whole.macs,
        "params_left": left.nonzero_params / whole.params,
        "dense_top1": dense.top1,
        "one_shot_top1": one_shot.top1,
        "tuned_top1": tuned.top1,
        "images": tuned.images,
        "recipe": {key: str(value) for key, value in asdict(recipe).items()},
        "weights": lite_card(case.model, case.seed)["sha256"],
        "data": DIGESTS,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "timm": timm.__version__},
        "device": device_name("cpu"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over training seeds, by model, way, share of the MACs removed and teacher.

    Columns: seeds, "MACs left" (percent), top-1 dense, in one shot and tuned, "lost" (dense minus tuned, points)
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
        rows: of `recorded`.
        times: "lite" of `runtimes.recorded`.
    """
    rows = rows.query("model == 'swin_lite_tiny' and teacher == 'dense'")
    groups = rows.groupby(["way", "removed"]).tuned_top1
    found = pd.DataFrame({"top1": groups.mean(), "spread": groups.agg(lambda values: spread(list(values)))})
    found["time"] = 1 / times.set_index(["way", "removed"]).speedup
    dense = {"way": "dense", "removed": 0.0, "top1": rows.dense_top1.mean(), "spread": 0.0, "time": 1.0}
    return pd.concat([pd.DataFrame([dense]), found.reset_index()], ignore_index=True)


def recorded(path: Path = KEPT) -> pd.DataFrame:
    """The rows that `data_scripts/finetune_compact.py` kept.

    Raises:
        LookupError: nothing was kept.
    """
    if not path.is_file():
        raise LookupError(f"{path} is missing; run 'python data_scripts/finetune_compact.py'.")
    return pd.DataFrame(json.loads(path.read_text()))
