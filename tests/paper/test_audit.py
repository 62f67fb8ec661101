"""The audit of the authors' checkpoints, on synthetic ones in the naming of Swin's repository, right and damaged."""

import os
import re
import sys

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from outside import run
from safetensors.torch import save_file
from yacs.config import CfgNode

import swinprune_lite as sp
from swinprune_lite.models import checkpoints
from swinprune_lite.paper import audit
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe

SMALL = {"embed_dim": 16, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), "num_classes": 7}
METHODS = ("dimap", "lamp", "uniform", "global", "module-magnitude")


def swin(**shape):
    """A Swin whose layers differ in scale and in the weight of their tails, as trained ones do."""
    torch.manual_seed(0)
    model = timm.create_model("swin_tiny_patch4_window7_224", **shape).eval()
    drawn = np.random.default_rng(0)
    for name in sp.prunable(model):
        weight = model.get_parameter(name).data
        tails = drawn.standard_t(drawn.uniform(2.5, 8), weight.shape)
        weight.copy_(torch.from_numpy(10 ** drawn.uniform(-1.5, -0.5) * tails))
    return model


def original_naming(model):
    """The state dict as Swin's repository names it: patch merging at the end of a stage, buffers among the weights."""
    state = {}
    for key, tensor in model.state_dict().items():
        key = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", key)
        state[key.replace("head.fc.", "head.")] = tensor.clone()
    for stage, layer in enumerate(model.layers):
        for number, block in enumerate(layer.blocks):
            place = f"layers.{stage}.blocks.{number}"
            state[f"{place}.attn.relative_position_index"] = block.attn.relative_position_index
            if block.attn_mask is not None:
                state[f"{place}.attn_mask"] = block.attn_mask
    return state


def pruned(model, method, ratio=0.55):
    masks = sp.make_masks(model, ratio, method)
    sp.apply_masks(model, masks)
    sp.remove_masks(model)
    return masks


@pytest.fixture
def checkpoint(tmp_path):
    """A small Swin pruned by DIMAP, as the authors would have saved it, with its masks."""
    model = swin(**SMALL)
    dense = {name: model.get_parameter(name).detach().clone() for name in sp.prunable(model)}
    masks = pruned(model, "dimap")
    torch.save({"model": original_naming(model), "epoch": 29, "max_accuracy": 80.35}, tmp_path / "small.pth")
    return tmp_path / "small.pth", model, masks, dense


def test_a_checkpoint_in_the_original_naming_has_the_map_of_timms_model(checkpoint):
    path, model, *_ = checkpoint
    loaded = checkpoints.load(path)[1]
    assert sp.modules(loaded) == sp.modules(model)
    assert checkpoints.read(path).keys() >= set(sp.prunable(loaded))


def test_what_is_read_is_what_was_saved(checkpoint):
    path, model, masks, dense = checkpoint
    name, loaded = checkpoints.load(path)
    assert name == ""
    state = model.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.state_dict().items())
    layers = audit.layer_table(loaded).set_index("name")
    for key, mask in masks.items():
        assert layers.zeros[key] == int((~mask).sum())
        # the scores of the survivors do not need what was removed
        assert layers.threshold[key] == pytest.approx(sp.importance(dense[key])[mask].min().item(), rel=1e-6)
    modules = audit.module_table(audit.layer_table(loaded))
    assert set(modules.nominal) == {0.55}
    assert modules.exact.all()
    for module, names in sp.modules(model).items():
        if module in modules.index:
            lowest = min(sp.importance(dense[name])[masks[name]].min().item() for name in names)
            assert modules.threshold[module] == pytest.approx(lowest, rel=1e-6)


@pytest.mark.parametrize("noise", [0, 0.01, 0.05])
@pytest.mark.parametrize("method", [*METHODS, "random", "erk"])
def test_the_method_is_recognised_also_after_the_survivors_moved(method, noise):
    model = swin(**{**SMALL, "embed_dim": 32})
    pruned(model, method)
    for name in sp.prunable(model):
        weight = model.get_parameter(name).data
        weight.mul_(1 + noise * torch.randn(weight.shape))
    said = audit.verdict(audit.layer_table(model))
    assert said == method if method in METHODS else said.startswith("none: ")


@pytest.mark.parametrize("method", ["dimap", "lamp", "uniform", "module-magnitude"])
def test_the_method_is_recognised_on_trained_weights_after_fine_tuning(method):
    model = sp.load_lite("swin_lite_tiny")
    sp.apply_masks(model, sp.make_masks(model, 0.55, method))
    finetune(model, [batch for batch, _ in zip(sp.lite_data("train", 16), range(10))], Recipe())
    sp.remove_masks(model)
    assert audit.verdict(audit.layer_table(model)) == method


def test_dense_weights_are_called_dense():
    layers = audit.layer_table(swin(**SMALL))
    assert audit.verdict(layers) == "dense: nothing was removed"
    assert not audit.hypotheses(layers).fits.any()


