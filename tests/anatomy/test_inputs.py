"""What images a model takes, as it says itself or as it is told."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.anatomy.inputs import image_shape, image_type, noise


def on_meta(name, **arguments):
    with torch.device("meta"):
        return timm.create_model(name, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("vit_small_r26_s32_224", {}, (3, 224, 224)),  # the embedding's projection is not the first layer
        ("xcit_nano_12_p16_224", {"in_chans": 6}, (6, 224, 224)),  # it is several layers
        ("vitamin_small_224", {}, (3, 224, 224)),  # it is none
        ("vit_tiny_patch16_224", {"img_size": 96, "in_chans": 1}, (1, 96, 96)),  # not what the pretrained one took
        ("vit_tiny_patch16_224", {"dynamic_img_size": True, "img_size": (64, 96)}, (3, 64, 96)),
        ("twins_svt_small", {"img_size": 64}, (3, 64, 64)),
        ("resnet10t", {"in_chans": 2}, (2, 176, 176)),
        ("tresnet_m", {}, (3, 224, 224)),  # 48 channels in its first convolution
        ("csatv2", {}, (3, 512, 512)),  # whose first layer is no convolution
        ("gemma4_vit_167m", {}, (3, 768, 768)),
    ],
)
def test_a_model_says_what_images_it_takes(name, arguments, shape):
    model = on_meta(name, **arguments)
    assert image_shape(model) == shape
    assert sp.cost(model, {}).macs == sp.cost(model, {}, shape).macs > 0


def test_what_a_model_does_not_say_must_be_given():
    inside = nn.Sequential(nn.Upsample(scale_factor=2), sp.create_lite("swin_lite_tiny"))
    with pytest.raises(ValueError, match="Sequential does not say its input size; give input_size"):
        image_shape(inside)
    assert image_shape(inside, (16, 32)) == (1, 16, 32)
    assert sp.cost(inside, {}, (16, 32)).macs == sp.cost(inside[1], {}).macs
    with pytest.raises(ValueError, match=r"how many channels its images have; give input_size as \(channels, height"):
        image_shape(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 2)
    with pytest.raises(ValueError, match="does not take an image of .*; give the input_size that it takes"):
        sp.cost(on_meta("tresnet_m", in_chans=1), {})


@pytest.mark.parametrize(
    "size", [[1, 32, 64], np.array([32, 64]), (np.int32(32), torch.tensor(64)), torch.Size([32, 64])]
)
def test_whole_numbers_of_any_kind_are_sizes(size):
    shape = image_shape(sp.create_lite("swin_lite_tiny"), size)
    assert shape == (1, 32, 64)
    assert {type(side) for side in shape} == {int}
    assert image_shape(sp.create_lite("swin_lite_tiny"), np.int64(1)) == (1, 1, 1)


@pytest.mark.parametrize(
    "size",
    [0, -1, True, 1.5, float("nan"), "224", (), (32,), (0, 64), (32, 0), (1, -32, 64), (True, 32, 64), (32, 64.0), {}],
)
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="input_size must be a side, .* whole numbers above zero; got"):
        image_shape(sp.create_lite("swin_lite_tiny"), size)


def test_images_have_the_type_of_the_first_layer_that_they_meet():
    model = timm.create_model("deit_tiny_patch16_224", depth=1)  # whose first parameter is the class token
    model.patch_embed.bfloat16()
    assert next(model.parameters()).dtype == torch.float32
    assert image_type(model) == (torch.device("cpu"), torch.bfloat16)
    images = noise(model, 2)
    assert images.dtype == torch.bfloat16
    assert images.shape == (2, 3, 224, 224)
    model.patch_embed.proj.weight = nn.Parameter(torch.ones(192, 3, 16, 16, dtype=torch.int8), requires_grad=False)
    assert image_type(model)[1] == torch.bfloat16  # its bias
    assert image_type(nn.Identity()) == (torch.device("cpu"), torch.float32)
    assert image_type(on_meta("resnet10t"))[0].type == "meta"


def test_noise_is_the_same_whatever_the_default_device():
    model = sp.create_lite("swin_lite_tiny")
    with torch.device("meta"):
        images = noise(model, 3)
    assert torch.equal(images, noise(model, 3))
    assert torch.equal(images, torch.randn(3, 1, 32, 64, generator=torch.Generator().manual_seed(0)))
    assert noise(model, 1, (2, 8, 8)).shape == (1, 2, 8, 8)


def test_evaluation_gives_a_mixed_model_images_of_its_first_layers_type():
    model = sp.load_lite("swin_lite_tiny")
    batches = list(sp.lite_data("smoke", 20))[:1]
    expected = sp.evaluate(model, batches)
    model.patch_embed.double()
    model.patch_embed.register_forward_hook(lambda module, inputs, tokens: tokens.float())
    assert sp.evaluate(model, batches) == expected
    with pytest.raises(ValueError, match=r"patch_embed\.proj\.weight is on the meta device"):
        sp.evaluate(model.to("meta"), batches)
