"""Every family of timm's that is understood: its map, masks, counts, compact models and repair, at tiny widths."""

import copy
import warnings
from functools import cache
from itertools import chain

import pytest
import timm
import torch
from timm.models import focalnet, gcvit, metaformer, mvitv2, nest
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import swin_transformer as torchvision_swin

import swinprune_lite as sp
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.anatomy.modules import blocks, unpruned_layers
from swinprune_lite.anatomy.units import PRJ, units
from swinprune_lite.pruning.groupings import by_block, by_stage

WIDTHS, HEADS, ONE_EACH = (16, 16, 32, 32), (1, 1, 2, 2), (1, 1, 1, 1)
VIT = {"embed_dim": 32, "depth": 2, "num_heads": 2}
SWIN = {"embed_dim": 16, "depths": ONE_EACH, "num_heads": HEADS}
FAMILIES = {
    "swin_tiny_patch4_window7_224": (56, SWIN | {"img_size": 56}),
    "swinv2_tiny_window8_256": (64, SWIN | {"img_size": 64}),
    "swinv2_cr_tiny_224": (56, SWIN | {"img_size": 56}),
    "vit_tiny_patch16_224": (32, VIT | {"img_size": 32}),
    "deit_tiny_distilled_patch16_224": (32, VIT | {"img_size": 32}),
    "vit_small_patch14_dinov2": (28, VIT | {"img_size": 28}),
    "vit_relpos_small_patch16_224": (32, VIT | {"img_size": 32}),
    "beit_base_patch16_224": (32, VIT | {"img_size": 32}),
    "eva02_tiny_patch14_224": (28, VIT | {"img_size": 28}),
    "pvt_v2_b0": (64, {"depths": ONE_EACH, "embed_dims": WIDTHS, "num_heads": HEADS}),
    "twins_svt_small": (64, {"img_size": 64, "depths": (2, 2, 2, 2), "embed_dims": WIDTHS, "num_heads": HEADS}),
    "coat_tiny": (32, {"img_size": 32, "serial_depths": ONE_EACH, "parallel_depth": 1, "embed_dims": (16, 32, 32, 32)}),
    "coatnet_nano_rw_224": (64, {"img_size": 64, "depths": ONE_EACH, "embed_dim": (16, 32, 32, 64)}),
    "maxvit_rmlp_pico_rw_256": (64, {"img_size": 64, "depths": ONE_EACH, "embed_dim": (32, 32, 32, 64)}),
    "mvitv2": (64, {"embed_dim": 16, "depths": ONE_EACH}),
    "hiera_tiny_224": (64, {"img_size": 64, "embed_dim": 16, "stages": ONE_EACH}),
    "nest": (32, {"img_size": 32, "embed_dims": (16, 32, 32), "num_heads": (1, 2, 2), "depths": (1, 1, 1)}),
    "xcit_nano_12_p16_224": (32, VIT | {"img_size": 32, "depth": 1, "cls_attn_layers": 1}),
    "tiny_vit_5m_224": (64, {"depths": ONE_EACH, "embed_dims": WIDTHS, "num_heads": HEADS}),
    "efficientformer_l1": (224, {"depths": (1, 1, 1, 2), "embed_dims": WIDTHS, "num_vit": 1}),
    "efficientformerv2_s0": (224, {"depths": ONE_EACH, "embed_dims": WIDTHS, "num_vit": 1}),
    "levit_128s": (64, {"img_size": 64, "embed_dim": (32, 48, 64), "depth": (1, 1, 1), "num_heads": (2, 2, 2)}),
    "davit_tiny": (56, {"depths": ONE_EACH, "embed_dims": WIDTHS, "num_heads": HEADS}),
    "edgenext_xx_small": (64, {"depths": (1, 2, 2, 2), "dims": WIDTHS}),
    "gcvit": (64, SWIN | {"img_size": 64, "window_ratio": (8, 8, 16, 32), "depths": (1, 2, 1, 1)}),
    "cait_xxs24_224": (32, VIT | {"img_size": 32, "depth": 1}),
    "convit_tiny": (32, VIT | {"img_size": 32, "local_up_to_layer": 1}),
    "crossvit_tiny_240": (240, {"embed_dim": (16, 32), "num_heads": (2, 2), "depth": ((1, 1, 0),)}),
    "tnt_s_legacy_patch16_224": (32, {"img_size": 32, "embed_dim": 32, "inner_dim": 8, "depth": 1,
                                      "num_heads_outer": 2}),
    "pit_ti_224": (64, {"img_size": 64, "base_dims": (16, 16, 16), "depth": (1, 1, 1), "heads": (1, 2, 2)}),
    "caformer": (64, {"dims": (16, 16, 32, 64), "depths": ONE_EACH}),
    "fastvit_sa12": (64, {"layers": ONE_EACH, "embed_dims": WIDTHS}),
    "efficientvit_m0": (128, {"img_size": 128, "embed_dim": (16, 32, 32), "depth": (1, 1, 1), "num_heads": (2, 2, 2),
                              "key_dim": (4, 4, 4)}),
    "focalnet": (64, {"embed_dim": 16, "depths": ONE_EACH}),
    "torchvision's Swin": (56, {"patch_size": [4, 4], "embed_dim": 16, "depths": ONE_EACH, "num_heads": [1, 1, 2, 2],
                                "window_size": [7, 7]}),
}  # fmt: skip
"""Name -> side of the image, and what makes it small."""
CLASSES = {
    "nest": nest.Nest, "gcvit": gcvit.GlobalContextVit, "focalnet": focalnet.FocalNet,
    "caformer": lambda **kwargs: metaformer.MetaFormer(
        token_mixers=[metaformer.SepConv, metaformer.SepConv, metaformer.Attention, metaformer.Attention],
        norm_layers=[metaformer.LayerNorm2dNoBias] * 2 + [metaformer.LayerNormNoBias] * 2, **kwargs),
    "mvitv2": lambda num_classes, **cfg: mvitv2.MultiScaleVit(
        mvitv2.MultiScaleVitCfg(**cfg), 64, num_classes=num_classes),
    "torchvision's Swin": torchvision_swin.SwinTransformer,
}  # fmt: skip
WITHOUT_ATTENTION = {"focalnet"}
WITHOUT_PARTS = {
    "eva02_tiny_patch14_224", "pvt_v2_b0", "coatnet_nano_rw_224", "tiny_vit_5m_224", "efficientformerv2_s0",
    "levit_128s", "fastvit_sa12", "efficientvit_m0", "focalnet",
    "torchvision's Swin",
}  # fmt: skip
"""Whose MLPs and attentions are none of those that `compact` narrows."""
families = pytest.mark.parametrize("name", FAMILIES)