def test_a_swin_t_beside_table_1(tmp_path, capsys, monkeypatch):
    model = swin()
    pruned(model, "dimap")
    torch.save({"model": original_naming(model)}, tmp_path / "t.pth")
    name, loaded = checkpoints.load(tmp_path / "t.pth")
    assert name == "Swin-T"
    found = audit.against_table1(name, loaded, audit.layer_table(loaded))
    left = sp.cost(model)
    assert found.found.tolist() == pytest.approx([left.nonzero_params / 1e6, left.nonzero_macs / 1e9])
    parameters = found.loc["parameters (M)"]
    assert parameters.paper == "14.0"  # table 1, Swin-T at 55 %
    assert f"{parameters['removed %']:.1f}" == parameters["paper removed %"]
    assert parameters.verdict == "within tolerance"  # 14.06: the paper cuts the digit off
    said = run(capsys, monkeypatch, "audit", tmp_path / "t.pth", "--csv", tmp_path / "csv")
    assert (said.code, said.error) == (0, "")
    assert "Swin-T" in said.out
    assert "Looks like: dimap" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert len(pd.read_csv(tmp_path / "csv" / "layers.csv")) == 48
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {
        "table1.csv", "modules.csv", "methods.csv", "layers.csv",
    }  # fmt: skip


def test_weights_alone_and_safetensors_are_read_too(checkpoint, tmp_path):
    path, model, _, _ = checkpoint
    state = original_naming(model)
    torch.save(state, tmp_path / "alone.pth")
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / "w.safetensors")
    save_file(dict(model.state_dict()), tmp_path / "timm.safetensors")
    zeros = audit.layer_table(checkpoints.load(path)[1]).zeros
    for other in ("alone.pth", "w.safetensors", "timm.safetensors"):
        assert audit.layer_table(checkpoints.load(tmp_path / other)[1]).zeros.equals(zeros)


def test_a_training_checkpoint_with_swin_s_configuration_is_read_without_its_code(checkpoint, tmp_path, monkeypatch):
    model = checkpoint[1]
    config = CfgNode({"DATA": {"BATCH_SIZE": 128, "SIZES": [224, 224]}})
    config.freeze()
    torch.save({"model": original_naming(model), "config": config, "epoch": 29}, tmp_path / "config.pth")
    monkeypatch.setitem(sys.modules, "yacs.config", None)  # it cannot be imported
    layers = audit.layer_table(checkpoints.load(tmp_path / "config.pth")[1])
    assert audit.verdict(layers) == "dimap"


class Code:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def damage(kind, state, path):
    """Write a checkpoint that is not right."""
    if kind == "code":
        torch.save({"model": state, "config": Code(path.parent / "ran")}, path)
    elif kind == "half":
        torch.save({"model": state}, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind in ("empty", "text"):
        path.write_text("" if kind == "empty" else "no checkpoint")
    elif kind == "opcode":
        path.write_text("(abc\n")
    else:
        if kind == "lacks":
            del state["layers.2.blocks.1.mlp.fc1.bias"]
        elif kind == "more":
            state["teacher.weight"] = torch.zeros(1)
        elif kind == "nan":
            state["layers.0.blocks.0.attn.qkv.weight"][0, 0] = float("nan")
        elif kind == "other":
            state = timm.create_model("vit_tiny_patch16_224").state_dict()
        elif kind == "shape":
            state["layers.0.blocks.0.attn.qkv.weight"] = torch.zeros(3, 16)
        elif kind == "nothing":
            state = {"epoch": 3}
        torch.save({"model": state}, path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("code", "was not opened: .*could run code"),
        ("half", "is no whole checkpoint"),
        ("empty", "is no whole checkpoint"),
        ("text", "was not opened: it is damaged"),
        ("opcode", "is no whole checkpoint"),
        ("lacks", r"it lacks layers\.2\.blocks\.1\.mlp\.fc1\.bias"),
        ("more", r"it has also teacher\.weight"),
        ("nan", r"layers\.0\.blocks\.0\.attn\.qkv\.weight in .* holds NaN or infinity"),
        ("other", "holds no weights of a Swin|is no Swin that timm knows"),
        ("shape", "is no Swin that timm knows"),
        ("nothing", "holds no weights of a Swin"),
    ],
)
def test_damaged_checkpoints_get_one_sentence_and_run_nothing(kind, said, checkpoint, tmp_path, capsys, monkeypatch):
    path = tmp_path / "damaged.pth"
    damage(kind, original_naming(checkpoint[1]), path)
    answer = run(capsys, monkeypatch, "audit", path)
    assert answer.code == 1
    assert re.search(said, answer.error), answer.error
    assert str(path) in answer.error
    assert not (tmp_path / "ran").exists()


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.pth"):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            checkpoints.load(path)


@pytest.mark.parametrize("content", [[1, 2], 3, "text", torch.ones(3), {1: torch.ones(2)}, None])
def test_a_file_that_holds_something_else(content, tmp_path, capsys, monkeypatch):
    torch.save(content, tmp_path / "other.pth")
    answer = run(capsys, monkeypatch, "audit", tmp_path / "other.pth")
    assert answer.code == 1
    assert "holds no weights of a Swin" in answer.error


