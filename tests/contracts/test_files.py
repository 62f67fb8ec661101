"""Readers of pickles, JSON and kept tables: what is damaged gets one sentence, and nothing in it is run."""

import errno
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch
from damage import silent
from safetensors import SafetensorError
from torch import nn

from swinprune_lite.files import atomic, load_weights_only, read_json, require_writable
from swinprune_lite.kept import keep, kept
from swinprune_lite.shell import records

CODE = "it is damaged, or holds more than weights and settings"


class Code:
    """Something that a pickle would run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def tar(path, ran):
    """What torch of before version 0.1.9 wrote."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))


PICKLES = {
    "code": (lambda path, ran: torch.save({"a": Code(ran)}, path), r" \(posix\.system\), which could run code"),
    "old code": (
        lambda path, ran: torch.save({"a": Code(ran)}, path, _use_new_zipfile_serialization=False),
        r" \(posix\.system\), which could run code",
    ),
    "a module": (
        lambda path, ran: torch.save(nn.Linear(2, 2), path),
        r" \(torch\.nn\.modules\.linear\.Linear\), which could run code",
    ),
    "NumPy": (lambda path, ran: torch.save({"a": np.ones(2)}, path), r" \(numpy\S+\), which could run code"),
    "TorchScript": (lambda path, ran: torch.jit.script(nn.Linear(2, 2)).save(str(path)), ", which could run code"),
    "a plain pickle": (lambda path, ran: path.write_bytes(pickle.dumps({"a": Code(ran)})), ", which could run code"),
    "a tape archive": (tar, ", which could run code"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_never_advised_to_be_trusted(tmp_path, kind):
    write, said = PICKLES[kind]
    path = tmp_path / "weights.pth"
    write(path, tmp_path / "ran")
    with pytest.raises(
        ValueError, match=f"is no checkpoint and was not opened: {CODE}{said}; download it again"
    ) as caught:
        load_weights_only(path, "checkpoint", "download it again.")
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02."])
def test_what_is_no_file_of_torch_s_gets_one_sentence(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no checkpoint and was not opened: .+; download it again") as caught:
        load_weights_only(path, "checkpoint", "download it again.")
    assert "\n" not in str(caught.value)


def test_no_damage_to_a_file_of_torch_s_is_believed(tmp_path):
    """Torch itself reads past a wrong checksum."""
    path, held = tmp_path / "weights.pth", {"a": torch.randn(30), "b": [1.5, "x"]}
    torch.save(held, path)

    def same(found):
        return list(found) == ["a", "b"] and torch.equal(found["a"], held["a"]) and found["b"] == held["b"]

    assert silent(path, lambda: load_weights_only(path, "checkpoint", "x."), same, 500) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1} 2'])
def test_json_that_is_none(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"card.json is damaged \(it is no JSON: .*\); remove it\.") as caught:
        read_json(path, "remove it")
    assert "\n" not in str(caught.value)


TABLE = {"rows": {"model": str, "speed": float}}
CONTENT = {"device": "cpu", "rows": [{"model": "a", "speed": 1.5, "more": None}, {"model": "b", "speed": 2, "more": 3}]}


def test_what_was_kept_comes_back_and_no_damage_is_believed(tmp_path):
    path = tmp_path / "times.json"
    with pytest.raises(LookupError, match=r"times\.json is missing; run 'make it'\."):
        kept(path, TABLE, "run 'make it'")
    keep(path, CONTENT)

    def read():
        return kept(path, TABLE, "run 'make it'")

    assert read()["device"] == "cpu"
    assert read()["rows"].speed.to_list() == [1.5, 2]
    whole = read()["rows"]
    assert silent(path, read, lambda found: found["rows"].equals(whole) and found["device"] == "cpu", 400) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("device"), "does not say on what device"),
        (lambda content: content.pop("rows"), "it has no table rows"),
        (lambda content: content.update(rows=[]), "it has no table rows"),
        (lambda content: content.update(rows=[3]), "it has no table rows"),
        (
            lambda content: content["rows"][1].pop("speed"),
            "row 2 of rows needs a finite number under 'speed'; it has None",
        ),
        (lambda content: content["rows"][0].update(speed=float("nan")), "row 1 of rows needs a finite number"),
        (lambda content: content["rows"][0].update(speed="1"), "row 1 of rows needs a finite number"),
        (lambda content: content["rows"][0].update(speed=True), "row 1 of rows needs a finite number"),
        (lambda content: content["rows"][0].update(model=3), "row 1 of rows needs a text under 'model'"),
    ],
)
def test_a_kept_table_without_a_digest_is_looked_at_too(tmp_path, change, said):
    path, content = tmp_path / "times.json", json.loads(json.dumps(CONTENT))
    path.write_text(json.dumps(content))
    assert len(kept(path, TABLE, "run 'make it'")["rows"]) == 2
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"times\.json is damaged \(.*{said}.*\); remove it; run 'make it'\."):
        kept(path, TABLE, "run 'make it'")
    path.write_text("[]")
    with pytest.raises(ValueError, match="does not say on what device"):
        kept(path, TABLE, "run 'make it'")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), "did not take the whole"),
    ],
)
def test_a_full_disk_is_one_sentence_whoever_finds_out(tmp_path, error, said):
    with (
        pytest.raises(OSError, match=rf"a\.bin cannot be written \(.*{said}.*\); make room"),
        atomic(tmp_path / "a.bin"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="of another kind"), atomic(tmp_path / "a.bin"):
        raise RuntimeError("of another kind")


def test_a_file_in_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "a").touch()
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(OSError, match=r"cannot be written \(.* is no folder\)"):
            require_writable(path)


def test_a_table_has_its_name_only_with_its_record(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "write", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        records.write_table(tmp_path / "a.csv", pd.DataFrame({"a": [1]}), {})
    assert list(tmp_path.iterdir()) == []
