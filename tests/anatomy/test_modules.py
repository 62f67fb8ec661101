import re
import warnings

import pytest
import timm
import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils import parametrizations, prune
from torchvision.models import swin_t

import swinprune_lite as sp
from swinprune_lite.acceleration import block_masks, structured_masks, two_four_masks
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.anatomy.modules import listed, tell_of_unpruned, unpruned_layers


def test_every_parameter_is_in_exactly_one_module(small_swin):
    groups = sp.modules(small_swin)
    names = [name for group in groups.values() for name in group]
    assert list(groups) == ["QKV-M", "PRJ-M", "MLP-M", "AUX-M"]
    assert sorted(names) == sorted(name for name, _ in small_swin.named_parameters())
    blocks = 5
    assert [len(groups[module]) for module in ("QKV-M", "PRJ-M", "MLP-M")] == [blocks, blocks, 2 * blocks]


def test_only_weight_matrices_are_prunable_and_they_keep_the_models_order():
    with torch.device("meta"):
        model = timm.create_model("swinv2_tiny_window8_256")
    names = [name for name, _ in model.named_parameters()]
    assert all(model.get_parameter(name).ndim == 2 for name in sp.prunable(model))
    assert sp.prunable(model) == sorted(sp.prunable(model), key=names.index)


def test_a_network_without_such_layers_is_all_auxiliary():
    assert sp.prunable(nn.Linear(2, 2)) == []


def test_torchvisions_swin_has_the_map_of_timms():
    with torch.device("meta"):
        theirs, ours = swin_t(), timm.create_model("swin_tiny_patch4_window7_224")  # mlp.0 and mlp.3 are fc1 and fc2
    columns = ["module", "layer", "stage", "block"]
    assert layers(theirs)[columns].equals(layers(ours)[columns])
    assert [theirs.get_parameter(name).shape for name in sp.prunable(theirs)] == [
        ours.get_parameter(name).shape for name in sp.prunable(ours)
    ]
    assert unpruned_layers(theirs, sp.prunable(theirs)) == []


class Adapted(nn.Module):
    """A layer in an adapter, as PEFT's LoRA wraps it."""

    def __init__(self, layer):
        super().__init__()
        self.base_layer = layer
        self.lora_A, self.lora_B = nn.Linear(layer.in_features, 4, bias=False), nn.Linear(4, layer.out_features)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def adapted(model, path):
    model.set_submodule(path, Adapted(model.get_submodule(path)))


def quantised(model, path):
    packed = quantize_dynamic(nn.Sequential(model.get_submodule(path)), {nn.Linear})[0]
    model.set_submodule(path, packed)


