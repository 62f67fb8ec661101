"""What a report is made of: plain dictionaries that go into the page as JSON, None where nothing was measured.

A group is one dense model and what was cut from it. It has series (a method, with or without repair, structure and
fine-tuning) of points (one pruned model each), and places (a machine, its threads, batch, runtime and precision) that
times are of.
"""

import math
from collections.abc import Sequence

MEASURED = (
    "parameters", "macs", "file_bytes", "images", "sets", "top1", "top5", "recalls", "calibration_error", "timings",
)  # fmt: skip
OF_A_CUT = ("ratio", "of", "stages", "against", "difference", "class_differences")
PLACE = ("machine", "threads", "batch_size", "runtime", "precision")
SERIES = ("method", "structured", "repair", "calibration", "epochs", "steps")
"""What tells series apart; steps are of a fine-tuning that took a part of an epoch, None of any other."""


def dense_point(**known) -> dict:
    """What is known of the dense model.

    Keys: parameters and macs (counts, one image), file_bytes, images (evaluated), sets (of weights that accuracies are
    means over), top1 and top5 ({"percent", "half"}: half the 95 % interval, in points), recalls (a list like the
    group's classes of {"percent", "half", "images"}), calibration_error (percent), timings (a list like the group's
    places of None or {"p50_ms", "p95_ms", "images_per_second", "peak_memory_bytes", "file_bytes",
    "joules_per_image"}).
    """
    return dict.fromkeys(MEASURED) | known


def cut_point(**known) -> dict:
    """What is known of a pruned model: as of the dense one, with what is left in parameters and macs.

    Further keys: ratio (share removed), of ("weights" or "macs", what it is a share of), stages (rows of {"stage",
    "module", "weights", "kept", "macs", "kept_macs"}), against (the dense
    model's top-1 on the same images and sets), difference ({"points", "half", "paired"}: pruned minus dense
    top-1), class_differences (of each class {"points", "half",
    "images"}), and in its timings also speedup ({"ratio", "low", "high"}) and
    theory.
    """
    return dict.fromkeys((*OF_A_CUT, *MEASURED)) | known


def series_of(group: dict, **key) -> list[dict]:
    """The points of a series, which is begun where the group has none yet.

    Args:
        group: has "series".
        key: the values of `SERIES`; one that is not given is None.
    """
    for series in group["series"]:
        if all(series[name] == key.get(name) for name in SERIES):
            return series["points"]
    group["series"].append({**{name: key.get(name) for name in SERIES}, "points": []})
    return group["series"][-1]["points"]


def place_of(group: dict, **place) -> int:
    """The number of a place in the group, which is added where it is new; points' timings grow with it."""
    asked = {name: place[name] for name in PLACE}
    if asked not in group["places"]:
        group["places"].append(asked)
    return group["places"].index(asked)


def lowest(differences: Sequence[dict]) -> int:
    """Number of the class that loses most."""
    return min(range(len(differences)), key=lambda number: differences[number]["points"])


def set_timing(point: dict, place: int, timing: dict) -> None:
    """Put what was timed at a place into a point."""
    known = point["timings"] or []
    point["timings"] = [*known, *[None] * (place + 1 - len(known))]
    point["timings"][place] = timing


def compare(point: dict, dense: dict) -> None:
    """Differences that no record has: of two samples, where each model was evaluated by itself, and class by class.

    Raises:
        ValueError: the two were evaluated on different numbers of images.
    """
    if point["top1"] and dense["top1"] and point["difference"] is None:
        if point["images"] != dense["images"]:
            raise ValueError(
                f"The dense model was evaluated on {dense['images']:,} images and a pruned one on {point['images']:,}; "
                "evaluate both on the same ones."
            )
        point["against"], point["difference"] = dense["top1"], _difference(point["top1"], dense["top1"])
    if point["recalls"] and dense["recalls"] and not point["class_differences"]:
        pairs = zip(point["recalls"], dense["recalls"])
        point["class_differences"] = [
            {key: value for key, value in _difference(*pair).items() if key != "paired"} | {"images": pair[0]["images"]}
            for pair in pairs
        ]


def _difference(after: dict, before: dict) -> dict:
    """Of two samples, though they may be the same images: then the half width is larger than it needs to be."""
    if after["percent"] is None or before["percent"] is None:
        return {"points": None, "half": None, "paired": False}
    half = math.hypot(after["half"], before["half"])
    return {"points": after["percent"] - before["percent"], "half": half, "paired": False}
