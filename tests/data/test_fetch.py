"""Files from a server on this machine: cut off, damaged, killed, and continued."""

import socket
from types import SimpleNamespace

import pytest
from outside import BODY, md5, names

from swinprune_lite.data import fetch


def test_download_and_nothing_to_do(server, tmp_path):
    path = tmp_path / "new" / "file"
    for _ in range(2):
        assert fetch.download(f"{server.url}/file", path, md5(BODY)) == path
    assert path.read_bytes() == BODY
    assert server.asked == [None]
    assert names(path.parent) == {"file"}
    with pytest.raises(ValueError, match=r"file has the MD5 .* remove it, so that it is fetched anew"):
        fetch.download(f"{server.url}/file", path, md5(b"another"))
    assert path.exists()


def test_file_urls(tmp_path):
    (tmp_path / "source").write_bytes(BODY)
    (tmp_path / "copy.part").write_bytes(b"stale")
    assert fetch.download((tmp_path / "source").as_uri(), tmp_path / "copy", md5(BODY)).read_bytes() == BODY
    with pytest.raises(ConnectionError, match="nothing cannot be fetched"):
        fetch.download((tmp_path / "nothing").as_uri(), tmp_path / "other")
    with pytest.raises(ValueError, match="'source' is not a url"):
        fetch.download("source", tmp_path / "other")


def test_a_dropped_connection_is_continued_and_only_the_rest_asked_for(server, tmp_path):
    fetch.download(f"{server.url}/cut", tmp_path / "file", md5(BODY))
    assert server.asked == [None, f"bytes={len(BODY) // 2}-"]
    assert names(tmp_path) == {"file"}


def test_a_killed_run_is_continued(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY[:1000])
    fetch.download(f"{server.url}/file", tmp_path / "file", md5(BODY))
    assert server.asked == ["bytes=1000-"]
    (tmp_path / "file").rename(tmp_path / "file.part")  # killed when all was there
    fetch.download(f"{server.url}/file", tmp_path / "file", md5(BODY))
    assert server.asked[1:] == [f"bytes={len(BODY)}-"]
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    ("way", "stale", "asks"), [("norange", 1000, 1), ("file", 1000, 2), ("file", len(BODY) + 1, 2)]
)
def test_what_cannot_be_continued_starts_over(server, tmp_path, way, stale, asks):
    (tmp_path / "file.part").write_bytes(b"x" * stale)
    fetch.download(f"{server.url}/{way}", tmp_path / "file", md5(BODY))
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(server.asked) == asks


def test_wrong_digest(server, tmp_path):
    with pytest.raises(ValueError, match=f"the MD5 {md5(BODY)} and {md5(b'')} is expected; {server.url}/file is not"):
        fetch.download(f"{server.url}/file", tmp_path / "file", md5(b""))
    assert not names(tmp_path)


def test_what_is_not_to_be_had(server, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(
        ConnectionError, match=rf"{port}/x cannot be fetched \(.*refused\): check .* put it at .*/file\."
    ):
        fetch.download(f"http://127.0.0.1:{port}/x", tmp_path / "file")
    with pytest.raises(ConnectionError, match=r"missing cannot be fetched \(HTTP Error 404: Not Found\)"):
        fetch.download(f"{server.url}/missing", tmp_path / "file")
    assert not names(tmp_path)
    server.cuts = 10**6
    with pytest.raises(ConnectionError, match="connection ended after 128,000 of 256,000 bytes"):
        fetch.download(f"{server.url}/cut", tmp_path / "file")
    assert (tmp_path / "file.part").stat().st_size == 128_000  # for the next try
    assert len(server.asked) <= 2 + fetch._ATTEMPTS


def test_a_server_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionError, match="timed out"):
        fetch.download(f"http://127.0.0.1:{silent.getsockname()[1]}/x", tmp_path / "file")


def test_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="0 MB free and 0 MB are needed; free some") as raised:
        fetch.download(f"{server.url}/file", tmp_path / "file")
    assert not isinstance(raised.value, ConnectionError)
