"""What the paper prints, as data: the only place where its numbers stand.

The files in `shipped/paper/` were typed from He and Zhou, "Data-independent Module-aware Pruning for
Hierarchical Vision Transformers", ICLR 2024. Nothing in them was measured here.
"""

from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from swinprune_lite.files import SHIPPED

FOLDER = SHIPPED / "paper"
TABLES = ("table1_pruned_swin", "table2a_vit_variants", "table2b_vit_compression", "table3_uniform_vs_dimap",
          "table4_model_as_module", "fig1_component_shares")  # fmt: skip
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
        ValueError: unknown name.
    """
    if name not in TABLES:
        raise ValueError(f"Unknown table {name!r}; choose one of {', '.join(TABLES)}.")
    return _read(FOLDER / f"{name}.csv", as_printed).copy()


@cache
def _read(path: Path, as_printed: bool) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False) if as_printed else pd.read_csv(path)


def paper_claims() -> list[dict]:
    """What the paper claims in prose: id, where, claim, needs, and for some check or note."""
    return yaml.safe_load((FOLDER / "claims.yaml").read_text())
