"""Records of commands from files, and their parts, each checked."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
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
        versions = {key: str(told[key]) for key in ("swinprune_lite", "torch", "timm", "python") if key in told}
        rows.append({"file": name, "command": record["command"], "date": _date(told), "versions": versions})
    return rows


def _date(told: dict) -> str | None:
    """When a record was written, as ISO 8601 has it; None where it does not say."""
    try:
        return datetime.fromisoformat(told.get("date")).isoformat()
    except (TypeError, ValueError):
        return None


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
    if pruned := maybe(name, record["model"], "pruned"):
        text(name, {"dense_sha256": record["model"]["sha256"]} | pruned, "dense_sha256")


def part(name: str, whole: dict, key: str) -> dict:
    """An object within a record; ValueError if there is none."""
    if not isinstance(part := whole.get(key), dict):
        raise ValueError(f"{name} is damaged: it has no {key}; write it anew.")
    return part


def maybe(name: str, whole: dict, key: str) -> dict | None:
    """An object within a record, or None where there is null or nothing; ValueError if there is anything else."""
    return None if whole.get(key) is None else part(name, whole, key)


def rows(name: str, whole: dict, key: str) -> list[dict]:
    """A list of objects within a record, [] where there is null or nothing; ValueError if there is anything else."""
    found = whole.get(key) or []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError(f"{name} is damaged: its {key} are no list of objects; write it anew.")
    return found


def cuts(name: str, model: dict) -> list[dict]:
    """Every cut of a model that a record describes, the first one first; [] of a dense one."""
    found, pruned = [], maybe(name, model, "pruned")
    while pruned:
        found.insert(0, pruned)
        pruned = maybe(name, pruned, "before")
    return found


def size(told: object) -> list[int] | None:
    """(height, width) of an image in pixels, where a record says them."""
    return told if isinstance(told, list) and len(told) == 2 and all(isinstance(side, int) for side in told) else None


def text(name: str, whole: dict, key: str) -> str:
    """A text within a record; ValueError if there is none."""
    if not isinstance(text := whole.get(key), str) or not text:
        raise ValueError(f"{name} is damaged: it has no text under {key}; write it anew.")
    return text


def number(name: str, whole: dict, key: str, least: float = 0, most: float = math.inf) -> float:
    """A number within a record, finite and within limits; ValueError if there is none."""
    value = whole.get(key)
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        value = value if value is None or isinstance(value, (str, Real)) else type(value).__name__
        raise ValueError(f"{name} is damaged: {key} is {value!r}, which is no number; write it anew.")
    if not least <= value <= most:
        wrong = f"below {least:g}" if value < least else f"above {most:g}"
        raise ValueError(f"{name} is damaged: {key} is {value!r}, {wrong}; write it anew.")
    return value


def count(name: str, whole: dict, key: str, least: int = 1) -> int:
    """A whole number within a record, 1 or more; ValueError if there is none."""
    return int(number(name, whole, key, least))


def quantity(name: str, whole: dict, key: str) -> float:
    """A number above 0 within a record; ValueError if there is none."""
    if not (found := number(name, whole, key)):
        raise ValueError(f"{name} is damaged: {key} is 0; write it anew.")
    return found


def accuracy(name: str, part: dict) -> dict:
    """A percentage and half its interval within a record; ValueError if there is none."""
    found = {"percent": number(name, part, "percent"), "half": number(name, part, "half")}
    if found["percent"] > 100:
        raise ValueError(f"{name} is damaged: {found['percent']!r} is no percentage; write it anew.")
    return found
