"""Measure how sure the adapted models are, dense, pruned and repaired, and keep it in results/surface_calibration.json.

python data_scripts/surface_calibration.py
"""

import sys

import torch
import typer

from swinprune_lite.kept import keep
from swinprune_lite.provenance import provenance
from swinprune_lite.studies.surfaces import CALIBRATION, SEEDS, calibration_of, states


def main(threads: int = 1) -> None:
    """Measure and keep; a minute."""
    torch.set_num_threads(threads)
    try:
        rows = [calibration_of(state, seed) for state in states() for seed in SEEDS]
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    keep(CALIBRATION, provenance() | {"rows": rows})
    for row in rows:
        print(
            ", ".join(
                f"{name} {value if name in ('state', 'seed') else round(value, 1)}" for name, value in row.items()
            )
        )


if __name__ == "__main__":
    typer.run(main)
