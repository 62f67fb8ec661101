"""Records: what a command did, on what, and what came out, as one JSON object that later commands read."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from swinprune_lite import __version__
from swinprune_lite.files import atomic, read_json, require_writable, sha256, write_json
from swinprune_lite.provenance import provenance
from swinprune_lite.pruning.masks import nonzero_masks
from swinprune_lite.shell.named import Loaded

VERSION = 1
KEYS = {"record": int, "command": str, "arguments": dict, "model": (dict, type(None)), "provenance": dict,
        "results": dict}  # fmt: skip
"""What a record has, and of which type."""
SAME = ("json", "quiet", "output", "force")  # arguments that do not change what is written


def described(loaded: Loaded) -> dict[str, object]:
    """What a record says of a model: its name, its weights' digest, and its counts as it was loaded."""
    counted = loaded.counted.cost(loaded.masks or nonzero_masks(loaded.model))
    return {
        "name": loaded.name,
        "architecture": loaded.architecture,
        "sha256": loaded.sha256,
        "image_size": list(loaded.image_size),
        "classes": loaded.classes,
        "parameters": counted.params,
        "macs": counted.macs,
        "nonzero_parameters": counted.nonzero_params,
        "nonzero_macs": counted.nonzero_macs,
        "pruned": loaded.pruned,
    }


def record(
    command: str,
    arguments: Mapping[str, object],
    results: Mapping[str, object],
    model: Mapping[str, object] | None = None,
    device: str = "cpu",
) -> dict[str, object]:
    """A record, of nothing but what JSON holds.

    Args:
        command: its name.
        arguments: as it understood them, defaults included: `context.params` of typer.
        results: what came out.
        model: of `described`; None: the command is of no single model.
        device: what the arithmetic was done on.

    Raises:
        ValueError: a number that is not finite.
    """
    found = {
        "record": VERSION,
        "command": command,
        "arguments": dict(arguments),
        "model": model,
        "provenance": provenance(device) | {"swinprune_lite": __version__},
        "results": results,
    }
    return json.loads(json.dumps(found, default=str, allow_nan=False))


def claim(path: str | Path, command: str, force: bool = False) -> None:
    """Raise OSError or ValueError unless a record can be written here, in place of nothing or of the command's own.

    Args:
        path: of the record.
        command: its name.
        force: whatever is there may be replaced.
    """
    path = Path(path)
    require_writable(path)
    if force:
        return
    if path.suffix != ".json":
        raise ValueError(f"A record is a .json file; got {path}.")
    try:  # an empty file is what a shell makes of `--json > file.json` before the command begins
        ours = not path.exists() or path.stat().st_size == 0 or read(path)["command"] == command
    except ValueError:
        ours = False
    if not ours:
        raise ValueError(f"{path} is there already and is no record of `swinprune {command}`; give another name.")


def claim_table(path: str | Path, begins: str, command: str) -> None:
    """As `claim`, of a table (.csv) that begins with these letters and the record beside it."""
    path = Path(path)
    require_writable(path)
    if path.suffix != ".csv":
        raise ValueError(f"A table is a .csv file; got {path}.")
    require_table(path, begins, command)
    claim(path.with_suffix(".json"), command)


def require_table(path: Path, begins: str, command: str) -> None:
    """Raise ValueError if there is a file at `path` that does not begin with these letters, as the command's does."""
    if path.is_file() and not path.read_bytes().startswith(begins.encode()):
        raise ValueError(f"{path} is there already and is no table of `swinprune {command}`; give another name.")


def write_table(path: str | Path, rows: pd.DataFrame, record: Mapping[str, object]) -> None:
    """Write a table (.csv), and its record beside it."""
    with atomic(path) as temporary:
        rows.to_csv(temporary, index=False, errors="backslashreplace")
        write(Path(path).with_suffix(".json"), record)  # before the table has its name: where that is, the record is


def earlier(
    command: str,
    file: Path,
    note: Path,
    arguments: Mapping[str, object],
    model: Mapping[str, object],
    force: bool = False,
) -> dict[str, object] | None:
    """The record of a file that the same command has made of the same model already; None where there is no file.

    Args:
        command: its name.
        file, note: the file, and its record's.
        arguments, model: of `record`.
        force: whatever is there may be replaced, so nothing counts as there.

    Raises:
        FileExistsError: there is a file that something else has made.
    """
    if force or not file.exists():
        return None
    try:
        found, now = read(note), record(command, arguments, {}, model)
        same = found["command"] == command and all(
            {key: value for key, value in found[what].items() if key not in SAME}
            == {key: value for key, value in now[what].items() if key not in SAME}
            for what in ("arguments", "model")
        )
        if same and found["results"]["output"]["sha256"] == sha256(file):
            return found
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    raise FileExistsError(f"{file} is there already, of another command; give another --output, or --force.")


def file_made(path: Path, written: Path | None = None) -> dict[str, object]:
    """What a record says of a file.

    Args:
        path: its name.
        written: where it stands until it takes its name; None: there.
    """
    written = written or path
    return {"file": str(path), "sha256": sha256(written), "bytes": written.stat().st_size}


def write(path: str | Path, record: Mapping[str, object]) -> None:
    """Write a record to a file, whole or not at all."""
    write_json(path, record)


def read(path: str | Path) -> dict[str, object]:
    """A record from a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is no record, or one of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give a record, which swinprune's commands write.")
    found = read_json(path, "write it anew with the command that it is of")
    if not isinstance(found, dict) or not isinstance(found.get("record"), int):
        raise ValueError(f"{path} is no record of a command of swinprune.")
    if found["record"] != VERSION:
        raise ValueError(f"{path} is a record of version {found['record']}; this version reads {VERSION}.")
    if wrong := [key for key, kind in KEYS.items() if not isinstance(found.get(key), kind)]:
        raise ValueError(f"{path} is no whole record: it lacks {', '.join(wrong)}.")
    return found
