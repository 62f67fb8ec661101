"""Whole groups leave, and what is left computes what the masked model computes."""

import copy
import itertools
import json

import hypothesis.strategies as st
import pytest
import timm
import torch
import torch_pruning
from damage import silent
from hypothesis import given, settings
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import (
    compact,
    group_counts,
    load_compact,
    save_compact,
    structured_masks,
)
from swinprune_lite.acceleration.energies import energies
from swinprune_lite.anatomy.parts import HEADS, HIDDEN, Part, parts
from swinprune_lite.files import content_digest

ARCHITECTURES = {
    "swin_tiny_patch4_window7_224": {"img_size": 112},
    "swin_s3_tiny_224": {},
    "swinv2_tiny_window8_256": {"img_size": 128},
    "swinv2_cr_tiny_224": {},
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
    save_compact(small, tmp_path / "small.safetensors")
    again = load_compact(tmp_path / "small.safetensors")
    assert group_counts(again) == group_counts(small) != group_counts(model)
    with torch.inference_mode():
        assert torch.equal(again(images), found)


@given(ratio=st.floats(0, 0.6), multiple=st.sampled_from([1, 16, 48]))
@settings(max_examples=10, deadline=None)
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
    with pytest.raises(ValueError, match="ResNet has no hidden units or heads"):
        structured_masks(timm.create_model("resnet18"), 0.5)
    with torch.no_grad():
        model.layers[2].blocks[0].mlp.fc1.weight[3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.2\.blocks\.0\.mlp\.fc1\.weight holds NaN"):
        structured_masks(model, 0.5)


@pytest.fixture
def saved(tmp_path):
    model = sp.load_lite("swin_lite_tiny")
    path = tmp_path / "small.safetensors"
    save_compact(compact(model, structured_masks(model, 0.5)), path, "swin_lite_tiny")
    return path


def rewrite(path, change):
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, tensors)
    save_file(tensors, path, metadata)


def shorter(_, tensors):
    tensors["layers.0.blocks.0.mlp.fc1.weight"] = tensors["layers.0.blocks.0.mlp.fc1.weight"][:-1].clone()


def fewer(metadata, _):
    metadata["groups"] = metadata["groups"].replace('mlp": ', 'mlp": 1')


def one_number(_, tensors):
    tensors["head.fc.bias"][0] += 1


@pytest.mark.parametrize("change", [shorter, fewer, one_number])
def test_an_altered_file_is_refused(saved, change):
    rewrite(saved, change)
    with pytest.raises(ValueError, match="was altered after it was saved"):
        load_compact(saved)


def test_files_that_are_no_compact_model_are_refused(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_compact(tmp_path / "nowhere.safetensors")
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_compact(saved)
    save_file({"weight": torch.ones(1)}, saved)
    with pytest.raises(ValueError, match="is no compact model"):
        load_compact(saved)


def test_saving_says_what_it_lacks_and_keeps_no_wrong_file(tmp_path):
    model = sp.load_lite("swin_lite_tiny")
    path = tmp_path / "small.safetensors"
    with pytest.raises(ValueError, match="does not say its architecture"):
        save_compact(model, path)
    other = timm.create_model("deit_tiny_patch16_224", num_classes=10, act_layer="relu").eval()
    torch.nn.init.normal_(other.head.weight)
    with pytest.raises(ValueError, match="does not compute what this model computes"):
        save_compact(other, path)
    assert list(tmp_path.iterdir()) == []
    save_compact(other, path, arguments={"act_layer": "relu"})


def test_nothing_is_saved_that_cannot_be_loaded_or_compared(tmp_path):
    path = tmp_path / "small.safetensors"
    model = sp.load_lite("swin_lite_tiny")
    with torch.no_grad():
        model.norm.weight[3] = float("inf")
    with pytest.raises(ValueError, match=r"cannot be saved: norm\.weight holds NaN or infinity\. Nothing was saved"):
        save_compact(model, path, "swin_lite_tiny")
    model = sp.load_lite("swin_lite_tiny")
    model.register_buffer("phase", torch.ones(1) * 1j)
    with pytest.raises(ValueError, match=r"cannot be saved: phase is of torch\.complex64; known are torch\.float16"):
        save_compact(model, path, "swin_lite_tiny")
    model = sp.load_lite("swin_lite_tiny")
    torch.nn.init.zeros_(model.patch_embed.proj.weight)
    with pytest.raises(ValueError, match="are the same for two different images, so comparing them would say nothing"):
        save_compact(model, path, "swin_lite_tiny")
    model = sp.load_lite("swin_lite_tiny")
    with pytest.raises(ValueError, match=r"cannot be saved: .* Nothing was saved\.$") as caught:
        save_compact(model, path, "swin_lite_base")
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_head_of_zeros_hides_nothing(tmp_path):
    """Its logits are zero whatever stands before it, so the features are compared."""
    other = timm.create_model("deit_tiny_patch16_224", num_classes=10, act_layer="relu").eval()
    torch.nn.init.zeros_(other.head.weight)
    torch.nn.init.zeros_(other.head.bias)
    with pytest.raises(ValueError, match="does not compute what this model computes"):
        save_compact(other, tmp_path / "small.safetensors")
    save_compact(other, tmp_path / "small.safetensors", arguments={"act_layer": "relu"})


TINY = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 2}
TINY |= {"img_size": 64, "num_classes": 7}
SWIN = "swin_tiny_patch4_window7_224"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A file of few numbers, and what it holds."""
    torch.manual_seed(0)
    model = timm.create_model(SWIN, **TINY)
    path = tmp_path_factory.mktemp("few") / "small.safetensors"
    save_compact(compact(model, structured_masks(model, 0.4)), path, SWIN, TINY)
    return path, load_compact(path).state_dict()


def test_no_damage_is_believed(few, tmp_path):
    whole, wanted = few
    path = tmp_path / "small.safetensors"
    path.write_bytes(whole.read_bytes())

    def same(model):
        found = model.state_dict()
        return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)

    assert silent(path, lambda: load_compact(path), same, 120) == []


def signed_anew(few, path, change):
    """A file whose content was changed together with its digest."""
    path.write_bytes(few[0].read_bytes())
    rewrite(path, lambda metadata, tensors: (change(metadata, tensors), sign(metadata, tensors)))
    return path


def sign(metadata, tensors):
    metadata["sha256"] = content_digest(metadata, ("format", "architecture", "arguments", "groups"), tensors)


def replaced(key, value):
    return lambda metadata, _: metadata.update({key: value})


def argument(**changes):
    return lambda metadata, _: metadata.update(arguments=json.dumps(json.loads(metadata["arguments"]) | changes))


def group(count, path="layers.0.blocks.0.mlp"):
    return lambda metadata, _: metadata.update(groups=json.dumps(json.loads(metadata["groups"]) | {path: count}))


BIAS = "head.fc.bias"
SIGNED = {
    "no JSON": (replaced("arguments", "{"), "it is no JSON"),
    "a deep JSON": (replaced("arguments", "[" * 100_000), "it is no JSON"),
    "a list": (replaced("arguments", "[]"), "must be a JSON object; they are"),
    "an unknown argument": (argument(nonsense=1), "cannot be built with"),
    "another type": (argument(embed_dim="wide"), "cannot be built with"),
    "no image": (argument(img_size=0), "cannot be built with .* image size"),
    "a huge image": (argument(img_size=10**6), "would take [0-9]+ GB for one image"),
    "huge": (argument(embed_dim=10**15), "cannot be built with"),
    "deep": (argument(depths=[10**9, 1, 1, 1]), "more layers than the file has tensors"),
    "a layer more": (argument(depths=[1, 1, 1, 2]), "do not both have layers.3.blocks.1"),
    "wide": (argument(embed_dim=32), "as built here needs"),
    "a download": (argument(pretrained=True), "would load other weights"),
    "another file": (argument(checkpoint_path="/etc/passwd"), "would load other weights"),
    "groups that are no JSON": (replaced("groups", "}"), "it is no JSON"),
    "groups that are a list": (replaced("groups", "[]"), "its groups must be a JSON object"),
    "no groups": (replaced("groups", "{}"), "do not both have layers.0.blocks.0.attn"),
    "an unknown group": (group(1, "layers.9.mlp"), "do not both have layers.9.mlp"),
    "0": (group(0), "has 1 to 64 hidden units; the file says 0"),
    "negative": (group(-3), "the file says -3"),
    "too many": (group(10**12), "the file says 1000000000000"),
    "a fraction": (group(1.5), "the file says 1.5"),
    "a text": (group("8"), "the file says '8'"),
    "true": (group(True), "the file says True"),
    "null": (group(None), "the file says None"),
    "another number": (group(1), r"needs \(1"),
    "an unknown architecture": (replaced("architecture", "swin_huge"), "timm has no model 'swin_huge'"),
    "another network": (replaced("architecture", "resnet18"), "cannot be built with|do not both have"),
    "a lite model": (replaced("architecture", "swin_lite_tiny"), "takes no arguments"),
    "no architecture": (lambda metadata, _: metadata.pop("architecture"), "lack architecture"),
    "no arguments": (lambda metadata, _: metadata.pop("arguments"), "lack arguments"),
    "no key groups": (lambda metadata, _: metadata.pop("groups"), "lack groups"),
    "no tensors": (lambda _, tensors: tensors.clear(), "it holds no weights"),
    "a tensor less": (lambda _, tensors: tensors.pop(BIAS), f"do not both have {BIAS}"),
    "a tensor more": (lambda _, tensors: tensors.update(more=torch.ones(1)), "do not both have more"),
    "whole numbers": (
        lambda _, tensors: tensors.update({BIAS: torch.ones(7, dtype=torch.int64)}),
        f"{BIAS} is .*int64",
    ),
    "complex": (lambda _, tensors: tensors.update({BIAS: torch.ones(7) * 1j}), f"{BIAS} is of torch.complex64"),
    "two types": (lambda _, tensors: tensors.update({BIAS: torch.ones(7).half()}), "types that do not go together"),
    "all bytes": (lambda _, t: t.update({n: v.to(torch.uint8) for n, v in t.items()}), "it holds no weights"),
    "another shape": (lambda _, tensors: tensors.update({BIAS: torch.ones(7, 1)}), r"is \(7, 1\) of torch.float32"),
    "NaN": (lambda _, tensors: tensors[BIAS].fill_(float("nan")), f"{BIAS} holds NaN or infinity"),
    "infinity": (lambda _, tensors: tensors[BIAS].fill_(-float("inf")), f"{BIAS} holds NaN or infinity"),
}


@pytest.mark.parametrize("case", SIGNED)
def test_what_was_altered_and_signed_anew_gets_one_sentence(few, tmp_path, case):
    change, said = SIGNED[case]
    path = signed_anew(few, tmp_path / "small.safetensors", change)
    with pytest.raises(ValueError, match=said) as caught:
        load_compact(path)
    assert str(caught.value).startswith(f"{path} is no compact model: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_small_bias_is_compared_relative_to_the_others(tmp_path):
    """A network whose outputs are tiny is not the same as any other such one."""
    other = timm.create_model("deit_tiny_patch16_224", num_classes=10, act_layer="relu").eval()
    with torch.no_grad():
        other.norm.weight.fill_(1e-9)
        other.norm.bias.zero_()
    with pytest.raises(ValueError, match="does not compute what this model computes"):
        save_compact(other, tmp_path / "small.safetensors")


def test_a_file_in_half_precision_comes_back_in_it(few, tmp_path):
    def halved(_, tensors):
        tensors.update({name: tensor.half() for name, tensor in tensors.items()})

    loaded = load_compact(signed_anew(few, tmp_path / "small.safetensors", halved))
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float16}


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
