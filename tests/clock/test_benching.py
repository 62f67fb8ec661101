"""Two models on one clock."""

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.clock import benching
from swinprune_lite.clock.benching import bench, machine
from swinprune_lite.clock.energy import Counter, Meter
from swinprune_lite.clock.timing import pruned


@pytest.fixture(scope="module")
def models():
    dense = sp.load_lite("swin_lite_micro")
    return {"pruned": pruned(dense, 0.5), "dense": dense}


def test_rows_and_ratios_are_of_the_turns_that_were_timed(models, monkeypatch):
    asked = []

    def interleaved(runs, repeats, warm_up):
        asked.append((repeats, warm_up, torch.get_num_threads(), [run().dtype for run in runs.values()]))
        return {"pruned": [0.1, 0.2, 0.3], "dense": [0.2, 0.6, 0.6]}

    monkeypatch.setattr(benching, "interleaved", interleaved)
    monkeypatch.setattr(benching, "peak_memory", lambda model, batch, runtime: 7.0 * batch)
    threads, seen = torch.get_num_threads(), []
    monkeypatch.setattr(benching.os, "cpu_count", lambda: threads + 1)
    found = bench(
        models, 4, ["eager"], ["float32", "bfloat16"], 3, 2, threads + 1, progress=lambda *at: seen.append(at)
    )
    assert asked == [(3, 2, threads + 1, [kind] * 2) for kind in (torch.float32, torch.bfloat16)]
    assert torch.get_num_threads() == threads
    assert seen == [(0, 2), (1, 2), (2, 2)]
    first = found.rows.iloc[0]
    assert list(found.rows[["model", "precision"]].itertuples(index=False, name=None)) == [
        ("pruned", "float32"), ("dense", "float32"), ("pruned", "bfloat16"), ("dense", "bfloat16"),
    ]  # fmt: skip
    assert (first.p50_ms, first.p95_ms, first.images_per_second) == pytest.approx((200, 290, 20))
    assert (first.peak_memory_bytes, first.joules_per_image) == (28.0, None)
    ratio = found.ratios.iloc[0]
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.5))
    assert ratio.theory == sp.cost(models["dense"]).macs / sp.cost(models["pruned"]).nonzero_macs > 1.3
    assert next(models["dense"].parameters()).dtype == torch.float32


def test_energy_is_what_the_counters_say_of_each_model_by_image(models, monkeypatch):
    counted = iter(range(0, 1000, 5))
    clock = iter(range(1000))
    monkeypatch.setattr(benching, "ENERGY_SECONDS", 3)  # ticks: two passes a turn
    monkeypatch.setattr(benching.time, "perf_counter", lambda: next(clock))
    runs = dict.fromkeys(("pruned", "dense"), lambda: None)
    assert benching._energy(runs, Meter([Counter("one", lambda: next(counted))])) == {"pruned": 2.5, "dense": 2.5}
    assert benching._energy(runs, Meter([])) == {"pruned": None, "dense": None}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more; got 0"),
        ({"repeats": 0}, "repeats must be 1 or more; got 0"),
        ({"warm_up": 0}, "warm_up must be 1 or more; got 0"),
        ({"threads": 0}, "threads must be 1 or more; got 0"),
        ({"threads": 10**6}, r"has \d+ logical cores; ask for so many threads at most; got 1000000"),
        ({"runtimes": ["tea"]}, "Unknown runtime 'tea'; choose of eager, torch.compile, ONNX Runtime"),
        ({"precisions": ["int4"]}, "Unknown precision 'int4'; choose of float32, bfloat16, float16"),
        ({"runtimes": []}, "Give at least one runtime of eager"),
        ({"runtimes": ["ONNX Runtime"], "precisions": ["float16"]}, "ONNX Runtime is timed in float32 on the CPU"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_anything_is(models, monkeypatch, more, said):
    monkeypatch.setattr(benching, "interleaved", pytest.fail)
    with pytest.raises(ValueError, match=said):
        bench(models, **more)


def test_models_that_do_not_compare_are_refused(models, small_swin):
    with pytest.raises(ValueError, match=r"take other images.*dense \(1, 32, 64\), other \(3, 224, 224\)"):
        bench({"dense": models["dense"], "other": small_swin})
    with pytest.raises(ValueError, match="One model or two are timed; got 0"):
        bench({})


def test_the_machine_is_named():
    assert "logical cores" in machine()
    assert "thread(s)" in machine()
