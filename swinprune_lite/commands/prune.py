"""`swinprune prune`: cut a model to a target, repair it, and write it to a file that says itself how to build it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output, change


def prune(
    context: typer.Context,
    model: options.Model,
    ratio: Annotated[
        float | None,
        typer.Option(help="Share to remove, 0 to 1: of the weights, or with --structured of the MACs."),
    ] = None,
    target_macs: Annotated[
        str | None, typer.Option(metavar="N", help="MACs to be left, such as 2.2G, or 50% of the model's.")
    ] = None,
    target_params: Annotated[
        str | None, typer.Option(metavar="N", help="Parameters to be left, such as 14M, or 50% of the model's.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="dimap, lamp, uniform, global, module-magnitude, random, erk or uniform+.",
            show_default="dimap",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="relative_energy, magnitude, random; with --calibrate wanda, obs, activation_energy, between(0.5). "
            "With --structured: energy, variance, singular values.",
            show_default="the method's own; energy",
        ),
    ] = None,
    grouping: Annotated[
        str | None,
        typer.Option(
            help="by_module, whole_model, by_layer, by_block, by_stage, by_module_and_stage or by_fan_in.",
            show_default="the method's own",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="same_share, erdos_renyi_kernel, uniform_plus or alpha.", show_default="the method's own"),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair/--no-repair",
            help="Give the weights that stay what cutting took; takes minutes for a model of full size.",
        ),
    ] = True,
    structured: Annotated[
        bool, typer.Option("--structured", help="Take whole heads and hidden units: smaller matrices, less time.")
    ] = False,
    multiple: Annotated[
        int | None,
        typer.Option(
            help="Hidden units leave in groups of so many, with --structured; of a narrow MLP in smaller ones.",
            show_default="64",
            min=1,
        ),
    ] = None,
    head_ratio: Annotated[
        float | None,
        typer.Option(help="What heads lose, times what hidden units do, with --structured.", show_default="1.2", min=0),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Layers that stay whole, such as layers.3.*; may come again."),
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Images, without classes, that statistics are taken of.")
    ] = None,
    images: Annotated[int, typer.Option(help="Of the folder.", min=1)] = 64,
    dtype: Annotated[str, typer.Option(help="Of the weights in the file: float32, float16 or bfloat16.")] = "float32",
    output: options.Output = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what OUTPUT holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go; write nothing.")] = False,
    arch: options.Arch = None,
    img_size: options.ImageSize = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Prune MODEL to a target, repair it, and write it. No image is used without --calibrate.

    Writes OUTPUT.safetensors, which every command that has a MODEL takes as one, and OUTPUT.json, the record of what
    was done. Where OUTPUT is a folder, or not given, they are named after the model and what was asked.

    Examples:

    - `swinprune prune swin_lite_micro --ratio 0.5 --output half`
    - `swinprune prune swin_lite_micro --target-macs 60% --structured --dry-run`
    """
    from swinprune_lite.files import atomic, require_writable
    from swinprune_lite.shell import records
    from swinprune_lite.shell.keeping import keep
    from swinprune_lite.shell.pruned import Asked, method_name, told_of_dense
    from swinprune_lite.shell.pruned import prune as cut

    said = Output(json, quiet)
    asked = Asked(ratio, target_macs, target_params, method, criterion, grouping, budget, structured, multiple,
                  head_ratio, repair, tuple(ignore or ()), calibrate, images, seed)  # fmt: skip
    device = options.device(device)
    loaded = options.load(model, arch, img_size, device)
    about = records.described(loaded)
    place = _place(output, model, f"{method_name(asked)}-{ratio or target_macs or target_params or 0}")
    file, note = Path(f"{place}.safetensors"), Path(f"{place}.json")
    if not dry_run:
        require_writable(file)
        records.claim(note, "prune", force)
        if earlier := records.earlier("prune", file, note, context.params, about, force):
            said.note(f"{file} is there already, made by the same command; nothing was done.")
            _tell(said, earlier)
            return
    found = cut(loaded, asked, dry_run, said.progress)
    if dry_run:
        _tell(said, records.record("prune", context.params, found.results, about, device))
        return
    kept = {key: found.results[key] for key in ("method", "structured", "repair", "asked", "calibration")}
    pruned = kept | {"ratio": found.results["achieved"]["ratio"], "of": about["name"], **told_of_dense(about)}
    with said.progress("writing"), atomic(file) as temporary:
        keep(found.model, temporary, loaded.architecture, loaded.arguments, loaded.image_size, pruned,
             None if structured else found.masks, dtype)  # fmt: skip
        made = records.file_made(file, temporary)
        record = records.record("prune", context.params, found.results | {"output": made}, about, device)
        records.earlier("prune", file, note, context.params, about, force)  # that another run has made meanwhile
        records.write(note, record)  # before the file has its name: where that is, the record is too
    _tell(said, record)


def _place(output: Path | None, model: str, asked: str) -> Path:
    """What the files are called, without their endings."""
    output = output or Path()
    if output.is_dir():
        name = re.sub(r"[^\w.+-]+", "-", f"{Path(model).name.removesuffix('.safetensors')}-{asked}")
        return output / name
    return output.with_suffix("") if output.suffix == ".safetensors" else output


def _tell(said: Output, record: Mapping[str, object]) -> None:
    from rich.table import Table

    results = record["results"]
    dense, achieved = results["dense"], results["achieved"]
    (what, asked), *_ = results["asked"].items()
    kind = "MACs" if results["structured"] else "prunable weights"
    if results["structured"]:
        parameters, macs = achieved["parameters"], achieved["macs"]
    else:
        parameters, macs = achieved["nonzero_parameters"], achieved["nonzero_macs"]
    table = Table("stage", "module", "weights", "kept", "MACs", "kept", title="What each stage keeps")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in results["stages"]:
        table.add_row(str(row["stage"]), row["module"], f"{row['weights']:,}", f"{row['kept'] / row['weights']:.1%}",
                      f"{row['macs']:,}", f"{row['kept_macs'] / row['macs']:.1%}")  # fmt: skip
    said.show(
        table,
        f"Asked: {what.replace('_', ' ')} {asked:,}. Achieved: {achieved['ratio']:.4f} of the {kind} gone.",
        f"MACs {change(dense['macs'], macs)}; parameters {change(dense['parameters'], parameters)}",
    )
    if made := results["output"]:
        said.show(f"Written: {made['file']} ({made['bytes'] / 1e6:,.2f} MB) and its record beside it.")
    said.note(results["advice"], loud=not results["structured"])
    said.record(record)
