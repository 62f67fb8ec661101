"""`swinprune inspect`: what a model is made of, and what pruning would find in it."""

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output


def inspect(
    context: typer.Context,
    model: options.Model,
    arch: options.Arch = None,
    img_size: options.ImageSize = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show MODEL by stage, block and layer: shapes, parameters, MACs, zeros; and what pruning would leave whole.

    Examples:

    - `swinprune inspect swin_lite_tiny`
    - `swinprune inspect swin_lite_tiny:1 --json`
    """
    from swinprune_lite.shell import records

    said = Output(json, quiet)
    loaded = options.load(model, arch, img_size)
    about = records.described(loaded)
    said.show(f"{model}: {about['parameters']:,} parameters, {about['macs']:,} MACs")
    said.record(records.record("inspect", context.params, {}, about))
