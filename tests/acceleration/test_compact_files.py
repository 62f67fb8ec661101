"""Files of compact models: what was saved comes back, and nothing else is believed."""

import json

import pytest
import timm
import torch
from damage import silent
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import swinprune_lite as sp
from swinprune_lite.acceleration import compact, compact_files, load_compact, save_compact, structured_masks
from swinprune_lite.files import content_digest


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
    "a download within": (argument(norm_layer=[{"pretrained": True}]), "would load other weights"),
    "the meta device": (argument(device="meta"), "with device the weights would not be on the CPU .*; it is 'meta'"),
    "another type of all": (argument(dtype="float16"), "with dtype the weights would not be .* in the file's types"),
    "a device within": (argument(mlp={"device": "meta"}), "with device the weights would not be on the CPU"),
    "a rate of NaN": (argument(drop_rate=float("nan")), "drop_rate is nan, and numbers must be finite"),
    "an infinite rate": (argument(drop_rate=[0, -float("inf")]), "drop_rate is -inf, and numbers must be finite"),
    "a rate beyond float": (
        lambda metadata, _: metadata.update(arguments=metadata["arguments"][:-1] + ', "drop_rate": 1e999}'),
        "drop_rate is inf, and numbers must be finite",
    ),
    "a deep list": (
        lambda metadata, _: metadata.update(arguments='{"window_size": ' + "[" * 900 + "]" * 900 + "}"),
        "window_size holds lists or dictionaries in each other",
    ),
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


def test_no_weight_stays_on_the_meta_device(few, monkeypatch):
    """Whatever way the architecture has to put one there."""
    built = compact_files._built

    def elsewhere(architecture, arguments, groups, device):
        model = built(architecture, arguments, groups, device)
        model.layers[1].register_buffer("elsewhere", torch.ones(1, device="meta"), persistent=False)
        return model

    monkeypatch.setattr(compact_files, "_built", elsewhere)
    with pytest.raises(ValueError, match=r"layers\.1\.elsewhere would be on meta; swin_tiny.* built on the CPU"):
        load_compact(few[0])


@pytest.mark.parametrize("value", [nn.LayerNorm, [{1, 2}], {"eps": torch.ones(1)}])
def test_arguments_that_json_cannot_hold_are_named(few, tmp_path, value):
    model = load_compact(few[0])
    with pytest.raises(ValueError, match=r"^The argument norm_layer of swin_tiny.* as text\. Nothing was saved\.$"):
        save_compact(model, tmp_path / "small", SWIN, TINY | {"norm_layer": value})
    with pytest.raises(ValueError, match="The model cannot be saved: drop_rate is nan, .* Nothing was saved"):
        save_compact(model, tmp_path / "small", SWIN, TINY | {"drop_rate": float("nan")})
    assert list(tmp_path.iterdir()) == []
