"""What the notebooks show from a store, as data frames: accuracies, differences, and where they come from."""

from collections.abc import Callable, Sequence

import pandas as pd

from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.setting import Measurement


def provenances(evidence: Evidence, models: Sequence[str]) -> pd.DataFrame:
    """How the store's measurements of these models came about: their number, versions, devices, dates and hours."""
    store, settings = evidence.store, evidence.store.settings()
    rows = [
        {"model": settings[asked].model, **record["provenance"]}
        for asked, record in store.records.items()
        if settings[asked].model in models
    ]
    columns = ["model", "seconds", "torch", "timm", "device", "date"]
    return pd.DataFrame(rows, columns=columns).groupby("model", sort=False).agg(
        measurements=("seconds", "size"),
        hours=("seconds", lambda seconds: round(seconds.sum() / 3600, 2)),
        torch=("torch", "first"),
        timm=("timm", "first"),
        device=("device", lambda devices: "; ".join(sorted(set(devices)))),
        last=("date", "max"),
    )  # fmt: skip


def stored(
    evidence: Evidence, models: Sequence[str], methods: Sequence[str], ratios: Sequence[float], steps: int = 0
) -> pd.DataFrame:
    """Accuracy and cost from the store, one row a model, method and ratio, after the dense model of each.

    Returns:
        model, method, ratio; top1, top5: replicate 0 on all test images, in percent; top1_mean,
        top1_half, top5_mean, top5_half: of all replicates, as `Evidence.accuracy`; seeds: how many
        they are; params, macs.
    """
    rows = []
    for model in models:
        pairs = [("dense", 0.0, 0), *((method, ratio, steps) for method in methods for ratio in ratios)]
        for method, ratio, taken in pairs:
            first = evidence.measurements(model, method, ratio, taken)[0]
            row = {"model": model, "method": method, "ratio": ratio, "params": first.params, "macs": first.macs}
            for kind in ("top1", "top5"):
                mean, half, count = evidence.accuracy(model, method, ratio, taken, kind)
                row[kind] = 100 * getattr(first, kind).double().mean().item()
                row |= {f"{kind}_mean": mean, f"{kind}_half": half, "seeds": count}
            rows.append(row)
    return pd.DataFrame(rows)


def gains(
    evidence: Evidence, models: Sequence[str], first: str, second: str, ratios: Sequence[float], steps: int = 0
) -> pd.DataFrame:
    """Top-1 of one method minus another's, paired image by image and seed by seed.

    Returns:
        model, ratio, gain (points), half (of the 95 % interval, over images and seeds together), clear
        (outside the interval).
    """
    found = _paired(models, ratios, "gain", lambda model, ratio: evidence.gain(model, first, second, ratio, steps))
    return found.assign(clear=found.gain.abs() > found.half)


def drops(
    evidence: Evidence,
    models: Sequence[str],
    method: str,
    ratios: Sequence[float],
    steps: int = 0,
    beside: int | None = None,
) -> pd.DataFrame:
    """Top-1 lost to pruning, paired as in `gains`.

    Args:
        evidence: the measurements.
        models: names.
        method: of `make_masks`.
        ratios: shares of the prunable weights that went.
        steps: of fine-tuning; 0: none.
        beside: of the fine-tuning that this stands beside: only the replicates that were fine-tuned for so many
            steps count. After fine-tuning a high ratio has one, and it alone is like it.

    Returns:
        model, ratio, drop (points), half (of the 95 % interval).
    """
    if beside is None:
        return _paired(models, ratios, "drop", lambda model, ratio: evidence.drop(model, method, ratio, steps))

    def lost(model: str, ratio: float) -> tuple[float, float]:
        like = evidence.measurements(model, method, ratio, beside)
        return _difference(evidence, model, ("dense", 0.0, 0), (method, ratio, steps), like)

    return _paired(models, ratios, "drop", lost)


def recoveries(
    evidence: Evidence, models: Sequence[str], method: str, ratios: Sequence[float], steps: int
) -> pd.DataFrame:
    """Top-1 after fine-tuning minus that of the same replicates in one shot, paired as in `gains`.

    Args:
        evidence: the measurements.
        models: names.
        method: of `make_masks`.
        ratios: shares of the prunable weights that went.
        steps: of the fine-tuning.

    Returns:
        model, ratio, won (points), half (of the 95 % interval), replicates (number of fine-tunings).
    """
    tuned = {(model, ratio): evidence.measurements(model, method, ratio, steps) for model in models for ratio in ratios}

    def won(model: str, ratio: float) -> tuple[float, float]:
        return _difference(evidence, model, (method, ratio, steps), (method, ratio, 0), tuned[model, ratio])

    found = _paired(models, ratios, "won", won)
    return found.assign(replicates=[len(tuned[row.model, row.ratio]) for row in found.itertuples()])


def gains_by_training(
    evidence: Evidence, models: Sequence[str], first: str, second: str, ratios: Sequence[float]
) -> pd.DataFrame:
    """Top-1 of one method minus another's in one shot, of every training by itself.

    Args:
        evidence: the measurements.
        models: names.
        first: of `make_masks`.
        second: of `make_masks`; neither draws anything.
        ratios: shares of the prunable weights that went.

    Returns:
        Points, on the images that all have in common; a row a ratio, columns (model, "seed 0"), ...
    """
    columns = {}
    for model in models:
        for ratio in ratios:
            sides = [evidence.measurements(model, method, ratio) for method in (first, second)]
            images = min(len(found.top1) for side in sides for found in side)
            for seed, pair in enumerate(zip(*sides)):
                one, other = (100 * found.top1[:images].double().mean().item() for found in pair)
                columns.setdefault((model, f"seed {seed}"), {})[ratio] = one - other
    return pd.DataFrame(columns).rename_axis(index="ratio")


def _difference(
    evidence: Evidence,
    model: str,
    first: tuple[str, float, int],
    second: tuple[str, float, int],
    like: Sequence[Measurement],
) -> tuple[float, float]:
    """Top-1 of one (method, ratio, steps) minus another's, and half its interval.

    Both on the replicates and images of `like`. A model of one training has one replicate before fine-tuning, which
    stands beside all of those after it.
    """
    images = min(len(found.top1) for found in like)
    sides = [[found.top1[:images] for found in evidence.measurements(model, *what)] for what in (first, second)]
    return paired_difference(*([side[min(number, len(side) - 1)] for number in range(len(like))] for side in sides))


def _paired(
    models: Sequence[str], ratios: Sequence[float], name: str, measured: Callable[[str, float], tuple[float, float]]
) -> pd.DataFrame:
    pairs = [(model, ratio) for model in models for ratio in ratios]
    return pd.DataFrame([(*pair, *measured(*pair)) for pair in pairs], columns=["model", "ratio", name, "half"])
