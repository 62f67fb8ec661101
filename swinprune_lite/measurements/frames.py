"""What the notebooks show from a store, as data frames: accuracies, differences, and where they come from."""

from collections.abc import Callable, Sequence

import pandas as pd

from swinprune_lite.measurements.evidence import Evidence


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
    evidence: Evidence, models: Sequence[str], method: str, ratios: Sequence[float], steps: int = 0
) -> pd.DataFrame:
    """Top-1 lost to pruning, paired as in `gains`.

    Returns:
        model, ratio, drop (points), half (of the 95 % interval).
    """
    return _paired(models, ratios, "drop", lambda model, ratio: evidence.drop(model, method, ratio, steps))


def _paired(
    models: Sequence[str], ratios: Sequence[float], name: str, measured: Callable[[str, float], tuple[float, float]]
) -> pd.DataFrame:
    pairs = [(model, ratio) for model in models for ratio in ratios]
    return pd.DataFrame([(*pair, *measured(*pair)) for pair in pairs], columns=["model", "ratio", name, "half"])
