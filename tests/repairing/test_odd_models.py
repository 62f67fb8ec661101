"""`sp.repair` on odd models, masks and moments: repaired, or refused in one sentence and left as they were."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

import swinprune_lite as sp
from swinprune_lite.calibration.statistics import gradients, input_moments
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.repairing.apply import repair
from swinprune_lite.types import InputMoments

SIZE, HEADS, CLASSES = 8, 2, 3
FC1, QKV, HEAD = "mlp.fc1.weight", "attn.qkv.weight", "head.weight"


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.num_heads = HEADS
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, tokens):
        q, k, v = self.qkv(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width, bias=False)

    def forward(self, tokens):
        return self.fc2(nn.functional.gelu(self.fc1(tokens)))


class Net(nn.Module):
    """A user's own, of one block, on images of 8 x 8 pixels."""

    def __init__(self, width=8):
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, SIZE, SIZE), "first_conv": "embed"}
        self.embed = nn.Conv2d(3, width, 2, 2)
        self.mix = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.attn, self.mlp, self.head = Attention(width), Mlp(width), nn.Linear(width, CLASSES)

    def forward(self, images):
        tokens = self.mix(self.embed(images)).flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(tokens)
        return self.head((tokens + self.mlp(tokens)).mean(1))


@pytest.fixture
def net():
    return Net().eval()


@pytest.fixture
def masks(net):
    return sp.make_masks(net, 0.5)


def mask_of(model, name):
    return torch.arange(model.get_parameter(name).numel()).view(model.get_parameter(name).shape) % 3 > 0


