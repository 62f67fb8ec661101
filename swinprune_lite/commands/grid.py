"""`swinprune grid`: a whole table, by model, method, ratio and repair, on many cores, GPUs or machines."""

from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output


def grid(
    context: typer.Context,
    models: Annotated[str, typer.Option(help="With commas between: lite models, timm names, local-dir:FOLDER.")],
    ratios: Annotated[str, typer.Option(help="With commas between: shares of the weights to remove.")],
    data: options.Data,
    methods: Annotated[str, typer.Option(help="With commas between: dimap, lamp, uniform, ...")] = "dimap,lamp,uniform",
    repairs: Annotated[
        str, typer.Option(help="With commas between: none, or rules such as 'refit + head', which prune takes.")
    ] = "none",
    images: Annotated[int | None, typer.Option(help="Only the first so many, which are a sample of all.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine.", show_default="one a GPU, or else a core")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://10.0.0.1:8786, instead.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.csv", help="The table; the record beside it.")
    ] = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a table of one-shot accuracies: each model dense, and by each method at each ratio with each repair.

    What was measured is kept in $SWINPRUNE_HOME (by default ~/.cache/swinprune_lite), and is not measured again: after
    a kill the same command goes on. Several commands may fill one store at once. Needs the extra "grid" (Dask).

    Examples:

    - `swinprune grid --models swin_lite_tiny --methods dimap,lamp --ratios 0.5,0.7 --data lite`
    - `swinprune grid --models swin_lite_tiny,swin_lite_small --ratios 0.5 --data lite --workers 2 --output table.csv`
    """
    from swinprune_lite.jobs import grid as table
    from swinprune_lite.shell import records
    from swinprune_lite.studies.profiles import as_list

    said, where = Output(json, quiet), options.device(device)
    if output:
        records.claim_table(output, "model,training_seed,", "grid")
    named = [as_list(text) for text in (models, methods)]
    wanted = table.units(
        *named, as_list(ratios, float), as_list(repairs), data, images, seed, where.partition(":")[0]
    )  # fmt: skip
    known = table.there(wanted)
    with said.progress("measuring", len(wanted)) as bar:
        found = table.fill(wanted, workers, scheduler, bar.reach, known)
    rows = table.table(wanted, found)
    results = {
        "computed": len(wanted) - len(known),
        "were_there": len(known),
        "store": str(table.store_of(wanted[0])),
        "rows": rows.astype(object).where(rows.notna(), None).to_dict("records"),
    }
    record = records.record("grid", context.params, results, None, where.partition(":")[0])
    if output:
        records.write_table(output, rows, record)
    _show(said, results)
    said.record(record)


def _show(said: Output, results: dict) -> None:
    from rich.table import Table

    title = f"{results['computed']} measured now, {results['were_there']} were there"
    shown = Table("model", "method", "repair", "removed", "top-1", "lost to the dense", "images", title=title)
    for row in results["rows"]:
        seed = f":{row['training_seed']}" if row["training_seed"] else ""
        dense = row["method"] == "dense"
        half = f" ± {row['lost_half']:.2f}" if row["lost_half"] is not None else ""
        shown.add_row(
            row["model"] + seed, row["method"], "" if dense else row["repair"], "" if dense else f"{row['ratio']:.0%}",
            f"{row['top1']:.2f} % ({row['top1_low']:.2f} to {row['top1_high']:.2f})",
            "" if dense else f"{row['lost']:.2f}{half} points", f"{row['images']:,}",
        )  # fmt: skip
    said.show(shown)
