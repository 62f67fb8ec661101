"""Files from the network: fetched once, gone on with after a kill, checked, and whole or not there."""

import hashlib
import os
import shutil
import tarfile
import time
import zlib
from gzip import BadGzipFile
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

DAMAGED = (tarfile.TarError, EOFError, zlib.error, BadGzipFile)
"""What reading a damaged archive raises."""

_ATTEMPTS = 4  # without a new byte in between
_WAIT = 2.0  # seconds between two of them
_TIMEOUT = 30.0  # seconds without an answer
_CHUNK = 2**16  # bytes


def download(url: str, path: str | Path, md5: str | None = None) -> Path:
    """Fetch a file; what an earlier try left in `<path>.part` is continued where the server can do that.

    Args:
        url: http, https or file.
        path: where the file goes. It has this name only when it is whole and its digest is right.
        md5: its digest, 32 hexadecimal digits; None: not checked.

    Raises:
        ConnectionError: it is not to be had; what came so far is kept.
        OSError: no space, or no permission.
        ValueError: not a url, or a file with another digest.
    """
    path = Path(path)
    if path.is_file():
        check_md5(path, md5, "remove it, so that it is fetched anew")
        return path
    if not url.lower().startswith(("http://", "https://", "file://")):
        raise ValueError(f"{url!r} is not a url that can be fetched; it must begin with https://, http:// or file://.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.part")
    continued = part.exists()
    _fetch(url, part, path)
    if continued and md5 and md5sum(part) != md5.lower():  # it may have been the beginning of another file
        part.unlink()
        _fetch(url, part, path)
    try:
        check_md5(part, md5, f"{url} is not the file that it should be; use another source")
    except ValueError:
        part.unlink()
        raise
    part.replace(path)
    return path


def md5sum(path: str | Path) -> str:
    """MD5 of a file, as 32 hexadecimal digits: the digest that the data sets are published with."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, _bar(f"checking {Path(path).name}", os.path.getsize(path)) as bar:
        while chunk := file.read(2**20):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def check_md5(path: Path, md5: str | None, advice: str) -> None:
    """Raise ValueError, with the advice in it, unless the file's MD5 is `md5` or that is None."""
    if md5 and (found := md5sum(path)) != md5.lower():
        raise ValueError(f"{path} has the MD5 {found} and {md5} is expected; {advice}.")


def require_space(folder: Path, needed: int) -> None:
    """Raise OSError unless so many bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        sizes = f"{free / 1e6:,.0f} MB free and {needed / 1e6:,.0f} MB are needed"
        raise OSError(f"{folder} has {sizes}; free some, or use another folder.")


def _fetch(url: str, part: Path, path: Path) -> None:
    """Fetch what `part` lacks, again and again while that helps."""
    most, left, begun = _size(part), _ATTEMPTS, False
    while True:
        try:
            return _fetch_rest(url, part)
        except URLError as error:
            grown = _size(part) > most
            most, begun, left = max(most, _size(part)), begun or grown, _ATTEMPTS if grown else left - 1
            refused = isinstance(error, HTTPError) and error.code < 500
            if refused or not begun or not left:
                reason = str(error if isinstance(error, HTTPError) else error.reason) or type(error.reason).__name__
                advice = f"check the network, or fetch it on another machine and put it at {path}"
                raise ConnectionError(f"{url} cannot be fetched ({' '.join(reason.split())}): {advice}.") from error
            time.sleep(_WAIT)


def _fetch_rest(url: str, part: Path) -> None:
    """Append what `part` lacks, or write it anew where the server sends the whole; URLError if it did not all come."""
    have = _size(part)
    try:
        response = _network(urlopen, Request(url, headers={"Range": f"bytes={have}-"} if have else {}), None, _TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if not error.headers.get("Content-Range", "").endswith(f"/{have}"):  # not the beginning of this file
            part.unlink()
            _fetch_rest(url, part)
        return
    with response:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        require_space(part.parent, int(length or 0))
        with open(part, "ab" if have else "wb") as file, _bar(part.stem, total, have) as bar:
            while chunk := _network(response.read, _CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise URLError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _network(call, *arguments):
    """Call, with whatever goes wrong as a URLError, so that it is not taken for an error of the disk."""
    try:
        return call(*arguments)
    except URLError:
        raise
    except (OSError, HTTPException) as error:
        raise URLError(error) from error


def _bar(name: str, total: int | None, initial: int = 0) -> tqdm:
    return tqdm(desc=name, total=total, initial=initial, unit="B", unit_scale=True, delay=1, leave=False)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
