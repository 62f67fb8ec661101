"""What the notebooks compute in every build, compared with the store, and what they show from the store."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from swinprune_lite.reproduction import grid
from swinprune_lite.reproduction.evidence import Evidence
from swinprune_lite.reproduction.intervals import interval
from swinprune_lite.reproduction.measure import Measurement, Setting, measure
from swinprune_lite.reproduction.profiles import Profile
from swinprune_lite.reproduction.store import Store

Live = tuple[Setting, Measurement]


def live_one_shot(profile: Profile) -> list[Setting]:
    """What is computed in every build: the one-shot grid of the first model, with every seed if it is a lite one.

    Of pretrained models nothing: what is shown of them is measured when it is asked for.
    """
    return grid.one_shot(replace(profile, models=profile.models[:1]), range(profile.live_replicates))


def live_finetuned(profile: Profile) -> list[Setting]:
    """One fine-tuning of a lite model in every build: DIMAP at table 1's highest ratio, with the profile's seed."""
    if not profile.live_replicates:
        return []
    ratio = grid.TABLE1_RATIOS[-1]
    return [grid.replicate(profile, profile.models[0], profile.seed, "dimap", ratio, profile.finetune_steps)]


def live(profile: Profile, settings: Iterable[Setting]) -> Iterator[Live]:
    """Measure now, on the profile's first `live_images` images, one setting at a time."""
    for setting in settings:
        yield setting, measure(profile, setting, profile.live_images)


def compare_with_store(profile: Profile, computed: Sequence[Live], store: Store | None = None) -> pd.DataFrame:
    """What was computed in this build against the store: every image's verdict, the parameters and the MACs.

    Returns:
        Indexed by method: computed, in the store, agree (numbers of measurements), their mean top-1 in
        this build in percent, and half the 95 % interval of one of them on that many images.
    """
    store = Store() if store is None else store
    rows = []
    for setting, found in computed:
        kept = store.find(profile, setting)
        top1 = 100 * found.top1.double().mean().item()
        agrees = kept is not None and kept.same_as(found)
        rows.append((setting.method, 1, kept is not None, agrees, top1, interval(top1, len(found.top1))))
    names = ["method", "computed", "in the store", "agree", "mean top-1", "± of one"]
    groups = pd.DataFrame(rows, columns=names).groupby("method", sort=False)
    means = groups[["mean top-1", "± of one"]].mean().round(2)
    return groups[["computed", "in the store", "agree"]].sum().astype(int).join(means)


def provenance(evidence: Evidence, models: Sequence[str]) -> pd.DataFrame:
    """How the store's measurements of these models came about: their number, versions, devices, dates and hours."""
    rows = [
        {"model": setting.model, **record["provenance"]}
        for setting, record in evidence.store.records.items()
        if setting.model in models
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
