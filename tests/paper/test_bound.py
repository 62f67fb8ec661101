import math

import pandas as pd
import pytest
import timm
import torch

import swinprune_lite as sp
from swinprune_lite.paper import bound


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
