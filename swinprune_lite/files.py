"""Files that are whole or not there: digests, atomic writes, one clear error for a damaged one."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it there, on failure leave nothing.

    A reader therefore sees the old file or the new one, never half of it.
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
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path: str | Path) -> None:
    """Raise OSError in one sentence unless a file can be written at `path`; its folder is made if need be."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise type(error)(
            f"{path} cannot be written ({error.strerror}); give a place where files may be made."
        ) from error


def check_digest(path: str | Path, expected: str) -> None:
    """Raise FileNotFoundError or ValueError unless the file's SHA-256 is `expected`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is missing; {RESTORE}.")
    found = sha256(path)
    if found != expected:
        raise ValueError(
            f"{path} is damaged or altered: its SHA-256 begins {found[:12]}, expected {expected[:12]}; {RESTORE}."
        )
