"""Records: what a command did, on what, and what came out, as one JSON object that later commands read."""

import json
from collections.abc import Mapping
from pathlib import Path

from swinprune_lite import __version__
from swinprune_lite.files import atomic, read_json
from swinprune_lite.provenance import provenance
from swinprune_lite.pruning.cost import cost
from swinprune_lite.shell.named import Loaded

VERSION = 1
KEYS = {"record": int, "command": str, "arguments": dict, "model": (dict, type(None)), "provenance": dict,
        "results": dict}  # fmt: skip
"""What a record has, and of which type."""


def described(loaded: Loaded) -> dict[str, object]:
    """What a record says of a model: its name, its weights' digest, and its counts as it was loaded."""
    counted = cost(loaded.model, loaded.masks or None, loaded.image_size)
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


def write(path: str | Path, record: Mapping[str, object]) -> None:
    """Write a record to a file, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


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
