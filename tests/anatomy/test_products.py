"""MACs are counted where they happen: any way of calling a weight, each of its elements as often as it is used."""

import copy

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn
from torch.nn.utils import prune

import swinprune_lite as sp
from swinprune_lite.pruning.cost import macs_and_positions


class EveryWay(nn.Module):
    """Weights used in parts, through copies, more than once, and as kernels: 16 tokens of 8 numbers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.once = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.once.weight
        self.stack = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, images):
        maps = self.stem(images)
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(tokens[:, :1], tokens, tokens, need_weights=False)[0]  # one query
        tokens = F.linear(tokens, self.fc.weight.half().float().contiguous() * 2, self.fc.bias)
        tokens = tokens @ torch.cat([self.fc.weight[:4], self.fc.weight[4:]]).T
        tokens = torch.einsum("bnc,dc->bnd", tokens, self.fc.weight)
        tokens = tokens + self.fc.weight[:, :2] @ self.fc.weight[:2, :1].reshape(2)  # two weights: not reduced twice
        tokens = self.tied(self.once(tokens)) + self.once(tokens[:, :5]).sum()
        halves = tokens.unflatten(-1, (2, 4)).permute(0, 2, 1, 3)
        return (halves @ self.stack).mean() + self.grouped(maps).mean() + self.up(maps).mean()


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_every_way_of_calling_counts_every_element_as_often_as_it_is_used(seed, share):
    model = EveryWay()
    generator = torch.Generator().manual_seed(seed)
    masks = {
        name: torch.rand(weight.shape, generator=generator) >= share
        for name, weight in model.named_parameters()
        if weight.ndim > 1
    }
    uses = {name: torch.zeros(mask.shape, dtype=torch.int64) for name, mask in masks.items()}
    uses["stem.weight"] += 4 * 4
    uses["attn.in_proj_weight"][:8] += 1
    uses["attn.in_proj_weight"][8:] += 16
    uses["attn.out_proj.weight"] += 1
    uses["fc.weight"] += 3 * 16
    uses["grouped.weight"] += 4 * 4
    uses["up.weight"] += 4 * 4
    uses["once.weight"] += 2 * 16 + 5
    uses["stack"] += 16
    lost = sum(int(uses[name][~masks[name]].sum()) for name in masks)
    left, right = masks["fc.weight"][:, :2], masks["fc.weight"][:2, 0]
    lost += int((~(left & right)).sum())
    cost = sp.cost(model, masks, 16)
    assert cost.macs - cost.nonzero_macs == lost
    assert cost.params - cost.nonzero_params == sum(int((~mask).sum()) for mask in masks.values())
    own_products = 2 * 16 * 8  # one query by 16 keys and back, 8 numbers each
    assert cost.macs == sum(int(each.sum()) for each in uses.values()) + left.numel() + own_products


def test_positions_of_weights_that_are_called_in_part():
    macs, positions = macs_and_positions(EveryWay(), 16)
    assert macs == sp.cost(EveryWay(), {}, 16).macs
    assert positions["stem.weight"] == positions["up.weight"] == positions["stack"] == 16
    assert positions["once.weight"] == 37
    assert "tied.weight" not in positions  # the same parameter
    assert positions["attn.in_proj_weight"] == (8 + 16 * 16) / 24
    assert all(isinstance(positions[name], int) for name in ("stem.weight", "once.weight", "attn.in_proj_weight"))


class Standardised(nn.Module):
    """A kernel from which its mean is taken first, and a layer with a low-rank addition to its weight."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 2, 2))
        self.weight, self.up, self.down = (nn.Parameter(torch.randn(s)) for s in ((5, 6), (5, 1), (1, 6)))

    def forward(self, images):
        mean = self.kernel.mean((1, 2, 3), keepdim=True)
        tokens = F.conv2d(images, self.kernel - mean).flatten(2).transpose(1, 2)
        return tokens @ (self.weight + self.up @ self.down).T


def test_weights_that_do_not_vanish_with_a_parameters_zeros_save_nothing():
    model = Standardised()
    keep = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in model.named_parameters()}

    def saved(name, *where):
        mask = keep[name].clone()
        mask[where] = False
        cost = sp.cost(model, {name: mask}, (3, 5, 5))
        return cost.macs - cost.nonzero_macs

    assert saved("kernel", 0, 0) == 0  # minus the mean it is not zero
    assert saved("kernel", 0) == 3 * 2 * 2 * 16  # of a kernel of zeros nothing is left
    assert saved("weight") == 0
    assert saved("up") == saved("down") == 5 * 6


