"""Models by the names that a shell gives them, in the layouts of others, and in files that say how to build them."""

import os
import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import SwinTransformer, VisionTransformer

import swinprune_lite as sp
from swinprune_lite.acceleration import save_compact, save_pruned, structured_masks
from swinprune_lite.models import checkpoints
from swinprune_lite.models.layouts import from_torchvision, unprefixed, unwrapped
from swinprune_lite.models.lite import is_lite
from swinprune_lite.shell import keeping
from swinprune_lite.shell.named import load_model

PVT = "pvt_v2_b0"
MICRO = "swin_lite_micro"


@pytest.fixture(scope="module")
def pvt():
    torch.manual_seed(0)
    return timm.create_model(PVT, num_classes=7).eval()


def outputs(model, size):
    with torch.inference_mode():
        return model(torch.randn(2, *size, generator=torch.Generator().manual_seed(1)))


def test_a_lite_model_of_any_training_seed():
    first, second = load_model(MICRO), load_model(f"{MICRO}:1")
    assert first.image_size == (32, 64)
    assert (first.architecture, second.architecture, first.classes) == (MICRO, MICRO, 100)
    assert second.sha256 == sp.lite_card(MICRO, 1)["sha256"] != first.sha256
    assert torch.equal(second.model.norm.weight, sp.load_lite(MICRO, 1).norm.weight)


@pytest.mark.parametrize(
    ("name", "arch", "said"),
    [
        ("swin_lite_huge", None, "Unknown lite model 'swin_lite_huge'"),
        (f"{MICRO}:99", None, "No checkpoint of swin_lite_micro with seed 99"),
        (f"{MICRO}:x", None, "stands a training seed"),
        (f"{MICRO}:", None, "stands a training seed"),
        ("swin_tini_patch4", None, "timm has no model 'swin_tini_patch4'; near it are"),
        (MICRO, PVT, "--arch is for checkpoint files"),
        ("local-dir:/nowhere", None, "/nowhere has no config.json"),
        ("none.pth", PVT, "There is no file none.pth"),
    ],
)
def test_a_name_that_is_none(name, arch, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        load_model(name, arch)


def test_timms_models_that_are_called_lite_are_timms():
    called = [name for name in timm.list_models() if "lite" in name]
    assert "coat_lite_tiny" in called
    assert not [name for name in called if is_lite(name)]
    assert all(is_lite(name) and is_lite(f"{name}:1") for name in sp.LITE_MODELS)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.model."])
def test_wrappers_and_prefixes_are_taken_off(wrapper, prefix):
    weights = {f"layer{index}.weight": torch.full((2,), index) for index in range(3)}
    inside = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    found = unprefixed(unwrapped({wrapper: inside, "epoch": 3} if wrapper else inside))
    assert found.keys() == weights.keys()


def test_a_checkpoint_of_an_architecture_that_is_named(pvt, tmp_path):
    torch.save({"state_dict": {f"module.{key}": value for key, value in pvt.state_dict().items()}}, tmp_path / "p.pth")
    found = load_model(str(tmp_path / "p.pth"), PVT)
    assert (found.architecture, found.classes, found.image_size) == (PVT, 7, (224, 224))
    assert torch.equal(outputs(found.model, (3, 32, 32)), outputs(pvt, (3, 32, 32)))
    assert load_model(str(tmp_path / "p.pth"), PVT, (64, 96)).image_size == (64, 96)


def test_a_checkpoint_with_two_heads_of_its_own_classes(tmp_path):
    arch = "levit_128s"
    model = timm.create_model(arch, num_classes=4).eval()
    torch.save(model.state_dict(), tmp_path / "p.pth")
    found = load_model(str(tmp_path / "p.pth"), arch)
    assert found.classes == 4
    assert torch.equal(outputs(found.model, (3, 224, 224)), outputs(model, (3, 224, 224)))


def test_a_checkpoint_that_does_not_fit(pvt, tmp_path):
    path = tmp_path / "p.safetensors"
    save_file(pvt.state_dict(), path)
    for arch, said in (
        (None, "is a checkpoint; say which timm architecture"),
        ("vit_tiny_patch16_224", "does not hold the weights of vit_tiny_patch16_224"),
        ("pvt_v2_b1", r"p.safetensors does not hold the weights of pvt_v2_b1: .* would have to be"),
        ("pvt", "timm has no model 'pvt'"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            load_model(str(path), arch)
        assert "\n" not in str(caught.value)
    state = pvt.state_dict()
    save_file({key: value for key, value in state.items() if not key.endswith("fc1.bias")}, path)
    with pytest.raises(ValueError, match=r"it lacks .*mlp\.fc1\.bias"):
        load_model(str(path), PVT)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="is no whole file"):
        load_model(str(path), PVT)


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, write in (("a.pth", torch.save), ("b.pth", lambda each, path: path.write_bytes(pickle.dumps(each)))):
        write({"model": Code()}, tmp_path / name)
        with pytest.raises(ValueError, match="was not opened: .*could run code"):
            load_model(name, PVT)
    assert not (tmp_path / "ran").exists()


def test_torchvisions_layout_gives_torchvisions_logits():
    """Swin's and ViT's, against torchvision's own forward pass."""
    torch.manual_seed(0)
    swin = SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=5).eval()
    same = timm.models.SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 4), num_classes=5
    ).eval()
    vit = VisionTransformer(16, 8, 2, 2, 32, 64, num_classes=5).eval()
    torch.nn.init.normal_(vit.heads.head.weight)  # its own are zeros
    again = timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, num_classes=5
    ).eval()
    for theirs, ours, size in ((swin, same, (3, 32, 32)), (vit, again, (3, 16, 16))):
        weights = from_torchvision(unprefixed({f"module.{key}": value for key, value in theirs.state_dict().items()}))
        if ours is same:
            weights = {key: value for key, value in weights.items() if "relative_position_index" not in key}
        missing, over = ours.load_state_dict(weights, strict=False)
        assert not over
        assert all("relative_position_index" in key for key in missing)
        assert torch.allclose(outputs(theirs, size), outputs(ours, size), atol=1e-5)