def test_the_callers_generators_modes_and_masks_are_left(net, masks):
    net.train().mlp.eval()
    modes = [module.training for module in net.modules()]
    kept = {name: mask.clone() for name, mask in masks.items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    frozen = net.requires_grad_(False)
    sp.repair(frozen, masks)
    assert [module.training for module in net.modules()] == modes
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert (random.getstate(), np.random.get_state()[2]) == (states[1], states[2][2])
    assert all(torch.equal(mask, kept[name]) for name, mask in masks.items())


def test_what_is_drawn_depends_on_the_seed_alone(net, masks):
    first, again, other = (copy.deepcopy(net) for _ in range(3))
    for model, seed in ((first, 3), (again, 3), (other, 4)):
        sp.repair(model, masks, seed=seed)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.get_parameter(FC1), other.get_parameter(FC1))
    for seed in (-1, None, 1.5, True, "0"):
        with pytest.raises(ValueError, match=rf"^seed must be a whole number, 0 or more; got {seed!r}\.$"):
            sp.repair(net, masks, drawn=0, seed=seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rule_may_write_into_what_it_is_given(net, masks, dtype):
    net, moments = net.to(dtype), input_moments(net, [(torch.randn(4, 3, SIZE, SIZE), torch.zeros(4).long())])
    before = copy.deepcopy(net.state_dict())
    seen = []

    def scribble(layer):
        seen.append(layer)
        found = layer.weight * 3
        layer.weight.zero_()
        layer.mask.fill_(True)
        return found

    def fail(layer):
        scribble(layer)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        sp.repair(net, masks, fail)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    sp.repair(net, masks, scribble, moments)
    for name, mask in masks.items():
        torch.testing.assert_close(net.get_parameter(name), 3 * before[name] * mask)
    mean = moments[FC1].mean.to(dtype)
    expected = before["mlp.fc1.bias"] + (before[FC1] - net.get_parameter(FC1)) @ mean
    torch.testing.assert_close(net.mlp.fc1.bias, expected)
    weights = [layer.weight for layer in seen]
    assert not any(weight.any() for weight in weights)  # nor are they the model's


WRAPPED = {
    "compiled": (lambda net: torch.compile(net, backend="eager"), "_orig_mod."),
    "on several devices": (nn.DataParallel, "module."),
    "averaged": (AveragedModel, "module."),
    "both": (lambda net: nn.DataParallel(torch.compile(net, backend="eager")), "module._orig_mod."),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_wrapped_model_is_repaired_as_the_plain_one(net, masks, how):
    wrap, prefix = WRAPPED[how]
    wrapped = wrap(copy.deepcopy(net))
    given = {f"{prefix}{name}": mask for name, mask in masks.items()}
    sp.apply_masks(wrapped, given)
    sp.repair(wrapped, given, drawn=8)
    sp.repair(net, masks, drawn=8)
    for name, parameter in net.named_parameters():
        assert torch.equal(wrapped.get_parameter(f"{prefix}{name}"), parameter)


def test_another_default_device_is_no_matter(net, masks):
    other = copy.deepcopy(net)
    sp.repair(net, masks, drawn=4)
    with torch.device("meta"):
        sp.repair(other, masks, drawn=4)
        assert all(each.mean.device.type == "cpu" for each in moments_of(other).values())
        assert all(each.mean.device.type == "cpu" for each in gradients(other, one_batch()).values())
    torch.testing.assert_close(other.state_dict(), net.state_dict(), rtol=0, atol=0)


def one_batch(shape=(2, 3, SIZE, SIZE)):
    generator = torch.Generator("cpu").manual_seed(0)
    return [(torch.randn(shape, generator=generator, device="cpu"), torch.zeros(shape[0], device="cpu").long())]


def moments_of(model, **changes):
    found = input_moments(model, one_batch())
    return {
        name: InputMoments(*(changes.get(part, lambda x: x)(getattr(each, part)) for part in ("mean", "second")), 1)
        for name, each in found.items()
    }


@pytest.mark.parametrize("name", [HEAD, "embed.weight"])
def test_other_layers_are_repaired_too(net, name):
    dense, mask = copy.deepcopy(net), mask_of(net, name)
    before = net.get_parameter(name).detach().clone()
    sp.repair(net, {name: mask}, "variances", drawn=4)
    ratio = net.get_parameter(name).detach()[mask] / before[mask]
    assert (ratio > 1).all()  # by what images that are drawn tell of its inputs:
    assert not net.get_parameter(name)[~mask].any()
    changed = {name} if name == HEAD else {name, HEAD, "head.bias"}
    for other, parameter in net.named_parameters():
        assert torch.equal(parameter, dense.get_parameter(other)) == (other not in changed)


@pytest.mark.parametrize("name", ["head.bias", "mix.weight"])
@pytest.mark.parametrize("asked", [{}, {"drawn": 0}, {"rule": "rows"}])
def test_what_is_no_layers_weight_is_refused(net, name, asked):
    before = copy.deepcopy(net.state_dict())
    masks = {QKV: mask_of(net, QKV), name: mask_of(net, name)}
    with pytest.raises(ValueError, match=rf"^{name} is no weight of a linear layer or .* one group.*by apply_masks\.$"):
        sp.repair(net, masks, **asked)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert held_masks(net) == {}
    masks[name][:] = True  # takes nothing
    sp.repair(net, masks, **asked)


def test_a_head_whose_weight_is_computed_stays(net, masks):
    parametrizations.weight_norm(net.head)
    before = copy.deepcopy(net.head.state_dict())
    sp.repair(net, masks, drawn=4)
    torch.testing.assert_close(net.head.state_dict(), before, rtol=0, atol=0)


class Tied(Net):
    def __init__(self):
        super().__init__()
        self.head.bias, self.second = None, Mlp(8)
        self.second.fc1.weight = self.mlp.fc1.weight

    def forward(self, images):
        return self.head(self.second(self.mlp(self.embed(images).flatten(2).transpose(1, 2))).mean(1))


def test_tied_weights_and_a_head_without_a_bias():
    net = Tied()
    masks = {name: mask_of(net, name) for name in (FC1, "mlp.fc2.weight", "second.fc2.weight")}
    before = net.head.weight.detach().clone()
    sp.repair(net, masks, drawn=4)
    assert net.second.fc1.weight is net.mlp.fc1.weight
    assert not net.second.fc1.weight[~masks[FC1]].any()
    assert not torch.equal(net.head.weight, before)


def broken(name, value):
    def change(net):
        net.get_parameter(name).data.view(-1)[0] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken("embed.bias", float("nan")), r"embed\.bias holds NaN or infinity; prune a checkpoint"),
        (broken("head.weight", float("inf")), r"head\.weight holds NaN or infinity; prune a checkpoint"),
        (lambda net: setattr(net, "extra", nn.LazyLinear(2)), r"extra\.weight has no shape yet; run the model on one"),
        (lambda net: setattr(net, "extra", nn.Linear(2, 2, device="meta")), r"extra\.weight is on the meta device"),
        (lambda net: setattr(net, "mlp", nn.Identity()), r"no parameter 'mlp\.fc1\.weight'"),
        (lambda net: setattr(net.attn, "forward", {}.pop), r"Net does not run on drawn images \(KeyError.*\); give"),
        (lambda net: setattr(net.attn, "forward", lambda tokens: tokens), r"attn\.qkv\.weight was used by no linear m"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_repaired_is_left(net, masks, change, said):
    change(net)
    there = {name: each for name, each in net.named_parameters() if not (is_lazy(each) or each.is_meta)}
    before = {name: tensor.clone() for name, tensor in there.items()}
    with pytest.raises(ValueError, match=said) as refused:
        sp.repair(net, masks, drawn=2)
    assert "\n" not in str(refused.value)
    torch.testing.assert_close(there, before, rtol=0, atol=0, equal_nan=True)
    assert held_masks(net) == {}


def test_a_model_of_inference_tensors_is_repaired_within_inference_alone(masks):
    with torch.inference_mode():
        net = Net()
        before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"^attn\.qkv\.weight was made under torch\.inference_mode"):
        sp.repair(net, masks, drawn=2)
    assert held_masks(net) == {}
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with torch.inference_mode():
        sp.repair(net, masks, drawn=2)
    assert not net.get_parameter(FC1)[~masks[FC1]].any()


@pytest.mark.parametrize("rule", [None, ["refit"], "Refit", 3])
def test_what_is_no_rule_is_refused(net, masks, rule):
    with pytest.raises(ValueError, match=r"^Unknown rule .*; choose one of refit"):
        sp.repair(net, masks, rule)


def test_moments_may_be_of_any_floating_type(net, masks):
    single = copy.deepcopy(net)
    sp.repair(net, masks, moments=moments_of(net))
    sp.repair(single, masks, moments=moments_of(single, mean=torch.Tensor.float, second=torch.Tensor.float))
    torch.testing.assert_close(single.state_dict(), net.state_dict(), rtol=1e-4, atol=1e-5)


def test_moments_that_no_images_have_are_refused(net, masks):
    with pytest.raises(ValueError, match=rf"moments of {QKV} hold a negative mean of squares; gather them on this"):
        sp.repair(net, masks, moments=moments_of(net, second=torch.neg))


def test_a_bias_that_its_type_does_not_hold_is_refused(net, masks):
    half = net.half()
    before = copy.deepcopy(half.state_dict())
    huge = moments_of(half, mean=lambda mean: mean + 1e7, second=lambda second: second + 1e15)
    with pytest.raises(ValueError, match=r"bias after the repair holds NaN or infinity as float16; repair the model"):
        repair(half, masks, moments=huge)
    torch.testing.assert_close(half.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("gather", [input_moments, gradients])
@pytest.mark.parametrize("shape", [(2, 1, SIZE, SIZE), (2, SIZE, SIZE), (2, 3, 1, 1)])
def test_images_that_a_model_does_not_take_are_refused_in_its_words(net, gather, shape):
    with pytest.raises(
        ValueError, match=r"^Net does not run on images of shape \(\d.*\) \(.+\); give such as it takes"
    ):
        gather(net, one_batch(shape))
    with pytest.raises(ValueError, match="Class 3 is none of the model's"):
        gradients(net, [(torch.randn(1, 3, SIZE, SIZE), torch.tensor([3]))])
