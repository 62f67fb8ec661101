"""What the paper prints, as data: the only place where its numbers stand.

The files in `shipped/paper/` were typed from He and Zhou, "Data-independent Module-aware Pruning for
Hierarchical Vision Transformers", ICLR 2024. Nothing in them was measured here.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from swinprune_lite.files import RESTORE, SHIPPED, reason

FOLDER = SHIPPED / "paper"
TABLES = ("table1_pruned_swin", "table2a_vit_variants", "table2b_vit_compression", "table3_uniform_vs_dimap",
          "table4_model_as_module", "fig1_component_shares")  # fmt: skip
NOMINAL = {"nominal_ratio_pct", "ratio_pct", "image_size"}
"""Columns of numbers that say what a row is, as its names do."""

NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?")
NAMES = {
    "table1_pruned_swin": "ae8c4261ff91",
    "table2a_vit_variants": "a4c4a153fb04",
    "table2b_vit_compression": "8f2a2d1f8c68",
    "table3_uniform_vs_dimap": "2251eafd4712",
    "table4_model_as_module": "4d9654db0745",
    "fig1_component_shares": "bf30b4efeadc",
    "claims": "c853026e1b2d",
}
"""Digests of all that is no number: of a table the names of its rows and columns, of the claims their words."""

ELSEWHERE = "table2_elsewhere"
_ELSEWHERE_DIGEST = "84f864abc9b2"
"""Of the whole file: no arithmetic could tell a damaged number in it."""

_CLAIM = ("id", "where", "claim", "needs")
TIMM_NAMES = {
    "Swin-T": "swin_tiny_patch4_window7_224",
    "Swin-S": "swin_small_patch4_window7_224",
    "Swin-B": "swin_base_patch4_window7_224",
}
"""The architectures of the paper's models in timm."""

LITE_COUNTERPARTS = {"swin_lite_tiny": "Swin-T", "swin_lite_small": "Swin-S", "swin_lite_base": "Swin-B"}
"""The paper's model that stands where a lite model stands among the three."""

_COUNTERPARTS = LITE_COUNTERPARTS | {f"{architecture}.ms_in1k": name for name, architecture in TIMM_NAMES.items()}


def counterpart(model: str) -> str:
    """The paper's model that a lite or pretrained model stands for, or is; a model the paper has not, itself."""
    return _COUNTERPARTS.get(model, model)


def paper_table(name: str, as_printed: bool = False) -> pd.DataFrame:
    """A table of the paper, one row a printed row, columns named with their units.

    Args:
        name: one of `TABLES`.
        as_printed: text, digit for digit ("14.0"), empty where the paper prints nothing, in place of numbers.

    Raises:
        ValueError: unknown name, or a file that is damaged.
    """
    if name not in TABLES:
        raise ValueError(f"Unknown table {name!r}; choose one of {', '.join(TABLES)}.")
    return _read(FOLDER / f"{name}.csv", as_printed).copy()


@cache
def _read(path: Path, as_printed: bool) -> pd.DataFrame:
    try:
        printed = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="strict")
        _check_printed(path.stem, printed)
        return printed if as_printed else pd.read_csv(path)
    except (ValueError, OSError) as error:  # of pandas too
        raise ValueError(f"{path} is damaged ({reason(error)}); {RESTORE}.") from error


def _check_printed(name: str, table: pd.DataFrame) -> None:
    """Raise ValueError unless the table has its rows and columns, names them as it must, and holds numbers.

    Which numbers they are is left to the ledger. Names are compared by a digest, since they cannot be computed.
    """
    numeric = [column for column in table if re.search("_(pct|m|g)$", column) and column not in NOMINAL]
    words = table.assign(**{column: table[column].ne("") for column in numeric})  # and where there is a number
    if _short_digest(words.to_csv(index=False, lineterminator="\n")) != NAMES[name]:
        raise ValueError("a row, a column or a name in it is not what it was")
    for column in numeric:
        for row, text in table[column].items():
            if text and not re.fullmatch(r"-?\d+(\.\d+)?", text):
                raise ValueError(f"{text!r} in row {row + 1} under {column} is no number")


def published_elsewhere() -> pd.DataFrame:
    """What others, or the methods' own repositories, print of models in table 2.

    Returns:
        Text, a row a number of table 2 that was looked up: cell (identifier in the ledger), elsewhere (the number as
        printed there), source (a repository and a file in it, or a paper and its table), note.

    Raises:
        ValueError: a file that is damaged.
    """
    path = FOLDER / f"{ELSEWHERE}.csv"
    try:
        if _short_digest(path.read_bytes().decode()) != _ELSEWHERE_DIGEST:
            raise ValueError("a number or a word in it is not what it was")
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged ({reason(error)}); {RESTORE}.") from error


def paper_claims() -> list[dict]:
    """What the paper claims in prose: id, where, claim, needs, and for some check or note.

    Raises:
        ValueError: a file that is damaged.
    """
    return [dict(claim) for claim in _read_claims(FOLDER / "claims.yaml")]


@cache
def _read_claims(path: Path) -> list[dict]:
    try:
        claims = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the C one where there is
        if not isinstance(claims, list) or not all(isinstance(claim, dict) for claim in claims):
            raise ValueError("it is no list of claims")
        for claim in claims:
            if not all(isinstance(value, str) for value in claim.values()) or not {*_CLAIM} <= claim.keys():
                raise ValueError(f"{claim.get('id')} lacks one of {', '.join(_CLAIM)}, or a text there")
        words = (f"{claim['id']} {claim['needs']} {NUMBER.sub('#', claim['claim'])}" for claim in claims)
        if _short_digest(*words) != NAMES["claims"]:
            raise ValueError("an identifier or a word in it is not what it was")
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged ({reason(error)}); {RESTORE}.") from error
    return claims


def _short_digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


TABLE1_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table1_pruned_swin").nominal_ratio_pct if ratio}))
TABLE3_RATIOS = tuple(sorted({ratio / 100 for ratio in paper_table("table3_uniform_vs_dimap").ratio_pct}))
"""The shares removed in the tables, ascending."""
