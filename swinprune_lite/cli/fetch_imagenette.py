"""Fetch Imagenette: ten ImageNet classes, 9,469 training and 3,925 validation images, open to all.

    python -m swinprune_lite.cli.fetch_imagenette               # 320 pixels the shorter side, about 342 MB
    python -m swinprune_lite.cli.fetch_imagenette --check       # is what is there whole?

Started again after a kill, it goes on. Imagenette is fast.ai's (github.com/fastai/imagenette).
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.data.imagenette import (
    IMAGENETTE_SIZES,
    check_imagenette,
    fetch_imagenette,
    find_imagenette,
    imagenette_source,
)
from swinprune_lite.files import home

MEGABYTES = {"full": 1557, "320px": 342, "160px": 99}  # of the official archives


def plan(folder: Path, size: str, url: str | None, md5: str | None) -> list[str]:
    """What a run would do, one line each. Touches nothing and asks no network."""
    official, digest = imagenette_source(size)
    target = folder / IMAGENETTE_SIZES[size]
    if target.exists():
        return [f"{count(target)} Nothing would be fetched."]
    archive = folder / f"{target.name}.tgz"
    part = Path(f"{archive}.part")
    about = f"about {MEGABYTES[size]:,} MB" if md5 in (None, digest) and size in MEGABYTES else "of unknown size"
    lines = [f"would fetch  {url or official}", f"             {about}, MD5 {md5 or digest}", f"unpacked to  {target}"]
    if archive.exists():
        lines.append(f"there        {archive}, {archive.stat().st_size:,} bytes: checked and used, not fetched")
    elif part.exists():
        lines.append(f"there        {part}, {part.stat().st_size:,} bytes: continued")
    else:
        lines.append("there        nothing yet")
    return lines


def count(place: Path) -> str:
    """How many images are in a whole Imagenette; ValueError if it is not whole."""
    found = check_imagenette(place)
    return f"{place} is whole: {found['train']:,} training and {found['val']:,} validation images."


def check(folder: Path, size: str) -> str:
    """As `count`, of Imagenette of a size in a folder, else of any that is there."""
    imagenette_source(size)
    target = folder / IMAGENETTE_SIZES[size]
    itself = folder if (folder / "val").is_dir() else None
    place = target if target.exists() else find_imagenette(folder) or itself
    if place is None:
        raise FileNotFoundError(f"There is no Imagenette in {folder}; run this without --check to fetch it.")
    return count(place)


def main(
    folder: Annotated[Path | None, typer.Option(help="Where it goes; default: $SWINPRUNE_HOME or its default.")] = None,
    size: Annotated[str, typer.Option(help=f"Of the images: {', '.join(IMAGENETTE_SIZES)}.")] = "320px",
    url: Annotated[str | None, typer.Option(help="A mirror's archive (http, https or file).")] = None,
    md5: Annotated[str | None, typer.Option(help="Its digest, if it is not the official archive.")] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check what is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the .tgz after unpacking.")] = False,
) -> None:
    """Fetch and check Imagenette; nothing is done where it is there and whole."""
    folder = folder or home()
    try:
        if check_only:
            print(check(folder, size))
        elif dry_run:
            print("\n".join(plan(folder, size, url, md5)))
        else:
            print(count(fetch_imagenette(folder, size, url, md5, keep_archive)))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