def test_wrapped_weights_and_masks_that_are_held():
    name = "layers.0.blocks.0.mlp.fc1"
    for wrap in (
        nn.utils.parametrizations.weight_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5),
    ):
        model = sp.create_lite("swin_lite_tiny")
        wrap(model.get_submodule(name))
        (matrix,) = [
            key for key, value in model.named_parameters() if name in key and value.ndim == 2 and min(value.shape) > 1
        ]
        mask = torch.ones(128, 32, dtype=torch.bool)
        mask[3:5, 7:] = False
        cost = sp.cost(model, {matrix: mask})
        assert cost.macs == sp.cost(sp.create_lite("swin_lite_tiny")).macs
        assert cost.macs - cost.nonzero_macs == 2 * 25 * 128  # tokens
        assert not model.get_submodule(name).weight.is_meta
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.4)
    expected = sp.cost(model, masks)
    sp.apply_masks(model, masks)
    assert sp.cost(model, masks) == sp.cost(model) == expected
    assert sp.cost(model, {}).nonzero_macs == expected.macs


def test_a_removed_matrix_that_no_product_uses_is_an_error():
    class Idle(EveryWay):
        def __init__(self):
            super().__init__()
            self.idle = nn.Linear(2, 2)

    def zeros(name):
        return {name: torch.zeros(model.get_parameter(name).shape, dtype=torch.bool)}

    model = Idle()
    with pytest.raises(ValueError, match=r"^idle\.weight: no matrix product or convolution of Idle uses this"):
        sp.cost(model, zeros("idle.weight"), 16)
    whole = {"idle.weight": torch.ones(2, 2, dtype=torch.bool)}
    assert sp.cost(model, whole, 16) == sp.cost(model, {}, 16)
    without_bias = sp.cost(model, zeros("fc.bias"), 16)  # biases are added, and additions are not counted
    assert without_bias.params - without_bias.nonzero_params == 8
    assert without_bias.nonzero_macs == without_bias.macs


class Cluttered(nn.Module):
    """A model that leaves things behind, and uses tensors that are neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.backbone = sp.create_lite("swin_lite_tiny")
        self.mean, self.cache = torch.zeros(1), {}

    def forward(self, images):
        self.cache["images"] = self.seen = images
        return self.backbone((images - self.mean) * torch.arange(64))


def test_the_model_is_left_as_it_is():
    model = Cluttered().train()
    model.backbone.layers[0].eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    assert sp.cost(model, {}, (1, 32, 64)).macs == sp.cost(model.backbone, {}).macs
    with pytest.raises(ValueError, match="does not take an image"):
        sp.cost(model, {}, (1, 30, 64))
    assert [module.training for module in model.modules()] == modes
    assert model.cache == {}
    assert not hasattr(model, "seen")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.is_meta for parameter in model.parameters())


class Aside(nn.Module):
    """A model that reaches its parameters in a list of its own, as recurrent layers do."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(12, 6), nn.Linear(6, 3)
        self.layers = [(self.first.weight, self.first.bias)]
        self.recurrent = nn.LSTM(6, 4)

    def forward(self, images):
        x = images.flatten(1)
        for weight, bias in self.layers:
            x = x @ weight[:, :12].T + bias
        return self.second(x), self.recurrent(x)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_parameters_that_a_module_reaches_in_other_ways(device):
    model = Aside().to(device, torch.bfloat16)
    model.layers = [(model.first.weight, model.first.bias)]
    _, positions = macs_and_positions(model, (3, 2, 2))
    assert positions == {
        "first.weight": 1,
        "second.weight": 1,
        "recurrent.weight_ih_l0": 1,
        "recurrent.weight_hh_l0": 1,
    }
    mask = torch.ones(6, 12, dtype=torch.bool)
    mask[0, :5] = False
    cost = sp.cost(model, {"first.weight": mask}, (3, 2, 2))
    assert cost.macs - cost.nonzero_macs == 5
    assert cost.macs == 6 * 12 + 3 * 6 + 4 * 4 * (6 + 4)
