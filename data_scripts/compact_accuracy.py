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
from swinprune_lite.measurements.store import percent
from swinprune_lite.provenance import provenance
from swinprune_lite.studies.acceleration import KEPT, PROFILE, cases, finetuned, untuned


def row_of(case: Setting, evidence: Evidence) -> dict:
    """What is kept of a case, fine-tuned now."""
    begun, tuned = untuned(case, evidence), measure(PROFILE, case)
    ingredients, about = PROFILE.ingredients(case), provenance()
    return begun | {
        "tuned_top1": percent(tuned.top1),
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
        kept = finetuned() if KEPT.is_file() else {}
        for case in track([case for case in cases() if case not in kept], "fine-tuning"):
            kept[case] = row_of(case, evidence)
            write_json(KEPT, list(kept.values()))
    except (OSError, ValueError, LookupError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    typer.run(main)
