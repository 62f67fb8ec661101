"""2:4 and block masks; the file of pruned weights; ONNX files."""

import json
import math
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import onnxruntime
import pytest
import timm
import torch
from damage import silent
from hypothesis import given, settings
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import (
    block_masks,
    compact,
    information_bound,
    load_pruned,
    save_pruned,
    storage,
    structured_masks,
    two_four_masks,
)
from swinprune_lite.acceleration.onnx_export import export_onnx
from swinprune_lite.files import content_digest
from swinprune_lite.pruning.groupings import by_module


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
    for block in ((0, 16), (16, -1), (16,), (16.0, 16), (True, 16), 16, "ab"):
        with pytest.raises(ValueError, match=r"block must be \(rows, columns\), two whole numbers, 1 or more; got "):
            block_masks(model, 0.5, block)
    assert block_masks(model, 0.5, [np.int64(16), 16])
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


class Two(nn.Module):
    """Two prunable layers of one module."""

    def __init__(self, first, second):
        super().__init__()
        self.blocks = nn.ModuleList([Layer(first), Layer(second)])


@pytest.mark.parametrize("scale", [1, 1e-170, 1e170])
def test_a_layer_of_zeros_is_distorted_least(scale):
    """Its share of the energy is 0 / 0, and nothing is lost with it; and squares stay in the range of float64."""
    first, second = torch.zeros(4, 8, dtype=torch.float64), scale * torch.randn(4, 8, dtype=torch.float64)
    for model, zeros in ((Two(first, second), 0), (Two(second, first), 1)):
        masks = list(two_four_masks(model, 0.25).values())
        assert (int((~masks[zeros]).sum()), int((~masks[1 - zeros]).sum())) == (16, 0)
        blocks = list(block_masks(model, 0.5, (2, 4)).values())
        assert not blocks[zeros].any()
        assert blocks[1 - zeros].all()


def test_patterns_of_a_network_of_zeros_remove_what_they_should():
    model = Two(torch.zeros(4, 8), torch.zeros(4, 8))
    assert sum(int((~mask).sum()) for mask in two_four_masks(model, 0.5).values()) == 32
    assert sum(int((~mask).sum()) for mask in block_masks(model, 0.5, (2, 4)).values()) == 32


class Held(Layer):
    """A prunable layer, and buffers of other types."""

    def __init__(self):
        super().__init__(torch.randn(12, 20))
        self.bias = nn.Parameter(torch.randn(12))
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("seen", torch.tensor([True, False]))
        self.register_buffer("phase", torch.tensor([1 + 2j]))


WEIGHT = "attn.qkv.weight"


@pytest.fixture
def held(tmp_path):
    """A small file, and what it holds."""
    path = tmp_path / "pruned.safetensors"
    save_pruned(Held(), path, {WEIGHT: torch.rand(12, 20) > 0.5}, "float32")
    return path, *load_pruned(path)


