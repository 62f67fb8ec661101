"""Folders of images as a pretrained model takes them, and their augmentation."""

import hashlib
import os
import random
import signal
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from stubs import make_folder
from timm.data import ImageNetInfo, create_transform
from timm.data.auto_augment import posterize
from torchvision.datasets import ImageFolder, Imagenette

from swinprune_lite.data import folders
from swinprune_lite.data.augmentation import training_images
from swinprune_lite.data.folders import (
    Transform,
    class_numbers,
    evaluation_images,
    open_folder,
)
from swinprune_lite.data.listing import (
    class_images,
    class_names,
    list_folder,
    listing_digest,
    require_same_classes,
    split_folder,
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


def test_an_image_of_which_no_bit_is_kept_is_black(folder):
    """As Pillow made it before version 13, which raises; timm draws that for one image of some hundreds."""
    found = training_images(folder, CONFIG, SMALL, 4).dataset.images.transform.transforms
    (one,) = [each for step in found for each in getattr(step, "ops", ()) if each.name == "PosterizeIncreasing"]
    one.prob, one.magnitude_std = 1.0, 0
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    one.magnitude = 10
    assert not np.asarray(one(image)).any()
    one.magnitude = 5
    assert np.array_equal(one(image), posterize(image, 2))


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


def litter(folder):
    """What systems and tools leave in a folder of classes and in one of its classes."""
    some = next(path for path in sorted(folder.iterdir()) if path.is_dir())
    image = next(path for path in some.iterdir() if path.is_file())
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git", "lost+found", "$RECYCLE.BIN"):
        for place in (folder / name, some / name):
            place.mkdir()
            (place / "copy.JPEG").write_bytes(image.read_bytes())
    for place in (folder, some):
        for name in (f"._{image.name}", ".hidden.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "README.txt"):
            (place / name).write_bytes(b"\0\5\x16\7 no image")
    return folder


def test_all_readers_list_the_same_images_whatever_systems_leave_among_them(folder):
    before, clean = listing_digest(folder), open_folder(folder, CONFIG).samples
    names = class_names(folder)
    litter(folder)
    assert class_names(folder) == names == open_folder(folder, CONFIG).classes
    assert open_folder(folder, CONFIG).samples == clean
    assert [f"{folder}/{name}/{image}" for name, found in class_images(folder, names).items() for image in found] == [
        path for path, _ in clean
    ]
    assert listing_digest(folder) == before
    assert evaluation_images(folder, CONFIG, SMALL, 8).images == 30 == sum(map(len, list_folder(folder).values()))


def test_the_digest_of_a_clean_folder_is_that_of_its_names_and_sizes(folder):
    lines = sorted(f"{path.parent.name}/{path.name} {path.stat().st_size}" for path in folder.glob("*/*"))
    assert listing_digest(folder) == hashlib.sha256("\n".join(lines).encode()).hexdigest()


part = st.text("abAB01-_+", min_size=1, max_size=4)
image_name = st.tuples(
    st.lists(part, max_size=2), part, st.sampled_from([".jpg", ".JPEG", ".Png", ".webp", ".tif", ".txt"])
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(part, st.lists(image_name, min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_clean_folder_is_read_as_torchvision_reads_it(tree):
    with tempfile.TemporaryDirectory() as place:
        for name, images in tree.items():
            for above, stem, end in [*images, ([], "one", ".jpg")]:
                path = Path(place, name, *(f"{folder}d" for folder in above), stem + end)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"1")
        theirs = ImageFolder(place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = open_folder(Path(place), _classes(len(theirs.classes)))
    assert (ours.classes, ours.samples, ours.targets) == (theirs.classes, theirs.samples, theirs.targets)


def test_links_are_followed_once(folder, tmp_path):
    elsewhere = make_folder(tmp_path / "more", ["n01440764"], 2) or tmp_path / "more"
    (folder / "n01440764" / "linked").symlink_to(elsewhere / "n01440764")
    (folder / "n01440764" / "back").symlink_to(folder / "n01440764")
    (folder / "n02102040" / "one.jpg").symlink_to(elsewhere / "n01440764" / "n01440764_0.JPEG")
    found = list_folder(folder)
    assert list(found["n01440764"])[3:] == ["linked/n01440764_0.JPEG", "linked/n01440764_1.JPEG"]
    assert len(found["n02102040"]) == 4
    (folder / "n02102040" / "two.jpg").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"two\.jpg is a link to nothing"):
        open_folder(folder, CONFIG)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("CMYK", "x.jpg"), ("L", "x.jpg"), ("P", "x.png"), ("RGBA", "x.PNG"), ("LA", "x.png"), ("1", "x.tif"),
     ("RGB", "x.webp"), ("RGB", "x.BMP")],
)  # fmt: skip
def test_kinds_of_images_are_read_as_pillow_converts_them(tmp_path, mode, name):
    (tmp_path / "a").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a" / name)
    loaded, _ = open_folder(tmp_path, _classes(1))[0]
    assert loaded.mode == "RGB"
    assert np.array_equal(np.asarray(loaded), np.asarray(Image.open(tmp_path / "a" / name).convert("RGB")))


def test_an_orientation_in_exif_is_left_out_as_timm_does(tmp_path):
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (40, 20)).save(tmp_path / "a" / "x.jpg", exif=exif)
    assert open_folder(tmp_path, _classes(1))[0][0].size == (40, 20)


def damage(path, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    if kind == "text":
        path.write_text("no image")
    elif kind == "16 bits":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "floats":
        Image.fromarray(pixels[..., 0].astype(np.float32)).save(path, "TIFF")
    else:
        Image.fromarray(pixels).save(path, "JPEG" if kind == "half" else "PNG")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("kind", ["text", "half", "half a PNG", "16 bits", "floats"])
def test_an_image_that_cannot_be_read_right_is_named(tmp_path, kind, monkeypatch):
    (tmp_path / "a").mkdir()
    damage(tmp_path / "a" / "bad.jpg", kind)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as other code in the process may have it
    with pytest.raises(ValueError, match=r"bad\.jpg is not a whole image of 8 bits a channel \(.*\); replace it"):
        list(evaluation_images(tmp_path, _classes(1), SMALL, 1))
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("processes", [0, 1])
def test_a_damaged_image_is_one_sentence_out_of_worker_processes_too(folder, monkeypatch, processes):
    damage(folder / "n01440764" / "bad.JPEG", "half")
    monkeypatch.setattr("swinprune_lite.data.augmentation.workers", lambda images: processes)
    monkeypatch.setattr("swinprune_lite.data.folders.workers", lambda images: processes)
    for batches in (training_images(folder, CONFIG, SMALL, 31), evaluation_images(folder, CONFIG, SMALL, 31)):
        with pytest.raises(ValueError, match=rf"^{folder}/n01440764/bad\.JPEG is not a whole image .*again\.$"):
            list(batches)


def test_an_empty_file_is_refused_before_anything_is_read(folder):
    (folder / "n01440764" / "none.jpg").write_bytes(b"")
    for check in (lambda: open_folder(folder, CONFIG), lambda: class_images(folder, ["n01440764"])):
        with pytest.raises(ValueError, match=r"1 image\(s\) in .*n01440764 are empty files, such as none\.jpg"):
            check()


def test_classes_that_a_model_has_by_name_get_its_numbers(tmp_path):
    named = replace(_classes(3), label_names=("zebra", "Apple", "banana"))
    assert class_numbers(["Apple", "banana", "zebra"], named) == [1, 2, 0]
    assert class_numbers(["banana"], named) == [2]
    with pytest.raises(ValueError, match="does not have by name: apple.* Its own are zebra, Apple, banana; name"):
        class_numbers(["apple", "banana", "zebra"], named)


def test_capital_and_small_letters_are_numbered_alike_and_said_so(tmp_path):
    with pytest.warns(UserWarning, match=r"Apple, banana, Cherry, \.\.\. If the model numbers them otherwise"):
        assert class_numbers(["Apple", "Cherry", "banana"], _classes(3)) == [0, 2, 1]
    make_folder(tmp_path, ["Apple", "Cherry", "banana"], 1)
    with pytest.warns(UserWarning, match="numbered by alphabet"):
        opened = open_folder(tmp_path, _classes(3))
    assert [Path(path).parent.name for path, _ in opened.samples] == ["Apple", "Cherry", "banana"]  # the order stays
    assert [opened[index][1] for index in range(3)] == [0, 2, 1]


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        (["Apple", "b"], ["apple", "b"], r"only .*train has Apple and only .*val has apple"),
        (["a", "b", "c"], ["a", "b"], r"^The splits .*: only .*train has c\. Rename"),
        (["a", "b"], ["a", "b", "n01440764"], r"only .*val has n01440764"),
        (["a"], list("abcdefgh"), r"only .*val has b, c, d, e, f and 2 more"),
        (["a", "b"], ["a", "b"], None),
        (["n01440764", "n02102040"], ["n01440764"], None),  # by their ids
    ],
)
def test_splits_are_compared_by_name(tmp_path, train, val, said):
    for split, names in (("train", train), ("val", val)):
        make_folder(tmp_path / split, names, 0)
    if said is None:
        return require_same_classes(tmp_path / "train", tmp_path / "val", CONFIG)
    with pytest.raises(ValueError, match=said):
        require_same_classes(tmp_path / "train", tmp_path / "val", CONFIG)


