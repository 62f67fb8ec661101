"""What is said of one pruned model: sentences, risks, phrases and values for a decision. Words are in `texts_*.json`.

Everything is a key of a text and the numbers that it shows; a text is chosen here, by the numbers, and nowhere else.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

from swinprune_lite.report.shape import lowest

BEARABLE = 1.0
"""Points of top-1 that a loss may reach with all of its interval; where the page opens, and the first threshold."""

CRITERIA = {
    "images": (1, "at least", 1000, "count"),
    "loss": (2, "at most", BEARABLE, "points"),
    "worst_class": (2, "at most", 10.0, "points"),
    "calibration": (2, "at most", 2.0, "points"),
    "speedup": (3, "at least", 1.3, "times"),
    "p95": (3, "at most", 100.0, "milliseconds"),
    "memory": (3, "at most", 100.0, "percent"),
    "file": (3, "at most", 60.0, "percent"),
    "tuned_loss": (4, "at most", 0.5, "points"),
    "saving": (4, "at least", 0.0, "money"),
}
"""Of the proof of concept: week, sense, threshold to begin with, and unit."""

TAIL = 0.025
"""Of a 95 % interval, on either side."""

Said = dict[str, object]


def findings(group: dict, series: dict, point: dict, place: int | None) -> dict:
    """What the page says of a point.

    Args:
        group: it is of.
        series: of the group, that it is of.
        point: of the series.
        place: number of the group's place that times are of; None: none were taken anywhere.

    Returns:
        sentences ("gain", "risk" and "sure": a text's key and its values each), risks and phrases (lists of such),
        and criteria (name -> (low, high) or None where nothing was measured; "saving" is computed in the page).
    """
    about = _About(group, series, point, place)
    return {
        "sentences": {"gain": about.gain(), "risk": about.risk(), "sure": about.sure()},
        "risks": list(about.risks()),
        "phrases": list(about.phrases()),
        "criteria": about.criteria(),
    }


class _About:
    def __init__(self, group: dict, series: dict, point: dict, place: int | None) -> None:
        self.group, self.series, self.point, self.dense = group, series, point, group["dense"]
        self.place = None if place is None else group["places"][place]
        times = [None if place is None else (one["timings"] or [])[place : place + 1] for one in (point, self.dense)]
        self.timing, self.dense_timing = (found[0] if found else None for found in times)
        self.tuned = self._tuned()

    def _tuned(self) -> dict | None:
        """The fine-tuned point of the same method and ratio; the point itself if it is one."""
        if self.series["epochs"]:
            return self.point
        for series in self.group["series"]:
            if series["epochs"] and all(
                series[name] == self.series[name] for name in ("method", "structured", "repair", "calibration")
            ):
                for point in series["points"]:
                    if (point["of"], point["ratio"]) == (self.point["of"], self.point["ratio"]):
                        return point
        return None

    def _speed(self) -> dict | None:
        return self.timing and self.timing.get("speedup")

    def _pace(self) -> str:
        speed = self._speed()
        if not speed:
            return "unmeasured"
        return "faster" if speed["low"] > 1 else "slower" if speed["high"] < 1 else "same"

    def _worst(self) -> dict | None:
        """The class that loses most, how many lose more than their own interval, and of how many classes.

        The largest of many changes is large by chance, too, so its interval is as wide as holds for all classes at once
        (Bonferroni): 1.96 deviations for one class, 3.5 for a hundred.
        """
        known = [
            (name, change)
            for name, change in zip(self.group["classes"] or [], self.point["class_differences"] or [])
            if change["half"] is not None
        ]
        if not known:
            return None
        name, change = known[lowest([change for _, change in known])]
        beyond = sum(one["points"] + one["half"] < 0 for _, one in known)
        return {
            "class": name,
            "class_loss": -change["points"],
            "class_half": change["half"] * _deviations(len(known)) / _deviations(1),
            "class_images": change["images"],
            "beyond": beyond,
            "classes": len(known),
            "by_chance": TAIL * len(known),
            "fewest": min(one["images"] for _, one in known),
        }

    def _counts(self) -> dict:
        return {
            "macs_removed": 100 * (1 - self.point["macs"] / self.dense["macs"]),
            "parameters_removed": 100 * (1 - self.point["parameters"] / self.dense["parameters"]),
        }

    def _loss(self, point: dict | None = None) -> dict | None:
        difference = (point or self.point)["difference"]
        return difference and {"loss": -difference["points"], "half": difference["half"]}

    def _times(self) -> dict:
        speed = self._speed()
        return {"speedup": speed["ratio"], "low": speed["low"], "high": speed["high"], "theory": self.timing["theory"],
                "machine": self.place["machine"], "runtime": self.place["runtime"]}  # fmt: skip

    def gain(self) -> Said:
        pace = self._pace()
        if pace == "unmeasured" and not self.series["structured"]:
            pace = "unmeasured_zeros"
        values = self._counts() | (self._times() if self._speed() else {})
        return {"key": f"gain.{pace}", "values": values}

    def risk(self) -> Said:
        loss, worst = self._loss(), self._worst()
        if loss is None:
            return {"key": "risk.unmeasured", "values": {}}
        values = loss | {"top1": self.point["top1"]["percent"], "against": self.point["against"]["percent"]}
        kind = "no_loss" if loss["loss"] - loss["half"] <= 0 else "loss"
        if worst:
            named = worst["class_loss"] > worst["class_half"]
            return {"key": f"risk.{kind}_{'worst' if named else 'classes'}", "values": values | worst}
        return {"key": f"risk.{kind}", "values": values}

    def sure(self) -> Said:
        loss = self._loss()
        if loss is None and self.point["top1"]:
            return {"key": "sure.alone", "values": {"images": self.point["images"]} | self.point["top1"]}
        if loss is None:
            return {"key": "sure.unmeasured", "values": {}}
        values = loss | {"images": self.point["images"], "sets": self.point["sets"], "low": loss["loss"] - loss["half"],
                         "high": loss["loss"] + loss["half"]}  # fmt: skip
        kind = "sets" if self.point["sets"] > 1 else "one"
        return {"key": f"sure.{kind}" + ("" if self._speed() else "_untimed"), "values": values}

    def risks(self) -> Iterator[Said]:
        loss, worst, tuned = self._loss(), self._worst(), self.tuned and self._loss(self.tuned)
        shown = {"images": self.point["images"]} if loss else None
        yield _risk("shift", shown, measured=False)
        yield _risk("rare", worst)
        yield _risk("zeros", self._times() if self._speed() else None)
        yield self._finetuning(loss, tuned)
        yield _risk("resolution", _size(self.group), measured=False)
        errors = [self.dense["calibration_error"], self.point["calibration_error"]]
        yield _risk("confidence", None if None in errors else dict(zip(("before", "after"), errors)))

    def _finetuning(self, loss: dict | None, tuned: dict | None) -> Said:
        """What it wins back: of the loss to the dense model, or else of top-1 alone."""
        if not self.tuned or self.tuned is self.point:
            return _risk("finetuning", None)
        if loss and tuned:
            return _risk("finetuning", {"before": loss["loss"], "before_half": loss["half"], "after": tuned["loss"],
                                        "after_half": tuned["half"]})  # fmt: skip
        before, after = self.point["top1"], self.tuned["top1"]
        if not before or not after or self.point["images"] != self.tuned["images"]:
            return _risk("finetuning", None)
        values = {"before": before["percent"], "before_half": before["half"], "after": after["percent"],
                  "after_half": after["half"], "images": self.point["images"]}  # fmt: skip
        return _risk("finetuning", values, measured=False)

    def phrases(self) -> Iterator[Said]:
        loss, pace, counts = self._loss(), self._pace(), self._counts()
        if self.series["calibration"] is None and not self.series["epochs"]:
            yield {"key": "phrase.no_data", "values": counts}
        if loss:
            low, high = loss["loss"] - loss["half"], loss["loss"] + loss["half"]
            values = loss | {"high": high, "low": low, "images": self.point["images"]} | counts
            if high <= BEARABLE:
                yield {"key": "phrase.bearable", "values": values}
            elif low > BEARABLE:
                yield {"key": "phrase.too_much", "values": values}
            else:
                yield {"key": "phrase.open", "values": values}
        if pace == "faster":
            yield {"key": "phrase.faster", "values": self._times()}
        elif pace != "unmeasured":
            yield {"key": "phrase.not_faster", "values": self._times()}
        tuned = self.tuned and self.tuned is not self.point and self._loss(self.tuned)
        if loss and tuned and tuned["loss"] + tuned["half"] < loss["loss"] - loss["half"]:
            yield {"key": "phrase.recovers", "values": {"before": loss["loss"], "after": tuned["loss"],
                                                        "after_half": tuned["half"]}}  # fmt: skip
        missing = [name for name, value in self.criteria().items() if value is None and name != "saving"]
        if missing:
            yield {"key": "phrase.proof", "values": {"missing": missing}}

    def criteria(self) -> dict[str, tuple[float, float] | None]:
        loss, worst, speed = self._loss(), self._worst(), self._speed()
        tuned = self._loss(self.tuned) if self.tuned else None
        errors = [self.dense["calibration_error"], self.point["calibration_error"]]
        p95 = self.timing and self.timing["p95_ms"]
        return {
            "images": loss and (self.point["images"],) * 2,
            "loss": loss and _around(loss["loss"], loss["half"]),
            "worst_class": worst and _around(worst["class_loss"], worst["class_half"], most=100),
            "calibration": None if None in errors else (errors[1] - errors[0],) * 2,
            "speedup": speed and (speed["low"], speed["high"]),
            "p95": p95 and (p95, p95),
            "memory": _share(self.timing, self.dense_timing, "peak_memory_bytes"),
            "file": _share(self.point, self.dense, "file_bytes"),
            "tuned_loss": tuned and _around(tuned["loss"], tuned["half"]),
            "saving": None,
        }


def _risk(name: str, values: dict | None, measured: bool = True) -> Said:
    """Of a risk that no command measures there may still be a number that says of what the others are."""
    return {"name": name, "measured": measured and values is not None, "values": values}


def _deviations(classes: int) -> float:
    """Half of an interval, in deviations, that holds for so many classes at once."""
    return NormalDist().inv_cdf(1 - TAIL / classes)


def _size(group: dict) -> dict | None:
    size = group["image_size"]
    return size and {"height": size[0], "width": size[-1]}


def _around(value: float, half: float, most: float = math.inf) -> tuple[float, float]:
    return max(value - half, -most), min(value + half, most)


def _share(point: dict | None, dense: dict | None, name: str) -> tuple[float, float] | None:
    if not point or not dense or not point[name] or not dense[name]:
        return None
    return (100 * point[name] / dense[name],) * 2
