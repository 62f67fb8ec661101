"""Weights from timm's hub: the right ones, or one clear sentence."""

import hashlib
import os

import pytest
import timm
import torch
from huggingface_hub import constants
from outside import BODY, run
from safetensors.torch import save_file
from stubs import REVISION, make_hub
from timm.models._hub import save_for_hf

import swinprune_lite as sp
from swinprune_lite.models import pretrained
from swinprune_lite.models.pretrained import PAPER_MODELS, config, load_pretrained, weights_file

SMALLEST = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache and a closed network, as `HF_HUB_OFFLINE=1` has it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_the_paper_s_weights_are_those_of_imagenet_1k_alone():
    assert tuple(f"swin_{size}_patch4_window7_224.ms_in1k" for size in ("tiny", "small", "base")) == PAPER_MODELS
    assert [config(name).hf_hub_id for name in PAPER_MODELS] == [f"timm/{name}" for name in PAPER_MODELS]
    assert config("swin_base_patch4_window7_224").tag == "ms_in22k_ft_in1k"  # what one gets without the tag


def test_weights_come_from_the_cache_through_timm_s_own_loading(hub):
    make_hub(hub, [SMALLEST])
    path = weights_file(SMALLEST)
    assert path.parts[-2:] == (REVISION, "model.safetensors")
    model = load_pretrained(SMALLEST)
    torch.manual_seed(0)  # as the stub was made
    expected = timm.create_model(SMALLEST).state_dict()
    assert not model.training
    assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())


def test_nothing_takes_the_place_of_weights_that_are_not_to_be_had(hub):
    with pytest.raises(ConnectionError, match=r"timm/vit_tiny.* neither in the hub's cache.*swinprune fetch weights"):
        load_pretrained(SMALLEST)


def test_a_hub_that_answers_with_an_error(hub, monkeypatch):
    def refuse(*arguments, **more):
        raise OSError("503 Server Error")

    monkeypatch.setattr(pretrained, "hf_hub_download", refuse)
    with pytest.raises(ConnectionError, match="OSError: 503 Server Error"):
        weights_file(SMALLEST)


def test_a_damaged_file_is_told_by_its_name_in_the_cache(hub):
    make_hub(hub, [SMALLEST])
    blob = weights_file(SMALLEST).resolve()
    pretrained.digest.cache_clear()
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="is damaged: its SHA-256 begins .* so that it is fetched anew"):
        load_pretrained(SMALLEST)


@pytest.mark.parametrize("damage", ["half", "other"])
def test_a_file_that_holds_something_else(hub, damage):
    make_hub(hub, [SMALLEST])
    path = weights_file(SMALLEST)
    whole = path.read_bytes()
    path.unlink()  # an ordinary file in place of the link: no digest in its name
    if damage == "half":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        save_file({"head.weight": torch.zeros(999, 192)}, path)
    with pytest.raises(ValueError, match=r"does not hold the weights of vit_tiny.*\(1000 classes\).*fetched anew"):
        load_pretrained(SMALLEST)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("swin_tiny_patch4_window7_225", "timm has no model 'swin_tiny_patch4_window7_225'; near it are swin_"),
        ("swin_tiny_patch4_window7_224.ms_in2k", r"no weights 'swin_tiny.*it has .*\.ms_in1k"),
    ],
)
def test_models_that_cannot_be(hub, name, said):
    with pytest.raises(ValueError, match=said):
        load_pretrained(name)


def test_fetch_weights_command(tmp_path, capsys, monkeypatch):
    def call(*arguments):
        return run(capsys, monkeypatch, "fetch weights", *arguments)

    assert "--dry-run" in call("--help").out
    said = call("--dry-run")
    assert said.code == 0
    for name in pretrained.PAPER_MODELS:
        assert f"/timm/{name}" in said.out
    assert "timm has no model 'swin_huge'" in call("--dry-run", "swin_huge").error
    (tmp_path / "weights").write_bytes(BODY)
    monkeypatch.setattr(pretrained, "weights_file", lambda name: tmp_path / "weights")
    said = call("any")
    assert said.code == 0
    assert hashlib.sha256(BODY).hexdigest()[:12] in said.out
    assert "HF_HUB_OFFLINE=1" in said.out

    def closed(name):
        raise ConnectionError(f"{name} is not to be had.")

    monkeypatch.setattr(pretrained, "weights_file", closed)
    said = call()
    assert said.code == 1
    assert said.error == f"{pretrained.PAPER_MODELS[0]} is not to be had."


@pytest.fixture
def own(tmp_path):
    """A model with two classes of one's own, as timm saves it."""
    model = timm.create_model(SMALLEST.partition(".")[0], num_classes=2)
    save_for_hf(model, tmp_path / "own", model_args={"num_classes": 2}, safe_serialization=True)
    return tmp_path / "own", model


def test_a_model_of_one_s_own(own):
    folder, model = own
    name = f"local-dir:{folder}"
    assert config(name).num_classes == 2
    assert weights_file(name) == folder / "model.safetensors"
    loaded = load_pretrained(name)
    assert all(torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in model.state_dict().items())
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="holds none of model.safetensors"):
        load_pretrained(name)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"has no config\.json; save the model there"):
        config(name)


def test_a_pickle_with_code_in_place_of_weights_does_not_run(own):
    folder, _ = own

    class Code:
        def __reduce__(self):
            return os.system, (f"touch {folder / 'ran'}",)

    (folder / "model.safetensors").unlink()
    torch.save({"head.weight": Code()}, folder / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match="does not hold the weights .* holds more than weights and settings .*system.*run code"
    ) as caught:
        load_pretrained(f"local-dir:{folder}")
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("Save the model there again with timm's save_for_hf.")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("damage", ["half", "other", "nan", "text"])
def test_a_folder_of_one_s_own_is_not_said_to_be_fetched(own, damage):
    folder, model = own
    path = folder / "model.safetensors"
    if damage == "half":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("none")
    else:
        state = model.state_dict() if damage == "nan" else {"head.weight": torch.zeros(3, 192)}
        if damage == "nan":
            state["norm.weight"][0] = float("nan")
        save_file(state, path)
    with pytest.raises(
        ValueError, match=r"does not hold the weights .*Save the model there again.*save_for_hf\.$"
    ) as caught:
        load_pretrained(f"local-dir:{folder}")
    assert "fetched" not in str(caught.value)
    assert damage != "nan" or "norm.weight holds NaN or infinity" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"architecture": "swin_huge"}', '{"architecture": 3}',
     '{"architecture": "vit_tiny_patch16_224", "model_args": {"nonsense": 1}}'],
)  # fmt: skip
def test_a_configuration_that_timm_does_not_write(own, content):
    folder, _ = own
    (folder / "config.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"config\.json .*is not one that timm writes .*Save the model there again"
    ) as caught:
        load_pretrained(f"local-dir:{folder}")
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_a_file_of_torch_s_is_not_believed(own):
    folder, model = own
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(model.state_dict(), path)
    assert torch.equal(load_pretrained(f"local-dir:{folder}").head.weight, model.head.weight)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not have its own checksum. Save the model there again"):
        load_pretrained(f"local-dir:{folder}")


def test_a_model_of_which_nothing_is_pruned_is_loaded_all_the_same(tmp_path):
    save_for_hf(timm.create_model("test_resnet"), tmp_path, safe_serialization=True)
    model = load_pretrained(f"local-dir:{tmp_path}")
    with pytest.raises(ValueError, match="has nothing to prune"):
        sp.make_masks(model, 0.5)
