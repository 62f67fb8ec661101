"""The results store: long measurements kept under all that they depend on, and found again by it.

One JSON line a measurement, in one file a model. A record's key is the SHA-256 of the setting, the
recipe, the digests of weights and images, and the version of the code that computes it; with other
code or other weights a record is not found, so it cannot be shown for what it is not. Its digest
covers the whole record, so that an edited one is refused when the store is opened.
"""

import ast
import base64
import hashlib
import io
import json
import platform
import re
import tokenize
import zlib
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import timm
import torch
from filelock import FileLock

import swinprune_lite
from swinprune_lite.files import atomic
from swinprune_lite.reproduction.measure import Measurement, Setting
from swinprune_lite.reproduction.profiles import Profile

_HERE = Path(__file__).parents
RESULTS = next(
    (place for place in (_HERE[2] / "results", _HERE[1] / "results") if place.is_dir()), _HERE[2] / "results"
)
"""The committed store: in the repository, or in the installed package."""

ONE_SHOT_CODE = ("modules", "importance", "selection", "budgets", "masks", "holding", "cost", "counting",
                 "products", "inputs", "evaluate", "data", "lite", "reproduction/measure")  # fmt: skip
FINETUNING_CODE = (*ONE_SHOT_CODE, "finetune")


class Store:
    """Measurements in a folder of JSON lines."""

    def __init__(self, folder: Path = RESULTS) -> None:
        self.folder = Path(folder)
        self.records: dict[Setting, dict] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            self.records |= _records(path)

    def find(self, profile: Profile, setting: Setting) -> Measurement | None:
        """The measurement of this setting with these weights, images and this code, or None.

        One on more images than the profile has serves too.
        """
        record = self.records.get(setting)
        if record is None or record["key"] != key(profile, setting):
            return None
        result = record["result"]
        if result["images"] < profile.test_batches(setting.images or None).images:
            return None
        return Measurement(
            *(_unpack(result[name], result["images"]) for name in ("top1_bits", "top5_bits")),
            result["params"],
            result["macs"],
            record["provenance"]["seconds"],
        )

    def add(self, profile: Profile, setting: Setting, found: Measurement) -> None:
        """Keep a measurement, in place of an older one of the same setting. The file is replaced as a whole."""
        record = {
            "key": key(profile, setting),
            "setting": asdict(setting),
            "result": {
                "top1": _percent(found.top1),
                "top5": _percent(found.top5),
                "images": len(found.top1),
                "params": found.params,
                "macs": found.macs,
                "top1_bits": _pack(found.top1),
                "top5_bits": _pack(found.top5),
            },
            "ingredients": _ingredients(profile, setting),
            "provenance": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "timm": timm.__version__,
                "device": device_name(profile.source.device),
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(found.seconds, 1),
            },
        }
        path = self.folder / f"{re.sub('[^A-Za-z0-9_.-]+', '_', setting.model)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / f".{path.name}.lock"):  # two notebooks may fill one store
            self.records |= _records(path)
            self.records[setting] = record | {"digest": _digest(record)}
            mine = sorted(other for other in self.records if other.model == setting.model)
            with atomic(path) as temporary:
                temporary.write_text("".join(json.dumps(self.records[other]) + "\n" for other in mine))


def device_name(device: str) -> str:
    """What arithmetic on "cuda" or "cpu" is done on."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread(s)"


def key(profile: Profile, setting: Setting) -> str:
    """SHA-256 over everything that the measurement depends on."""
    return _digest({"setting": asdict(setting), **_ingredients(profile, setting)})


def _ingredients(profile: Profile, setting: Setting) -> dict:
    used = profile.digests(setting.model, setting.training_seed, training=bool(setting.steps))
    recipe = asdict(profile.recipe) | {"batch_size": profile.batch_size} if setting.steps else {}
    return {
        "digests": used,
        "recipe": {name: value if isinstance(value, (int, float)) else str(value) for name, value in recipe.items()},
        "code": code_version((FINETUNING_CODE if setting.steps else ONE_SHOT_CODE) + profile.source.code),
    }


@cache
def code_version(files: tuple[str, ...]) -> str:
    """SHA-256 of the library's named files without comments, docstrings and layout."""
    folder = Path(swinprune_lite.__file__).parent
    texts = [f"{name}\n{_without_prose((folder / f'{name}.py').read_text())}" for name in files]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _without_prose(source: str) -> str:
    """Source text without comments, docstrings, indents and empty lines; the same in every Python version."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                lines[statement.lineno - 1 : statement.end_lineno] = [""] * (
                    statement.end_lineno - statement.lineno + 1
                )
    return "\n".join(stripped for line in lines if (stripped := line.strip()))


def _records(path: Path) -> dict[Setting, dict]:
    lines = path.read_text().splitlines() if path.is_file() else []
    records = [_read(line, f"{path} line {number}") for number, line in enumerate(lines, 1)]
    return {Setting(**record["setting"]): record for record in records}


def _read(line: str, where: str) -> dict:
    try:
        record = json.loads(line)
        whole = _digest({name: value for name, value in record.items() if name != "digest"}) == record["digest"]
        result = record["result"]
        told = [
            (_percent(_unpack(result[f"{name}_bits"], result["images"])), result[name]) for name in ("top1", "top5")
        ]
        whole = whole and all(counted == stated for counted, stated in told)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        whole = False
    if not whole:
        raise ValueError(
            f"{where} is damaged or edited: it does not have the digest it was written with. Restore it with "
            "'git checkout', or remove the line and compute it anew with 'make reproduce'."
        )
    return record


def _digest(value: dict) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _percent(correct: torch.Tensor) -> float:
    return 100 * int(correct.sum()) / len(correct)


def _pack(correct: torch.Tensor) -> str:
    return base64.b64encode(zlib.compress(np.packbits(correct.numpy()).tobytes(), 9)).decode()


def _unpack(text: str, images: int) -> torch.Tensor:
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(bits, count=images).astype(bool))