def test_the_same_images_with_other_numbers_are_not_mixed_up(folder):
    """Decoded images are kept in memory; two models may number one folder's classes differently."""
    first = replace(_classes(10), label_names=tuple(class_names(folder)))
    second = replace(first, label_names=first.label_names[::-1])
    one, other = (torch.cat([c for _, c in evaluation_images(folder, known, SMALL, 8)]) for known in (first, second))
    assert torch.equal(one, 9 - other)


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"batch_size": 4, "images": -3}, {"batch_size": 2.5}])
def test_numbers_below_one_are_refused(folder, arguments):
    with pytest.raises(ValueError, match=r"(batch_size|images) must be a whole number, 1 or more; got"):
        evaluation_images(folder, CONFIG, SMALL, **arguments)


def test_pixels_do_not_depend_on_what_the_process_takes_new_tensors_for(folder):
    usual = torch.cat([pixels for pixels, _ in evaluation_images(folder, CONFIG, SMALL, 8)])
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        other = [pixels for pixels, _ in evaluation_images(folder, CONFIG, SMALL, 8)]
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(torch.cat(other), usual)


def _classes(count):
    return replace(CONFIG, num_classes=count, tag="own", architecture="own_model")


def _grey(folder, images, grey):
    for name in "ab":
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            Image.new("RGB", (40, 40), (grey,) * 3).save(folder / name / f"{number}.bmp")  # all of one size


