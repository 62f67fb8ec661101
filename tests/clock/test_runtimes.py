"""Accuracy at the same MACs, time by runtime, shares of MACs and time, sizes."""

import numpy as np
import pandas as pd
import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.acceleration import group_counts
from swinprune_lite.clock import runtimes, sizes, time_shares
from swinprune_lite.training.recipe import Recipe

SHORT = Recipe(epochs=1, lr=1e-4, label_smoothing=0.0, precision=torch.float32)


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_tiny")


@pytest.fixture(scope="module")
def varied(lite):
    return runtimes.variants(lite)


def test_variants_compute_what_they_should(lite, varied):
    models, theory = varied
    images = next(iter(sp.lite_data("smoke", 10)))[0]
    blocks = sp.acceleration.block_masks(lite, runtimes.RATIO, (runtimes.BLOCK, runtimes.BLOCK))
    with torch.inference_mode():
        wanted = runtimes.zeroed(lite, blocks)(images)
        torch.testing.assert_close(models["blocks"](images), wanted, atol=1e-4, rtol=1e-4)
    assert list(models) == list(theory) == ["dense", "masked", "2:4", "blocks", "compact"]
    assert theory["compact"] == sp.cost(lite).macs / sp.cost(models["compact"]).macs >= 2
    assert group_counts(models["masked"]) == group_counts(lite) != group_counts(models["compact"])


def test_speedups_are_medians_of_turns(varied, monkeypatch):
    seconds = {"dense": [2.0, 4.0, 6.0], "compact": [1.0, 2.0, 2.0]}
    monkeypatch.setattr(runtimes, "interleaved", lambda runs, repeats: {way: seconds[way] for way in runs})
    models, theory = ({way: part[way] for way in seconds} for part in varied)
    (row,) = runtimes.speedups(models, theory | {"compact": 4.0}, 2, "eager", 3).to_dict("records")
    assert (row["speedup"], row["low"], row["high"], row["share"]) == (2.0, 2.0, 2.5, 0.5)
    assert (row["ms"], row["dense ms"], row["batch"]) == (2000, 4000, 2)
    goals = runtimes.targets(pd.DataFrame([row]), {2: 0.6})
    assert not goals.reached.any()
    assert runtimes.targets(pd.DataFrame([row]), {2: 0.5}).reached.all()
    assert list(runtimes.table(pd.DataFrame([row])).index) == [("eager", 2, "compact")]
    with pytest.raises(ValueError, match="Unknown runtime 'tea'"):
        runtimes.prepared(models["dense"], torch.zeros(1, 1, 32, 64), "tea")


def test_peak_memory_grows_with_the_batch(lite):
    assert runtimes.peak_memory(lite, 400) > runtimes.peak_memory(lite, 1) + 20e6


@pytest.mark.parametrize(
    ("code", "stderr", "error", "said"),
    [
        (
            1,
            "Traceback\n  line\nRuntimeError: can't allocate memory",
            RuntimeError,
            "not measured: RuntimeError: can't",
        ),
        (-9, "", MemoryError, "the system ended a process that ran batches of 3 images"),
    ],
)
def test_memory_that_does_not_suffice_is_said(lite, monkeypatch, code, stderr, error, said):
    done = runtimes.subprocess.CompletedProcess([], code, "", stderr)
    monkeypatch.setattr(runtimes.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(error, match=said) as caught:
        runtimes.peak_memory(lite, 3)
    assert "\n" not in str(caught.value)


def test_a_compiler_that_is_missing_is_said(lite, monkeypatch):
    def compiled(_):
        raise RuntimeError("No working C++ compiler\nand a trace")

    monkeypatch.setattr(torch, "compile", lambda model: compiled)
    with pytest.raises(RuntimeError, match=r"does not do its work here \(No working C\+\+ compiler\); leave it out\.$"):
        runtimes.prepared(lite, torch.zeros(1, 1, 32, 64), "torch.compile")


def test_shares_of_macs_and_time(lite):
    found = time_shares.shares(lite, 2, 1)
    assert list(found.index) == list(time_shares.GROUPS)
    np.testing.assert_allclose(found.sum(), 100)
    assert (found.time >= 0).all()
    dense, positions = sp.cost(lite).macs, sp.cost(lite, input_size=(1, 32, 64)).macs
    assert dense == positions
    qkv = sum(
        tokens * 3 * width**2 * depth for tokens, width, depth in zip((128, 32, 8, 2), (32, 64, 128, 256), (2, 2, 6, 2))
    )
    padded = sum(
        tokens * 3 * width**2 * depth
        for tokens, width, depth in zip((128, 32, 16, 16), (32, 64, 128, 256), (2, 2, 6, 2))
    )
    assert qkv <= found.MACs["QKV"] * dense / 100 <= padded * 1.0001


def test_sizes(lite):
    table = sizes.sizes(lite, [0.55])
    (row,) = table.to_dict("records")
    assert row["save_pruned"] < 1.05 * row["bound"]
    assert row["dense / save_pruned"] > 2
    assert row["save_pruned"] < row["masked, zstd"] < row["dense"]


def test_nothing_kept_is_said(tmp_path):
    with pytest.raises(LookupError, match=r"'python benchmarks/acceleration\.py --keep' measures it"):
        runtimes.recorded(tmp_path / "nothing.json")


def test_numbers_of_nothing_are_refused(lite, varied, monkeypatch):
    with pytest.raises(ValueError, match="Ratios must differ by a percent or more"):
        sizes.sizes(lite, [0.351, 0.354])
    with pytest.raises(ValueError, match="batch and repeats must be 1 or more"):
        time_shares.shares(lite, 1, 0)
    monkeypatch.setattr(runtimes, "interleaved", lambda runs, repeats: {way: [0.0] for way in runs})
    models, theory = ({way: part[way] for way in ("dense", "compact")} for part in varied)
    with pytest.raises(ValueError, match="A pass of 'dense' took no time that the clock can tell"):
        runtimes.speedups(models, theory, 1, "eager", 1)
    for temperature in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature must be a number above zero"):
            sp.acceleration.Taught([], lite, temperature)


def test_sizes_where_nothing_is_removed(lite):
    (row,) = sizes.sizes(lite, [0]).to_dict("records")
    assert row["bound"] == pytest.approx(sum(parameter.numel() for parameter in lite.parameters()) * 2 / 1e6)
    assert np.isfinite(list(row.values())).all()
