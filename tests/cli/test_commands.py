"""Fine-tuning as a command: it has help, and a bad input ends in one sentence."""

import outside


def test_help(capsys, monkeypatch):
    said = outside.run(capsys, monkeypatch, "finetune", "--help")
    assert said.code == 0
    assert "Usage" in said.out


def test_a_bad_input_is_one_sentence_and_leaves_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path / "home"))
    said = outside.run(capsys, monkeypatch, "finetune", "swin_lite_huge", "--profile", "lite")
    assert said.code == 1
    assert "Unknown lite model 'swin_lite_huge'" in said.error
    assert list(tmp_path.iterdir()) == []