def _seen(batches):
    pixels = torch.cat([pixels for pixels, _ in batches])
    return batches.images, len(pixels), round((pixels[:, 0] * SMALL.std[0] + SMALL.mean[0]).mean().item() * 255)


def test_images_that_changed_are_read_anew(tmp_path):
    _grey(tmp_path, 2, 0)
    first = evaluation_images(tmp_path, _classes(2), SMALL, 4)
    assert _seen(first) == (4, 4, 0)
    _grey(tmp_path, 5, 255)
    assert _seen(evaluation_images(tmp_path, _classes(2), SMALL, 4)) == (10, 10, 255)
    assert _seen(first) == (4, 4, 255)  # its own images, as they are now
    for path in tmp_path.rglob("*.bmp"):  # as an archive that is unpacked anew, which sets their times back
        about = path.stat()
        Image.new("RGB", (40, 40)).save(path)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert _seen(evaluation_images(tmp_path, _classes(2), SMALL, 4)) == (10, 10, 0)
    (tmp_path / "a" / "0.bmp").unlink()
    with pytest.raises(ValueError, match=r"a/0\.bmp is not a whole image .*No such file"):
        list(first)


def test_images_that_did_not_change_are_decoded_once(folder, monkeypatch):
    kept = [pixels for pixels, _ in evaluation_images(folder, CONFIG, SMALL, 8)]
    monkeypatch.setattr(folders, "load_image", None)
    assert all(map(torch.equal, kept, (pixels for pixels, _ in evaluation_images(folder, CONFIG, SMALL, 8))))


def test_a_relative_folder_stays_the_same_one(tmp_path, monkeypatch):
    for name, grey in (("one", 0), ("other", 255)):
        _grey(tmp_path / name / "val", 2, grey)
    monkeypatch.chdir(tmp_path / "one")
    one = evaluation_images(Path("val"), _classes(2), SMALL, 4)
    digest = listing_digest(Path("val"))
    monkeypatch.chdir(tmp_path / "other")
    _grey(tmp_path / "other" / "val", 3, 255)
    assert listing_digest(Path("val")) != digest
    other = evaluation_images(Path("val"), _classes(2), SMALL, 4)
    assert (_seen(one), _seen(other), _seen(one)) == ((4, 4, 0), (6, 6, 255), (4, 4, 0))


def test_a_share_of_the_batches_is_every_so_many_th(folder):
    whole = evaluation_images(folder, CONFIG, SMALL, 4)
    shares = [whole.share(index, 3) for index in range(3)]
    assert [share.images for share in shares] == [12, 10, 8]
    batches = [list(share) for share in shares]
    for number, (images, classes) in enumerate(whole):
        found = batches[number % 3][number // 3]
        assert torch.equal(found[0], images)
        assert torch.equal(found[1], classes)


def test_a_model_s_own_names_come_before_wordnet_s():
    names = ImageNetInfo().label_names()
    own = replace(CONFIG, label_names=tuple(reversed(names)))
    assert class_numbers(names[:2], own) == [999, 998]
    assert class_numbers(names[:2], replace(CONFIG, label_names=("tench", *names[1:]))) == [0, 1]


def test_splits_of_one_s_own_folder(tmp_path):
    make_folder(tmp_path / "own" / "test", ["a", "b"], 1)
    assert split_folder(tmp_path / "own", "test") == tmp_path / "own" / "test"
    assert split_folder(tmp_path / "own" / "test", "val") == tmp_path / "own" / "test"
    with pytest.raises(FileNotFoundError, match="has no val folder, but test; name the split"):
        split_folder(tmp_path / "own", "val")
    with pytest.raises(FileNotFoundError, match="has no train folder, so there is nothing to fine-tune on"):
        split_folder(tmp_path / "own", "train")
    with pytest.raises(FileNotFoundError, match="has no dev folder; put one there"):
        split_folder(tmp_path / "own", "dev")


def test_a_worker_process_leaves_ctrl_c_to_the_main_one(folder, monkeypatch):
    set_ = {}
    monkeypatch.setattr(folders.signal, "signal", set_.__setitem__)
    for loader in (
        training_images(folder, CONFIG, SMALL, 4),
        folders._decode(evaluation_images(folder, CONFIG, SMALL, 4)),
    ):
        set_.clear()
        loader.worker_init_fn(0)
        assert set_ == {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_DFL}
