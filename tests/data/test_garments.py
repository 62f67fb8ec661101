"""Single garments and photographs, as a model pretrained on photographs takes them."""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from swinprune_lite.data import photographs as room
from swinprune_lite.data.folders import Transform
from swinprune_lite.data.garments import single_garments
from swinprune_lite.data.pairs import lite_data
from swinprune_lite.data.photographs import PHOTOGRAPHS, photographs

TRANSFORM = Transform((3, 56, 56), "bicubic", 1.0, "center", (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))


def test_a_garment_is_enlarged_and_the_same_in_every_channel():
    data = single_garments("test", TRANSFORM, 2, batch_size=7)
    images, labels = zip(*data)
    assert [len(batch) for batch in images] == [7, 7, 6]
    assert torch.cat(labels).tolist() == [*range(10), *range(10)]
    grey = Image.fromarray(data.garments[3].numpy()).resize((56, 56), Image.Resampling.BICUBIC)
    expected = (torch.tensor(np.array(grey)) / 255).expand(3, -1, -1)
    back = images[0][3] * torch.tensor(TRANSFORM.std)[:, None, None] + torch.tensor(TRANSFORM.mean)[:, None, None]
    assert torch.allclose(back, expected, atol=1e-6)


def test_splits_are_apart_and_of_the_shipped_garments():
    def found(split, each):
        return {garment.numpy().tobytes() for garment in single_garments(split, TRANSFORM, each).garments}

    held_out, calibration = found("held-out", 200), found("calibration", 800)
    assert held_out == {garment.numpy().tobytes() for garment in lite_data("held-out").garments}
    assert not held_out & calibration
    assert found("test", 100) <= {garment.numpy().tobytes() for garment in lite_data("test").garments}


@pytest.mark.parametrize(
    ("split", "each", "said"),
    [("train", 1, "Unknown split 'train'; choose one of test, held-out, calibration"),
     ("held-out", 201, "each must be from 1 to 200, the garments of each kind in held-out; got 201"),
     ("test", 0, "each must be from 1 to 1000")],
)  # fmt: skip
def test_other_garments_are_refused(split, each, said):
    with pytest.raises(ValueError, match=said):
        single_garments(split, TRANSFORM, each)


@pytest.mark.skipif(find_spec("skimage") is None, reason="scikit-image, of the extra `pretrained`, is not installed")
def test_photographs_are_middle_squares():
    ((images, places),) = photographs(TRANSFORM)
    assert images.shape == (12, 3, 56, 56)
    assert places.tolist() == [*range(12)]
    path = room._files()[PHOTOGRAPHS.index("coffee.png")]
    with Image.open(path) as image:
        expected = np.asarray(image.resize((84, 56), Image.Resampling.BICUBIC).crop((14, 0, 70, 56)))
    back = images[2] * torch.tensor(TRANSFORM.std)[:, None, None] + torch.tensor(TRANSFORM.mean)[:, None, None]
    assert torch.allclose(back, torch.tensor(expected).permute(2, 0, 1) / 255, atol=1e-6)
    grey = (images[6] * torch.tensor(TRANSFORM.std)[:, None, None] + torch.tensor(TRANSFORM.mean)[:, None, None]).std(0)
    assert grey.max() < 1e-6


def test_missing_and_other_photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"scikit-image's; install swinprune-lite\[pretrained\]"):
        photographs(TRANSFORM)
    monkeypatch.setattr(room, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    with pytest.raises(FileNotFoundError, match=r"scikit-image has no astronaut\.png"):
        photographs(TRANSFORM)
    (tmp_path / "data").mkdir()
    for name in PHOTOGRAPHS:
        (tmp_path / "data" / name).write_bytes(b"another")
    with pytest.raises(ValueError, match=r"are others: their SHA-256 begins .*; install scikit-image 0\.26"):
        photographs(TRANSFORM)
