"""Accuracy at the same MACs, time by runtime, shares of MACs and time, sizes."""

import json

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torch_pruning
from outside import run

import swinprune_lite as sp
from swinprune_lite.acceleration import compact, group_counts, structured_masks
from swinprune_lite.finetune import Recipe
from swinprune_lite.reproduction.beyond import accuracy, runtimes, sizes, time_shares

SHORT = Recipe(epochs=1, lr=1e-4, label_smoothing=0.0, precision=torch.float32)


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_tiny")


@pytest.fixture(scope="module")
def varied(lite):
    return runtimes.variants(lite)


def test_what_leaves_agrees_with_torch_pruning():
    """Torch-Pruning finds by tracing which layers a hidden unit takes part in; heads it cannot take alone."""
    torch.manual_seed(0)
    model = timm.create_model("swin_tiny_patch4_window7_224", img_size=112, num_classes=10).eval()
    masks = {name: mask for name, mask in structured_masks(model, 0.3).items() if "mlp" in name}
    theirs, images = (
        timm.create_model("swin_tiny_patch4_window7_224", img_size=112, num_classes=10).eval(),
        torch.randn(1, 3, 112, 112),
    )
    theirs.load_state_dict(model.state_dict())
    with pytest.warns(UserWarning, match="Unwrapped parameters"):
        graph = torch_pruning.DependencyGraph().build_dependency(theirs, images)
    for name in [name.removesuffix(".fc2.weight") for name in masks if "fc2" in name]:
        gone = (~masks[f"{name}.fc2.weight"].any(0)).nonzero().flatten().tolist()
        writer = theirs.get_submodule(f"{name}.fc1")
        graph.get_pruning_group(writer, torch_pruning.prune_linear_out_channels, gone).prune()
    ours = compact(model, masks)
    assert {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()} == {
        name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()
    }
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


def test_every_way_is_compared_at_the_same_macs(lite):
    for way in ("compact", "masks", "blocks 16"):
        model = accuracy.pruned(sp.load_lite("swin_lite_tiny"), way, 0.5)
        assert 0.48 < sp.cost(model).nonzero_macs / sp.cost(lite).macs <= 0.5
    left = sp.cost(accuracy.pruned(sp.load_lite("swin_lite_tiny"), "2:4", 0.5))
    assert 0.5 < left.nonzero_macs / left.macs < 0.55  # attention's own products stay


@pytest.mark.parametrize("teacher", ["dense", "labels"])
def test_measure_says_what_was_measured(teacher, monkeypatch):
    monkeypatch.setattr(accuracy, "lite_data", lambda split, size=100, seed=0: _few(split, size, seed))
    row = accuracy.measure(accuracy.Case("swin_lite_tiny", 1, "compact", 0.5, teacher), SHORT, images=50)
    assert (row["seed"], row["way"], row["teacher"], row["images"]) == (1, "compact", teacher, 50)
    assert row["weights"] == sp.lite_card("swin_lite_tiny", 1)["sha256"]
    assert 0.4 < row["macs_left"] <= 0.5 < row["params_left"] < 0.7
    assert row["dense_top1"] > row["one_shot_top1"]


def _few(split, size, seed):
    data = sp.lite_data(split, size, seed)
    return sp.FashionPairs(data.garments[:200], data.labels[:200], None, 50, seed) if split == "train" else data


def test_the_script_goes_on_with_what_is_missing(tmp_path, capsys, monkeypatch):
    path = tmp_path / "rows.json"
    cases = accuracy.cases()
    rows = [vars(case) | {"dense_top1": 80.0, "one_shot_top1": 70.0, "tuned_top1": 79.0} for case in cases]
    path.write_text(json.dumps(rows))
    assert run(capsys, monkeypatch, "finetune_compact.py", "--into", path).code == 0
    assert json.loads(path.read_text()) == rows
    path.write_text("{}")
    done = run(capsys, monkeypatch, "finetune_compact.py", "--into", path)
    assert "remove it, so that it is made anew" in done.error


def test_the_committed_accuracies_are_all_there_and_of_the_shipped_weights():
    rows = accuracy.recorded()
    fields = list(accuracy.Case.__dataclass_fields__)
    assert {accuracy.Case(*row) for row in rows[fields].itertuples(index=False)} == set(accuracy.cases())
    for row in rows.itertuples():
        assert row.weights == sp.lite_card(row.model, row.seed)["sha256"]
        assert row.dense_top1 == sp.lite_card(row.model, row.seed)["top1"]
        assert row.images == 10_000


def test_a_committed_one_shot_accuracy_comes_out_again():
    rows = accuracy.recorded().query("model == 'swin_lite_tiny' and seed == 1 and way == 'compact' and removed == 0.5")
    small = accuracy.pruned(sp.load_lite("swin_lite_tiny", 1), "compact", 0.5)
    assert set(rows.one_shot_top1) == {sp.evaluate(small, sp.lite_data("test")).top1}


def test_summary_and_curve():
    rows = accuracy.recorded()
    table = accuracy.summary(rows)
    mine = rows.query("model == 'swin_lite_tiny' and way == 'compact' and removed == 0.6")
    line = table.loc["swin_lite_tiny", "compact", 0.6, "dense"]
    assert line["lost"] == pytest.approx((mine.dense_top1 - mine.tuned_top1).mean())
    assert line["±"] == pytest.approx(4.303 * (mine.dense_top1 - mine.tuned_top1).std() / 3**0.5, rel=1e-3)
    times = pd.DataFrame([{"way": "compact", "removed": 0.6, "speedup": 2.0}])
    curve = accuracy.against_time(rows, times).set_index(["way", "removed"])
    assert curve.loc[("compact", 0.6), "time"] == 0.5
    assert curve.loc[("compact", 0.6), "top1"] == pytest.approx(mine.tuned_top1.mean())


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
    with pytest.raises(LookupError, match=r"run 'python benchmarks/acceleration\.py --keep'"):
        runtimes.recorded(tmp_path / "nothing.json")
    with pytest.raises(LookupError, match=r"run 'python data_scripts/finetune_compact\.py'"):
        accuracy.recorded(tmp_path / "nothing.json")


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
