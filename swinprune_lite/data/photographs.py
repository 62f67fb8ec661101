"""Twelve natural photographs that lie in the package scikit-image; nothing is fetched, and none of it is run."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image

from swinprune_lite.data.folders import Transform
from swinprune_lite.files import reason

PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
    "camera.png", "brick.png", "grass.png", "gravel.png", "coins.png", "moon.png",
)  # fmt: skip
"""Six in colour, six in grey. Drawings, pages, and what was taken through a microscope are not among them."""

SHA256 = "de92b13a3cf032c3028ad9ddd381a7fa56c073c8b4e79699a38ccc181879f002"
"""Over the files' bytes in this order."""


def photographs(transform: Transform) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The photographs, their middle squares resized and normalised: one batch.

    Args:
        transform: of the model.

    Returns:
        Images, float32 (12, 3, H, W), and in place of a class each one's place in `PHOTOGRAPHS`, int64 (12,).

    Raises:
        FileNotFoundError: scikit-image is not there, or does not have one of them.
        ValueError: the files are others.
    """
    resizing, pixels = transform.resizing(), []
    for path in _files():
        try:
            with Image.open(path) as image:
                pixels.append(torch.as_tensor(resizing(image.convert("RGB"))))
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({reason(error)}); install scikit-image anew.") from error
    return [(transform.normalise(torch.stack(pixels)), torch.arange(len(pixels)))]


def _files() -> list[Path]:
    package = find_spec("skimage")
    if package is None:
        raise FileNotFoundError("The photographs are scikit-image's; install swinprune-lite[pretrained].")
    folder = Path(package.submodule_search_locations[0]) / "data"
    found, digest = [folder / name for name in PHOTOGRAPHS], hashlib.sha256()
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"scikit-image has no {path.name} in {folder}; install version 0.26.")
        digest.update(path.read_bytes())
    if digest.hexdigest() != SHA256:
        raise ValueError(
            f"The photographs in {folder} are others: their SHA-256 begins {digest.hexdigest()[:12]}, expected "
            f"{SHA256[:12]}; install scikit-image 0.26."
        )
    return found
