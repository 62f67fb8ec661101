import math

import pandas as pd
import pytest
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.clock import timing


def test_sparse_layout_computes_the_same(small_swin):
    masked = timing.pruned(small_swin, 0.7)
    assert sum((masked.get_parameter(name) == 0).sum() for name in sp.prunable(masked)) > 0
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(timing.sparse(masked)(images), masked(images), rtol=1e-4, atol=1e-5)


def test_acceleration_times_every_variant_in_turns():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    seconds = timing.interleaved(runs, 3)
    assert calls == ["a", "b"] * 4  # the first of each is the warm-up
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


def test_recorded_times_survive_a_round_trip(tmp_path):
    rows = pd.DataFrame([{"ratio": 0.5, "theory": 1.5, "masked": 1.0, "sparse": 0.4, "dense ms": 100.0}])
    timing.record(rows, tmp_path / "times.json")
    found = timing.recorded(tmp_path / "times.json")
    pd.testing.assert_frame_equal(found["rows"], rows)
    assert list(timing.summary(found["rows"]).index) == ["50%"]
    with pytest.raises(LookupError, match="make reproduce"):
        timing.recorded(tmp_path / "none.json")


def test_sparse_linear_needs_a_linear_layer():
    linear = nn.Linear(3, 2)
    x = torch.randn(4, 5, 3)
    torch.testing.assert_close(timing.SparseLinear(linear)(x), linear(x))


def test_times_that_are_none_are_no_speed_ups():
    seconds = pd.DataFrame({"dense": [2.0, 4.0], "compact": [1.0, 2.0], "masked": [1.0, 0.0]})
    assert timing.speed(seconds, "compact").to_list() == [2.0, 2.0]
    for frame, way in (
        (seconds, "masked"),
        (seconds.assign(dense=0.0), "compact"),
        (seconds.assign(dense=math.nan), "compact"),
    ):
        with pytest.raises(ValueError, match="took no time that the clock can tell"):
            timing.speed(frame, way)
    with pytest.raises(ValueError, match="repeats must be 1 or more; got 0"):
        timing.interleaved({"a": lambda: None}, 0)


def test_a_record_of_times_that_was_altered_is_refused(tmp_path):
    path = tmp_path / "times.json"
    timing.record(pd.DataFrame([{"ratio": 0.5, "theory": 1.5, "masked": 1.0, "sparse": 0.4, "dense ms": 100.0}]), path)
    path.write_text(path.read_text().replace('"masked": 1.0', '"masked": 1.4'))
    with pytest.raises(
        ValueError,
        match=r"times\.json is damaged \(it was altered .*'make reproduce' measures it\.",
    ):
        timing.recorded(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"times\.json is damaged"):
        timing.recorded(path)
