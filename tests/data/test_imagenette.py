"""Imagenette fetched from a server on this machine, unpacked, killed, damaged."""

import io
import re
import tarfile

import pytest
from forked import Forked
from outside import md5, names, run
from torchvision.datasets import Imagenette

from swinprune_lite.data import imagenette

WNIDS = list(Imagenette._WNID_TO_CLASS)


def make_imagenette(folder, images=2, listing=False):
    rows = ["path,noisy_labels_0,is_valid"]
    for split in ("train", "val"):
        for wnid in Imagenette._WNID_TO_CLASS:
            (folder / split / wnid).mkdir(parents=True)
            for number in range(images):
                (folder / split / wnid / f"{wnid}_{number}.JPEG").write_bytes(b"image")
                rows.append(f"{split}/{wnid}/{wnid}_{number}.JPEG,{wnid},{split == 'val'}")
    if listing:
        (folder / "noisy_imagenette.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def tgz(tmp_path_factory):
    """An archive of Imagenette's layout with two images a class, as bytes."""
    place = tmp_path_factory.mktemp("tgz")
    make_imagenette(place / "imagenette2-320", listing=True)
    with tarfile.open(place / "x.tgz", "w:gz") as tar:
        tar.add(place / "imagenette2-320", "imagenette2-320")
    return (place / "x.tgz").read_bytes()


def test_imagenette(server, tmp_path, tgz):
    server.body = tgz
    folder = imagenette.fetch_imagenette(tmp_path, url=f"{server.url}/cut", md5=md5(tgz))
    assert folder == tmp_path / "imagenette2-320" == imagenette.find_imagenette(tmp_path)
    assert imagenette.check_imagenette(folder) == {"train": 20, "val": 20}
    assert names(tmp_path) == {"imagenette2-320"}
    assert imagenette.fetch_imagenette(tmp_path, url=f"{server.url}/missing") == folder  # there: nothing is asked
    assert server.asked == [None, f"bytes={len(tgz) // 2}-"]
    (folder / "val" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG").unlink()
    with pytest.raises(ValueError, match="1 of the 40 images .* missing, such as val/n01440764/.*; remove it"):
        imagenette.fetch_imagenette(tmp_path)


def test_imagenette_from_an_archive_put_there_by_hand(tmp_path, tgz, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    (tmp_path / "imagenette2-320.tgz").write_bytes(tgz)
    with pytest.raises(ValueError, match="3df6f0d01a2c9592104656642f5e78a3 is expected"):  # the official archive's
        imagenette.fetch_imagenette()
    imagenette.fetch_imagenette(md5=md5(tgz), keep=True)
    assert names(tmp_path) == {"imagenette2-320", "imagenette2-320.tgz"}
    with pytest.raises(ValueError, match="Unknown size '80px' of Imagenette; it has full, 320px, 160px"):
        imagenette.fetch_imagenette(size="80px")


def test_killed_unpacking_leaves_nothing_and_is_done_again(tmp_path, tgz, monkeypatch):
    (tmp_path / "imagenette2-320.tgz").write_bytes(tgz)
    real, unpacked = tarfile.TarFile.extract, []

    def killed(tar, member, *arguments, **options):
        unpacked.append(member)
        if len(unpacked) > 9:
            raise KeyboardInterrupt
        real(tar, member, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(tarfile.TarFile, "extract", killed)
        with pytest.raises(KeyboardInterrupt):
            imagenette.fetch_imagenette(tmp_path, md5=md5(tgz))
    assert names(tmp_path) == {"imagenette2-320.tgz"}
    (tmp_path / ".imagenette2-320.part" / "imagenette2-320" / "train").mkdir(parents=True)  # as kill -9 leaves it
    imagenette.fetch_imagenette(tmp_path, md5=md5(tgz))
    assert names(tmp_path) == {"imagenette2-320"}


def test_archives_that_are_not_imagenette(tmp_path, tgz):
    other = io.BytesIO()
    with tarfile.open(fileobj=other, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w:gz").close()
    for body, said in ((tgz[:-1000], "damaged archive"), (b"no", "damaged archive"), (other.getvalue(), "damaged"),
                       (empty.getvalue(), "holds no whole imagenette2-320: it has no folder train")):  # fmt: skip
        (tmp_path / "imagenette2-320.tgz").write_bytes(body)
        with pytest.raises(ValueError, match=rf"imagenette2-320.tgz .*{said}"):
            imagenette.fetch_imagenette(tmp_path, md5=md5(body))
        assert names(tmp_path) == {"imagenette2-320.tgz"}


def test_only_a_whole_imagenette_passes(tmp_path):
    with pytest.raises(ValueError, match="nothing is not a folder; fetch Imagenette with"):
        imagenette.check_imagenette(tmp_path / "nothing")
    folder = make_imagenette(tmp_path / "imagenette2", images=1)
    assert imagenette.check_imagenette(folder) == {"train": 10, "val": 10}
    image = folder / "val" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    image.write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 image\(s\) in val/n01440764 are empty files, such as n01440764_0"):
        imagenette.check_imagenette(folder)
    image.rename(image.with_name("notes.txt"))
    with pytest.raises(ValueError, match="class folder val/n01440764 holds no image; remove it and fetch it again"):
        imagenette.check_imagenette(folder)
    (image.parent / "notes.txt").unlink()
    image.parent.rmdir()
    with pytest.raises(ValueError, match="class folder val/n01440764 is missing"):
        imagenette.check_imagenette(folder)
    (folder / "val").rename(tmp_path / "val")
    with pytest.raises(ValueError, match="imagenette2 is not a whole Imagenette: it has no folder val; remove"):
        imagenette.check_imagenette(folder)


def test_what_systems_leave_among_the_images_is_none_of_them(tmp_path):
    folder = make_imagenette(tmp_path / "imagenette2", images=1, listing=True)
    (folder / "val" / ".ipynb_checkpoints").mkdir()
    (folder / "val" / WNIDS[0] / f"._{WNIDS[0]}_0.JPEG").write_bytes(b"")
    assert imagenette.check_imagenette(folder) == {"train": 10, "val": 10}


def test_find_imagenette(tmp_path):
    assert imagenette.find_imagenette(tmp_path) is None
    (tmp_path / "val").mkdir()
    assert imagenette.find_imagenette(tmp_path) is None  # a val of something else
    for name in ("imagenette2-160", "imagenette2", "imagenette2-320"):
        (tmp_path / name).mkdir()
        assert imagenette.find_imagenette(tmp_path) == tmp_path / name


def test_fetch_imagenette_command(server, tmp_path, tgz, capsys, monkeypatch):
    def call(*arguments):
        return run(capsys, monkeypatch, "fetch imagenette", "--folder", tmp_path, *arguments)

    assert "--keep-archive" in call("--help").out
    said = call("--dry-run")
    assert said.code == 0
    assert Imagenette._ARCHIVES["320px"][0] in said.out
    assert "about 342 MB" in said.out
    assert "There is no Imagenette" in call("--check").error
    said = call("--url", f"{server.url}/missing")
    assert said.code == 1
    assert "404" in said.error
    assert call("--size", "huge").code == call("--size", "huge", "--dry-run").code == 1
    assert not names(tmp_path)
    server.body = tgz
    (tmp_path / "imagenette2-320.tgz.part").write_bytes(tgz[:100])
    assert "100 bytes: continued" in call("--dry-run").out
    said = call("--url", f"{server.url}/file", "--md5", md5(tgz))
    assert "is whole: 20 training and 20 validation images." in said.out
    assert "Nothing would be fetched" in call("--dry-run").out
    assert call("--check").code == 0
    (tmp_path / "imagenette2-320" / "noisy_imagenette.csv").write_text("")
    assert "noisy_imagenette.csv is damaged" in call("--check").error


def test_a_closed_network_is_one_sentence(tmp_path):
    url = "http://127.0.0.1:9/x"
    process = Forked(["-m", "swinprune_lite", "fetch", "imagenette", "--folder", tmp_path, "--url", url])
    assert process.wait(60) == 1
    assert re.fullmatch(rf"{url} cannot be fetched \(.*\n", process.said())
