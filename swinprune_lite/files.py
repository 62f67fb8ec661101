"""Files that are whole or not there: digests, atomic writes, one clear error for a damaged one."""

import errno
import hashlib
import json
import os
import pickle
import re
import tempfile
import textwrap
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

SHIPPED = Path(__file__).parent / "shipped"
"""Where the data and the trained weights that come with the package lie."""

RESTORE = "restore it from the repository or reinstall swinprune-lite"
"""What to do with a file that ships and is missing or damaged."""

_HERE = Path(__file__).parent
RESULTS = next((place for place in (_HERE.parent / "results", _HERE / "results") if place.is_dir()), _HERE / "results")
"""Where the committed results lie: in the repository, or in the installed package."""


def home() -> Path:
    """Where data that is fetched and what is measured on it lie: $SWINPRUNE_HOME, else ~/.cache/swinprune_lite."""
    return Path(os.environ.get("SWINPRUNE_HOME") or Path.home() / ".cache" / "swinprune_lite").expanduser()


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NoRoomError(OSError):
    """A file that the disk did not take."""

    def __init__(self, path: Path, said: str) -> None:
        super().__init__(f"{path} cannot be written ({said}); make room, or give another place.")
        self.said = said


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it there, on failure leave nothing.

    A reader therefore sees the old file or the new one, never half of it.

    Raises:
        NoRoomError: no place for it on the disk, whatever library found that out.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if said := _no_room(error):
            raise NoRoomError(path, said) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _no_room(error: Exception) -> str:
    """What a library says of a disk that is full; "" of any other error."""
    if isinstance(error, NoRoomError):  # of a temporary file within
        return error.said
    if isinstance(error, OSError):
        return error.strerror if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO) else ""
    said = str(error)
    if isinstance(error, SafetensorError):
        return found[1] if (found := re.search(r"I/O error: (.*?) \(os error", said)) else ""
    return "it did not take the whole file" if "inline_container" in said else ""


def write_json(path: str | Path, value: object) -> None:
    """Write what JSON holds to a file, indented, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def require_writable(path: str | Path) -> None:
    """Raise OSError in one sentence unless a file can be written at `path`; its folder is made if need be."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        is_file = isinstance(error, (FileExistsError, NotADirectoryError))
        said = f"{path.parent} is no folder" if is_file else error.strerror
        raise type(error)(f"{path} cannot be written ({said}); give a place where files may be made.") from error


def check_digest(path: str | Path, expected: str) -> None:
    """Raise FileNotFoundError or ValueError unless the file's SHA-256 is `expected`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is missing; {RESTORE}.")
    found = sha256(path)
    if found != expected:
        raise ValueError(
            f"{path} is damaged or altered: its SHA-256 begins {found[:12]}, expected {expected[:12]}; {RESTORE}."
        )


def load_weights_only(path: str | Path, kind: str, advice: str, allowed: Iterable = ()) -> object:
    """What `torch.save` wrote, if it is tensors, numbers, text, lists and dictionaries. Nothing in the file is run.

    Args:
        path: file that is there.
        kind: what it should be, such as "whole checkpoint".
        advice: what to do with one that is not, the end of a sentence, such as "download it again.".
        allowed: classes that may occur too, as `torch.serialization.safe_globals` takes them.

    Raises:
        ValueError: a damaged file, or one that would run code.
    """
    try:
        check_parts(path)
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"{path} is no {kind} and was not opened: {reason(error)}; {advice}") from error


def check_parts(path: str | Path) -> None:
    """Raise ValueError if a zip archive, as torch.save writes them, has a damaged part: torch reads past that."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"its part {damaged} does not have its own checksum")


def reason(error: BaseException) -> str:
    """Why a file could not be read, in one line. Where torch would advise to trust a pickle, that it could run code."""
    chain = [error]
    while chain[-1].__cause__:
        chain.append(chain[-1].__cause__)
    if any(isinstance(each, pickle.UnpicklingError) or "weights_only" in str(each) for each in chain):
        named = re.search(r"(?:GLOBAL|global|class|function)\s+`?([\w.]+)", "\n".join(map(str, reversed(chain))))
        said = f" ({named[1]})" if named else ""
        return f"it is damaged, or holds more than weights and settings{said}, which could run code"
    said = textwrap.shorten(str(error), 160, placeholder=" ...")
    if isinstance(error, EOFError):
        return "it is empty, or ends too early"
    plain = said and isinstance(error, (ValueError, RuntimeError, OSError, SafetensorError))
    return said if plain else f"{type(error).__name__} {said}".rstrip()


def read_safetensors(path: str | Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors (on the CPU) of a safetensors file.

    Raises:
        ValueError: a file that is damaged or of another format; the caller says which file, and what to do.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
            return file.metadata() or {}, tensors
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"it cannot be read as safetensors: {reason(error)}") from error


def content_digest(metadata: Mapping[str, str], keys: Iterable[str], tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the metadata under `keys` and every tensor's name, shape, type and bytes."""
    found = hashlib.sha256()
    for key in keys:
        found.update(f"{key}={metadata.get(key)};".encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype};".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError, naming the tensor, unless all numbers of all tensors are finite."""
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")


def parse_json(text: str | bytes) -> object:
    """What a JSON text holds.

    Raises:
        ValueError: a text that is no JSON; the caller says where it stands, and what to do.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {reason(error)}") from error


def read_json(path: str | Path, advice: str) -> object:
    """What a JSON file holds.

    Args:
        path: file that is there.
        advice: what to do with a damaged one, such as "remove it".

    Raises:
        ValueError: a file that is no JSON.
    """
    try:
        return parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {advice}.") from error
