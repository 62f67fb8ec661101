"""MACs are counted where they happen: any way of calling a weight, each of its elements as often as it is used."""

import copy
from collections import deque

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

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
    both = {"weight": torch.zeros_like(keep["weight"]), "up": torch.zeros_like(keep["up"])}
    cost = sp.cost(model, both, (3, 5, 5))
    assert cost.macs - cost.nonzero_macs == 5 * 6  # what a product gives is taken for a number


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
        self.mean, self.cache, self.lists = torch.zeros(1), {}, {"seen": [()]}
        self.lists["seen"].append(self.lists)
        self.last, self.sizes = deque(["first"], maxlen=1), {1}

    def forward(self, images):
        self.cache["images"] = self.seen = images
        self.lists["seen"].append(images)
        self.last.append(images)
        self.sizes.add(images.shape)
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
    assert len(model.lists["seen"]) == 2
    assert (model.last, model.sizes) == (deque(["first"]), {1})
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


class Merging(nn.Linear):
    """An adapter that is merged into the weight in evaluation, as loralib's is."""

    def __init__(self):
        super().__init__(12, 5)
        self.down, self.up, self.merged = nn.Parameter(torch.randn(1, 12)), nn.Parameter(torch.randn(5, 1)), False

    def train(self, mode=True):
        if mode == self.merged:
            self.weight.data = self.weight.data + (-1 if mode else 1) * self.up @ self.down
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        return super().forward(x) + (0 if self.merged else x @ self.down.T @ self.up.T)


@pytest.mark.parametrize("training", [True, False])
def test_weights_that_evaluation_changes_are_counted_as_changed_and_stay(training):
    model = nn.Sequential(nn.Flatten(), Merging())
    model[1].training = training
    before = copy.deepcopy(model.state_dict())
    assert sp.cost(model, {}, (3, 2, 2)).macs == 12 * 5
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (model[1].training, model[1].merged) == (training, False)
    mask = {"1.weight": torch.zeros(5, 12, dtype=torch.bool)}
    assert sp.cost(model, mask, (3, 2, 2)).nonzero_macs == 12 * 5  # what is merged into it stands


