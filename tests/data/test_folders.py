"""Folders of images as a pretrained model takes them, and their augmentation."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from stubs import make_folder
from timm.data import ImageNetInfo, create_transform
from torchvision.datasets import Imagenette

from swinprune_lite.data import folders
from swinprune_lite.data.augmentation import training_images
from swinprune_lite.data.folders import (
    Transform,
    class_numbers,
    evaluation_images,
    listing_digest,
    open_folder,
)
from swinprune_lite.models.pretrained import PAPER_MODELS, config

CONFIG = config(PAPER_MODELS[0])
SMALL = Transform((3, 32, 32), "bicubic", 0.9, "center", CONFIG.mean, CONFIG.std)


@pytest.fixture
def folder(tmp_path):
    make_folder(tmp_path / "val", list(Imagenette._WNID_TO_CLASS), 3)
    return tmp_path / "val"


def test_imagenettes_classes_are_numbered_as_the_thousand_are_by_their_ids(folder):
    names = [name for name, _ in sorted(open_folder(folder, CONFIG).class_to_idx.items(), key=lambda item: item[1])]
    # the well-known positions of Imagenette's ten classes among ImageNet's thousand
    assert class_numbers(names, CONFIG) == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    assert {int(label) for _, labels in evaluation_images(folder, CONFIG, SMALL, 8) for label in labels} == set(
        class_numbers(names, CONFIG)
    )


def test_the_paper_s_models_take_224_pixels_bicubic_with_a_crop_of_0_9():
    for name in PAPER_MODELS:
        assert Transform.of(config(name)) == Transform(
            (3, 224, 224), "bicubic", 0.9, "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        )
        assert config(name).num_classes == 1000
    assert Transform.of(CONFIG, 0.875).crop_pct == 0.875


def test_pixels_equal_timm_s_own_transform(tmp_path):
    (tmp_path / "a").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a" / "x.png")
    transform = Transform.of(CONFIG)
    own = create_transform((3, 224, 224), interpolation="bicubic", crop_pct=0.9, mean=CONFIG.mean, std=CONFIG.std)
    ours = next(iter(evaluation_images(tmp_path, _classes(1), transform, 1)))[0][0]
    assert torch.equal(ours, own(Image.open(tmp_path / "a" / "x.png").convert("RGB")))


def test_the_first_images_are_a_sample_of_all_classes_and_the_same_every_time(folder, monkeypatch):
    whole = evaluation_images(folder, CONFIG, SMALL, 8)
    first = evaluation_images(folder, CONFIG, SMALL, 8, 12)
    assert (whole.images, len(whole), first.images, len(first)) == (30, 4, 12, 2)
    labels = torch.cat([classes for _, classes in whole])
    assert torch.equal(torch.cat([classes for _, classes in first]), labels[:12])
    assert len(labels[:12].unique()) > 4
    kept = [torch.cat([pixels for pixels, _ in whole]) for _ in range(2)]
    monkeypatch.setattr(folders, "CACHED_BYTES", 0)
    assert torch.equal(kept[0], kept[1])
    assert torch.equal(kept[0], torch.cat([pixels for pixels, _ in whole]))


def test_classes_that_are_not_the_model_s_are_refused(tmp_path):
    names = ImageNetInfo().label_names()
    assert class_numbers(names, CONFIG) == list(range(1000))
    with pytest.raises(ValueError, match="has 999 classes and swin_tiny.* tells 1000 apart.*these are not: own"):
        class_numbers(["own", *names[2:]], CONFIG)
    assert class_numbers(["cat", "dog"], _classes(2)) == [0, 1]
    with pytest.raises(ValueError, match="has 3 classes"):
        class_numbers(["cat", "dog", "owl"], _classes(2))


def test_folders_that_are_missing_empty_or_hold_no_whole_image(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        open_folder(tmp_path / "none", CONFIG)
    with pytest.raises(FileNotFoundError, match="a folder of images for every class"):
        open_folder(tmp_path, CONFIG)
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError, match="none of them empty.*unpack it again"):
        open_folder(tmp_path, CONFIG)
    (tmp_path / "a" / "half.JPEG").write_bytes(b"\xff\xd8 not an image")
    with pytest.raises(ValueError, match=r"half\.JPEG is not a whole image"):
        list(evaluation_images(tmp_path, _classes(1), SMALL, 1))


def test_other_images_have_another_digest(folder):
    before = listing_digest(folder)
    (folder / "n01440764" / "more.JPEG").write_bytes(b"1")
    listing_digest.cache_clear()
    assert listing_digest(folder) != before


def test_augmentation_depends_on_seed_epoch_and_image_alone(folder, monkeypatch):
    def passes(seed=0, workers=0):
        monkeypatch.setattr("swinprune_lite.data.augmentation.workers", lambda images: workers)
        loader = training_images(folder, CONFIG, SMALL, 8, seed)
        found = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            random.seed(), np.random.seed(), torch.seed()
            found.append(torch.cat([pixels for pixels, _ in loader]))
        return found

    first, second = passes()
    assert not torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip((first, second), passes()))
    assert all(torch.equal(a, b) for a, b in zip((first, second), passes(workers=2)))
    assert not torch.equal(first, passes(seed=1)[0])


def test_drawing_leaves_the_reader_s_generators_alone(folder):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    training_images(folder, CONFIG, SMALL, 8).dataset[0]
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_few_images_make_one_even_batch_and_steps_limit_an_epoch(folder):
    loader = training_images(folder, CONFIG, SMALL, 64)
    assert [len(classes) for _, classes in loader] == [30]
    assert [len(classes) for _, classes in training_images(folder, CONFIG, SMALL, 8, steps=2)] == [8, 8]


def _classes(count):
    from dataclasses import replace

    return replace(CONFIG, num_classes=count, tag="own", architecture="own_model")
