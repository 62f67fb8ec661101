"""Arguments and options that several commands take, in one place; what a command adds stands in its own file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from swinprune_lite.shell.named import Loaded

MODEL = (
    "A timm name with its tag, local-dir:FOLDER, a checkpoint file (with --arch), a file that swinprune wrote, or a "
    "lite model (swin_lite_tiny; swin_lite_tiny:1 for training seed 1)."
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
Arch = Annotated[str | None, typer.Option(metavar="NAME", help="timm's name of the architecture of a checkpoint file.")]
ImageSize = Annotated[
    str | None, typer.Option("--img-size", metavar="N", help="Pixels of an image: its side, or HEIGHTxWIDTH.")
]
Device = Annotated[str, typer.Option(help='"cpu", "cuda", "cuda:1" ..., or "auto": a GPU where there is one.')]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No tables, progress or notes; errors are told.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.", min=0, max=2**32 - 1)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="What to write; see above.")]

Data = Annotated[
    str, typer.Option(metavar="FOLDER", help='With a folder of images for every class, or "lite": the pairs that ship.')
]
Split = Annotated[str, typer.Option(help="Which folder in --data; of a folder without a val, val is itself.")]
ClassMap = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Names of the classes, one a line, in the model's order.")
]
Against = Annotated[str | None, typer.Option(metavar="MODEL", help="Another model, such as the dense one.")]
AgainstArch = Annotated[
    str | None, typer.Option("--against-arch", metavar="NAME", help="As --arch, of --against's checkpoint file.")
]


def image_size(text: str | None) -> tuple[int, int] | None:
    """(height, width) in pixels of "224" or "256x192".

    Raises:
        ValueError: anything else.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ValueError(f"--img-size is a side such as 224, or HEIGHTxWIDTH such as 256x192; got {text!r}.")
    return int(sides[0]), int(sides[-1])


def device(text: str) -> str:
    """A device of torch that is there; "auto" is "cuda" where there is a GPU, else "cpu".

    Raises:
        ValueError: another device, or one that this machine does not have.
    """
    import torch

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if text not in found and (text != "cuda" or len(found) == 1):
        raise ValueError(f"There is no device {text!r} here; there is {', '.join(found)}.")
    return text


def load(name: str, arch: str | None, img_size: str | None, device_: str = "cpu") -> "Loaded":
    """The model that MODEL, --arch and --img-size name, on the device.

    Raises:
        ValueError: see `named.load_model`.
    """
    from swinprune_lite.shell.named import load_model

    where = device(device_)
    loaded = load_model(name, arch, image_size(img_size))
    loaded.model.to(where)
    return loaded
