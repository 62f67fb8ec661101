"""The report of the lite models says what the results store holds, counted here from its verdicts on single images."""

import base64
import json
import zlib

import numpy as np
import pytest
import torch
from scipy import stats

from swinprune_lite.data.pairs import GARMENTS, lite_data
from swinprune_lite.files import RESULTS
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.store import Store
from swinprune_lite.report import lite_data as report_data
from swinprune_lite.report.by_class import recall_changes
from swinprune_lite.report.lite import MODELS


@pytest.fixture(scope="module")
def data():
    return report_data()


@pytest.fixture(scope="module")
def verdicts():
    """Of a setting's differences from the defaults: bool arrays of the first 5,000 images, by training seed."""
    found = {}
    for record in Store().records.values():
        if not record["setting"].get("calibration") and "split" not in record["ingredients"]["digests"]:
            asked = {key: value for key, value in record["setting"].items() if key != "images"}
            bits = record["result"]["top1_bits"]
            found.setdefault(json.dumps(asked, sort_keys=True), []).append((bits, record["result"]["images"]))
    return found


def read(verdicts, **asked):
    bits, _ = max(verdicts[json.dumps(asked, sort_keys=True)], key=lambda one: one[1])
    return np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(bits)), np.uint8))[:5000].astype(bool)


CASES = [
    ("swin_lite_tiny", {"method": "dimap", "ratio": 0.8}, {}, (0, 1, 2)),
    ("swin_lite_small", {"method": "uniform", "ratio": 0.7}, {}, (0, 1, 2)),
    ("swin_lite_micro", {"method": "dimap", "ratio": 0.9}, {"repair": "refit + head"}, range(1, 10)),
]


@pytest.mark.parametrize(("model", "cut", "more", "seeds"), CASES)
def test_accuracies_and_recalls_are_those_of_the_store(data, verdicts, model, cut, more, seeds):
    group = next(each for each in data["groups"] if each["name"] == model)
    (series,) = [each for each in group["series"]
                 if (each["method"], each["repair"], each["epochs"]) == (cut["method"], bool(more), 0)]  # fmt: skip
    (point,) = [each for each in series["points"] if each["ratio"] == cut["ratio"]]
    named = [{"training_seed": seed} if seed else {} for seed in seeds]
    after = np.array([read(verdicts, model=model, **cut, **more, **seed) for seed in named])
    before = np.array([read(verdicts, model=model, **seed) for seed in named])
    assert point["top1"]["percent"] == pytest.approx(100 * after.mean())
    assert point["against"]["percent"] == pytest.approx(100 * before.mean())
    change = 100 * (after.mean(1) - before.mean(1))
    assert point["difference"]["points"] == pytest.approx(change.mean())
    over_seeds = stats.t.ppf(0.975, len(seeds) - 1) * change.std(ddof=1) / len(seeds) ** 0.5
    over_images = 196 * (after * 1.0 - before).mean(0).std(ddof=1) / 5000**0.5
    assert point["difference"]["half"] == pytest.approx(np.hypot(over_seeds, over_images), rel=1e-3)
    pairs = lite_data("test")
    own = (10 * pairs.labels + pairs.labels[pairs.right]).numpy()[:5000]
    for number in (0, 37, 99):
        assert group["classes"][number] == f"{GARMENTS[number // 10]} + {GARMENTS[number % 10]}"
        recall, gap = point["recalls"][number], point["class_differences"][number]
        assert recall["images"] == (own == number).sum()
        assert recall["percent"] == pytest.approx(100 * after[:, own == number].mean(), abs=1e-3)
        assert gap["points"] == pytest.approx(
            100 * (after[:, own == number] * 1.0 - before[:, own == number]).mean(), abs=1e-3
        )
    expected = paired_difference(*(tensors(side[:, own == 37]) for side in (after, before)))
    assert (point["class_differences"][37]["points"], point["class_differences"][37]["half"]) == pytest.approx(
        expected, abs=1e-3
    )


def tensors(rows):
    return [torch.from_numpy(row.copy()) for row in rows]


def test_changes_of_a_class_without_images_are_unknown():
    right = torch.tensor([[True, False, True]])
    rows = recall_changes(right, ~right, torch.tensor([0, 0, 2]), 3)
    assert [row["images"] for row in rows] == [2, 0, 1]
    assert [row["half"] is None for row in rows] == [False, True, True]


def test_every_model_and_its_counts(data):
    assert [group["name"] for group in data["groups"]] == list(MODELS)
    for group in data["groups"]:
        assert group["lite"]
        macs = sum(row["macs"] for row in group["series"][0]["points"][0]["stages"])
        for point in (point for series in group["series"] for point in series["points"]):
            lost = sum(row["macs"] - row["kept_macs"] for row in point["stages"])
            assert sum(row["macs"] for row in point["stages"]) == macs < group["dense"]["macs"]
            if point["of"] == "weights":
                kept, whole = (sum(row[key] for row in point["stages"]) for key in ("kept", "weights"))
                assert 1 - kept / whole == pytest.approx(point["ratio"], abs=1e-3)
                assert whole - kept == group["dense"]["parameters"] - point["parameters"]
                assert lost == pytest.approx(group["dense"]["macs"] - point["macs"], rel=1e-9)
            else:
                assert point["macs"] / group["dense"]["macs"] == pytest.approx(1 - point["ratio"], abs=0.02)


def test_times_are_those_that_were_kept(data):
    kept = json.loads((RESULTS / "beyond_times.json").read_text())["lite"]
    tiny = data["groups"][0]
    timed = [(series, point) for series in tiny["series"] for point in series["points"] if point["timings"]]
    for series, point in timed:
        removed = point["ratio"] if point["of"] == "macs" else 0.5
        (row,) = [row for row in kept if (row["way"], row["removed"]) ==
                  ("compact" if series["structured"] else "masks", removed)]  # fmt: skip
        assert point["timings"][0]["speedup"] == {"ratio": row["speedup"], "low": row["low"], "high": row["high"]}
        assert point["timings"][0]["p50_ms"] == row["ms"]
    assert {series["epochs"] for series, _ in timed if series["structured"]} == {0, 4}
    tuned = {(series["epochs"], series["steps"]) for group in data["groups"] for series in group["series"]}
    assert tuned == {(0, None), (1, 25), (4, None)}  # 25 steps of 128 pairs are no epoch of 10,000
    assert not [group for group in data["groups"][1:] if group["places"]]
