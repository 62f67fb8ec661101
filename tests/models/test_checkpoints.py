"""Checkpoints whose weights are of another kind, empty, or wrongly numbered: one sentence, and soon."""

import time

import pytest
import timm
import torch

from swinprune_lite.models.checkpoints import load

SMALL = {"embed_dim": 16, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), "num_classes": 5}
QKV = "layers.0.blocks.0.attn.qkv.weight"
TABLE = "layers.0.blocks.0.attn.relative_position_bias_table"
PATCH = "patch_embed.proj.weight"


@pytest.fixture(scope="module")
def state():
    return timm.create_model("swin_tiny_patch4_window7_224", **SMALL).state_dict()


def block(number, stage=0):
    return lambda weight: {f"layers.{stage}.blocks.{number}.attn.qkv.weight": weight}


def qkv(change):
    return lambda weight: {QKV: change(weight)}


def put(name, *shape):
    return lambda _: {name: torch.zeros(shape)}


CHANGES = {
    "bool": (qkv(lambda weight: weight > 0), f"{QKV} in .* is of torch.bool, and weights must be dense floating"),
    "complex": (qkv(lambda weight: weight * 1j), f"{QKV} in .* is of torch.complex64"),
    "int8": (qkv(lambda weight: weight.to(torch.int8)), f"{QKV} in .* is of torch.int8"),
    "quantised": (qkv(lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)), f"{QKV} in .* is of torch.qint8"),
    "sparse": (qkv(torch.Tensor.to_sparse), f"{QKV} in .* is of torch.sparse_coo"),
    "meta": (qkv(lambda weight: weight.to("meta")), f"{QKV} in .* is on the meta device"),
    "no pixels": (put(PATCH, 16, 3, 0, 0), rf"{PATCH} in .* has the shape \(16, 3, 0, 0\), which holds no number"),
    "no heads": (put(TABLE, 169, 0), rf"{TABLE} in .* has the shape \(169, 0\), which holds no number"),
    "too many heads": (put(TABLE, 169, 100), r"is no Swin that timm knows \(ZeroDivisionError: "),
    "no matrix": (put(TABLE, 169), r"is no Swin that timm knows \(ValueError: "),
    "no classes": (put("head.fc.weight", 0, 128), r"head\.fc\.weight in .* which holds no number"),
    "a gap": (block(1000), "its blocks of stage 0 must be numbered from 0 without gaps; it has 2 up to 1000"),
    "a wide gap": (block(10**12), "its blocks of stage 0 must be numbered from 0 without gaps"),
    "a gap of stages": (block(0, 10**12), "its stages must be numbered from 0 without gaps; it has 5 up to 10+"),
    "too long a number": (block("9" * 5000), "is no Swin that timm knows"),
    "a number of two digits": (block("00"), r"it has also layers\.0\.blocks\.00"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, on such tensors
@pytest.mark.parametrize("case", CHANGES)
def test_what_is_no_swin_gets_one_sentence_soon(state, tmp_path, case):
    change, said = CHANGES[case]
    torch.save(state | change(state[QKV]), tmp_path / "other.pth")
    start = time.perf_counter()
    with pytest.raises(ValueError, match=said) as caught:
        load(tmp_path / "other.pth")
    assert time.perf_counter() - start < 5
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "other.pth") in str(caught.value)


def test_whole_numbers_that_timm_computes_itself_may_be_there(state, tmp_path):
    index = torch.zeros(49, 49, dtype=torch.int64)
    half = {name: tensor.half() for name, tensor in state.items()}
    torch.save(half | {"layers.0.blocks.0.attn.relative_position_index": index}, tmp_path / "small.pth")
    name, model = load(tmp_path / "small.pth")
    assert name == ""
    assert torch.equal(model.state_dict()[QKV], half[QKV].float())
