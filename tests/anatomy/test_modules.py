import pytest
import timm
import torch
from torch import nn
from torchvision.models import swin_t

import swinprune_lite as sp


def test_every_parameter_is_in_exactly_one_module(small_swin):
    groups = sp.modules(small_swin)
    names = [name for group in groups.values() for name in group]
    assert list(groups) == ["QKV-M", "PRJ-M", "MLP-M", "AUX-M"]
    assert sorted(names) == sorted(name for name, _ in small_swin.named_parameters())
    blocks = 5
    assert [len(groups[module]) for module in ("QKV-M", "PRJ-M", "MLP-M")] == [blocks, blocks, 2 * blocks]


def test_only_weight_matrices_are_prunable_and_they_keep_the_models_order():
    with torch.device("meta"):
        model = timm.create_model("swinv2_tiny_window8_256")
    names = [name for name, _ in model.named_parameters()]
    assert all(model.get_parameter(name).ndim == 2 for name in sp.prunable(model))
    assert sp.prunable(model) == sorted(sp.prunable(model), key=names.index)


def test_a_network_without_such_layers_is_all_auxiliary():
    assert sp.prunable(nn.Linear(2, 2)) == []


def test_a_network_that_names_its_mlps_otherwise_is_pruned_with_a_warning():
    model = swin_t()  # torchvision's: mlp.0 and mlp.3 in place of mlp.fc1 and mlp.fc2
    with pytest.warns(UserWarning, match="SwinTransformer has nothing in MLP-M"):
        assert set(sp.make_masks(model, 0.5)) == set(sp.prunable(model))
