"""Records of commands from files, and their parts, each checked."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path

from swinprune_lite.shell import records as shell

JOINED = ("prune", "finetune", "evaluate", "bench")
"""In this order, since the first two make the models that the others measure."""
LISTED = ("inspect", "export")


def read_records(paths: Iterable[str | Path]) -> tuple[list[dict], list[str]]:
    """Records from files, and the files' names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is no record, or one of another version.
    """
    paths = [Path(path) for path in paths]
    return [shell.read(path) for path in paths], [path.name for path in paths]


def sources(records: Sequence[dict], names: Sequence[str]) -> list[dict]:
    """A row a record: file, command, date and versions."""
    rows = []
    for record, name in zip(records, names):
        told = record["provenance"]
        versions = {key: told[key] for key in ("swinprune_lite", "torch", "timm", "python") if key in told}
        rows.append({"file": name, "command": record["command"], "date": told.get("date"), "versions": versions})
    return rows


def check(name: str, record: object) -> None:
    """Raise ValueError unless it is a record of this version, of a command that has a place in a report."""
    wrong = not isinstance(record, dict) or any(
        not isinstance(record.get(key), kind) for key, kind in shell.KEYS.items()
    )
    if wrong:
        raise ValueError(f"{name} is no whole record of a command of swinprune; write it anew.")
    if record["record"] != shell.VERSION:
        raise ValueError(f"{name} is a record of version {record['record']}; this version reads {shell.VERSION}.")
    if record["command"] not in (*JOINED, *LISTED):
        raise ValueError(
            f"{name} is a record of {record['command']!r}, which has no place in a report; give records of "
            f"{', '.join((*JOINED, *LISTED))}."
        )
    if not isinstance(record["model"], dict):
        raise ValueError(f"{name} does not say of which model it is; write it anew.")
    text(name, record["model"], "sha256")


def part(name: str, whole: dict, key: str) -> dict:
    """An object within a record; ValueError if there is none."""
    if not isinstance(part := whole.get(key), dict):
        raise ValueError(f"{name} is damaged: it has no {key}; write it anew.")
    return part


def cuts(pruned: dict | None) -> list[dict]:
    """Of what a file says of how it was pruned: every cut, the first one first; [] of a dense model."""
    found = []
    while isinstance(pruned, dict):
        found.insert(0, pruned)
        pruned = pruned.get("before")
    return found


def text(name: str, whole: dict, key: str) -> str:
    """A text within a record; ValueError if there is none."""
    if not isinstance(text := whole.get(key), str) or not text:
        raise ValueError(f"{name} is damaged: it has no text under {key}; write it anew.")
    return text


def number(name: str, whole: dict, key: str) -> float:
    """A number within a record, finite and, but for differences, not below 0; ValueError if there is none."""
    value = whole.get(key)
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        value = value if value is None or isinstance(value, (str, Real)) else type(value).__name__
        raise ValueError(f"{name} is damaged: {key} is {value!r}, which is no number; write it anew.")
    if value < 0 and key != "points":
        raise ValueError(f"{name} is damaged: {key} is {value!r}, below 0; write it anew.")
    return value


def accuracy(name: str, part: dict) -> dict:
    """A percentage and half its interval within a record; ValueError if there is none."""
    found = {"percent": number(name, part, "percent"), "half": number(name, part, "half")}
    if found["percent"] > 100:
        raise ValueError(f"{name} is damaged: {found['percent']!r} is no percentage; write it anew.")
    return found
