"""Moments that weights tell: against formulas, and against images."""

import copy

import pytest
import timm
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.anatomy.parts import HEADS, HIDDEN, Part
from swinprune_lite.calibration.propagated import TOGETHER, part_moments, propagated_moments
from swinprune_lite.calibration.statistics import input_moments

BLOCK = "layers.2.blocks.1"
MLP, ATTENTION = Part(f"{BLOCK}.mlp", HIDDEN, 128, 1), Part(f"{BLOCK}.attn", HEADS, 4, 8)


class Square(nn.Module):
    def forward(self, x):
        return x * x


@pytest.fixture
def micro():
    """Untrained, with norms that do something."""
    torch.manual_seed(0)
    model = sp.create_lite("swin_lite_micro").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def written(model):
    """Mean, covariance and standard deviation of fc1's outputs, if its inputs have LayerNorm's moments."""
    block = model.get_submodule(BLOCK)
    weight, bias = block.mlp.fc1.weight.detach().double(), block.mlp.fc1.bias.detach().double()
    gamma, beta = block.norm2.weight.detach().double(), block.norm2.bias.detach().double()
    covariance = weight @ gamma.square().diag() @ weight.T
    return weight @ beta + bias, covariance, covariance.diagonal().sqrt()


def test_linear_and_quadratic_activations_are_exact(micro):
    mean, covariance, deviation = written(micro)
    micro.get_submodule(MLP.path).act = nn.Identity()
    found = part_moments(micro, MLP)[1]
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.covariance, covariance)
    micro.get_submodule(MLP.path).act = Square()
    found = part_moments(micro, MLP)[1]
    torch.testing.assert_close(found.mean, mean**2 + deviation**2)
    torch.testing.assert_close(found.covariance, 2 * covariance**2 + 4 * torch.outer(mean, mean) * covariance)


def test_gelu_has_its_known_mean_and_a_sampled_covariance(micro):
    mean, covariance, deviation = written(micro)
    found = part_moments(micro, MLP)[1]
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    spread = (1 + deviation**2).sqrt()
    density = normal.log_prob(mean / spread).exp()
    torch.testing.assert_close(found.mean, mean * normal.cdf(mean / spread) + deviation**2 * density / spread)
    drawn = torch.randn(20_000, len(mean), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lower = torch.linalg.cholesky(covariance + 1e-9 * covariance.diagonal().mean() * torch.eye(len(mean)))
    sampled = torch.cov(nn.functional.gelu(mean + drawn @ lower.T).T)
    torch.testing.assert_close(found.covariance.diagonal(), sampled.diagonal(), rtol=0.08, atol=1e-3)
    assert (found.covariance - sampled).norm() < 0.05 * sampled.norm()


def test_heads_keep_vs_moments_and_vary_together_less(micro):
    attention, norm = micro.get_submodule(ATTENTION.path), micro.get_submodule(f"{BLOCK}.norm1")
    value, bias = (each.detach().double()[64:] for each in (attention.qkv.weight, attention.qkv.bias))
    covariance = value @ norm.weight.detach().double().square().diag() @ value.T
    reads, found = part_moments(micro, ATTENTION)
    torch.testing.assert_close(found.mean, value @ norm.bias.detach().double() + bias)
    torch.testing.assert_close(found.covariance[8:16, 8:16], covariance[8:16, 8:16])
    torch.testing.assert_close(found.covariance[8:16, 24:], TOGETHER * covariance[8:16, 24:])
    torch.testing.assert_close(reads.mean, norm.bias.detach().double())
    torch.testing.assert_close(reads.covariance, norm.weight.detach().double().square().diag())


def test_what_fc2_reads_is_told_on_a_trained_model():
    model = sp.load_lite("swin_lite_tiny")
    measured, found = input_moments(model, [next(iter(sp.lite_data("smoke", 20)))]), propagated_moments(model)
    assert set(found) == set(measured)
    names = [name for name in found if "fc2" in name]
    for told in (lambda moments: moments.mean, lambda moments: moments.covariance.diagonal()):
        alike = [torch.corrcoef(torch.stack([told(each[name]) for each in (found, measured)]))[0, 1] for name in names]
        assert sum(alike) / len(alike) > 0.6


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "vit_small_patch16_224"])
def test_vision_transformers_too(name):
    model = timm.create_model(name, depth=1, embed_dim=24, num_heads=2)
    found = propagated_moments(model)
    assert set(found) == set(sp.prunable(model))
    assert all(torch.isfinite(moments.second).all() and not moments.positions for moments in found.values())
    half = propagated_moments(copy.deepcopy(model).half())
    for each, moments in found.items():
        torch.testing.assert_close(half[each].covariance, moments.covariance, rtol=0.02, atol=1e-3)


def test_refuses_blocks_that_do_not_normalise_what_they_read(micro):
    model = timm.create_model("swinv2_tiny_window8_256", img_size=64, embed_dim=16, depths=(1, 1), num_heads=(1, 2))
    with pytest.raises(ValueError, match=r"layers\.0\.blocks\.0 is a SwinTransformerV2Block, which has no LayerNorm"):
        propagated_moments(model)
    with pytest.raises(ValueError, match="ResNet has no hidden units or heads that can leave"):
        propagated_moments(timm.create_model("resnet10t"))
    micro.get_submodule(BLOCK).norm1 = nn.Identity()
    with pytest.raises(ValueError, match=rf"^{BLOCK} is a SwinTransformerBlock, which has no LayerNorm"):
        propagated_moments(micro)
