"""Fetch pretrained weights ahead of time, for machines that work offline later.

    python -m swinprune_lite.cli.fetch_weights                                 # the paper's Swin-T, S and B
    python -m swinprune_lite.cli.fetch_weights vit_tiny_patch16_224.augreg_in21k_ft_in1k

They lie in the hub's cache, where timm and the notebooks find them.
"""

import sys
from typing import Annotated

import typer
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.utils import logging
from rich.console import Console
from rich.table import Table

from swinprune_lite.files import sha256
from swinprune_lite.models import pretrained

OFFLINE = f"""\
The weights lie in {HF_HUB_CACHE}.
To use them without a network, set HF_HUB_OFFLINE=1; on another machine, copy that folder there and say where it is with
HF_HUB_CACHE."""


def plan(models: list[str]) -> list[str]:
    """What would be asked of the hub, one line each. Needs no network."""
    lines = []
    for name in models:
        repository, _, revision = (pretrained.config(name).hf_hub_id or "").partition("@")
        if not repository:
            raise ValueError(f"{name} has no weights on the hub; choose a model that has, see timm.list_pretrained().")
        cached = try_to_load_from_cache(repository, "model.safetensors", revision=revision or None)
        there = f"there already, {cached}" if isinstance(cached, str) else "not in the cache"
        lines.append(f"{name}: {ENDPOINT}/{repository}, {there}")
    return [*lines, f"The cache is {HF_HUB_CACHE}."]


def fetch(models: list[str]) -> list[tuple[str, ...]]:
    """One row a model: name, file, MB and the beginning of its SHA-256."""
    rows = []
    for name in models:
        print(f"{name}: asking {ENDPOINT} and its cache")
        path = pretrained.weights_file(name)
        rows.append((name, str(path), f"{path.stat().st_size / 1e6:,.1f}", sha256(path)[:12]))
    return rows


def show(rows: list[tuple[str, ...]]) -> None:
    """Print the rows as a table, of which no path is cut off."""
    table = Table("model", "file", "MB", "SHA-256", title="Pretrained weights")
    for column in table.columns:
        column.overflow = "fold"
    table.columns[2].justify = "right"
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def main(
    models: Annotated[list[str] | None, typer.Argument(help="timm's names; default: the paper's three.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be fetched, and where to.")] = False,
) -> None:
    """Put pretrained weights into the hub's cache, and check them."""
    models = models or list(pretrained.PAPER_MODELS)
    logging.set_verbosity_error()  # its warnings of every retry would hide the one sentence that counts
    try:
        if dry_run:
            print("\n".join(plan(models)))
            return
        show(fetch(models))
        print(OFFLINE)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
