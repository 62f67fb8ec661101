"""Fine-tune the compact and patterned lite models, and keep their accuracies in results/beyond_accuracy.json.

    python data_scripts/compact_accuracy.py

Minutes of a core each. A case is kept as soon as it is there, so that the script, started again, goes on. It needs the
dense and the one-shot accuracies of the store, which data_scripts/reproduce.py measures.
"""

import sys

import torch
import typer
from rich.progress import track

from swinprune_lite.files import write_json
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.provenance import provenance
from swinprune_lite.studies.acceleration import KEPT, PROFILE, WAYS, cases, dense, finetuned, one_shot


def row_of(case: Setting, evidence: Evidence) -> dict:
    """What is kept of a case, fine-tuned now; its accuracies in percent of all test images."""
    before, cut = (evidence.measurement(asked) for asked in (dense(case), one_shot(case)))
    tuned = measure(PROFILE, case)
    names = ("dense_top1", "one_shot_top1", "tuned_top1")
    ingredients, about = PROFILE.ingredients(case), provenance()
    return {
        "model": case.model,
        "seed": case.training_seed,
        "way": {method: way for way, method in WAYS.items()}[case.method],
        "removed": case.ratio,
        "teacher": case.teacher,
        "macs_left": cut.macs / before.macs,
        "params_left": cut.params / before.params,
        **{name: 100 * int(one.top1.sum()) / len(one.top1) for name, one in zip(names, (before, cut, tuned))},
        "images": len(tuned.top1),
        "recipe": ingredients["recipe"],
        "weights": ingredients["digests"].pop("weights"),
        "data": ingredients["digests"],
        "versions": {name: about.pop(name) for name in ("python", "torch", "timm")},
        **about,
    }


def main(threads: int = 1) -> None:
    """Measure what is missing, and keep it."""
    torch.set_num_threads(threads)
    evidence = Evidence(PROFILE)
    try:
        rows = list(finetuned().values()) if KEPT.is_file() else []
        there = finetuned() if rows else {}
        for case in track([case for case in cases() if case not in there], "fine-tuning"):
            rows.append(row_of(case, evidence))
            write_json(KEPT, rows)
    except (OSError, ValueError, LookupError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
