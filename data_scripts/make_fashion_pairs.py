"""Make the shipped Fashion-Pairs-100 files from Fashion-MNIST (MIT licence, Zalando SE).

    python data_scripts/make_fashion_pairs.py --source /usr/share/datasets/fashion-mnist

looks for the four IDX files in the folder given, else where the Debian package
`dataset-fashion-mnist` puts them, else downloads them through torchvision; checks their digests; and
writes `fashion_pairs_test.npz` (10,000 garments, labels and partners) and `fashion_pairs_train.npz`
(1,000 training garments of each kind). The result is the same on every machine, byte for byte
where zlib is the same, and otherwise array for array.
"""

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich import print

from swinprune_lite.files import SHIPPED, atomic, sha256

IDX_DIGESTS = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
PACKAGE = "dataset-fashion-mnist"
PER_CLASS = 1000


def find_source(folder: Path | None = None) -> Path:
    """The folder that holds the four IDX files: the one given, the Debian package's, or a download.

    Raises:
        FileNotFoundError: the folder given lacks a file, or nothing is found and nothing can be downloaded.
        ValueError: a file's SHA-256 is not Fashion-MNIST's.
    """
    if folder is None:
        folder = _debian_folder() or _download()
    for name, expected in IDX_DIGESTS.items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; give the folder with Fashion-MNIST's four IDX files.")
        if (found := sha256(path)) != expected:
            raise ValueError(
                f"{path} is not Fashion-MNIST's file: SHA-256 begins {found[:12]}, expected {expected[:12]}."
            )
    return folder


def _debian_folder() -> Path | None:
    try:
        listed = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(
        (Path(line).parent for line in listed.splitlines() if line.endswith("train-images-idx3-ubyte.gz")), None
    )


def _download() -> Path:
    from torchvision.datasets import FashionMNIST

    root = Path(tempfile.gettempdir()) / "fashion-mnist-download"
    try:
        FashionMNIST(str(root), download=True)
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(
            f"Fashion-MNIST was not found and cannot be downloaded ({error}); install the Debian package {PACKAGE} "
            "or give --source, the folder with its four IDX files."
        ) from error
    return root / "FashionMNIST" / "raw"


def read_idx(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (N, 28, 28) and labels int64 (N,) of `part`, "train" or "t10k"."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return torch.from_numpy(pixels.copy()), torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))


def main(
    source: Annotated[Path | None, typer.Option(help="Folder with Fashion-MNIST's four IDX files.")] = None,
    output: Annotated[Path, typer.Option(help="Where the two files go.")] = SHIPPED,
) -> None:
    """Write the shipped test pairs and the training subset."""
    try:
        folder = find_source(source)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    generator = np.random.Generator(np.random.PCG64(20240507))

    garments, labels = (tensor.numpy() for tensor in read_idx(folder, "t10k"))
    cycle = generator.permutation(len(labels))  # one cycle through all garments: nobody is paired with itself
    right = np.empty_like(cycle)
    right[cycle] = np.roll(cycle, -1)
    _write(output / "fashion_pairs_test.npz", garments=garments, labels=labels, right=right)

    garments, labels = (tensor.numpy() for tensor in read_idx(folder, "train"))
    chosen = [generator.permutation(np.flatnonzero(labels == kind))[:PER_CLASS] for kind in range(10)]
    chosen = np.sort(np.concatenate(chosen))
    _write(output / "fashion_pairs_train.npz", garments=garments[chosen], labels=labels[chosen])


def _write(path: Path, **arrays: np.ndarray) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, SHA-256 {sha256(path)}")


if __name__ == "__main__":
    typer.run(main)