WRAPPERS = {
    "masked by torch": lambda model, path: prune.l1_unstructured(model.get_submodule(path), "weight", amount=0.5),
    "weight norm": lambda model, path: parametrizations.weight_norm(model.get_submodule(path)),
    "spectral norm": lambda model, path: parametrizations.spectral_norm(model.get_submodule(path)),
    "adapter": adapted,
    "quantised": quantised,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("make", [sp.make_masks, structured_masks, two_four_masks, block_masks])
def test_a_warning_names_every_layer_that_is_wrapped(wrapper, make):
    paths = ["layers.0.blocks.1.mlp.fc1", "layers.3.blocks.0.attn.qkv", "layers.3.blocks.1.attn.proj"]
    model = sp.create_lite("swin_lite_tiny")
    for path in paths:
        WRAPPERS[wrapper](model, path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if make is structured_masks and wrapper == "quantised":
            with pytest.raises(ValueError, match="uses an operation that does not run on shapes alone"):
                make(model, 0.3)
            return
        masks = make(model, 0.3)
    (message,) = [str(warning.message) for warning in told if "stay whole" in str(warning.message)]
    assert all(path in message for path in paths)
    assert __file__ in [warning.filename for warning in told]
    assert not [name for name in masks if name.startswith(tuple(paths))]
    named = {name for name in re.findall(r"layers[.\w]+\w", message)}
    partners = {"layers.0.blocks.1.mlp.fc2", "layers.3.blocks.0.attn.proj", "layers.3.blocks.1.attn.qkv"}
    assert {name for name in named if not name.startswith(tuple(paths))} == (
        partners if make is structured_masks else set()  # a group leaves both of its layers or none
    )


@pytest.mark.parametrize(
    "name",
    [
        "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_ns_224", "deit_tiny_patch16_224",
        "beit_base_patch16_224", "eva02_tiny_patch14_224", "vit_relpos_small_patch16_224", "convnext_atto",
        "poolformer_s12", "deit3_small_patch16_224", "beitv2_base_patch16_224", "vit_small_patch14_reg4_dinov2",
        "convnextv2_atto", "hiera_tiny_224", "pit_ti_224", "davit_tiny", "resnet18", "efficientnet_b0", "regnety_002",
        "cait_xxs24_224", "caformer_s18", "efficientformerv2_s0", "xcit_nano_12_p16_224", "vitamin_small_224",
        "vit_base_patch16_siglip_224", "mobilevitv2_050", "mobilenetv4_hybrid_medium", "iformer_t", "shvit_s1",
    ],
)  # fmt: skip
def test_nothing_of_timms_usual_networks_is_left_out(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert unpruned_layers(model, sp.prunable(model)) == []


def test_lite_models_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = sp.create_lite("swin_lite_tiny")
        model.layers[0].blocks[1].mlp.fc2.weight = model.layers[0].blocks[0].mlp.fc2.weight  # pruned by its other name
        sp.make_masks(model, 0.5)
        structured_masks(sp.create_lite("swin_lite_tiny"), 0.3)


NOT_UNDERSTOOD = {
    "volo_d1_224": ["network.0.0.attn.v", "network.0.0.attn.attn", "network.0.0.attn.proj"],  # no queries, no keys
    "nextvit_small": ["stages.0.blocks.0.mhca.group_conv3x3", "stages.0.blocks.0.mhca.projection"],
    "swiftformer_xs": ["stages.0.blocks.2.attn.to_query", "stages.3.blocks.3.attn.final"],  # no values
    "visformer_tiny": ["stage1.0.mlp.conv2"],  # of several groups, neither dense nor depthwise
    "lowformer_b0": ["stages.2.1.attn.main.1.pwise", "stages.2.1.attn.main.1.upsampling"],
    "efficientvit_b0": ["stages.2.blocks.1.context_module.main.aggreg.0.1"],
}


def test_many_layers_are_told_in_a_line():
    few = ["blocks.0.attn.qkv", "blocks.1.attn.qkv"]
    assert listed(few) == "blocks.0.attn.qkv, blocks.1.attn.qkv"
    many = [f"blocks.{block}.attn.{leaf}" for block in range(12) for leaf in ("q", "fc1")] + ["head.attn"]
    said = "25 layers, blocks.*.attn.q (12 layers), blocks.*.attn.fc1 (12 layers), head.attn (1 layer)"
    assert listed(many) == said
    assert listed([f"{kind}.attn" for kind in "abcdefghijklm"]).endswith("f.attn (1 layer) and 7 more kinds")


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_a_warning_names_what_of_a_network_is_not_understood(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    found = unpruned_layers(model, sp.prunable(model))
    assert set(NOT_UNDERSTOOD[name]) <= set(found)
    leaves = {path.rpartition(".")[2] for path in NOT_UNDERSTOOD[name]}
    assert {path.rpartition(".")[2] for path in found} <= leaves | {"to_key", "proj", "group_conv3x3", "projection"}
    with pytest.warns(UserWarning, match=r"stay whole, since they are not built as `anatomy\.units` understands: "):
        tell_of_unpruned(model, sp.prunable(model))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vit_pwee_patch16_reg1_gap_256", ["blocks.*.in_proj", "blocks.*.attn_out_proj", "blocks.*.mlp_out_proj"]),
        ("vit_dpwee_patch16_reg1_gap_256", ["blocks.*.in_proj", "blocks.*.out_proj"]),
        ("botnet26t_256", ["stages.2.1.self_attn.qkv"]),
        ("lambda_resnet26t", ["stages.2.1.self_attn.qkv"]),
        ("gmlp_ti16_224", ["blocks.*.mlp_channels.fc1", "blocks.*.mlp_channels.gate.proj"]),
        ("cpubone_nano", ["stages.2.1.total.0.0.main.1.pwise"]),
    ],
)
def test_a_network_of_which_nothing_is_understood_is_refused_in_one_sentence(name, layers):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sp.prunable(model) == []
    with pytest.raises(ValueError, match=r"^\w+ has nothing to prune: .* built otherwise: .*[^.]\.$") as caught:
        tell_of_unpruned(model, [])
    assert all(f" {layer}" in str(caught.value) for layer in layers)


def test_an_error_names_them_where_nothing_can_be_pruned():
    model = nn.TransformerEncoderLayer(8, 2, 16)
    with pytest.raises(ValueError, match=r"is built otherwise: self_attn, self_attn\.out_proj, linear1, linear2\.$"):
        sp.make_masks(model, 0.5)


def test_positions_single_tokens_depthwise_and_other_convolutions_are_no_layers_of_theirs():
    with torch.device("meta"):
        model, depthwise = timm.create_model("caformer_s18"), timm.create_model("pvt_v2_b0")
    for each in (model, depthwise):
        assert unpruned_layers(each, sp.prunable(each)) == []
        assert not [name for name in sp.prunable(each) if "conv" in name]
    model = sp.create_lite("swin_lite_tiny")
    model.layers[0].blocks[0].attn.mask_token = nn.Parameter(torch.ones(2, 2))
    model.linear1, model.fc2 = nn.Linear(2, 2), nn.Linear(2, 2)  # beside no attention
    assert unpruned_layers(model, sp.prunable(model)) == []
