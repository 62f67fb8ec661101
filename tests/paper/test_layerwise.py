import math

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.paper import layerwise


def test_layers_are_counted_as_in_the_paper():
    table = layers(sp.create_lite("swin_lite_small"))
    assert list(table.index[:8]) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(table.layer[:4]) == ["QKV", "PRJ", "FC1", "FC2"]
    assert len(table) == 4 * 18
    assert table.groupby("stage").block.nunique().to_list() == [2, 2, 12, 2]


def test_histograms_count_every_weight_within_eight_thresholds_once():
    model = sp.load_lite("swin_lite_tiny")
    found = layerwise.histograms(model, 0.01, blocks=1, bins=16)
    assert list(found.groupby("layer", sort=False).size()) == [16] * 4
    for row in layers(model).query("block == 1").itertuples():
        weights, rows = model.get_parameter(row.name).detach().double(), found[found.layer == row.layer]
        assert rows.percent.sum() == pytest.approx(100 * (weights.abs() < 0.08).double().mean().item())
        below = rows[rows.left < 0].percent.sum()
        assert below == pytest.approx(100 * ((weights < 0) & (weights >= -0.08)).double().mean().item())


def test_kept_shares_thresholds_and_masks():
    model = sp.load_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.45)
    kept = layerwise.kept_shares(model, masks)
    sizes = kept.name.map({name: parameter.numel() for name, parameter in model.named_parameters()})
    assert (kept.kept_pct * sizes).sum() / sizes.sum() == pytest.approx(55, abs=0.01)
    for module, threshold in layerwise.thresholds(model, masks).items():
        for name in sp.modules(model)[module]:
            scores = sp.importance(model.get_parameter(name))
            assert scores[masks[name]].min() >= threshold
            assert not (~masks[name]).any() or scores[~masks[name]].max() <= threshold
    block = layerwise.first_block(model, masks)
    table = layerwise.mask_table(block)
    bands = table.loc[["QKV: query", "QKV: key", "QKV: value"], "kept %"]
    assert bands.mean() == pytest.approx(table.loc["QKV", "kept %"])
    block["FC1"][3] = False
    assert layerwise.mask_table(block).loc["FC1", "whole rows removed"] >= 1


def test_magnitude_threshold_removes_what_it_says():
    model = sp.load_lite("swin_lite_tiny")
    threshold = layerwise.threshold_removing(model, 0.3, ("QKV", "PRJ"), 2)
    table = layers(model).assign(share=layerwise.shares_below(model, threshold))
    chosen = table[(table.block <= 2) & table.layer.isin(["QKV", "PRJ"])]
    sizes = chosen.name.map({name: parameter.numel() for name, parameter in model.named_parameters()})
    assert (chosen.share * sizes).sum() / sizes.sum() == pytest.approx(30, abs=0.1)


def test_the_threshold_of_a_module_that_keeps_nothing():
    model = sp.create_lite("swin_lite_tiny")
    masks = {name: torch.ones_like(model.get_parameter(name), dtype=torch.bool) for name in sp.prunable(model)}
    whole = layerwise.thresholds(model, masks)
    first, *others = sp.modules(model)["PRJ-M"]
    masks[first][:] = False
    assert layerwise.thresholds(model, masks)["PRJ-M"] >= whole["PRJ-M"]
    for name in others:
        masks[name][:] = False
    assert math.isnan(layerwise.thresholds(model, masks)["PRJ-M"])