def create(name, **kwargs):
    return CLASSES[name](**kwargs) if name in CLASSES else timm.create_model(name, **kwargs)


@cache
def whole(name):
    torch.manual_seed(0)
    model = create(name, num_classes=4, **FAMILIES[name][1]).eval()
    for parameter_name, parameter in model.named_parameters():
        if "bias" not in parameter_name and parameter.abs().max() < 1e-3:  # a scale that starts at nothing
            parameter.data.uniform_(0.5, 1.5)
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.normal_(std=0.02)
    side = FAMILIES[name][0]
    model.pretrained_cfg = dict(getattr(model, "pretrained_cfg", {})) | {"input_size": (3, side, side)}
    return model


def image(name):
    side = FAMILIES[name][0]
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def outputs(model, name):
    return model(image(name))


@families
def test_the_map_has_every_weight_once_and_masks_hold(name):
    model = copy.deepcopy(whole(name))
    groups = sp.modules(model)
    assert sorted(chain.from_iterable(groups.values())) == sorted(dict(model.named_parameters()))
    empty = {module for module in groups if not groups[module]}
    assert empty == ({"QKV-M", "PRJ-M"} if name in WITHOUT_ATTENTION else set())
    assert unpruned_layers(model, sp.prunable(model)) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name in WITHOUT_ATTENTION else "error")
        masks = sp.make_masks(model, 0.5)
    for module in ("QKV-M", "PRJ-M", "MLP-M"):
        sizes = sum(masks[each].numel() for each in groups[module])
        assert sum(int((~masks[each]).sum()) for each in groups[module]) == round(sizes / 2)
    sp.apply_masks(model, masks)
    assert all(not model.get_parameter(each)[~mask].any() for each, mask in masks.items())
    assert (outputs(model, name) - outputs(whole(name), name)).abs().max() > 1e-6


