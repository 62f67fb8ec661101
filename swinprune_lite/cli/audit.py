"""Say how a Swin checkpoint was pruned: sparsity, thresholds, parameters and MACs beside table 1, and the method.

    python -m swinprune_lite.cli.audit swin_tiny_dimap3.pth
    python -m swinprune_lite.cli.audit swin_tiny_dimap3.pth --dense swin_tiny_patch4_window7_224.pth

The checkpoint is in the naming of Swin's repository (or timm's). It is read without running anything in it.
"""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from swinprune_lite.files import atomic, sha256
from swinprune_lite.models import checkpoints
from swinprune_lite.paper import audit

APPROXIMATE = (
    "Scores and thresholds are exact for weights that were not fine-tuned after pruning, and approximate for others, "
    "for which 'none' is no evidence against any method; there --dense decides."
)


def show(console: Console, title: str, frame: pd.DataFrame) -> None:
    """Print a data frame with its index as the first column."""
    table = Table(frame.index.name or "", *frame.columns, title=title, title_justify="left")
    for label, row in frame.astype(object).iterrows():  # so that whole numbers stay whole
        table.add_row(str(label), *map(_text, row))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.4g}"
    return str(value)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth of Swin's repository, or .safetensors.")],
    dense: Annotated[Path | None, typer.Option(help="The weights before pruning: they decide the method.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the tables into this folder.")] = None,
) -> None:
    """Audit CHECKPOINT: how sparse it is, and where; what that costs; and which way of choosing weights it shows."""
    try:
        name, model = checkpoints.load(checkpoint)
        layers = audit.layer_table(model)
        tables = {
            "table1": audit.against_table1(name, model, layers),
            "modules": audit.module_table(layers),
            "methods": audit.hypotheses(layers),
            "layers": layers.drop(columns=["module", "sharp"]).set_index("name"),
        }
        console = Console()
        console.print(f"{checkpoint} (SHA-256 {sha256(checkpoint)[:12]}): {name or 'none of the models of the paper'}.")
        show(console, "Left, beside table 1" if name else "Left", tables["table1"])
        show(console, "Modules", tables["modules"])
        show(console, "What a method's layers must share, and how far apart they are", tables["methods"])
        short = layers.set_index("block " + layers.block.astype(str) + " " + layers.layer)
        show(console, "Layers", short[["weights", "zeros", "sparsity", "magnitude", "threshold"]])
        console.print(f"Looks like: {audit.verdict(layers)}.\n{APPROXIMATE}")
        if dense:
            tables["against_dense"] = audit.against_dense(model, checkpoints.load(dense)[1]).to_frame()
            show(console, f"Weights treated as the method does on {dense.name}", tables["against_dense"])
        for file, table in tables.items() if csv else ():
            with atomic(csv / f"{file}.csv") as temporary:
                table.to_csv(temporary)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
