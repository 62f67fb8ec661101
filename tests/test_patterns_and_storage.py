"""2:4 and block masks; the file of pruned weights; ONNX files."""

import copy
import math
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import onnxruntime
import pytest
import timm
import torch
from hypothesis import given, settings
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import (
    block_masks,
    compact,
    information_bound,
    load_pruned,
    save_pruned,
    structured_masks,
    two_four_masks,
)
from swinprune_lite.acceleration.onnx_export import export_onnx
from swinprune_lite.masks import by_module


@pytest.fixture(scope="module")
def model():
    return sp.load_lite("swin_lite_tiny")


@pytest.mark.parametrize("ratio", [0, 0.2, 0.5])
def test_two_of_four_go_in_the_least_distorted_layers(model, ratio):
    masks = two_four_masks(model, ratio)
    for names in by_module(model):
        distortion = {}
        for name in names:
            weight, mask = model.get_parameter(name).detach().double(), masks[name]
            fours = mask.unflatten(1, (-1, 4))
            assert mask.all() or (fours.sum(-1) == 2).all()
            smallest = weight.unflatten(1, (-1, 4)).abs().sort(-1).values[..., :2].square().sum()
            distortion[name] = (smallest / weight.square().sum()).item()
            if not mask.all():
                assert (weight * ~mask).square().sum().item() == pytest.approx(smallest.item())
        patterned = [name for name in names if not masks[name].all()]
        assert patterned == sorted(distortion, key=distortion.get)[: len(patterned)] or set(patterned) == set(
            sorted(distortion, key=distortion.get)[: len(patterned)]
        )
        sizes = {name: masks[name].numel() / 2 for name in patterned}
        total = sum(masks[name].numel() for name in names)
        assert sum(sizes.values()) >= ratio * total
        if patterned:  # without the last there would have been too few
            last = max(patterned, key=distortion.get)
            assert sum(sizes.values()) - sizes[last] < ratio * total


@pytest.mark.parametrize("block", [(16, 16), (32, 32), (8, 4)])
def test_blocks_go_by_equation_10_on_their_energy(model, block):
    masks = block_masks(model, 0.4, block)
    for names in by_module(model):
        scores, kept = [], []
        for name in names:
            weight = model.get_parameter(name).detach().double()
            blocks = weight.unflatten(1, (-1, block[1])).unflatten(0, (-1, block[0]))
            inside = masks[name].unflatten(1, (-1, block[1])).unflatten(0, (-1, block[0]))
            assert (inside.any(3).any(1) == inside.all(3).all(1)).all()
            scores.append(sp.importance(blocks.square().sum((1, 3)).sqrt()).flatten())
            kept.append(inside[:, 0, :, 0].flatten())
        scores, kept = torch.cat(scores), torch.cat(kept)
        assert (~kept).sum() == round(0.4 * len(kept))
        assert scores[~kept].max() <= scores[kept].min()


def test_patterns_refuse_bad_input(model):
    with pytest.raises(ValueError, match=r"ratio must be a number in \[0, 0.5\]"):
        two_four_masks(model, 0.6)
    with pytest.raises(ValueError, match=r"ratio must be a number in \[0, 1\)"):
        block_masks(model, 1.2)
    with pytest.raises(ValueError, match="has no blocks of 20 x 20"):
        block_masks(model, 0.5, (20, 20))
    with pytest.raises(ValueError, match="nothing to prune"):
        two_four_masks(nn.Linear(4, 4))


