"""Whole groups leave, and what is left computes what the masked model computes."""

import copy
import itertools

import hypothesis.strategies as st
import pytest
import timm
import torch
import torch_pruning
from hypothesis import given, settings
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import (
    compact,
    group_counts,
    load_compact,
    save_compact,
    structured_masks,
)
from swinprune_lite.acceleration.energies import energies, singular_values, variances
from swinprune_lite.anatomy.parts import HEADS, HIDDEN, Part, parts
from swinprune_lite.calibration.propagated import part_moments, propagated_moments
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.pruning.masks import digest

NARROW = {"embed_dim": 48, "depths": (2, 2, 2, 2)}
ARCHITECTURES = {
    "swin_tiny_patch4_window7_224": {"img_size": 112},
    "swin_s3_tiny_224": NARROW,
    "swinv2_tiny_window8_256": {"img_size": 128} | NARROW,
    "swinv2_cr_tiny_224": NARROW,
    "deit_tiny_patch16_224": {},
}


def rough(name, **arguments):
    """A model whose groups differ: noise on every parameter, biases and norms too."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10, **arguments).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def masked(model, masks):
    twin = copy.deepcopy(model)
    sp.apply_masks(twin, masks)
    return twin


@pytest.mark.parametrize(("name", "arguments"), ARCHITECTURES.items())
def test_computes_what_the_masked_model_computes(name, arguments, tmp_path):
    model = rough(name, **arguments)
    masks = structured_masks(model, 0.4)
    small = compact(model, masks)
    images = torch.randn(2, 3, *model.patch_embed.img_size)
    with torch.inference_mode():
        dense, wanted, found = model(images), masked(model, masks)(images), small(images)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert (dense - wanted).abs().max() > 1e-3  # the masks do something
    left = sp.cost(small).macs / sp.cost(model).macs
    assert 0.58 < left <= 0.6
    save_compact(small, tmp_path / "small.safetensors", arguments=arguments)
    again = load_compact(tmp_path / "small.safetensors")
    assert group_counts(again) == group_counts(small) != group_counts(model)
    with torch.inference_mode():
        assert torch.equal(again(images), found)


@given(ratio=st.floats(0, 0.6), multiple=st.sampled_from([1, 16, 48]))
@settings(max_examples=6, deadline=None)
def test_lite_loses_the_wanted_macs_and_nothing_else_changes(ratio, multiple):
    model = sp.load_lite("swin_lite_tiny")
    masks = structured_masks(model, ratio, multiple=multiple)
    small = compact(model, masks)
    dense, left = sp.cost(model).macs, sp.cost(small).macs
    assert left <= (1 - ratio) * dense < left + 0.05 * dense
    images = next(iter(sp.lite_data("smoke", 20)))[0]
    with torch.inference_mode():
        torch.testing.assert_close(small(images), masked(model, masks)(images), atol=1e-5, rtol=1e-5)
    assert min(group_counts(small).values()) >= 1


def test_energy_is_the_derivations_by_brute_force():
    model = rough("swin_tiny_patch4_window7_224")
    attention, mlp = (next(part for part in parts(model) if part.kind == kind) for kind in (HEADS, HIDDEN))
    block = model.layers[0].blocks[0]
    v, proj = block.attn.qkv.weight[2 * 96 :].double(), block.attn.proj.weight.double()
    for head, energy in enumerate(energies(model, attention)):
        lines = slice(32 * head, 32 * head + 32)
        wanted = (v[lines].norm() ** 2 / v.norm() ** 2 + proj[:, lines].norm() ** 2 / proj.norm() ** 2) / 2
        assert energy.item() == pytest.approx(wanted.item())
    fc1, fc2 = block.mlp.fc1.weight.double(), block.mlp.fc2.weight.double()
    for unit in (0, 17, 383):
        wanted = (fc1[unit].norm() ** 2 / fc1.norm() ** 2 + fc2[:, unit].norm() ** 2 / fc2.norm() ** 2) / 2
        assert energies(model, mlp)[unit].item() == pytest.approx(wanted.item())
    assert energies(model, mlp).sum().item() == pytest.approx(1)


def test_singular_values_are_those_of_the_products_by_brute_force():
    model = sp.load_lite("swin_lite_micro")
    part = next(each for each in parts(model) if each.kind == HEADS and each.count == 4)
    proj, qkv = (model.get_submodule(layer).weight.detach().double() for layer in (part.reader, part.writer))
    query, key, value = qkv.chunk(3)
    heads = [slice(group * part.width, (group + 1) * part.width) for group in range(part.count)]
    pairs = [(query.T, key), (proj, value)]
    sums = torch.stack(
        [torch.stack([torch.linalg.svdvals(a[:, head] @ b[head]).sum() for head in heads]) for a, b in pairs]
    )
    wanted = (sums / sums.sum(1, keepdim=True)).mean(0)
    torch.testing.assert_close(singular_values(model, part), wanted)
    assert wanted.std() > 1e-3


def test_by_singular_values_hidden_units_go_as_by_variance_and_heads_do_not():
    model = sp.load_lite("swin_lite_micro")
    of_hidden, of_heads = (
        [structured_masks(model, ratio, heads_share=share, criterion=each) for each in ("variance", "singular values")]
        for ratio, share in ((0.2, 0), (0.4, 1))
    )
    assert digest(of_hidden[0]) == digest(of_hidden[1])
    assert any(not torch.equal(mask, of_heads[1][name]) for name, mask in of_heads[0].items() if "attn" in name)


def test_variance_is_what_the_blocks_output_loses_by_brute_force():
    """A group's own part of the output's variance: what would be left of it if all other groups stood still."""
    model = sp.load_lite("swin_lite_micro")
    for part in (each for each in parts(model) if "layers.2.blocks.0" in each.path):
        covariance = part_moments(model, part)[1].covariance
        reader = model.get_submodule(part.reader).weight.detach().double()
        wanted = []
        for group in range(part.count):
            alone = torch.zeros_like(reader)
            lines = slice(group * part.width, (group + 1) * part.width)
            alone[:, lines] = reader[:, lines]
            wanted.append((alone @ covariance @ alone.T).trace())
        torch.testing.assert_close(variances(model, part), torch.stack(wanted) / sum(wanted))


def test_a_unit_that_does_not_vary_leaves_first():
    model = sp.load_lite("swin_lite_micro")
    mlp = next(part for part in parts(model) if part.kind == HIDDEN and part.count == 128)
    with torch.no_grad():
        model.get_submodule(mlp.writer).bias[5] = -100.0  # GELU gives zero
    assert variances(model, mlp)[5] == 0
    assert energies(model, mlp)[5] > 0
    masks = structured_masks(model, 0.02, multiple=1, heads_share=0, criterion="variance")
    assert not masks[f"{mlp.reader}.weight"][:, 5].any()


def test_heads_by_variance_change_the_outputs_less_where_energy_errs():
    model = sp.load_lite("swin_lite_tiny", 1)
    images = next(iter(sp.lite_data("smoke", 30)))[0]
    changes = {}
    with torch.inference_mode():
        for criterion in ("energy", "variance"):
            small = compact(model, structured_masks(model, 0.3, heads_share=0.5, criterion=criterion))
            changes[criterion] = (small(images) - model(images)).norm()
    assert changes["variance"] < 0.8 * changes["energy"]


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "deit_tiny_patch16_224", "swinv2_tiny_window8_256"])
def test_repaired_and_compacted_is_repaired_and_masked(name):
    narrow = (
        {"embed_dim": 32, "num_heads": (2, 4), "depths": (1, 1)} if "swin" in name else {"embed_dim": 48, "depth": 1}
    )
    model = rough(name, img_size=64, **narrow)
    images = torch.randn(6, 3, 64, 64)
    measured = input_moments(model, [(images, torch.zeros(6, dtype=torch.long))])
    masks = structured_masks(model, 0.3, criterion="variance", statistics=measured)
    for moments in (measured,) if "v2" in name else (measured, propagated_moments(model)):
        repaired = copy.deepcopy(model)
        sp.repair(repaired, masks, "least squares", moments)
        with torch.inference_mode():
            dense, wanted, cut = model(images), repaired(images), masked(model, masks)(images)
            torch.testing.assert_close(compact(repaired, masks)(images), wanted, atol=1e-5, rtol=1e-5)
        assert (wanted - cut).abs().max() > 1e-3
        if moments is measured:
            assert (wanted - dense).norm() < (cut - dense).norm()


def test_matrices_of_zeros_have_no_energy_and_their_groups_go_first():
    model = sp.create_lite("swin_lite_tiny")
    mlp = next(part for part in parts(model) if part.kind == HIDDEN)
    writer, reader = (model.get_submodule(name) for name in (mlp.writer, mlp.reader))
    with torch.no_grad():
        writer.weight.zero_()
        assert energies(model, mlp).sum().item() == pytest.approx(0.5)
        reader.weight.zero_()
    assert energies(model, mlp).tolist() == [0.0] * mlp.count
    counts = group_counts(compact(model, structured_masks(model, 0.02, multiple=1, heads_share=0)))
    assert [path for path, count in group_counts(model).items() if counts[path] < count] == [mlp.path]
    model.double()
    with torch.no_grad():
        torch.nn.init.normal_(writer.weight, std=1e-200)
        torch.nn.init.normal_(reader.weight, std=1e200)
    assert energies(model, mlp).sum().item() == pytest.approx(1)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_the_bound_of_the_derivation_holds(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randn(shape, generator=generator).double() for shape in ((6, 4), (5, 6)))
    x = torch.randn(4, generator=generator).double()
    energy = (rows.square().sum(1) / rows.norm() ** 2 + columns.square().sum(0) / columns.norm() ** 2) / 2
    for gone in itertools.chain(*(itertools.combinations(range(6), size) for size in range(1, 7))):
        gone = list(gone)
        change = (columns[:, gone] @ torch.relu(rows[gone] @ x)).norm()
        assert change <= energy[gone].sum() * rows.norm() * columns.norm() * x.norm() * (1 + 1e-12)


def test_masks_that_remove_no_group_leave_every_shape():
    model = sp.load_lite("swin_lite_tiny")
    assert group_counts(compact(model, sp.make_masks(model, 0.5))) == group_counts(model)
    everything = {name: torch.zeros_like(model.get_parameter(name), dtype=torch.bool) for name in sp.prunable(model)}
    assert set(group_counts(compact(model, everything)).values()) == {1}


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.2, float("nan"), "half"])
def test_refuses_a_ratio(ratio):
    with pytest.raises(ValueError, match=r"ratio must be a number in \[0, 1\)"):
        structured_masks(sp.load_lite("swin_lite_tiny"), ratio)


def test_refuses_what_cannot_be_done():
    model = sp.load_lite("swin_lite_tiny")
    with pytest.raises(ValueError, match=r"ratio 0\.99 is too high: .* of the MACs of SwinTransformer can go"):
        structured_masks(model, 0.99)
    with pytest.raises(ValueError, match="multiple must be a whole number"):
        structured_masks(model, 0.5, multiple=0)
    with pytest.raises(ValueError, match="Unknown criterion 'magic'; choose one of energy, variance, singular values"):
        structured_masks(model, 0.5, criterion="magic")
    with pytest.raises(ValueError, match="The criterion variance wants input moments: give statistics=input_moments"):
        structured_masks(model, 0.5, criterion="variance", statistics={"magic": 1})
    with pytest.raises(ValueError, match="The criterion energy is of weights alone"):
        structured_masks(model, 0.5, statistics={})
    second = timm.create_model("swinv2_tiny_window8_256", img_size=64, embed_dim=32, depths=(1, 1), num_heads=(2, 4))
    with pytest.raises(ValueError, match=r"SwinTransformerV2Block, which has no LayerNorm before its layers"):
        structured_masks(second, 0.5, criterion="variance")
    with pytest.raises(ValueError, match="ResNet has no hidden units or heads"):
        structured_masks(timm.create_model("resnet18"), 0.5)
    with torch.no_grad():
        model.layers[2].blocks[0].mlp.fc1.weight[3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.2\.blocks\.0\.mlp\.fc1\.weight holds NaN"):
        structured_masks(model, 0.5)


def test_parts_names_the_layers():
    part = Part("layers.0.blocks.0.mlp", HIDDEN, 384, 1)
    assert (part.writer, part.reader) == ("layers.0.blocks.0.mlp.fc1", "layers.0.blocks.0.mlp.fc2")


def test_what_leaves_agrees_with_torch_pruning():
    """Torch-Pruning finds by tracing which layers a hidden unit takes part in; heads it cannot take alone."""
    torch.manual_seed(0)
    model = timm.create_model("swin_tiny_patch4_window7_224", img_size=112, num_classes=10).eval()
    masks = {name: mask for name, mask in structured_masks(model, 0.3).items() if "mlp" in name}
    theirs, images = (
        timm.create_model("swin_tiny_patch4_window7_224", img_size=112, num_classes=10).eval(),
        torch.randn(1, 3, 112, 112),
    )
    theirs.load_state_dict(model.state_dict())
    with pytest.warns(UserWarning, match="Unwrapped parameters"):
        graph = torch_pruning.DependencyGraph().build_dependency(theirs, images)
    for name in [name.removesuffix(".fc2.weight") for name in masks if "fc2" in name]:
        gone = (~masks[f"{name}.fc2.weight"].any(0)).nonzero().flatten().tolist()
        writer = theirs.get_submodule(f"{name}.fc1")
        graph.get_pruning_group(writer, torch_pruning.prune_linear_out_channels, gone).prune()
    ours = compact(model, masks)
    assert {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()} == {
        name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()
    }
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = sp.create_lite("swin_lite_tiny")

    def forward(self, images):
        return self.backbone(images)


def test_a_model_inside_of_another_is_compacted_but_not_saved(tmp_path):
    model = Wrapped().eval()
    masks = structured_masks(model, 0.4, input_size=(1, 32, 64))
    small = compact(model, masks)
    assert sp.cost(small, {}, (1, 32, 64)).macs <= 0.6 * sp.cost(model, {}, (1, 32, 64)).macs
    images = torch.randn(2, 1, 32, 64)
    with torch.inference_mode():
        torch.testing.assert_close(small(images), masked(model, masks)(images), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="Wrapped is no model as timm builds it, .*; save the timm model inside it"):
        save_compact(small, tmp_path / "small", "swin_tiny_patch4_window7_224")
    assert list(tmp_path.iterdir()) == []


def test_layers_that_share_a_weight_or_are_not_used_do_not_leave():
    model = sp.create_lite("swin_lite_tiny")
    first, second = model.layers[0].blocks
    second.mlp.fc1.weight = first.mlp.fc1.weight
    assert {part.path for part in parts(model) if "layers.0" in part.path} == {
        "layers.0.blocks.0.attn",
        "layers.0.blocks.1.attn",
    }
    with pytest.warns(UserWarning, match=r"cannot leave one by one: layers\.0\.blocks\.0\.mlp\.fc1, .*1\.mlp\.fc2\.$"):
        masks = structured_masks(model, 0.3)
    assert sp.cost(compact(model, masks)).macs <= 0.7 * sp.cost(model).macs
    model = sp.create_lite("swin_lite_tiny")
    model.idle = sp.create_lite("swin_lite_tiny").layers[0].blocks[0].mlp
    with pytest.raises(ValueError, match=r"^idle\.fc1\.weight, idle\.fc2\.weight: no product of SwinTransformer uses"):
        structured_masks(model, 0.3)


def test_what_is_masked_counts_as_zero_whatever_it_holds():
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.5)
    expected = compact(model, masks)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name)[~mask] = float("nan")
    found = compact(model, masks).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.state_dict().items())
    assert not any(torch.signbit(found[name][~mask]).any() for name, mask in masks.items())
