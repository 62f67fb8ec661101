"""Images that a command names: a folder, or the pairs that ship; and what does not fit the model."""

import pytest
import timm
import torch
from stubs import make_folder

from swinprune_lite.jobs.images import Data, config_of, read_class_map
from swinprune_lite.shell.keeping import keep
from swinprune_lite.shell.named import Loaded, load_model


@pytest.fixture(scope="module")
def micro():
    return load_model("swin_lite_micro")


@pytest.fixture(scope="module")
def own():
    """A model of three classes in small images, that names none of them."""
    model = timm.create_model("test_vit", num_classes=3, img_size=32).eval()
    return Loaded(model, "own", "test_vit", "", (32, 32), 3, {"img_size": 32})


@pytest.fixture
def folder(tmp_path):
    for split, images in (("train", 4), ("val", 2), ("dev", 1)):
        make_folder(tmp_path / split, "abc", images)
    return tmp_path


def test_the_pairs_that_ship(micro):
    data = Data(micro, "lite", 50)
    test = data.test(images=70)
    assert [len(classes) for _, classes in test] == [50, 20]
    assert data.class_names(test)[13] == "Trouser + Dress"
    assert data.test("smoke").images == 200
    assert len(data.train(0, processes=2, steps=3)) == 6
    assert len(data.digests("val", training=True)) == 2
    with pytest.raises(ValueError, match="have no split 'dev'; choose one of val, test, smoke, held-out"):
        data.test("dev")


def test_a_folder_and_its_splits(own, folder):
    data = Data(own, str(folder), 4, crop_pct=1.0, interpolation="nearest")
    test = data.test("dev")
    assert (test.images, data.class_names(test)) == (3, {0: "a", 1: "b", 2: "c"})
    assert (data.transform.crop_pct, data.transform.interpolation) == (1.0, "nearest")
    assert data.transform.input_size == (3, 32, 32)
    assert next(iter(test))[0].shape == (3, 3, 32, 32)
    assert len(data.train(0)) == 3
    assert data.digests("val").keys() == {"val"}


def test_a_class_map_numbers_the_classes(own, folder, tmp_path):
    (tmp_path / "map.txt").write_text("b\nc\na\n")
    (tmp_path / "map.json").write_text('{"b": 0, "a": 2, "c": 1}')
    for name in ("map.txt", "map.json"):
        names = read_class_map(tmp_path / name)
        assert names == ("b", "c", "a")
        data = Data(own, str(folder / "val"), 4, class_map=names)
        assert data.class_names(data.test()) == {0: "b", 1: "c", 2: "a"}
    with pytest.raises(ValueError, match="The class map has 2 names and own tells 3 classes apart"):
        Data(own, str(folder), 4, class_map=("a", "b")).test()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.txt", ""),
        ("m.txt", "a\na\n"),
        ("m.txt", "a\n\nb\n"),
        ("m.json", "{"),
        ("m.json", '{"a": 1}'),
        ("m.json", "3"),
    ],
)
def test_a_damaged_class_map_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"m\.\w+ is no class map \(.*\); give one"):
        read_class_map(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_class_map(tmp_path / "nothing.txt")


def test_what_does_not_fit_is_said_before_any_image_is_read(micro, own, folder):
    for loaded, where, more, said in (
        (own, "lite", {}, r"are \(1, 32, 64\) images of 100 classes, for lite models; own takes \(3, 32, 32\)"),
        (micro, str(folder), {}, r"takes images of 1 channel\(s\), and those of a folder have 3"),
        (micro, "lite", {"crop_pct": 0.9}, "The pairs that ship are not resized"),
        (own, str(folder), {"crop_pct": 1.5}, r"--crop-pct is a share .* in \(0, 1\]; got 1.5"),
        (own, str(folder), {"interpolation": "magic"}, "--interpolation is one of bicubic, .*; got 'magic'"),
    ):
        with pytest.raises(ValueError, match=said):
            Data(loaded, where, 4, **more)
    with pytest.raises(ValueError, match="batch_size must be a whole number, 1 or more; got 0"):
        Data(own, str(folder), 0)
    with pytest.raises(FileNotFoundError, match='There is no folder .*nothing; give one .* or "lite"'):
        Data(own, str(folder / "nothing"), 4).test()
    make_folder(folder / "four", "abcd", 1)
    with pytest.raises(ValueError, match="has 4 classes and test_vit tells 3 apart"):
        Data(own, str(folder / "four"), 4).test()


def test_names_of_another_head_are_forgotten(own):
    own.model.pretrained_cfg = dict(own.model.pretrained_cfg) | {"num_classes": 5, "label_names": list("abcde")}
    found = config_of(own)
    assert (found.num_classes, found.label_names, found.input_size) == (3, None, (3, 32, 32))
    assert torch.equal(torch.tensor(found.mean), torch.tensor(own.model.pretrained_cfg["mean"]))


def test_a_file_knows_what_images_its_model_takes_and_how_their_classes_are_called(tmp_path):
    model = timm.create_model("test_vit", num_classes=3, img_size=32).eval()
    own = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "label_names": ["c", "a", "b"], "num_classes": 3}
    model.pretrained_cfg = dict(model.pretrained_cfg) | own
    masks = {name: weight != 0 for name, weight in model.named_parameters() if name.endswith("qkv.weight")}
    for number, held in enumerate((None, masks)):
        keep(model, tmp_path / f"{number}.safetensors", "test_vit", {"img_size": 32}, (32, 32), {}, held)
        found = config_of(load_model(str(tmp_path / f"{number}.safetensors")))
        assert (found.mean, found.std, found.label_names) == (own["mean"], own["std"], ("c", "a", "b"))