def equal(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def test_buffers_of_other_types_come_back_as_they_are(held):
    _, state, masks = held
    assert (state["steps"].item(), state["seen"].tolist(), state["phase"].item()) == (7, [True, False], 1 + 2j)
    assert (state["steps"].shape, state["steps"].dtype) == ((), torch.int64)
    assert list(masks) == [WEIGHT]


def test_no_damage_is_believed(held):
    path, state, masks = held

    def same(found):
        return equal(found[0], state) and equal(found[1], masks)

    assert silent(path, lambda: load_pruned(path), same, 300) == []


def rewrite(path, change, signed):
    """Change a file's content, with its digest or, as in earlier files, without one."""
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = json.loads(metadata["tensors"])
    change(metadata, tensors, header)
    if metadata.get("tensors"):
        metadata["tensors"] = metadata["tensors"] if header is None else json.dumps(header)
    metadata.pop("sha256")
    if signed:
        metadata["sha256"] = content_digest(metadata, storage._KEYS, tensors)
    save_file(tensors, path, metadata)


def described(name=WEIGHT, **changes):
    return lambda _, tensors, header: header[name].update(changes)


def stream(name, content):
    return lambda _, tensors, header: tensors.update({name: content})


CHANGES = {
    "a shape": (described(shape=[12, 21]), "attn.qkv.weight"),
    "a smaller shape": (described(shape=[11, 20]), "marks more weights than its shape|bytes, by its shape"),
    "a huge shape": (described(shape=[10**30]), "more numbers than any machine holds"),
    "a large shape": (described("bias", shape=[10**12]), "must hold 1000000000000 bytes"),
    "a negative shape": (described("bias", shape=[-12, -1]), "must have a shape of whole numbers"),
    "a shape of text": (described(shape="12"), "must have a shape of whole numbers"),
    "a fraction": (described("bias", shape=[12.0]), "must have a shape of whole numbers"),
    "no shape": (lambda *parts: parts[2][WEIGHT].pop("shape"), "must have a shape of whole numbers"),
    "an unknown type": (described(dtype="float17"), "is of type 'float17'; known are float16"),
    "no type": (described(dtype=None), "is of type None"),
    "a name of torch's": (described(dtype="nn"), "is of type 'nn'"),
    "a wider type": (described(dtype="float64"), "it has no stream of bytes attn.qkv.weight.4"),
    "a narrower type": (described(dtype="float16"), "it holds also attn.qkv.weight.2"),
    "no dictionary": (lambda *parts: parts[2].update({WEIGHT: 3}), "must have a shape of whole numbers"),
    "a tensor more": (lambda *parts: parts[2].update(more={"shape": [1], "dtype": "bool"}), "no stream .* more.0"),
    "a tensor less": (lambda *parts: parts[2].pop("bias"), "it holds also bias.0"),
    "no mask": (lambda *parts: parts[1].pop(f"{WEIGHT}.mask"), "must hold 240 bytes|do not list its tensors"),
    "a plane less": (lambda *parts: parts[1].pop(f"{WEIGHT}.3"), "no stream of bytes attn.qkv.weight.3"),
    "a mask of another length": (stream(f"{WEIGHT}.mask", torch.ones(3, dtype=torch.uint8)), "must hold 30 bytes"),
    "another type of stream": (stream("bias.0", torch.ones(12)), "no stream of bytes bias.0"),
    "another shape of stream": (stream("bias.0", torch.ones(3, 4, dtype=torch.uint8)), "no stream of bytes bias.0"),
    "not a truth": (stream("seen.0", torch.tensor([7, 0], dtype=torch.uint8)), "neither true nor false"),
    "NaN": (stream("bias.3", torch.full((12,), 255, dtype=torch.uint8)), "bias holds NaN or infinity"),
    "no JSON": (lambda *parts: parts[0].update(uncoded="["), "it is no JSON"),
    "no list": (lambda *parts: parts[0].update(uncoded="3"), "do not list its tensors"),
    "unknown streams": (lambda *parts: parts[0].update(uncoded='["none"]'), "do not list its tensors"),
    "coded streams that are none": (lambda *parts: parts[0].update(uncoded="[]"), "cannot be decoded"),
    "a key less": (lambda *parts: parts[0].pop("uncoded"), "its metadata must have the keys"),
    "a key more": (lambda *parts: parts[0].update(sha255="0"), "its metadata must have the keys"),
    "another format": (lambda *parts: parts[0].update(format="version 2"), "its metadata lack the format"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*has no digest")
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("case", CHANGES)
def test_what_does_not_agree_gets_one_sentence(held, case, signed):
    path, (change, said) = held[0], CHANGES[case]
    rewrite(path, change, signed)
    with pytest.raises(ValueError, match=said) as caught:
        load_pruned(path)
    assert str(caught.value).startswith(f"{path} does not hold pruned weights (")
    assert str(caught.value).endswith("; save them anew with save_pruned.")
    assert "\n" not in str(caught.value)


def test_a_header_that_was_edited_alone_is_not_believed(held):
    path = held[0]
    path.write_bytes(path.read_bytes().replace(rb'"shape\": [12, 20]', rb'"shape\": [20, 12]'))
    with pytest.raises(ValueError, match="altered after it was saved: its content does not match its own SHA-256"):
        load_pruned(path)


def test_a_file_from_before_there_were_digests_is_read_and_said_to_have_none(held):
    path, state, masks = held
    rewrite(path, lambda *_: None, signed=False)
    with pytest.warns(UserWarning, match="has no digest, so an altered value would not be noticed; save it anew"):
        found = load_pruned(path)
    assert equal(found[0], state)
    assert equal(found[1], masks)


def test_a_small_file_takes_no_more_memory_than_its_header_says(held):
    """A coded stream that would grow a thousandfold is not decoded to its end."""
    path = held[0]
    bomb = torch.from_numpy(np.frombuffer(storage._shorter(np.zeros(10**6, np.uint8))[0], np.uint8).copy())
    rewrite(path, lambda metadata, tensors, _: (tensors.update({"bias.0": bomb}), metadata.update(uncoded="[]")), True)
    with pytest.raises(ValueError, match="does not hold pruned weights"):
        load_pruned(path)
    coded = storage._Streams({"bias.0": bomb}, set())
    with pytest.raises(ValueError, match="must hold 12 bytes"):
        coded.take("bias.0", 12)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"attn\.qkv\.weight holds a value .* it holds NaN or infinity"):
            save_pruned(Layer(torch.full((2, 4), value)), tmp_path / "pruned.safetensors", {}, "float32")
    assert list(tmp_path.iterdir()) == []


def test_the_information_bound_of_nothing_and_of_what_is_no_mask():
    assert information_bound({}) == 0
    assert information_bound({"a": torch.zeros(8, dtype=torch.bool)}) == 0
    assert information_bound({"a": torch.zeros(0, dtype=torch.bool)}, others=1) == 2
    with pytest.raises(ValueError, match="mask of a must be a bool tensor; got torch.float32"):
        information_bound({"a": torch.ones(8)})
    with pytest.raises(ValueError, match="others must be 0 or more and bits 1 or more; got -1 and 16"):
        information_bound({}, others=-1)


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
    assert list(tmp_path.iterdir()) == []


def test_logits_that_cannot_be_compared_are_not_exported(tmp_path):
    model = sp.load_lite("swin_lite_tiny")
    torch.nn.init.zeros_(model.head.fc.weight)
    for bias in (0.0, 1.0):
        torch.nn.init.constant_(model.head.fc.bias, bias)
        with pytest.raises(ValueError, match="are the same for two different images"):
            export_onnx(model, tmp_path / "model.onnx")
    torch.nn.init.constant_(model.head.fc.bias, float("nan"))
    with pytest.raises(ValueError, match="are not finite for an image of noise"):
        export_onnx(model, tmp_path / "model.onnx")
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
