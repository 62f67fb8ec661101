"""ImageNet's folders from archives in the official structure, with three classes and two images each."""

import io
import tarfile

import numpy as np
import pytest
import scipy.io
from outside import md5, names, run
from timm.data import ImageNetInfo

from swinprune_lite.__main__ import main
from swinprune_lite.data import imagenet

WNIDS = ["n01440764", "n01443537", "n01484850"]  # of ImageNet's classes


def add(tar, name, body):
    info = tarfile.TarInfo(name)
    info.size = len(body)
    tar.addfile(info, io.BytesIO(body))


def make_archives(folder, each=2):
    """The official archives in small: three classes, a synset with children between them, numbers not in order."""
    rows = [(number, wnid, "a, b", "gloss", 0) for number, wnid in zip((1, 3, 4), WNIDS)]
    rows.insert(1, (2, "n00000001", "parent", "gloss", 3))
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": np.array(rows, dtype=kinds)[:, None]})
    truth = [4, 1, 3] * each
    with tarfile.open(folder / "devkit.tar.gz", "w:gz") as tar:
        add(tar, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        lines = "".join(f"{number}\n" for number in truth)
        add(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", lines.encode())
    with tarfile.open(folder / "val.tar", "w") as tar:
        for number in reversed(range(1, len(truth) + 1)):
            add(tar, f"ILSVRC2012_val_{number:08d}.JPEG", f"of {truth[number - 1]}".encode())
    with tarfile.open(folder / "train.tar", "w") as tar:
        for wnid in WNIDS:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as images:
                for number in range(each):
                    add(images, f"{wnid}_{number}.JPEG", b"image")
            add(tar, f"{wnid}.tar", inner.getvalue())
    return folder


def make_classes(folder, each=2, wnids=WNIDS):
    for wnid in wnids:
        (folder / wnid).mkdir(parents=True)
        for number in range(each):
            (folder / wnid / f"{number}.JPEG").write_bytes(b"image")
    return folder


def test_imagenet_val(tmp_path):
    make_archives(tmp_path)
    labels = imagenet.read_devkit(tmp_path / "devkit.tar.gz")
    assert labels == [WNIDS[2], WNIDS[0], WNIDS[1]] * 2
    val = tmp_path / "out" / "val"
    assert imagenet.unpack_val(tmp_path / "val.tar", labels, val, WNIDS, each=2) == 6
    assert {path.read_bytes() for path in (val / WNIDS[0]).iterdir()} == {b"of 1"}
    assert {path.name for path in (val / WNIDS[2]).iterdir()} == {
        "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000004.JPEG"
    }  # fmt: skip


def test_imagenet_val_that_is_not_whole_is_not_made(tmp_path, monkeypatch):
    make_archives(tmp_path)
    labels, val = imagenet.read_devkit(tmp_path / "devkit.tar.gz"), tmp_path / "out" / "val"

    def refused(said, labels=labels, each=2, archive="val.tar"):
        with pytest.raises(ValueError, match=said):
            imagenet.unpack_val(tmp_path / archive, labels, val, WNIDS, each)
        assert not (tmp_path / "out").exists() or not names(tmp_path / "out")

    refused("val.tar is not a whole ImageNet: n01440764 has 2 images instead of 3, and 2 other", each=3)
    refused("it holds ILSVRC2012_val_00000006.JPEG", labels[:5])
    refused("1 classes of the devkit are not ImageNet-1k's, such as n9", [*labels, "n9"])
    refused("it holds n01440764.tar", archive="train.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "val.tar").read_bytes()[:2000])
    refused("cut.tar is a damaged archive", archive="cut.tar")
    with pytest.raises(ValueError, match="val.tar is not ImageNet's devkit"):
        imagenet.read_devkit(tmp_path / "val.tar")
    monkeypatch.setattr(imagenet, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        imagenet.unpack_val(tmp_path / "val.tar", labels, val, WNIDS, 2)
    assert not names(tmp_path / "out")


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_imagenet_train_goes_on_class_by_class(tmp_path, monkeypatch):
    make_archives(tmp_path)
    train, real, written = tmp_path / "out" / "train", imagenet._write, []

    def killed(tar, member, path):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path.name)
        real(tar, member, path)

    monkeypatch.setattr(imagenet, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        imagenet.unpack_train(tmp_path / "train.tar", train, WNIDS, 6)
    assert names(train.parent) == {".train.part"}
    assert names(train.parent / ".train.part") == {WNIDS[0]}
    monkeypatch.setattr(
        imagenet, "_write", lambda tar, member, path: (written.append(path.name), real(tar, member, path))
    )
    assert imagenet.unpack_train(tmp_path / "train.tar", train, WNIDS, 6) == 6
    assert written.count(f"{WNIDS[0]}_0.JPEG") == 1
    assert written.count(f"{WNIDS[1]}_0.JPEG") == 2
    assert names(train.parent) == {"train"}
    with pytest.raises(ValueError, match=r"\.again\.part has 6 images and must have 7; remove it"):
        imagenet.unpack_train(tmp_path / "train.tar", tmp_path / "again", WNIDS, 7)
    with pytest.raises(ValueError, match=r"val.tar is not ImageNet's .*train.tar: it holds ILSVRC"):
        imagenet.unpack_train(tmp_path / "val.tar", tmp_path / "other", WNIDS)


def test_the_training_archive_is_checked_once(tmp_path, monkeypatch):
    make_archives(tmp_path)
    archive, train = tmp_path / "train.tar", tmp_path / "out" / "train"
    with pytest.raises(ValueError, match=r"has the MD5 .* fetch the official ILSVRC2012_img_train.tar again"):
        imagenet.checked_once(archive, train)
    monkeypatch.setitem(imagenet.ARCHIVE_META, "train", ("x", md5(archive.read_bytes())))
    imagenet.checked_once(archive, train)
    monkeypatch.setattr(imagenet, "check_md5", interrupt)
    imagenet.checked_once(archive, train)
    imagenet.unpack_train(archive, train, WNIDS, 6)
    assert names(train) == set(WNIDS)
    with pytest.raises(KeyboardInterrupt):
        imagenet.checked_once(archive, tmp_path / "other" / "train")


@pytest.mark.parametrize("copy", [False, True])
def test_a_sorted_folder_is_linked_or_copied(tmp_path, copy):
    source, val = make_classes(tmp_path / "sorted" / "val"), tmp_path / "out" / "val"
    assert imagenet.take_sorted(tmp_path / "sorted", val, WNIDS, copy, each=2) == 6
    assert val.is_symlink() != copy
    assert imagenet.check_classes(val, WNIDS, 2, "") == 6
    assert names(val.parent) == {"val"}
    (source / "n9").mkdir()
    with pytest.raises(ValueError, match=r"1 folder\(s\) in it are none of its classes, such as n9"):
        imagenet.take_sorted(source, tmp_path / "again", WNIDS, copy, each=2)


def test_what_systems_leave_in_folders_and_archives_is_no_image(tmp_path):
    source = make_classes(tmp_path / "sorted" / "val")
    for place in (source, source / WNIDS[0]):
        (place / "@eaDir").mkdir()
        (place / "@eaDir" / "0.JPEG").write_bytes(b"thumb")
        (place / "._0.JPEG").write_bytes(b"fork")
        (place / "Thumbs.db").write_bytes(b"thumbs")
    assert imagenet.check_classes(source, WNIDS, 2, "") == 6
    assert imagenet.take_sorted(source, tmp_path / "out" / "val", WNIDS, True, each=2) == 6
    assert names(tmp_path / "out" / "val" / WNIDS[0]) == {"0.JPEG", "1.JPEG"}
    make_archives(tmp_path)
    with tarfile.open(tmp_path / "val.tar", "a") as tar:
        add(tar, "._ILSVRC2012_val_00000001.JPEG", b"fork")
    labels = imagenet.read_devkit(tmp_path / "devkit.tar.gz")
    assert imagenet.unpack_val(tmp_path / "val.tar", labels, tmp_path / "again" / "val", WNIDS, each=2) == 6


def test_fetch_imagenet_command(tmp_path, capsys, monkeypatch):
    def call(*arguments):
        return run(capsys, monkeypatch, "fetch imagenet", "--output", tmp_path / "out", *arguments)

    monkeypatch.chdir(tmp_path)
    assert "--any-digest" in call("--help").out
    said = call()
    assert said.code == 1
    assert "ILSVRC2012_img_val.tar is missing: get ImageNet's official" in said.error
    assert "registration" in said.error
    said = call("--dry-run", "--train-tar", "t.tar")
    assert said.code == 0
    assert "t.tar, which is missing" in said.out
    wnids = ImageNetInfo().label_names()
    for wnid in wnids[1:]:
        (tmp_path / "almost" / wnid).mkdir(parents=True)
    assert f"of 1,000 class folders it has 999 and lacks {wnids[0]};" in call("--sorted", "almost").error
    (tmp_path / "empty").mkdir()
    assert "it has 0 and lacks" in call("--sorted", "empty").error
    assert not (tmp_path / "out").exists()

    make_archives(tmp_path, each=50)
    archives = ("--val-tar", "val.tar", "--devkit", "devkit.tar.gz", "--train-tar", "train.tar")
    monkeypatch.setattr(ImageNetInfo, "label_names", lambda self: WNIDS)
    assert "devkit.tar.gz has the MD5" in call(*archives).error
    said = call(*archives, "--any-digest")
    assert said.code == 0
    assert said.out.count("150 images of 3 classes") == 2
    for folder, options in (("loud", []), ("quiet", ["-q"])):
        asked = ["fetch", "imagenet", "--output", str(tmp_path / folder), *archives, "--any-digest", *options]
        assert main(asked) == 0
        said = capsys.readouterr()
        assert ("validation images" in said.err) == bool(said.out) == (folder == "loud")  # a bar
    assert call().out.endswith("is whole: 150 images. Nothing to do.\n")
    (tmp_path / "out" / "val" / WNIDS[1] / "ILSVRC2012_val_00000003.JPEG").unlink()
    said = call("--dry-run")
    assert said.code == 1
    assert "n01443537 has 49 images instead of 50; remove it and start this again." in said.error
