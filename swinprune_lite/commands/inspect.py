"""`swinprune inspect`: what a model is made of, and what pruning would find in it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output, count

if TYPE_CHECKING:
    from rich.tree import Tree

SHOWN = 0.0005
"""Share of zeros from which a line tells it: a few weights of any model are zero, which no pruning made so."""


def inspect(
    context: typer.Context,
    model: options.Model,
    layers: Annotated[bool, typer.Option("--layers/--blocks", help="Down to each layer, or to each block.")] = True,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights of MODEL, then an architecture of timm.")
    ] = None,
    arch: options.Arch = None,
    img_size: options.ImageSize = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show MODEL by stage, block and layer: shapes, parameters, MACs, zeros; and what pruning would leave whole.

    `inspect vit_tiny_patch16_224 --checkpoint FILE` is `inspect FILE --arch vit_tiny_patch16_224`.

    Examples:

    - `swinprune inspect swin_lite_micro --blocks`
    - `swinprune inspect swin_lite_micro:1 --json`
    """
    from swinprune_lite.shell import records
    from swinprune_lite.shell.tree import tree

    if checkpoint and arch:
        raise ValueError("With --checkpoint MODEL names the architecture; leave --arch out.")
    said = Output(json, quiet)
    loaded = options.load(checkpoint or model, model if checkpoint else arch, img_size)
    about = records.described(loaded)
    found = tree(loaded.model, loaded.image_size)
    said.show(_drawn(about, found, layers))
    if how := about["pruned"]:
        said.show(f"Its file says: pruned by {how['method']}{', repaired' if how['repair'] else ''}.")
    said.record(records.record("inspect", context.params, found, about))


def _drawn(about: Mapping, found: Mapping, layers: bool) -> "Tree":
    from rich.tree import Tree

    height, width = about["image_size"]
    zeros = 1 - about["nonzero_parameters"] / about["parameters"]
    kept = f", {count(about['nonzero_parameters'])} not zero" if zeros >= SHOWN else ""
    top = Tree(
        f"{about['name']} ({about['architecture']}): {count(about['parameters'])} parameters"
        f"{kept}, {count(about['macs'])} MACs for an image of {height} x {width}, {about['classes']} classes"
    )
    for stage in found["stages"]:
        rows = [row for block in stage["blocks"] for row in block["layers"]]
        branch = top.add(f"stage {stage['stage']}: {len(stage['blocks'])} blocks, {_summed(rows)}")
        for block in stage["blocks"]:
            leaf = branch.add(f"{block['path']}: {_summed(block['layers'])}")
            for row in block["layers"] if layers else ():
                shape = " x ".join(map(str, row["shape"]))
                name = row["name"].removeprefix(f"{block['path']}.")
                leaf.add(f"{name} ({row['module']}, {row['role']}) {shape}: {_summed([row])}")
    reasons: dict[str, list] = {}
    for row in found["rest"]:
        reasons.setdefault(row["why"], []).append(row)
    rest = top.add("not pruned") if reasons else top
    for why, rows in reasons.items():
        names = [row["name"] for row in rows]
        more = "" if layers or len(names) <= 3 else f" and {len(names) - 3} more"
        rest.add(f"{why}, {_summed(rows)}: {', '.join(names if layers else names[:3])}{more}")
    top.add(f"products of no weight, query by key and attention by value: {count(found['elsewhere'])} MACs")
    groups = found["groups"].values()
    kinds = {kind: [each["count"] for each in groups if each["kind"] == kind] for kind in ("heads", "hidden units")}
    told = [f"{sum(counts):,} {kind} of {len(counts)} layers" for kind, counts in kinds.items() if counts]
    top.add(f"can leave whole (--structured): {', '.join(told) or 'nothing'}")
    return top


def _summed(rows: list[Mapping]) -> str:
    parameters = sum(row["parameters"] for row in rows)
    zeros = sum(row["sparsity"] * row["parameters"] for row in rows)
    said = f"{count(parameters)} parameters, {count(sum(row['macs'] for row in rows))} MACs"
    if parameters and zeros / parameters >= SHOWN:
        said += f", {zeros / parameters:.1%} zeros"
        if all(row["two_four"] for row in rows):
            said += " in a 2:4 pattern"
        sides = {row["block"] for row in rows}
        if None not in sides:
            said += f" in blocks of {min(sides)} x {min(sides)}"
    return said
