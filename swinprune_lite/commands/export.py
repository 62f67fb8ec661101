"""`swinprune export`: an ONNX file, checked against torch before it is kept."""

from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output


def export(
    context: typer.Context,
    model: options.Model,
    output: options.Output = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what OUTPUT holds.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 1,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="Any number of images at a time.")] = False,
    opset: Annotated[
        int | None, typer.Option(help="Version of ONNX's operators.", show_default="the exporter's own", min=18)
    ] = None,
    atol: Annotated[
        float | None, typer.Option(help="By how much a logit may differ.", show_default="a share of the largest", min=0)
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, or float16.")] = "float32",
    arch: options.Arch = None,
    img_size: options.ImageSize = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write MODEL as one ONNX file, OUTPUT, by default the model's name with .onnx, and its record, OUTPUT.json.

    The file is run in ONNX Runtime before it is kept, and must give torch's logits. It needs the extra `onnx`.

    Examples:

    - `swinprune export swin_lite_micro --output micro.onnx`
    - `swinprune export swin_lite_micro:1 --dynamic-batch --output any.onnx`
    """

    from swinprune_lite.acceleration.onnx_export import TOLERANCE, export_onnx
    from swinprune_lite.files import atomic, require_writable
    from swinprune_lite.shell import records

    said = Output(json, quiet)
    types = {str(kind).removeprefix("torch."): kind for kind in TOLERANCE}
    if dtype not in types:
        raise ValueError(f"--dtype is one of {', '.join(types)}; got {dtype!r}.")
    output = output or Path(f"{Path(model).name.removesuffix('.safetensors')}.onnx")
    note = Path(f"{output}.json")
    require_writable(output)
    records.claim(note, "export", force)
    loaded = options.load(model, arch, img_size)
    about = records.described(loaded)
    if earlier := records.earlier("export", output, note, context.params, about, force):
        said.note(f"{output} is there already, made by the same command; nothing was done.")
        said.record(earlier)
        return
    with said.progress("exporting and comparing"), atomic(output) as temporary:
        difference = export_onnx(
            loaded.model, temporary, batch_size, loaded.image_size, opset, dynamic_batch, atol, types[dtype]
        )
        made = records.file_made(output, temporary)
        results = {"output": made, "largest_difference": difference, "atol": atol, "dtype": dtype}
        record = records.record("export", context.params, results, about)
        records.earlier("export", output, note, context.params, about, force)  # that another run has made meanwhile
        records.write(note, record)  # before the file has its name: where that is, the record is too
    said.show(
        f"Written: {output} ({made['bytes'] / 1e6:,.2f} MB). The largest difference of a logit from torch's is "
        f"{difference:.2g}."
    )
    said.record(record)
