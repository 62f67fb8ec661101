"""How a command speaks where nobody watches."""

import sys
import time
import warnings

import pytest

import swinprune_lite.__main__ as program
from swinprune_lite.shell import output


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(output, "PATIENCE", 0.01)
    for quiet in (False, True):
        with output.Output(quiet=quiet).progress("measuring", 3) as bar:
            bar.advance()
            time.sleep(0.1)
        assert ("measuring, 1 of 3: 0 s" in capsys.readouterr().err) != quiet


@pytest.mark.parametrize("word", ["", "-q", "--quiet"])
def test_what_libraries_write_is_dropped_if_quiet_and_errors_are_told(word, monkeypatch, capsys):
    def command(*_, **__):
        print("fetching", file=sys.stderr)
        warnings.warn_explicit("old", UserWarning, "file", 1, module="swinprune_lite.files")
        raise ValueError("No such model.")

    monkeypatch.setattr(program, "app", command)
    assert program.main([word]) == 1
    told = capsys.readouterr().err
    assert told.endswith("No such model.\n")
    assert ("fetching" in told) == ("Note: old" in told) == (word == "")