@pytest.mark.parametrize("how", ["zeros", "groups"])
def test_a_file_says_how_to_build_its_model(how, pvt, tmp_path):
    if how == "zeros":
        model, architecture, size = pvt, PVT, (64, 64)
        masks = sp.make_masks(model, 0.5)
    else:
        model, architecture, size = sp.load_lite(MICRO), MICRO, (32, 64)
        masks = structured_masks(model, 0.4)
        model = sp.compact(model, masks)
    kept = masks if how == "zeros" else None
    path = tmp_path / "m.safetensors"
    said = {"method": how, "ratio": 0.5}
    keeping.keep(model, path, architecture, {}, size, said, kept)
    found = load_model(str(path))
    assert (found.architecture, found.image_size, found.pruned) == (architecture, size, said)
    assert found.masks.keys() == (masks.keys() if how == "zeros" else set())
    expected = dict(model.named_parameters())
    for name, parameter in found.model.named_parameters():
        assert torch.equal(
            parameter, expected[name].masked_fill(~masks[name], 0) if name in found.masks else expected[name]
        )
    with pytest.raises(ValueError, match="leave --arch out"):
        load_model(str(path), PVT)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="altered|cannot be decoded|must hold"):
        load_model(str(path))


def test_files_of_earlier_versions(tmp_path):
    model = sp.load_lite(MICRO)
    save_compact(model, tmp_path / "c.safetensors", MICRO)
    found = load_model(str(tmp_path / "c.safetensors"))
    assert (found.pruned, found.image_size) == (None, (32, 64))
    save_pruned(model, tmp_path / "p.safetensors")
    with pytest.raises(ValueError, match="does not say how to build their model"):
        load_model(str(tmp_path / "p.safetensors"))


def test_a_folder_of_timms_with_arguments_of_its_own(tmp_path):
    own = {"depth": 1, "embed_dim": 32, "num_heads": 2, "num_classes": 3, "img_size": 32}
    model = timm.create_model("vit_tiny_patch16_224", **own).eval()
    torch.nn.init.normal_(model.head.weight)
    from timm.models import save_for_hf

    save_for_hf(model, tmp_path / "own", model_config={"num_classes": 3}, model_args=own, safe_serialization=True)
    found = load_model(f"local-dir:{tmp_path / 'own'}")
    assert (found.architecture, found.classes, found.image_size) == ("vit_tiny_patch16_224", 3, (32, 32))
    path = tmp_path / "p.safetensors"
    keeping.keep(
        found.model, path, found.architecture, found.arguments, found.image_size, {}, sp.make_masks(model, 0.5)
    )
    assert len(load_model(str(path)).model.blocks) == 1


def test_a_checkpoint_that_is_no_swin_is_still_refused_by_the_audit(pvt, tmp_path):
    torch.save(pvt.state_dict(), tmp_path / "p.pth")
    with pytest.raises(ValueError, match="holds no weights of a Swin"):
        checkpoints.load(tmp_path / "p.pth")
