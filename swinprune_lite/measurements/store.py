"""The results store: long measurements kept under all that they depend on, and found again by it.

One JSON line a measurement, in one file a model. A record's key is the SHA-256 of the setting, the recipe, the
digests of weights and images, the digest of the masks, and `PROTOCOL`. What a measurement does not depend on, the
text of the code and the names of its files, is in no key. A record's digest covers the whole of it, so that an edited
one is refused when the store is opened.
"""

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from swinprune_lite.files import RESTORE, RESULTS, atomic
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.provenance import provenance

PROTOCOL = 1
"""To be increased when evaluation or fine-tuning means to change its digits; no older record is then found any more."""


class Store:
    """Measurements in a folder of JSON lines.

    Attributes:
        folder: where they are.
        records: what was asked (see `question`) -> record.
    """

    def __init__(self, folder: Path = RESULTS) -> None:
        self.folder = Path(folder)
        self.records: dict[str, dict] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            self.records |= _records(path)

    def find(self, profile: Profile, setting: Setting) -> Measurement | None:
        """The measurement of this setting with this recipe and these weights and images, or None.

        One on more images than the profile has serves too. The masks are those of the record: whoever makes them
        compares their digest (`Measurement.same_as`).
        """
        record = self.records.get(question(profile, setting))
        if record is None or record["result"]["images"] < profile.test_batches(setting.images or None).images:
            return None
        result = record["result"]
        return Measurement(
            *(_unpack(result[name], result["images"]) for name in ("top1_bits", "top5_bits")),
            result["params"],
            result["macs"],
            record["ingredients"]["masks"],
            record["provenance"]["seconds"],
        )

    def settings(self) -> dict[str, Setting]:
        """What was measured, by what was asked."""
        return {asked: Setting(**record["setting"]) for asked, record in self.records.items()}

    def add(self, profile: Profile, setting: Setting, found: Measurement) -> None:
        """Keep a measurement, in place of an older one of the same question. The file is replaced as a whole."""
        record = {
            "key": key(profile, setting, found.masks),
            "setting": setting.told(),
            "result": {
                "top1": percent(found.top1),
                "top5": percent(found.top5),
                "images": len(found.top1),
                "params": found.params,
                "macs": found.macs,
                "top1_bits": _pack(found.top1),
                "top5_bits": _pack(found.top5),
            },
            "ingredients": profile.ingredients(setting) | {"masks": found.masks, "protocol": PROTOCOL},
            "provenance": provenance(profile.source.device) | {"seconds": round(found.seconds, 1)},
        }
        path = self.folder / f"{re.sub('[^A-Za-z0-9_.-]+', '_', setting.model)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / f".{path.name}.lock"):  # two notebooks may fill one store
            mine = _records(path) | {question(profile, setting): record | {"digest": _digest(record)}}
            self.records |= mine
            with atomic(path) as temporary:
                temporary.write_text("".join(json.dumps(each) + "\n" for each in sorted(mine.values(), key=_order)))


def key(profile: Profile, setting: Setting, masks: str) -> str:
    """SHA-256 over everything that the measurement depends on, the digest of the masks included."""
    return _key(setting.told(), profile.ingredients(setting) | {"masks": masks, "protocol": PROTOCOL})


def question(profile: Profile, setting: Setting) -> str:
    """SHA-256 over what is asked: all that is in the key but the masks, which are a part of the answer."""
    return _key(setting.told(), profile.ingredients(setting) | {"protocol": PROTOCOL})


def _key(told: dict, ingredients: dict) -> str:
    return _digest({"setting": told, **ingredients})


def _records(path: Path) -> dict[str, dict]:
    lines = path.read_bytes().splitlines() if path.is_file() else []
    records = {}
    for number, line in enumerate(lines, 1):
        record = _read(line, f"{path} line {number}")
        asked = {name: value for name, value in record["ingredients"].items() if name != "masks"}
        records[_key(record["setting"], asked)] = record
    return records


def _order(record: dict) -> tuple:
    return Setting(**record["setting"]), record["key"]


def _read(line: bytes, where: str) -> dict:
    try:
        record = json.loads(line)
        whole = _digest({name: value for name, value in record.items() if name != "digest"}) == record["digest"]
        whole = whole and record["key"] == _key(record["setting"], record["ingredients"])
        result = record["result"]
        told = [(percent(_unpack(result[f"{name}_bits"], result["images"])), result[name]) for name in ("top1", "top5")]
        whole = whole and all(counted == stated for counted, stated in told)
        Setting(**record["setting"])
        needed = result["params"], result["macs"], record["provenance"]["seconds"], record["ingredients"]["masks"]
        whole = whole and all(value is not None for value in needed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
        whole = False
    if not whole:
        raise ValueError(
            f"{where} is damaged or edited: it does not have the digest it was written with. If it ships, {RESTORE}; "
            "else remove the line, so that it is measured anew."
        )
    return record


def _digest(value: dict) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def percent(correct: torch.Tensor) -> float | None:
    """How many of the images (images,) were right, in percent, to the digit that a record has.

    None (in JSON null) where there is nothing to count: top-5 of fewer than five classes.
    """
    return 100 * int(correct.sum()) / len(correct) if len(correct) else None


def _pack(correct: torch.Tensor) -> str:
    return base64.b64encode(zlib.compress(np.packbits(correct.numpy()).tobytes(), 9)).decode()


def _unpack(text: str, images: int) -> torch.Tensor:
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    if len(bits) not in (0, -(-images // 8)):
        raise ValueError(f"{len(bits)} bytes do not hold the verdicts of {images} images")
    return torch.from_numpy(np.unpackbits(bits, count=images if len(bits) else 0).astype(bool))
