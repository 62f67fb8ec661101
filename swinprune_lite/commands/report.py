"""`swinprune report`: a page for those who decide, from the records of the other commands."""

from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output


def report(
    context: typer.Context,
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORD...",
            help="JSON files that prune, evaluate, bench and finetune wrote, of one dense model; a pruned model's file "
            "stands for the record beside it.",
        ),
    ],
    lang: Annotated[
        str, typer.Option(metavar="LIST", help="Languages of the page, the first shown first: en, ja or both.")
    ] = "en,ja",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="The page.")] = Path(
        "report.html"
    ),
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make one HTML file that says what pruning brings, what it risks, and how sure that is.

    It opens from a disk without any network. What was not measured is called so: more records fill the page.

    Examples:

    - `swinprune report half.json`
    - `swinprune report half.json evaluated.json timed.json --lang ja,en --output decision.html`
    """
    from swinprune_lite.report import claim_page, page_data, read_records, write_report
    from swinprune_lite.shell import records as shell

    said = Output(json, quiet)
    paths = [path.with_suffix(".json") if path.suffix == ".safetensors" else path for path in records]
    claim_page(output)
    data = page_data(*read_records(paths))
    languages = [word.strip() for word in lang.split(",") if word.strip()]
    page = write_report(data, output, languages)
    (group,) = data["groups"]
    results = {"output": {"file": str(page), "bytes": page.stat().st_size}, "sources": data["sources"],
               "pruned_models": sum(len(series["points"]) for series in group["series"])}  # fmt: skip
    said.show(
        f"Written: {page} ({results['output']['bytes'] / 1e6:.2f} MB), of {len(paths)} record(s) of {group['name']}."
    )
    said.record(shell.record("report", context.params, results))
