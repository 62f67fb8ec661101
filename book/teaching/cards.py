"""Cards of the data: what ships and what does not, counted from the files."""

import json
from collections.abc import Iterable
from pathlib import Path

from insertions import markdown

from swinprune_lite.data.pairs import lite_data
from swinprune_lite.files import SHIPPED
from swinprune_lite.models.probe import NAME
from swinprune_lite.sources.surface_sets import CARD, SIZES, SPLITS, TEST_SIZES
from swinprune_lite.studies import estimate
from swinprune_lite.studies.profiles import GARMENTS, TRAINING_IMAGES


def cards() -> str:
    """All cards as Markdown: a heading and a table of two columns for each."""
    found = {
        "Fashion-Pairs-100": _pairs(),
        "Single garments": _single(),
        "Drawn surfaces": _surfaces(),
        "Weights": _weights(),
        "Imagenette, ImageNet-1k and your own folder": _fetched(),
    }
    return "\n\n".join(f"## {name}\n\n{markdown(['field', 'what it says'], rows)}" for name, rows in found.items())


def _pairs() -> Iterable[tuple[str, str]]:
    batch = {split: lite_data(split, 1) for split in ("train", "calibration", "held-out", "test")}
    _, _, high, wide = next(iter(batch["test"]))[0].shape
    files = [SHIPPED / f"fashion_pairs_{name}.npz" for name in ("train", "test")]
    yield "what", f"garments of Fashion-MNIST side by side, grey, {high} × {wide} pixels; class = 10 · left + right"
    yield "test", f"{batch['test'].images:,} pairs, fixed: each test garment is a left half once"
    yield "train", f"{batch['train'].images:,} pairs a pass, drawn anew, for the short fine-tuning"
    yield "held out", f"{batch['held-out'].images:,} pairs, to choose rules and rates on; no calibration sees them"
    yield "calibration", f"{batch['calibration'].images:,} pairs a pass of the other training garments"
    yield "ships", f"yes: {_megabytes(files)}, both files"
    yield "licence", "MIT, Zalando's (`swinprune_lite/shipped/NOTICE`)"
    yield "not for", "conclusions on photographs: garments are centred, grey and without background"


def _single() -> Iterable[tuple[str, str]]:
    yield "what", f"garments of the same files, enlarged for `{NAME}`, which was pretrained on photographs"
    yield "test", f"{GARMENTS:,} garments, as many of each kind"
    yield "ships", "yes, with Fashion-Pairs-100; and the linear head that judges the features"
    yield "not for", "the accuracy of that model on photographs"


def _surfaces() -> Iterable[tuple[str, str]]:
    card = json.loads(CARD.read_text())
    yield "what", f"{card['what']}; {' × '.join(map(str, card['pixels']))} pixels at the finest camera"
    yield "classes", ", ".join(card["classes"])
    yield "splits", ", ".join(f"{split} {count:,}" for split, count in SPLITS.items())
    yield "sizes of defects", f"{SIZES[0]} to {SIZES[-1]} pixels; in the test {', '.join(map(str, TEST_SIZES))}"
    yield "ships", "as a recipe: each surface is drawn from its seed, and the sets' digests are kept"
    yield "licence", "MIT, this project's"
    yield "not for", "the approval of a real inspection: it is of no factory"


def _weights() -> Iterable[tuple[str, str]]:
    files = sorted(SHIPPED.glob("*.safetensors"))
    counted: dict[str, int] = {}
    for path in files:
        name = path.stem.partition("_seed")[0]
        counted[name] = counted.get(name, 0) + 1
    yield "what", "; ".join(f"`{name}` × {count}" for name, count in counted.items())
    yield "ships", f"yes: {len(files)} files, {_megabytes(files)}, each with a card of its making and its digest"
    yield "licence", "MIT, this project's; DINOv2's own weights do not ship (Apache 2.0, fetched)"
    yield "not for", "anything but teaching and testing"


def _fetched() -> Iterable[tuple[str, str]]:
    images = estimate.IMAGES
    yield "Imagenette", f"{images['imagenette']:,} validation images; fetched from its authors, checked by digest"
    yield (
        "ImageNet-1k",
        f"{images['imagenet']:,} validation, {TRAINING_IMAGES:,} training images; asks for a registration",
    )
    yield "your own", "a folder of images a class; stays where it is"
    yield "ships", "none of them"
    yield (
        "licence",
        "ImageNet's terms hold for the first two; ask before any use but research and teaching",
    )


def _megabytes(files: Iterable[Path]) -> str:
    return f"{sum(path.stat().st_size for path in files) / 1e6:.0f} MB"