class Layer(nn.Module):
    """One prunable layer."""

    def __init__(self, weight):
        super().__init__()
        self.attn = nn.Module()
        self.attn.qkv = nn.Module()
        self.attn.qkv.weight = nn.Parameter(weight)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ratio=st.floats(0, 1),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_pruned_weights_round_trip_exactly(tmp_path_factory, shape, ratio, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, mask = torch.randn(shape, generator=generator), torch.rand(shape, generator=generator) >= ratio
    path = tmp_path_factory.mktemp("pruned") / "weights.safetensors"
    save_pruned(Layer(weight), path, {"attn.qkv.weight": mask}, dtype)
    state, masks = load_pruned(path)
    assert torch.equal(masks["attn.qkv.weight"], mask)
    assert torch.equal(state["attn.qkv.weight"], (weight * mask).to(getattr(torch, dtype)))


@pytest.mark.parametrize("ratio", [0.15, 0.55, 0.9])
def test_the_file_is_as_small_as_promised(tmp_path, ratio):
    base = sp.load_lite("swin_lite_base")
    masks = sp.make_masks(base, ratio)
    save_pruned(base, tmp_path / "pruned.safetensors", masks)
    state, _ = load_pruned(tmp_path / "pruned.safetensors")
    for name, tensor in base.state_dict().items():
        assert torch.equal(state[name].float(), tensor * masks.get(name, 1))
    size = (tmp_path / "pruned.safetensors").stat().st_size
    numbers = sum(parameter.numel() for parameter in base.parameters())
    masked = sum(mask.numel() for mask in masks.values())
    assert size < 1.05 * information_bound(masks, numbers - masked)
    if ratio == 0.55:
        assert size < numbers  # two bytes each would be dense float16


def test_the_information_bound():
    half = torch.tensor([True, False] * 500)
    assert information_bound({"a": half}) == pytest.approx((1000 + 16 * 500) / 8)
    assert information_bound({"a": half}, others=10, bits=32) == pytest.approx((1000 + 32 * 510) / 8)
    assert information_bound({"a": torch.ones(8, dtype=torch.bool)}) == 16
    p = 0.55
    many = torch.arange(1000) >= 550
    entropy = -p * math.log2(p) - (1 - p) * math.log2(1 - p)
    assert information_bound({"a": many}) == pytest.approx(1000 * (entropy + 16 * (1 - p)) / 8)


def test_storage_refuses_bad_input(tmp_path, model):
    path = tmp_path / "pruned.safetensors"
    with pytest.raises(ValueError, match="dtype must be one of float16"):
        save_pruned(model, path, dtype="int8")
    with pytest.raises(ValueError, match="not finite in float16"):
        save_pruned(Layer(torch.tensor([[1e6]])), path)
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_pruned(path)
    save_pruned(model, path)
    for damaged in (path.read_bytes()[:5000], b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="does not hold pruned weights"):
            load_pruned(path)


def test_an_onnx_file_runs_without_this_package(tmp_path, model):
    small = compact(model, structured_masks(model, 0.5))
    path = tmp_path / "small.onnx"
    export_onnx(small, path, batch=2)
    images = next(iter(sp.lite_data("smoke", 2)))[0]
    np.save(tmp_path / "images.npy", images.numpy())
    code = (
        "import sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession('small.onnx', providers=['CPUExecutionProvider'])\n"
        "numpy.save('logits.npy', session.run(None, {'images': numpy.load('images.npy')})[0])\n"
        "assert not {'torch', 'timm', 'swinprune_lite'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with torch.inference_mode():
        wanted = small(images).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), wanted, atol=1e-4)
    assert onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape == [
        2,
        1,
        32,
        64,
    ]


def test_export_refuses_bad_input(tmp_path, model):
    with pytest.raises(ValueError, match="got a batch of 0"):
        export_onnx(model, tmp_path / "model.onnx", batch=0)
    with pytest.raises(ValueError, match="Sequential does not say its input size; give input_size"):
        export_onnx(nn.Sequential(model), tmp_path / "model.onnx")
    mixed = copy.deepcopy(model)
    mixed.head.double()
    with pytest.raises(ValueError, match=r"got a batch of 1 and torch\.float32 on cpu, torch\.float64 on cpu"):
        export_onnx(mixed, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_patterns_take_kernels_as_matrices():
    model = timm.create_model("convnext_atto")  # whose MLPs are 1 x 1 convolutions
    for masks in (two_four_masks(model), block_masks(model, 0.5, (8, 8))):
        assert all(mask.shape == model.get_parameter(name).shape for name, mask in masks.items())
        cost = sp.cost(model, masks)
        assert cost.params - cost.nonzero_params == sum(int((~mask).sum()) for mask in masks.values())
        assert cost.nonzero_macs < cost.macs
    assert all((mask.flatten(1).unflatten(1, (-1, 4)).sum(-1) == 2).all() for mask in two_four_masks(model).values())
