"""Types and devices are asked for: half and mixed precision, the meta device, another default device."""

import copy

import pytest
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import block_masks, structured_masks, two_four_masks
from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.pruning.criteria import magnitude
from swinprune_lite.pruning.selection import select

MAKERS = {
    **{method: lambda model, method=method: sp.make_masks(model, 0.4, method) for method in sp.METHODS},
    "structured": lambda model: structured_masks(model, 0.3),
    "2:4": two_four_masks,
    "blocks": lambda model: block_masks(model, 0.3),
}


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_tiny")


def equal(masks, others):
    return masks.keys() == others.keys() and all(torch.equal(mask, others[name]) for name, mask in masks.items())


@pytest.mark.parametrize("maker", MAKERS)
def test_masks_of_mixed_precision_are_those_of_the_same_numbers_in_double(lite, maker):
    mixed = copy.deepcopy(lite).bfloat16()
    mixed.patch_embed.float()  # the first parameter tells nothing of the others
    mixed.layers[1].half()
    mixed.layers[2].double()
    assert equal(MAKERS[maker](mixed), MAKERS[maker](copy.deepcopy(mixed).double()))


@pytest.mark.parametrize("maker", MAKERS)
def test_masks_do_not_depend_on_the_default_device(lite, maker):
    expected = MAKERS[maker](lite)
    with torch.device("meta"):
        assert equal(MAKERS[maker](lite), expected)


@pytest.mark.parametrize("maker", MAKERS)
def test_weights_that_hold_no_numbers_to_rank_are_refused_by_name(lite, maker):
    with pytest.raises(ValueError, match=r"^layers\.0\.\S+\.weight is on the meta device, which holds no numbers"):
        MAKERS[maker](copy.deepcopy(lite).to("meta"))
    quantised = copy.deepcopy(lite)
    layer = quantised.layers[2].blocks[0].mlp.fc1
    layer.weight = nn.Parameter(torch.ones(layer.weight.shape, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"^layers\.2\.blocks\.0\.mlp\.fc1\.weight must be a non-empty floating"):
        MAKERS[maker](quantised)


def test_numbers_of_eight_bits_are_ranked_as_what_they_are():
    weight = torch.randn(16, 16).to(torch.float8_e4m3fn)
    assert torch.equal(sp.importance(weight), sp.importance(weight.double()))
    layers = {"a": weight, "b": torch.randn(8, 8).half()}
    wide = {name: each.double() for name, each in layers.items()}
    assert equal(select(layers, 100, magnitude), select(wide, 100, magnitude))
    with pytest.raises(ValueError, match="weight is on the meta device"):
        sp.importance(weight.to("meta"))


def test_a_compact_model_keeps_every_tensors_type(lite, tmp_path):
    mixed = copy.deepcopy(lite).bfloat16()
    for module in mixed.modules():
        if isinstance(module, nn.LayerNorm):
            module.float()
    expected = {name: tensor.dtype for name, tensor in mixed.state_dict().items()}
    masks = structured_masks(mixed, 0.3)
    with torch.device("meta"):
        small = sp.compact(mixed, masks)
        sp.save_compact(small, tmp_path / "small.safetensors", "swin_lite_tiny")
        loaded = sp.load_compact(tmp_path / "small.safetensors")
    for model in (small, loaded):
        assert {name: tensor.dtype for name, tensor in model.state_dict().items()} == expected
    images = noise(loaded, 2)
    with torch.inference_mode():
        assert torch.equal(loaded(images), small(images))
    with pytest.raises(ValueError, match=r"patch_embed\.proj\.weight is on the meta device"):
        sp.save_compact(copy.deepcopy(lite).to("meta"), tmp_path / "meta.safetensors", "swin_lite_tiny")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_compact_models_are_saved_in_their_own_precision_whatever_the_default_device(lite, dtype, tmp_path):
    model = copy.deepcopy(lite).to(dtype)
    small = sp.compact(model, structured_masks(model, 0.3))
    with torch.device("meta"):
        sp.save_compact(small, tmp_path / "small.safetensors", "swin_lite_tiny")
        loaded = sp.load_compact(tmp_path / "small.safetensors")
    for name, tensor in small.state_dict().items():
        assert tensor.dtype == loaded.state_dict()[name].dtype
        assert torch.equal(tensor, loaded.state_dict()[name])