STAGES = {
    "swin_tiny_patch4_window7_224": [1, 2, 3, 4],
    "vit_tiny_patch16_224": [1, 1],
    "twins_svt_small": [1, 1, 2, 2, 3, 3, 4, 4],
    "coat_tiny": [1, 2, 3, 4, 5],  # the last is the parallel block
    "coatnet_nano_rw_224": [3, 4],  # the first two are convolutions
    "maxvit_rmlp_pico_rw_256": [1, 2, 3, 4],
    "hiera_tiny_224": [1, 2, 3, 4],  # in one list, told by their width
    "nest": [1, 2, 3],
    "tiny_vit_5m_224": [2, 3, 4],
    "levit_128s": [1, 2, 2, 3, 3],  # an attention leads from each to the next
    "xcit_nano_12_p16_224": [1, 2],  # the last is the class token's
    "torchvision's Swin": [1, 2, 3, 4],
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_found_whatever_they_are_called(name):
    model = whole(name)
    assert [stage for stage, _ in blocks(model).values()] == STAGES[name]
    assert len(by_stage(model)) == len(set(STAGES[name]))
    assert len(by_block(model)) == layers(model).block.max() == len(STAGES[name])
    for number, (stage, place) in enumerate(blocks(model).values()):
        assert place == STAGES[name][: number + 1].count(stage)


@families
def test_macs_agree_with_an_independent_counter(name):
    model = copy.deepcopy(whole(name)).requires_grad_(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(image(name))
    assert sp.cost(model, {}, FAMILIES[name][0]).macs == pytest.approx(counter.get_total_flops() / 2, rel=1e-3)


@families
def test_compact_models_equal_the_masked_one_or_are_refused(name):
    model = copy.deepcopy(whole(name))
    if name in WITHOUT_PARTS:
        with pytest.raises(ValueError, match=r"^\w+ has no hidden units or heads that can leave: [^.]+\.$"):
            sp.structured_masks(model, 0.01)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other layers, which stay whole
        masks = sp.structured_masks(model, 0.01, multiple=4)
    small = sp.compact(model, masks)
    sp.apply_masks(model, masks)
    assert sum(each.numel() for each in small.parameters()) < sum(each.numel() for each in model.parameters())
    torch.testing.assert_close(outputs(small, name), outputs(model, name), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*has nothing in")
@families
def test_repair_runs_on_every_family(name):
    cut, repaired = copy.deepcopy(whole(name)), copy.deepcopy(whole(name))
    masks = sp.make_masks(cut, 0.3)
    sp.apply_masks(cut, masks)
    sp.repair(repaired, masks, drawn=1)
    assert all(not repaired.get_parameter(each)[~mask].any() for each, mask in masks.items())
    assert outputs(repaired, name).isfinite().all()
    assert (outputs(repaired, name) - outputs(cut, name)).abs().max() > 0


def test_repair_without_a_known_image_size_is_refused_and_the_model_as_it_was():
    model = copy.deepcopy(whole("torchvision's Swin"))
    del model.pretrained_cfg
    with pytest.raises(ValueError, match=r"^\w+ does not run on drawn images \(.*\); give moments [^.]+\.$"):
        sp.repair(model, sp.make_masks(model, 0.3), drawn=1)
    assert all(map(torch.equal, model.parameters(), whole("torchvision's Swin").parameters()))


ADDED_TO = {"mvitv2", "coat_tiny", "efficientformerv2_s0"}
"""To whose heads' outputs something else is added: the queries, or what biased convolutions give."""


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in WITHOUT_ATTENTION | ADDED_TO])
def test_values_are_where_the_map_says_and_belong_to_its_heads(name):
    """Without a head's values the projection reads zeros in that head's place, and only there."""
    for unit in units(whole(name)):
        projection = next((path for path, role in unit.layers.items() if role.kind is PRJ), None)
        for path, role in unit.layers.items():
            if role.values is None:
                continue
            model = copy.deepcopy(whole(name))
            heads = unit.layers[projection].groups
            width = model.get_submodule(projection).weight[0].numel() // heads
            lost = slice(role.values + (heads - 1) * width, role.values + heads * width)
            assert role.groups % heads == 0
            with torch.no_grad():
                for parameter in model.get_submodule(path).parameters():
                    parameter[lost] = 0
                if (extra := getattr(model.get_submodule(unit.path), "v_bias", None)) is not None:
                    extra[-width:] = 0
            batch = (image(name), torch.zeros(1, dtype=torch.long))
            read = sp.input_moments(model, [batch])[f"{projection}.weight"].second.diagonal()
            assert not read[-width:].any()
            assert read[:-width].all()
