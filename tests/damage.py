"""Files with a bit, a byte or an end that is not theirs."""

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path


def damaged(whole: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` damaged copies of a file's bytes with what was done: bits flipped, bytes set, ends cut or added.

    Half of the places are in the first two kilobytes, where headers lie.
    """
    drawn = random.Random(seed)
    for number in range(count):
        place = drawn.randrange(min(len(whole), 2048) if number % 2 else len(whole))
        kind = ("bit", "bit", "bit", "byte", "cut", "more")[number % 6]
        content = bytearray(whole)
        if kind == "bit":
            content[place] ^= 1 << drawn.randrange(8)
        elif kind == "byte":
            content[place] = drawn.randrange(256)
        elif kind == "cut":
            del content[place:]
        else:
            content += drawn.randbytes(1 + drawn.randrange(20))
        yield f"{kind} at {place}", bytes(content)


def silent(path: Path, read: Callable[[], object], same: Callable[[object], bool], count: int) -> list[str]:
    """What was not noticed: damages after which `read` gave something else, or another error than one sentence."""
    whole, found = path.read_bytes(), []
    for done, content in damaged(whole, count):
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if not same(read()):
                    found.append(f"{done}: something else, in silence")
        except ValueError as error:
            if "\n" in str(error) or path.name not in str(error):
                found.append(f"{done}: {error}")
        except Exception as error:
            found.append(f"{done}: {type(error).__name__}: {error}")
    path.write_bytes(whole)
    return found
