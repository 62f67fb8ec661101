"""Records made by hand, as the commands write them: one dense model, three cuts, of which one is fine-tuned."""

from copy import deepcopy

DENSE = {
    "name": "swin_demo.in_house", "architecture": "swin_tiny_patch4_window7_224", "sha256": "d" * 64,
    "image_size": [224, 224], "classes": 3, "parameters": 28_000_000, "macs": 4_500_000_000,
    "nonzero_parameters": 28_000_000, "nonzero_macs": 4_500_000_000, "pruned": None,
}  # fmt: skip
RATIOS = {"a": 0.3, "b": 0.5, "c": 0.7}
TOP1 = {"d": 91.25, "a": 91.0, "b": 90.5, "c": 84.0, "t": 90.75}
CLASSES = ["scratch", "dent", "good"]
IMAGES = {"scratch": 40, "dent": 160, "good": 1800}
RECALL = {
    "d": [80.0, 85.0, 92.05], "a": [77.5, 85.0, 91.8], "b": [70.0, 84.375, 91.5], "c": [40.0, 70.0, 86.2],
    "t": [75.0, 85.0, 91.6],
}  # fmt: skip
MACHINE = "cpu AVX512, 2 thread(s)"
PROVENANCE = {"python": "3.11.7", "torch": "2.14.1", "timm": "1.0.31", "device": MACHINE,
              "date": "2026-11-26T09:00:00+00:00", "swinprune_lite": "0.1.0"}  # fmt: skip


def record(command, model, results, **more):
    return {"record": 1, "command": command, "arguments": {}, "model": model, "provenance": dict(PROVENANCE),
            "results": results, **more}  # fmt: skip


def left(letter, count):
    return round(count * (1 - 0.8 * RATIOS[letter]))


def model(letter):
    """What a record says of the dense model (d), a cut one (a, b, c), or b fine-tuned (t)."""
    if letter == "d":
        return deepcopy(DENSE)
    cut = "b" if letter == "t" else letter
    pruned = {"method": "dimap", "ratio": RATIOS[cut], "structured": False, "repair": True, "dense_sha256": "d" * 64,
              "dense": {key: DENSE[key] for key in ("parameters", "macs")}, "before": None}  # fmt: skip
    counts = {"nonzero_parameters": left(cut, DENSE["parameters"]), "nonzero_macs": left(cut, DENSE["macs"])}
    return DENSE | counts | {"name": f"{letter}.safetensors", "sha256": letter * 64, "pruned": pruned}


def prune(letter):
    ratio = RATIOS[letter]
    stages = [
        {"stage": stage, "module": module, "weights": 1000 * stage, "kept": round(1000 * stage * (1 - ratio * share)),
         "macs": 100_000_000 * stage, "kept_macs": round(100_000_000 * stage * (1 - ratio * share))}
        for stage, share in ((1, 0.6), (2, 0.9), (3, 1.1), (4, 1.2)) for module in ("QKV-M", "PRJ-M", "MLP-M")
    ]  # fmt: skip
    results = {
        "asked": {"ratio": ratio}, "method": "dimap", "repair": True, "structured": False, "calibration": None,
        "achieved": {"ratio": ratio, "parameters": DENSE["parameters"], "macs": DENSE["macs"],
                     "nonzero_parameters": left(letter, DENSE["parameters"]),
                     "nonzero_macs": left(letter, DENSE["macs"])},
        "dense": {"parameters": DENSE["parameters"], "macs": DENSE["macs"]}, "stages": stages,
        "output": {"file": f"{letter}.safetensors", "sha256": letter * 64, "bytes": 60_000_000 + 1000 * ord(letter)},
        "advice": "Zeros only.",
    }  # fmt: skip
    return record("prune", model("d"), results)


def measured(letter):
    classes = [{"name": name, "images": IMAGES[name], "recall": {"percent": percent, "half": 5.5}}
               for name, percent in zip(CLASSES, RECALL[letter])]  # fmt: skip
    return {"top1": {"percent": TOP1[letter], "half": 1.25}, "top5": None, "classes": classes,
            "calibration_error": 3.5 if letter == "d" else 4.25}  # fmt: skip


def evaluate(letter, against="d"):
    other = None
    if against:
        difference = {"points": TOP1[letter] - TOP1[against], "half": 0.625}
        other = {"model": model(against), **measured(against), "difference": difference}
    return record("evaluate", model(letter), {"images": 2000, **measured(letter), "against": other})


def bench(letter, machine=MACHINE, gain=1.0):
    def row(one, speed):
        return {"model": model(one)["name"], "sha256": one * 64, "runtime": "eager", "precision": "float32",
                "p50_ms": 80.0 / speed, "p95_ms": 90.0 / speed, "images_per_second": 100.0 * speed,
                "peak_memory_bytes": 500_000_000, "file_bytes": 112_000_000, "joules_per_image": None}  # fmt: skip

    theory = DENSE["macs"] / left(letter, DENSE["macs"])
    speedup = {"ratio": gain, "low": gain - 0.05, "high": gain + 0.05}
    results = {
        "machine": machine, "threads": 2, "batch_size": 8, "rows": [row("d", 1.0), row(letter, gain)],
        "ratios": [{"runtime": "eager", "precision": "float32", "speedup": speedup, "theory": theory}],
    }  # fmt: skip
    return record("bench", model(letter), results)


def finetune():
    results = {"epochs": 3, "losses": {"first": 1.5, "last": 0.5}, "images": 2000,
               "top1": {"before": {"percent": 90.25, "half": 1.5}, "after": {"percent": 90.875, "half": 1.5}},
               "output": {"file": "t.safetensors", "sha256": "t" * 64, "bytes": 60_000_999}}  # fmt: skip
    return record("finetune", model("b"), results)


def everything():
    return [*map(prune, "abc"), finetune(), *map(evaluate, "abct"), bench("b"), bench("c"),
            bench("b", "cuda, a board", 1.5)]  # fmt: skip
