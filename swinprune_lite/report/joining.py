"""Records of commands joined: which model each is of, told by the digests of weights."""

from collections.abc import Sequence

from swinprune_lite.models.lite import LITE_MODELS
from swinprune_lite.report.reading import (
    JOINED,
    accuracy,
    check,
    count,
    cuts,
    maybe,
    number,
    part,
    quantity,
    rows,
    size,
    text,
)
from swinprune_lite.report.shape import compare, cut_point, dense_point, place_of, series_of, set_timing

TIMES = {"p50_ms": quantity, "p95_ms": quantity, "images_per_second": quantity, "peak_memory_bytes": number,
         "joules_per_image": number}  # fmt: skip


def joined(records: Sequence[dict], names: Sequence[str]) -> dict:
    """The group (see `shape`) that records are of.

    Args:
        records: as commands write them.
        names: of the records, for messages.

    Raises:
        ValueError: no record, a damaged one, one of a command without a place in a report, records of several dense
            models, none of a pruned one, or one of a model that no other record knows.
    """
    named = [each for at, each in enumerate(zip(names, records, strict=True)) if each[1] not in records[:at]]
    if not named:
        raise ValueError("A report needs records; give the JSON files that swinprune prune, evaluate and bench write.")
    for name, record in named:
        check(name, record)
    dense: dict[str, tuple[str, dict]] = {}
    for name, record in named:
        dense.setdefault(_dense_digest(record), (name, record))
    if len(dense) > 1:
        (first, one), (second, other), *_ = dense.values()
        raise ValueError(
            f"{first} and {second} are of two dense models ({_told(one)} and {_told(other)}); a report is of one: "
            "leave the records of the other out."
        )
    return _Joining(named, next(iter(dense))).group


def _dense_digest(record: dict) -> str:
    return (record["model"].get("pruned") or {}).get("dense_sha256") or record["model"]["sha256"]


def _told(record: dict) -> str:
    return f"{record['model'].get('name')}, SHA-256 {_dense_digest(record)[:12]}"


