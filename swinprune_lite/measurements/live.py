"""What a build computes anew, and how it compares with the store."""

import random
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store

Live = tuple[Setting, Measurement]


def drawn(settings: Iterable[Setting], each: int) -> list[Setting]:
    """A sample of settings, another one in every call: `each` of every method, one shot and fine-tuned apart.

    Args:
        settings: to draw from.
        each: how many of each kind; of a kind that has fewer, all.
    """
    kinds: dict[tuple, list[Setting]] = {}
    for setting in settings:
        kinds.setdefault((setting.method, setting.steps > 0), []).append(setting)
    draw = random.SystemRandom()
    return [setting for kind in kinds.values() for setting in draw.sample(kind, min(each, len(kind)))]


def measured(profile: Profile, settings: Iterable[Setting]) -> Iterator[Live]:
    """Measure now, on the profile's first `live_images` images, one setting at a time."""
    for setting in settings:
        yield setting, measure(profile, setting, profile.live_images)


def compare_with_store(profile: Profile, computed: Sequence[Live], store: Store | None = None) -> pd.DataFrame:
    """What was computed in this build against the store: every image's verdict, the parameters and the MACs.

    Returns:
        Indexed by method: computed, in the store, agree (numbers of measurements: masks, parameters, MACs and the
        verdict on every image are the same).
    """
    store = Store() if store is None else store
    rows = []
    for setting, found in computed:
        kept = store.find(profile, setting)
        rows.append((setting.method, 1, kept is not None, kept is not None and kept.same_as(found)))
    names = ["method", "computed", "in the store", "agree"]
    return pd.DataFrame(rows, columns=names).groupby("method", sort=False).sum().astype(int)
