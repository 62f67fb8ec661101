"""`swinprune report`: its examples run, and what cannot be done is one sentence that leaves the files as they are."""

import json
import re

import made_records as made
import pytest

from swinprune_lite.__main__ import main
from swinprune_lite.commands.report import report


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, record in {"half": made.prune("b"), "evaluated": made.evaluate("b"), "timed": made.bench("b")}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize("example", re.findall(r"`swinprune (.*)`", report.__doc__))
def test_the_examples_run_and_are_one_object_in_json(folder, capsys, example):
    assert main([*example.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    page = folder / found["results"]["output"]["file"]
    assert found["results"]["output"]["bytes"] == page.stat().st_size
    assert main([*example.split(), "-q"]) == 0  # an earlier page is replaced
    assert [row["file"] for row in found["results"]["sources"]] == [each for each in example.split() if ".json" in each]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.json"], "There is no file none.json"),
        (["half.json", "--output", "half.json"], "A report is an .html file; got half.json"),
        (["half.json", "--output", "half.safetensors"], "A report is an .html file"),
        (["half.json", "--output", "mine.html"], "mine.html is there already and is no page of `swinprune report`"),
        (["half.json", "--lang", "fr"], "Languages are some of en, ja"),
        (["half.json", "--output", "half.json/report.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder, capsys, arguments, said):
    (folder / "mine.html").write_text("<html></html>")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["report", *arguments]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