class _Joining:
    """Fills a group, record by record."""

    def __init__(self, named: list[tuple[str, dict]], digest: str) -> None:
        self.digest, self.points, self.tuned = digest, {}, []
        dense = next((record["model"] for _, record in named if record["model"]["sha256"] == digest), None)
        any_model = dense or named[0][1]["model"]
        lite = str(any_model.get("architecture", "")).split(":")[0] in LITE_MODELS
        self.group = {
            "name": str(any_model.get("name" if dense else "architecture")),
            "architecture": str(any_model.get("architecture")),
            "lite": lite,
            "sha256": digest,
            "image_size": size(any_model.get("image_size")),
            "classes": None,
            "places": [],
            "series": [],
            "dense": dense_point(),
        }
        for command in JOINED:
            for self.name, record in named:
                if record["command"] == command:
                    self._count(record["model"])
                    getattr(self, f"_{command}")(record, record["results"])
        if not any(series["points"] for series in self.group["series"]):
            raise ValueError(
                "None of the records is of a pruned model; `swinprune prune` writes one, and `swinprune evaluate` one "
                "of the file that it wrote."
            )
        if self.group["dense"]["macs"] is None:
            raise ValueError(
                "No record says how large the dense model is; give the record of `swinprune prune`, or one of "
                "`swinprune evaluate` of the dense model."
            )
        self._fill_tuned()
        for series in self.group["series"]:
            series["points"].sort(key=lambda point: -point["macs"])
            for point in series["points"]:
                if point["ratio"] is None:
                    point["ratio"] = 1 - point["macs"] / self.group["dense"]["macs"]
                compare(point, self.group["dense"])

    def _count(self, model: dict) -> None:
        """Of the dense model, which a pruned one's file tells of."""
        pruned = maybe(self.name, model, "pruned")
        if dense := maybe(self.name, pruned, "dense") if pruned else model:
            self.group["dense"] |= {key: count(self.name, dense, key) for key in ("parameters", "macs")}

    def _prune(self, record: dict, results: dict) -> None:
        achieved, output = part(self.name, results, "achieved"), maybe(self.name, results, "output")
        if output and text(self.name, output, "sha256") in self.points:  # of another record
            return
        stages = [self._stage(row) for row in rows(self.name, results, "stages")] or None
        point = self._cut([*cuts(self.name, record["model"]), results], achieved, achieved, stages)
        if output:
            point["file_bytes"] = number(self.name, output, "bytes")
            self.points[output["sha256"]] = point

    def _stage(self, row: dict) -> dict:
        numbers = {key: number(self.name, row, key) for key in ("weights", "kept", "macs", "kept_macs")}
        return {"stage": count(self.name, row, "stage", 0), "module": str(row.get("module")), **numbers}

    def _cut(self, history: list[dict], counts: dict, about: dict, stages: list[dict] | None) -> dict:
        """A new point, in its series.

        Zeros count the zeros of earlier cuts, so their ratio is of the dense model's weights. What follows a cut that
        made the matrices smaller says how much of those it took, so there the ratio is taken of the dense MACs, later,
        and no record has what the stages of the dense model lost.

        Args:
            history: the cuts, the first one first.
            counts: of the model that came out.
            about: has the ratio of the last cut.
            stages: what it took of each.
        """
        smaller = [bool(cut.get("structured")) for cut in history]
        again = any(smaller) and len(history) > 1
        names = ["structured" if cut.get("structured") else str(cut.get("method")) for cut in history]
        calibrations, tuned = (
            [found for cut in history if (found := maybe(self.name, cut, key))] for key in ("calibration", "finetuned")
        )
        point = cut_point(
            ratio=None if again else number(self.name, about, "ratio", most=1),
            of="macs" if any(smaller) else "weights",
            **_left(self.name, counts, all(smaller)),
            stages=None if again else stages,
        )
        series_of(
            self.group,
            method=" → ".join(names) if len(names) > 1 else str(history[0].get("method")),
            structured=any(smaller),
            repair=any(cut.get("repair") for cut in history),
            calibration=count(self.name, calibrations[-1], "images") if calibrations else None,
            epochs=sum(count(self.name, each, "epochs") for each in tuned),
        ).append(point)
        return point

    def _finetune(self, record: dict, results: dict) -> None:
        output = part(self.name, results, "output")
        if text(self.name, output, "sha256") in self.points:  # of another record
            return
        before = self._point(record["model"])
        if before is self.group["dense"]:  # cut on the way; what came out says so itself, in its own records
            return
        kept = ("ratio", "of", "parameters", "macs", "stages")
        point = cut_point(**{key: before[key] for key in kept}, file_bytes=count(self.name, output, "bytes"))
        epochs = count(self.name, results, "epochs")
        about = next(series for series in self.group["series"] if any(each is before for each in series["points"]))
        series_of(self.group, **about | {"epochs": about["epochs"] + epochs}).append(point)
        self.points[output["sha256"]] = point
        top1, images = part(self.name, results, "top1"), count(self.name, results, "images")
        for one, when in ((before, "before"), (point, "after")):
            self.tuned.append((one, accuracy(self.name, part(self.name, top1, when)), images))

    def _fill_tuned(self) -> None:
        """What fine-tuning itself evaluated, where no other record did, and on no other number of images."""
        for point, top1, images in self.tuned:
            if not point["top1"] and self.group["dense"]["images"] in (None, images):
                point.update(images=images, sets=1, top1=top1)

    def _evaluate(self, record: dict, results: dict) -> None:
        one, other = self._point(record["model"]), maybe(self.name, results, "against")
        self._fill(one, results, results)
        if not other:
            return
        second = self._point(part(self.name, other, "model"))
        self._fill(second, other, results)
        if self.group["dense"] not in (one, second) or one is second:
            return
        cut, sign = (second, -1) if one is self.group["dense"] else (one, 1)
        difference = part(self.name, other, "difference")
        if difference.get("half") is None:  # of one image
            return
        cut["against"] = accuracy(self.name, (results if cut is second else other)["top1"])
        cut["difference"] = self._change(difference, sign) | {"paired": True}
        changes = [(maybe(self.name, row, "difference"), row) for row in rows(self.name, other, "classes")]
        if changes and all(change for change, _ in changes):
            cut["class_differences"] = [
                self._change(change, sign) | {"images": count(self.name, row, "images", 0)} for change, row in changes
            ]

    def _change(self, row: dict, sign: int) -> dict:
        half = None if row.get("half") is None else number(self.name, row, "half")
        return {"points": sign * number(self.name, row, "points", -100, 100), "half": half}

    def _fill(self, point: dict, results: dict, about: dict) -> None:
        images = count(self.name, about, "images")
        top1 = accuracy(self.name, part(self.name, results, "top1"))
        if point["top1"] and (point["top1"], point["images"]) != (top1, images):
            if point is not self.group["dense"]:
                raise ValueError(f"{self.name} and another record evaluate one model with two results; leave one out.")
            if point["images"] != images:
                raise ValueError(
                    f"{self.name} is of {images:,} images and another record of {point['images']:,}; evaluate all "
                    "models on the same ones."
                )
        point.update(images=images, sets=1, top1=top1)
        if top5 := maybe(self.name, results, "top5"):
            point["top5"] = accuracy(self.name, top5)
        if results.get("calibration_error") is not None:
            point["calibration_error"] = number(self.name, results, "calibration_error")
        if classes := rows(self.name, results, "classes"):
            self._fill_classes(point, classes)

    def _fill_classes(self, point: dict, told: list[dict]) -> None:
        classes = [text(self.name, row, "name") for row in told]
        if self.group["classes"] not in (None, classes):
            raise ValueError(
                f"{self.name} is of other classes than another record; evaluate all models on one data set."
            )
        self.group["classes"] = classes
        point["recalls"] = []
        for row in told:
            images, known = count(self.name, row, "images", 0), maybe(self.name, row, "recall")
            recall = accuracy(self.name, known) if known and images else {"percent": None, "half": None}
            point["recalls"].append(recall | {"images": images})

    def _bench(self, record: dict, results: dict) -> None:
        shared = {"machine": text(self.name, results, "machine")}
        shared |= {key: count(self.name, results, key) for key in ("threads", "batch_size")}
        cut, places = set(), {}
        models = filter(None, (record["model"], maybe(self.name, results, "against")))
        told = {text(self.name, model, "sha256"): model for model in models}
        for row in rows(self.name, results, "rows"):
            digest = text(self.name, row, "sha256")
            point = self._point(told.get(digest, {"sha256": digest}))
            place = place_of(
                self.group,
                **shared,
                runtime=text(self.name, row, "runtime"),
                precision=text(self.name, row, "precision"),
            )
            places[row["runtime"], row["precision"]] = place
            timing = {key: None if row.get(key) is None else read(self.name, row, key) for key, read in TIMES.items()}
            set_timing(point, place, timing)
            if point is self.group["dense"]:
                point["file_bytes"] = point["file_bytes"] or (
                    row.get("file_bytes") and count(self.name, row, "file_bytes")
                )
            else:
                cut.add(row["sha256"])
        for row in rows(self.name, results, "ratios"):
            if len(cut) != 1:
                continue
            place = places.get((row.get("runtime"), row.get("precision")))
            point = self.points[next(iter(cut))]
            if place is None or not self.group["dense"]["timings"]:
                continue
            found = part(self.name, row, "speedup")
            speedup = {key: quantity(self.name, found, key) for key in ("ratio", "low", "high")}
            if record["model"]["sha256"] == self.digest:  # it is the dense model's, over the pruned one's
                speedup = {"ratio": 1 / speedup["ratio"], "low": 1 / speedup["high"], "high": 1 / speedup["low"]}
            theory = self.group["dense"]["macs"] and self.group["dense"]["macs"] / point["macs"]
            point["timings"][place] |= {"speedup": speedup, "theory": theory}

    def _point(self, model: dict) -> dict:
        """The point of a model, told by its digest; of a pruned one that no record made, what it says of itself."""
        digest = text(self.name, model, "sha256")
        if "macs" in model:
            self._count(model)
        if digest == self.digest:
            return self.group["dense"]
        if digest not in self.points:
            if not (about := maybe(self.name, model, "pruned")):
                raise ValueError(
                    f"{self.name} is of a model (SHA-256 {digest[:12]}) that no other record knows; give the record of "
                    "`swinprune prune` that belongs to it, too."
                )
            tuned = maybe(self.name, about, "finetuned") or {}
            stages = self.points.get(str(tuned.get("before_sha256")), {}).get("stages")
            self.points[digest] = self._cut(cuts(self.name, model), model, about, stages)
        return self.points[digest]


def _left(name: str, counts: dict, smaller: bool) -> dict:
    """Parameters and MACs that are left: those that are there, or, where zeros stand in for what went, the others."""
    kind = "" if smaller else "nonzero_"
    return {key: count(name, counts, f"{kind}{key}") for key in ("parameters", "macs")}
