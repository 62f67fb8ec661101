"""What a model is made of: every weight once, MACs that add up, and patterns of zeros that are found."""

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.acceleration import block_masks, two_four_masks
from swinprune_lite.commands.inspect import _summed
from swinprune_lite.shell.tree import block_of, tree, two_four


def rows(found):
    return [row for stage in found["stages"] for block in stage["blocks"] for row in block["layers"]]


def test_the_tree_has_every_matrix_once_and_all_macs():
    model = sp.load_lite("swin_lite_micro")
    found = tree(model)
    names = [row["name"] for row in rows(found) + found["rest"]]
    assert sorted(names) == sorted(name for name, parameter in model.named_parameters() if parameter.ndim > 1)
    assert [row["name"] for row in rows(found)] == sp.prunable(model)
    assert sum(row["macs"] for row in rows(found) + found["rest"]) + found["elsewhere"] == sp.cost(model).macs
    why = {row["name"]: row["why"] for row in found["rest"]}
    assert why["patch_embed.proj.weight"].startswith("embeds patches")
    assert why["head.fc.weight"] == "outside attention and MLPs"
    assert found["groups"]["layers.0.blocks.0.mlp"] == {"kind": "hidden units", "count": 32}


def test_a_few_zeros_of_any_model_are_none_of_pruning():
    row = {"parameters": 100_000, "macs": 1, "two_four": None, "block": None}
    assert _summed([row | {"sparsity": 0.0004}]) == "100 K parameters, 1 MACs"
    assert _summed([row | {"sparsity": 0.0006}]).endswith("0.1% zeros")


def test_patterns_of_zeros_are_found():
    for make, fits in (
        (lambda model: two_four_masks(model, 0.5), lambda row: row["two_four"]),
        (lambda model: block_masks(model, 0.5, (8, 8)), lambda row: row["block"] >= 8),
        (lambda model: sp.make_masks(model, 0.5), lambda row: row["block"] is None and not row["two_four"]),
    ):
        model = sp.load_lite("swin_lite_micro")
        masks = make(model)
        sp.apply_masks(model, masks)
        found = [row for row in rows(tree(model)) if row["sparsity"] > 0.01]
        assert found
        for row in found:
            assert row["sparsity"] == pytest.approx(1 - masks[row["name"]].double().mean().item())
        assert all(map(fits, found))


def test_patterns_of_single_matrices():
    zero = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
    assert two_four(zero)
    assert not two_four(zero ^ torch.tensor([[1, 1, 0, 0]], dtype=torch.bool))
    assert block_of(zero) is None
    assert block_of(torch.ones(8, 8, dtype=torch.bool)) == 8
    assert block_of(torch.eye(2, dtype=torch.bool).repeat_interleave(4, 0).repeat_interleave(4, 1)) == 4
