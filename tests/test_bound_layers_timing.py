import math

import pandas as pd
import pytest
import timm
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.reproduction import bound, layers, timing


def test_bound_is_never_violated_and_sometimes_near():
    ratio = bound.bound_trials(400, seed=1).ratio
    assert ratio.max() <= 1 + 1e-12
    assert bound.bound_trials(50, seed=1).ratio.equals(ratio[:50])
    # equality: one weight a layer, and it goes
    chain = [torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([[3.0]], dtype=torch.float64)]
    x = torch.ones(1, 1, dtype=torch.float64)
    change = bound.chain_output(chain, x) - bound.chain_output([torch.zeros_like(chain[0]), chain[1]], x)
    assert change.abs().item() == bound.bound(chain, 0, torch.zeros_like(chain[0])) == 6


def test_distortions_leave_the_model_alone_and_follow_a_linear_network():
    model = sp.create_lite("swin_lite_tiny").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.randn(4, 1, 32, 64)
    by_layer, by_weight = bound.layer_distortions(model, 0.5, images), bound.weight_distortions(model, 5, images)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert len(by_layer) == 48
    assert len(by_weight) == 5
    assert by_layer.change.gt(0).all()
    first = by_layer.iloc[0]
    weight = model.get_parameter(first["name"]).detach().double()
    pruned = bound.keep_largest(weight, weight.numel() // 2)
    assert first.bound == pytest.approx(((weight - pruned).norm() / weight.norm()).item())


def test_rank_correlations_by_hand():
    found = pd.DataFrame({"module": ["QKV-M", "QKV-M", "MLP-M"], "score": [1, 2, 3], "change": [5, 7, 6]})
    table = bound.rank_correlations(found, ["score"])
    assert table.loc["all", "score"] == pytest.approx(0.5)
    assert table.loc["QKV-M", "score"] == pytest.approx(1)
    assert math.isnan(table.loc["MLP-M", "score"])


def test_layers_are_counted_as_in_the_paper():
    table = layers.layers(sp.create_lite("swin_lite_small"))
    assert list(table.index[:8]) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(table.layer[:4]) == ["QKV", "PRJ", "FC1", "FC2"]
    assert len(table) == 4 * 18
    assert table.groupby("stage").block.nunique().to_list() == [2, 2, 12, 2]


def test_kept_shares_thresholds_and_masks():
    model = sp.load_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.45)
    kept = layers.kept_shares(model, masks)
    sizes = kept.name.map({name: parameter.numel() for name, parameter in model.named_parameters()})
    assert (kept.kept_pct * sizes).sum() / sizes.sum() == pytest.approx(55, abs=0.01)
    for module, threshold in layers.thresholds(model, masks).items():
        for name in sp.modules(model)[module]:
            scores = sp.importance(model.get_parameter(name))
            assert scores[masks[name]].min() >= threshold
            assert not (~masks[name]).any() or scores[~masks[name]].max() <= threshold
    block = layers.first_block(model, masks)
    table = layers.mask_table(block)
    bands = table.loc[["QKV: query", "QKV: key", "QKV: value"], "kept %"]
    assert bands.mean() == pytest.approx(table.loc["QKV", "kept %"])
    block["FC1"][3] = False
    assert layers.mask_table(block).loc["FC1", "whole rows removed"] >= 1


def test_magnitude_threshold_removes_what_it_says():
    model = sp.load_lite("swin_lite_tiny")
    threshold = layers.threshold_removing(model, 0.3, ("QKV", "PRJ"), 2)
    table = layers.layers(model).assign(share=layers.shares_below(model, threshold))
    chosen = table[(table.block <= 2) & table.layer.isin(["QKV", "PRJ"])]
    sizes = chosen.name.map({name: parameter.numel() for name, parameter in model.named_parameters()})
    assert (chosen.share * sizes).sum() / sizes.sum() == pytest.approx(30, abs=0.1)


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


def test_a_layer_of_zeros_is_not_distorted():
    model = sp.create_lite("swin_lite_tiny").eval()
    name = sp.prunable(model)[0]
    model.get_parameter(name).data.zero_()
    table = bound.layer_distortions(model, 0.5, torch.randn(1, 1, 32, 64)).set_index("name")
    assert (table.bound[name], table.change[name]) == (0, 0)
    assert table.notna().all().all()


def test_changes_that_are_relative_to_nothing_are_refused():
    model = sp.create_lite("swin_lite_tiny").eval()
    images = torch.randn(2, 1, 32, 64)
    for measure in (bound.layer_distortions, bound.weight_distortions):
        with pytest.raises(ValueError, match="no images to measure a change on"):
            measure(model, 1, images[:0])
        with pytest.raises(ValueError, match="ResNet has nothing to prune"):
            measure(timm.create_model("resnet10t"), 1, images)
    with pytest.raises(ValueError, match=r"ratio must be a number in \[0, 1\]"):
        bound.layer_distortions(model, 1.5, images)
    with pytest.raises(ValueError, match="count must be 1 or more; got 0"):
        bound.weight_distortions(model, 0, images)
    torch.nn.init.zeros_(model.head.fc.weight)
    torch.nn.init.zeros_(model.head.fc.bias)
    with pytest.raises(ValueError, match="logits that are all zero or not finite for 2 of 2 images"):
        bound.layer_distortions(model, 0.5, images)
    with pytest.raises(ValueError, match="trials and inputs must be 1 or more"):
        bound.bound_trials(0)


@pytest.mark.filterwarnings("error")
def test_constants_have_no_rank_correlation():
    found = pd.DataFrame(
        {"module": ["QKV-M"] * 3, "score": [2.0, 2.0, 2.0], "magnitude": [1, 2, 3], "change": [5, 7, 6]}
    )
    table = bound.rank_correlations(found, ["score", "magnitude"])
    assert math.isnan(table.loc["all", "score"])
    assert table.loc["all", "magnitude"] == pytest.approx(0.5)
    assert table.loc["MLP-M"].isna().all()
    with pytest.raises(ValueError, match="column 'magnitude' holds a value that is not finite"):
        bound.rank_correlations(found.assign(magnitude=[1, math.nan, 3]), ["magnitude"])
    with pytest.raises(ValueError, match="no column 'size' to correlate; there are module, score"):
        bound.rank_correlations(found, ["size"])


def test_the_threshold_of_a_module_that_keeps_nothing():
    model = sp.create_lite("swin_lite_tiny")
    masks = {name: torch.ones_like(model.get_parameter(name), dtype=torch.bool) for name in sp.prunable(model)}
    whole = layers.thresholds(model, masks)
    first, *others = sp.modules(model)["PRJ-M"]
    masks[first][:] = False
    assert layers.thresholds(model, masks)["PRJ-M"] >= whole["PRJ-M"]
    for name in others:
        masks[name][:] = False
    assert math.isnan(layers.thresholds(model, masks)["PRJ-M"])


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
        ValueError, match=r"times\.json is damaged \(it was altered .*; remove it and run 'make reproduce'\."
    ):
        timing.recorded(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"times\.json is damaged"):
        timing.recorded(path)
