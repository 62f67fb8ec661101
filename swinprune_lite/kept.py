"""Tables that were measured once and kept as JSON, with where and when: written whole, checked when they are read."""

import hashlib
import json
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path

import pandas as pd

from swinprune_lite.files import read_json, write_json

Columns = Mapping[str, type]
"""Column -> str or float."""


def keep(path: Path, content: Mapping[str, object]) -> None:
    """Write what was measured, with a digest.

    Args:
        path: file to write.
        content: provenance, and tables as lists of rows.
    """
    write_json(path, {**content, "digest": _digest(content)})


def kept(path: Path, tables: Mapping[str, Columns], advice: str) -> dict:
    """What was kept: provenance as it is, tables as data frames.

    Args:
        path: file of `keep`, or an earlier one without a digest.
        tables: name -> the columns that it must have; others may be there too.
        advice: how the file is made, such as "in the repository 'make reproduce' measures it".

    Raises:
        LookupError: there is no such file.
        ValueError: one that is damaged, altered, or lacks a table, a column or a number.
    """
    if not path.is_file():
        raise LookupError(f"{path} is missing; {advice}.")
    anew = f"remove it; {advice}"
    found = read_json(path, anew)
    try:
        if not isinstance(found, dict) or not isinstance(found.get("device"), str):
            raise ValueError("it does not say on what device it was measured")
        if found.pop("digest", digest := _digest(found)) != digest:
            raise ValueError("it was altered after it was written: its content does not have its own digest")
        return found | {name: _frame(name, found.get(name), columns) for name, columns in tables.items()}
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {anew}.") from error


def _frame(name: str, rows: object, columns: Columns) -> pd.DataFrame:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"it has no table {name}")
    for number, row in enumerate(rows, 1):
        for column, kind in columns.items():
            value = row.get(column)
            fits = isinstance(value, str) if kind is str else _is_finite(value)
            if not fits:
                wanted = "a text" if kind is str else "a finite number"
                raise ValueError(f"row {number} of {name} needs {wanted} under {column!r}; it has {value!r}")
    return pd.DataFrame(rows)


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _digest(content: Mapping[str, object]) -> str:
    text = json.dumps({key: value for key, value in content.items() if key != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