class Applied(nn.Module):
    """A function of 1 x 12 numbers and a weight."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.randn(shape))

    def forward(self, images):
        return self.function(images.flatten(1), self.weight)


def saved(model, *where):
    """The multiply-accumulates of (3, 2, 2), and how many of them vanish with part of the weight."""
    mask = torch.ones(model.weight.shape, dtype=torch.bool)
    mask[where] = False
    cost = sp.cost(model, {"weight": mask}, (3, 2, 2))
    return cost.macs, cost.macs - cost.nonzero_macs


PRODUCTS = {
    "dot": (lambda x, w: x[0] @ w, (12,), 12, 1),
    "vdot": (lambda x, w: torch.vdot(w, x[0]), (12,), 12, 1),
    "vdot, second": (lambda x, w: torch.vdot(x[0], w), (12,), 12, 1),
    "whole numbers": (lambda x, w: torch._int_mm(x.char(), w.char()), (12, 5), 60, 5),
    "whole numbers, first": (lambda x, w: torch._int_mm(w.char(), x.char().T), (5, 12), 60, 12),
    "two rows": (lambda x, w: w[0] @ w[1], (2, 12), 12, 12),
    "mv": (lambda x, w: w @ x[0], (5, 12), 60, 12),
    "addmv": (lambda x, w: torch.addmv(x[0, :5], w, x[0]), (5, 12), 60, 12),
    "addmm": (lambda x, w: torch.addmm(x[:, :5], x, w.T), (5, 12), 60, 12),
    "baddbmm": (lambda x, w: torch.baddbmm(x[:, :5, None], x.view(1, 2, 6).mT[:, :5], w), (1, 2, 3), 30, 30),
    "addbmm": (lambda x, w: torch.addbmm(x[:, :5], x.view(2, 3, 2), w), (2, 2, 5), 60, 30),
    "activation": (lambda x, w: torch._addmm_activation(x[0, :5], x, w), (12, 5), 60, 5),
    "bilinear": (lambda x, w: F.bilinear(x.view(2, 6), x.view(2, 6), w), (5, 6, 6), 2 * 5 * 6 * 6, 2 * 6 * 6),
    "its input": (lambda x, w: F.bilinear(w, x, torch.ones(5, 6, 12)), (1, 6), 5 * 6 * 12, 5 * 6 * 12),
    "no weights": (lambda x, w: F.bilinear(x, x, torch.ones(5, 12, 12)) + w[0] @ w[1], (2, 3), 5 * 12 * 12 + 3, 3),
    "convolution": (lambda x, w: F.conv2d(x.view(1, 3, 2, 2), w), (5, 3, 2, 2), 60, 12),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_kind_of_product_counts(name):
    function, shape, macs, vanish = PRODUCTS[name]
    model = Applied(function, *shape)
    assert saved(model, 0) == (macs, vanish)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 2, 2))
    assert counter.get_total_flops() // 2 in (0, macs)  # 0: it does not know the operation


def test_what_a_product_gives_is_no_weight():
    model = Applied(lambda x, w: x[:, :5] @ F.bilinear(w, w, torch.ones(5, 12, 12)).T, 1, 12)
    assert saved(model, 0) == (5 * 12 * 12 + 5, 5 * 12 * 12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_vanishes_does_not_depend_on_the_default_type(dtype):
    model = Applied(lambda x, w: x @ (w - w.mean(1, keepdim=True)).T, 64, 12)
    usual = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        assert saved(model, slice(None), 0) == (768, 0)
    finally:
        torch.set_default_dtype(usual)


def test_views_of_part_of_a_storage_or_of_an_element_often():
    every_second = Applied(lambda x, w: x[0, :6] @ w[::2], 12)
    assert [saved(every_second, index) for index in range(2)] == [(6, 1), (6, 0)]
    the_same = Applied(lambda x, w: x[0] @ w[:1].expand(12), 12)
    assert [saved(the_same, index) for index in range(2)] == [(12, 12), (12, 0)]
    beginning = Applied(lambda x, w: x[:, :5] @ w[:, :5].T, 1, 12)
    assert [saved(beginning, 0, column) for column in (4, 5)] == [(5, 1), (5, 0)]
    both_sides = Applied(lambda x, w: w @ w, 2, 3, 3)
    assert saved(both_sides, 0, slice(2), 0) == (2 * 27, 27 - (1 * 2 + 3 * 2 + 3 * 3))
    overlapping = Applied(lambda x, w: x[:, :4] @ w.as_strided((4, 3), (1, 1)), 6)
    assert [saved(overlapping, index)[1] for index in range(6)] == [1, 2, 3, 3, 2, 1]


def test_zeros_that_stand_without_a_mask_do_not_vanish_with_it():
    padded = Applied(lambda x, w: x @ F.pad(w, (1, 2)), 12, 2)
    assert saved(padded, 0) == (60, 2)
    triangle = Applied(lambda x, w: x[:, :4] @ w.tril(), 4, 4)
    assert saved(triangle, 1) == (16, 2)


def test_a_weight_that_is_written_into_counts_as_what_it_was_and_as_what_it_is():
    def function(x, w):
        copied = w * 2
        before = x @ copied.T
        copied += w.mean(1, keepdim=True)
        between = x @ copied.T
        copied[:, 6:].zero_()
        copied[:, :3] = w[:, 3:6]
        return before + between + x @ copied.T

    model = Applied(function, 5, 12)
    assert saved(model, 0, 0) == (3 * 60, 1)  # gone at first, then the mean stands there, then another
    assert saved(model, 0, 3) == (3 * 60, 2)  # in the end its copy is gone too
    assert saved(model, 0, 7) == (3 * 60, 1)  # the zero of the end is no mask's
    assert saved(model, 0) == (3 * 60, 12 + 12 + 6)


def test_complex_numbers_and_bits_of_a_weight():
    model = Applied(lambda x, w: torch.fft.rfft(x) @ torch.view_as_complex(w), 7, 5, 2)
    assert saved(model, 0) == (35, 5)
    assert saved(model, 0, 0, 0) == (35, 0)  # the imaginary part stands
    model = Applied(lambda x, w: x @ torch.view_as_real(torch.view_as_complex(w) * 1j).flatten(1), 12, 2, 2)
    assert saved(model, 0, 0, 0) == saved(model, 0, 0, 1) == (48, 1)
    bits = Applied(lambda x, w: x @ (w.view(torch.int32) & -1).view(torch.float32), 12, 5)
    assert saved(bits, 0) == (60, 5)
    centred = Applied(lambda x, w: torch.fft.rfft(x) @ (w := torch.view_as_complex(w)) - w.mean(), 7, 5, 2)
    assert saved(centred, 0) == (35, 5)


def test_a_weight_whose_products_cannot_be_told_is_an_error():
    model = Applied(lambda x, w: x @ w[(100 * w[:, 0]).long()], 12, 5)
    assert saved(model, slice(0)) == (60, 0)
    with pytest.raises(ValueError, match="cannot be told .* from weight does not run on its own; leave it out of the"):
        saved(model, 0)  # it has no row of such a number


def test_types_and_devices_that_a_model_names_have_no_part_in_what_vanishes():
    def function(x, w):
        centred = w.to(w.device, torch.bfloat16) - w.bfloat16().mean(1, keepdim=True, dtype=torch.bfloat16)
        centred = centred + torch.zeros_like(w, device=w.device, dtype=torch.float16)
        return x @ centred.to(x).T

    assert saved(Applied(function, 64, 12), slice(None), 0) == (768, 0)


def test_tensors_aside_that_are_written_into_or_sent_to_the_images_device():
    class Sent(Applied):
        def __init__(self):
            super().__init__(None, 12, 5)
            self.list, self.scratch = [self.weight], torch.empty(1, 12)

        def forward(self, images):
            doubled = torch.mul(images.flatten(1), 2, out=self.scratch)
            return doubled @ self.list[0].to(images.device, copy=True)

    assert saved(Sent(), 0) == (60, 5)


def test_positions_of_a_weight_whose_elements_differ_are_their_mean():
    class Corner(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            x = x.flatten(1)[:, :4]
            return x @ self.w.T + (x[:, :2] @ self.w[:2, :2].T).sum(1, keepdim=True)

    macs, positions = macs_and_positions(Corner(), (1, 2, 2))
    assert macs == 16 + 4
    assert positions == {"w": 20 / 16}
