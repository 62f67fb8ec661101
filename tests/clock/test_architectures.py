"""Shares of published architectures, and masks on random weights of their size."""

import pytest
import timm
import torch

import swinprune_lite as sp
from swinprune_lite.clock import architectures

FAMILY = "PVT v2"


def test_the_table_has_every_parameter_and_every_product():
    with torch.device("meta"):
        model = timm.create_model(architectures.PUBLISHED[FAMILY])
    table, cost = architectures.table(FAMILY), sp.cost(model, {})
    assert (table.weights.sum(), table.macs.sum()) == (cost.params, cost.macs)
    assert list(table.index[table.stage > 0]) == [name for names in sp.modules(model).values() for name in names
                                                  if name in sp.prunable(model)]  # fmt: skip
    assert table.macs["products"] > 0


@pytest.mark.parametrize("of", ["weights", "macs"])
def test_shares_are_of_the_whole(monkeypatch, of):
    monkeypatch.setattr(architectures, "PUBLISHED", {FAMILY: architectures.PUBLISHED[FAMILY]})
    monkeypatch.setattr(architectures, "HIERARCHICAL", (FAMILY,))
    for found in (architectures.shares(of), architectures.by_stage(of)):
        assert found.to_numpy().sum() == pytest.approx(100)
    assert ("products" in architectures.shares(of)) == (of == "macs")


def test_masks_on_random_weights_take_the_ratio_of_every_module_and_leave_the_seed_alone(monkeypatch):
    monkeypatch.setattr(architectures, "DRAWN", (FAMILY,))
    state = torch.random.get_rng_state()
    found = architectures.drawn(FAMILY, 0.4)
    assert torch.equal(torch.random.get_rng_state(), state)
    sums = found.groupby("module")[["weights", "kept"]].sum()
    assert (sums.kept == [size - round(0.4 * size) for size in sums.weights]).all()
    by_stage = architectures.kept_by_stage(0.4).loc[FAMILY]
    assert 60 < by_stage["MACs left"] < 100
    first = found.query("stage == 1")
    assert by_stage["stage 1"] == pytest.approx(100 * first.kept.sum() / first.weights.sum())
    assert architectures.kept(FAMILY, 0.4).shape == (3, 4)
