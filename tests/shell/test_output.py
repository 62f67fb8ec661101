"""How a command speaks where nobody watches."""

import sys
import time

from swinprune_lite.shell import output


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(output, "PATIENCE", 0.01)
    for quiet in (False, True):
        with output.Output(quiet=quiet).progress("measuring", 3) as bar:
            bar.advance()
            time.sleep(0.1)
        assert ("measuring, 1 of 3: 0 s" in capsys.readouterr().err) != quiet


def test_what_libraries_write_is_dropped_if_quiet(capsys):
    for quiet in (False, True):
        with output.Output(quiet=quiet).libraries():
            print("fetching", file=sys.stderr)
        assert ("fetching" in capsys.readouterr().err) != quiet
