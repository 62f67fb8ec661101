"""Draw the surfaces with defects: write the card that the sets of record are checked by, or folders of images.

    python data_scripts/make_surfaces.py                      # the card among the shipped files
    python data_scripts/make_surfaces.py --images runs/test --split test

The surfaces are synthetic: textures and defects are drawn from seeds in whole numbers, and are of no factory. They are
not shipped, since drawing them takes seconds; the card has the digests of what is drawn.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from swinprune_lite.data.surfaces import KINDS, SIDE, TEXTURES
from swinprune_lite.files import atomic, write_json
from swinprune_lite.sources.surface_sets import CARD, SHARES, SIZES, SPLITS, TEST_SIZES, draw_set, plan


def card() -> dict:
    """What the sets are, and their digests."""
    return {
        "name": "drawn surfaces",
        "what": "synthetic textures with synthetic defects, drawn from seeds; of no factory",
        "pixels": [SIDE, SIDE],
        "textures": TEXTURES,
        "classes": KINDS,
        "shares_on_the_line": SHARES,
        "sizes": [SIZES[0], SIZES[-1]],
        "test_sizes": TEST_SIZES,
        "surfaces": SPLITS,
        "sha256": {split: draw_set(list(plan(split))).digest for split in SPLITS},
    }


def write_images(split: str, folder: Path) -> int:
    """PNG files in a folder for every class; how many. Seed, texture and size are in their names."""
    planned = list(plan(split))
    drawn = draw_set(planned)
    for pixels, (seed, texture, kind, size) in zip(drawn.pixels, planned):
        path = folder / kind / f"{seed:07}_{texture.replace(' ', '-')}_{size}.png"
        with atomic(path) as temporary:
            Image.fromarray(pixels).save(temporary, "png")
    return len(planned)


def main(
    images: Annotated[Path | None, typer.Option(help="Folder for images; without it the card is written.")] = None,
    split: Annotated[str, typer.Option(help=f"Of the images: {', '.join(SPLITS)}.")] = "test",
    output: Annotated[Path, typer.Option(help="Where the card goes.")] = CARD,
) -> None:
    """Write the card, or the images of a split."""
    if images is None:
        write_json(output, card())
        print(f"{output}: {', '.join(f'{count:,} {split}' for split, count in SPLITS.items())}")
        return
    try:
        print(f"{write_images(split, images):,} images in {images}")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
