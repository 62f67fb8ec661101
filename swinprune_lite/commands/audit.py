"""`swinprune audit`: how a Swin checkpoint of others was pruned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

APPROXIMATE = (
    "Scores and thresholds are exact for weights that were not fine-tuned after pruning, and approximate for others, "
    "for which 'none' is no evidence against any method; there --dense decides."
)


def audit(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="A .pth of Swin's repository, or .safetensors.")],
    dense: Annotated[Path | None, typer.Option(help="The weights before pruning: they decide the method.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the tables into this folder.")] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Audit CHECKPOINT of a Swin: how sparse it is, where, beside table 1, and which way of choosing weights it shows.

    The checkpoint is in the naming of Swin's repository or timm's. It is read without running anything in it. The
    examples name files as the paper's authors publish them; give your own.

    Examples:

    - `swinprune audit swin_tiny_dimap3.pth`
    - `swinprune audit swin_tiny_dimap3.pth --dense swin_tiny_patch4_window7_224.pth`
    """
    from rich.text import Text

    from swinprune_lite.files import atomic, require_writable, sha256
    from swinprune_lite.models import checkpoints
    from swinprune_lite.paper import audit as audits
    from swinprune_lite.shell import records

    said = Output(json, quiet)
    if csv:
        require_writable(csv / "table1.csv")
    name, model = checkpoints.load(checkpoint)
    layers = audits.layer_table(model)
    tables = {
        "table1": audits.against_table1(name, model, layers),
        "modules": audits.module_table(layers),
        "methods": audits.hypotheses(layers),
        "layers": layers.drop(columns=["module", "sharp"]).set_index("name"),
    }
    if dense:
        tables["against_dense"] = audits.against_dense(model, checkpoints.load(dense)[1]).to_frame()
    for file, table in tables.items() if csv else ():
        records.require_table(csv / f"{file}.csv", table.head(0).to_csv(), "audit")
    for file, table in tables.items() if csv else ():
        with atomic(csv / f"{file}.csv") as temporary:
            table.to_csv(temporary)
    digest, verdict = sha256(checkpoint), audits.verdict(layers)
    short = layers.set_index("block " + layers.block.astype(str) + " " + layers.layer)
    said.show(
        Text(f"{checkpoint} (SHA-256 {digest[:12]}): {name or 'none of the models of the paper'}."),
        _table("Left, beside table 1" if name else "Left", tables["table1"]),
        _table("Modules", tables["modules"]),
        _table("What a method's layers must share, and how far apart they are", tables["methods"]),
        _table("Layers", short[["weights", "zeros", "sparsity", "magnitude", "threshold"]]),
        Text(f"Looks like: {verdict}.\n{APPROXIMATE}"),
    )
    if dense:
        said.show(_table(f"Weights treated as the method does on {dense.name}", tables["against_dense"]))
    results = {"checkpoint": str(checkpoint), "sha256": digest, "paper": name, "verdict": verdict}
    results |= {file: _rows(table) for file, table in tables.items()}
    said.record(records.record("audit", context.params, results))


def _rows(frame: "pd.DataFrame") -> list[dict]:
    """A data frame's rows as JSON holds them: numbers that are not there are null."""
    import json

    return json.loads(frame.reset_index().to_json(orient="records"))


def _table(title: str, frame: "pd.DataFrame") -> "Table":
    """A data frame with its index as the first column."""
    from rich.table import Table

    table = Table(frame.index.name or "", *frame.columns, title=title, title_justify="left")
    for label, row in frame.astype(object).iterrows():  # so that whole numbers stay whole
        table.add_row(str(label), *map(_text, row))
    return table


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.4g}"
    return str(value)
