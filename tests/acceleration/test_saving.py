"""What both savers take and refuse: tied weights, masked NaN, and what is no ordinary tensor."""

import copy

import pytest
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import compact, load_pruned, save_compact, save_pruned

LITE = "swin_lite_tiny"
FC1 = "layers.0.blocks.0.mlp.fc1.weight"


def tied(model, by):
    first, second = model.layers[0].blocks
    weight = first.mlp.fc1.weight
    second.mlp.fc1.weight = weight if by == "name" else nn.Parameter(weight.detach())
    return model


@pytest.mark.parametrize("by", ["name", "memory"])
def test_a_tied_weight_comes_back_pruned(tmp_path, by):
    model = tied(sp.create_lite(LITE), by)
    masks = {name: mask for name, mask in sp.make_masks(model, 0.5).items() if "blocks.1.mlp.fc1" not in name}
    save_pruned(model, tmp_path / "pruned", masks)
    state, found = load_pruned(tmp_path / "pruned")
    assert found.keys() == masks.keys()
    loaded = tied(sp.create_lite(LITE), by)
    loaded.load_state_dict(state)
    for name, mask in masks.items():
        expected = (model.get_parameter(name) * mask).half().float()
        assert torch.equal(loaded.get_parameter(name), expected)
    sp.apply_masks(loaded, found)
    assert all(torch.equal(tensor, state[name].float()) for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), -float("inf"), 1e30])
def test_a_masked_value_may_be_any(tmp_path, value):
    model = sp.create_lite(LITE)
    masks = sp.make_masks(model, 0.5)
    save_pruned(model, tmp_path / "expected", masks)
    with torch.no_grad():
        model.get_parameter(FC1)[~masks[FC1]] = value
    save_pruned(model, tmp_path / "found", masks)
    expected, found = (load_pruned(tmp_path / name)[0] for name in ("expected", "found"))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    with pytest.raises(ValueError, match=f"{FC1} holds a value that is not finite in float16"):
        save_pruned(model, tmp_path / "found", {})


class Extra(nn.Module):
    def get_extra_state(self):
        return {"seen": 3}


def replaced(change):
    def put(model):
        layer = model.layers[0].blocks[0].mlp.fc1
        layer.weight = nn.Parameter(change(layer.weight.detach()), requires_grad=False)
        return model

    return put


def packed(model):
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def with_module(module):
    return lambda model: model.add_module("more", module) or model


class Own(torch.Tensor):
    """A tensor of someone's own class."""


MODELS = {
    "meta": (lambda model: model.to("meta"), r"patch_embed\.proj\.weight is on the meta device"),
    "COO": (replaced(torch.Tensor.to_sparse), rf"{FC1} is a sparse tensor \(sparse_coo\), .*; call to_dense on it\."),
    "CSR": (replaced(torch.Tensor.to_sparse_csr), rf"{FC1} is a sparse tensor \(sparse_csr\)"),
    "quantised": (
        replaced(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
        rf"{FC1} is quantised \(torch\.qint8\), .*; dequantise it first\.",
    ),
    "packed": (packed, r"_packed_params\.dtype is no tensor but of type dtype, .*; save the model without it\."),
    "extra state": (with_module(Extra()), r"more\._extra_state is no tensor but of type dict"),
    "lazy": (with_module(nn.LazyLinear(3)), r"more\.weight has no shape yet"),
    "own": (replaced(lambda weight: weight.as_subclass(Own)), f"{FC1} is of Own, .* an ordinary torch.Tensor first"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of torch, on such tensors
@pytest.mark.parametrize("kind", MODELS)
def test_what_no_file_can_hold_is_named_and_nothing_is_written(tmp_path, kind):
    change, said = MODELS[kind]
    model = sp.create_lite(LITE)
    masks = sp.make_masks(model, 0.5)
    model = change(model)
    for save in (
        lambda path: save_pruned(model, path, masks),
        lambda path: save_pruned(model, path),
        lambda path: save_compact(model, path, LITE),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            save(tmp_path / "file")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_sparse_weights_and_masks_are_not_compacted_nor_saved(tmp_path):
    model = sp.create_lite(LITE)
    masks = sp.make_masks(model, 0.5)
    sparse = masks | {FC1: masks[FC1].to_sparse()}
    for call in (
        lambda: compact(model, sparse),
        lambda: save_pruned(model, tmp_path / "file", sparse),
        lambda: compact(MODELS["COO"][0](copy.deepcopy(model)), masks),
    ):
        with pytest.raises(ValueError, match=rf"(The mask of )?{FC1} is a sparse tensor"):
            call()
    assert list(tmp_path.iterdir()) == []