def test_a_checkpoint_without_its_classifier(checkpoint, tmp_path):
    state = {key: value for key, value in original_naming(checkpoint[1]).items() if not key.startswith("head.")}
    torch.save({"model": state}, tmp_path / "headless.pth")
    with pytest.raises(ValueError, match=r"neither head\.weight nor head\.fc\.weight"):
        checkpoints.load(tmp_path / "headless.pth")


def test_other_windows_are_not_the_paper_s_model(tmp_path):
    model = timm.create_model("swin_tiny_patch4_window7_224", window_size=12, img_size=384)
    torch.save({"model": original_naming(model)}, tmp_path / "wide.pth")
    assert checkpoints.load(tmp_path / "wide.pth")[0] == ""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", [0.15, 0.55])
def test_shares_tell_modules_from_the_whole_model_exactly(method, ratio):
    model = swin(**SMALL)
    pruned(model, method, ratio)
    layers = audit.layer_table(model)
    assert audit.equal_shares(layers) == (method == "uniform")
    modules = layers.groupby("module")[["zeros", "weights"]].sum()
    assert audit.equal_shares(modules) == (method in ("uniform", "dimap", "module-magnitude"))


@pytest.mark.parametrize("method", METHODS)
def test_the_dense_weights_tell_the_method_however_far_the_survivors_moved(method):
    dense, model = swin(**SMALL), swin(**SMALL)
    masks = pruned(model, method)
    for name, mask in masks.items():
        weight = model.get_parameter(name).data
        weight.add_(weight.std() * torch.randn(weight.shape) * mask)
    agree = audit.against_dense(model, dense)
    assert agree.idxmax() == method
    assert agree[method] > 0.999
    assert agree.drop(method).max() < 0.99
    with pytest.raises(ValueError, match="another architecture"):
        audit.against_dense(model, sp.create_lite("swin_lite_tiny"))


def test_the_command_with_the_dense_weights(checkpoint, tmp_path, capsys, monkeypatch):
    torch.save({"model": original_naming(swin(**SMALL))}, tmp_path / "dense.pth")
    said = run(capsys, monkeypatch, "audit", checkpoint[0], "--dense", tmp_path / "dense.pth")
    assert re.search(r"dimap\W+1\b", said.out)


def test_a_model_trained_on_several_gpus(checkpoint, tmp_path):
    state = {f"module.{key}": value for key, value in original_naming(checkpoint[1]).items()}
    torch.save({"model": state}, tmp_path / "several.pth")
    assert audit.verdict(audit.layer_table(checkpoints.load(tmp_path / "several.pth")[1])) == "dimap"


def removed_whole(model, index=0):
    name = sp.prunable(model)[index]
    model.get_parameter(name).data.zero_()
    return name


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_was_removed_whole(method):
    """It leaves no trace; but no score of equation 10 removes a layer's largest weight."""
    model = swin(**SMALL)
    pruned(model, method)
    removed_whole(model)
    layers = audit.layer_table(model)
    assert layers[["score", "magnitude", "threshold"]].iloc[0].isna().all()
    found = audit.hypotheses(layers)
    assert not found.fits[["dimap", "lamp", "uniform"]].any()
    assert found.fits["global"] == (method == "global")
    assert audit.verdict(layers) == "global" if method == "global" else audit.verdict(layers).startswith("none: ")


def test_nothing_left_tells_nothing():
    model = swin(**SMALL)
    for index in range(len(sp.prunable(model))):
        removed_whole(model, index)
    layers = audit.layer_table(model)
    assert audit.verdict(layers) == "none: everything was removed, so nothing tells which way"
    assert not audit.hypotheses(layers).fits.any()
    dense = swin(**SMALL)
    with pytest.raises(ValueError, match="Everything was removed from the prunable weights"):
        audit.against_dense(model, dense)
    with pytest.raises(ValueError, match="Nothing was removed from the prunable weights"):
        audit.against_dense(dense, dense)
    with pytest.raises(ValueError, match="ResNet has no prunable layers"):
        audit.layer_table(timm.create_model("resnet18"))


def test_layers_that_share_zero_have_a_spread_of_one():
    table = pd.DataFrame({"module": ["QKV-M", "QKV-M"], "weights": [8, 8], "zeros": [4, 4], "sparsity": [0.5, 0.5],
                          "score": [0.0, 0.0], "magnitude": [0.1, 0.0], "sharp": [True, True]})  # fmt: skip
    found = audit.hypotheses(table)
    assert (found.spread["dimap"], found.fits["dimap"]) == (1.0, True)
    assert (found.spread["global"], found.fits["global"]) == (float("inf"), False)


def test_a_damaged_safetensors_file_gets_one_sentence(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(
        ValueError, match="is no whole checkpoint: it cannot be read as safetensors: .*; download it again"
    ):
        checkpoints.load(path)


def test_what_could_run_code_is_named(tmp_path):
    torch.save({"model": Code(tmp_path / "ran")}, tmp_path / "code.pth")
    with pytest.raises(
        ValueError, match=r"holds more than weights and settings \(posix\.system\), which could run"
    ) as caught:
        checkpoints.load(tmp_path / "code.pth")
    assert "weights_only" not in str(caught.value)
