"""Every notebook in the imagenette profile: a hub and images in the real layouts, so that no typo survives there.

The weights are random and the images few, so no number is looked at; that the right classes are asked for is
in test_profiles.py.
"""

from pathlib import Path

import pytest
import timm
from notebook_runs import executed, one_kernel
from stubs import make_folder, make_hub, make_imagenette
from timm.models._hub import save_for_hf

from swinprune_lite.models.pretrained import PAPER_MODELS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = "test_vit.r160_in1k"  # the hub's own for tests, of ImageNet's classes
SMALLER = dict.fromkeys(
    ("equations_1_to_10", "table3_uniform_vs_dimap", "table4_model_as_module", "beyond_acceleration", "idea_pruning",
     "idea_score_by_hand"), SMALL,
)  # fmt: skip
"""Passes by the dozen; table 1 and the ledger have the paper's models."""
FEWER_RATIOS = {
    "beyond_acceleration": [0.55], "figure4_acceleration": [0.55],
    "table1_pruned_swin": [0.55], "table3_uniform_vs_dimap": [0.5],
}  # fmt: skip
MEASURED = {"table1_pruned_swin", "table3_uniform_vs_dimap", "table4_model_as_module"}


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The variables by which a reader points to the hub's cache and the images; no network."""
    folder = tmp_path_factory.mktemp("outside")
    make_hub(folder / "hub", [PAPER_MODELS[0], SMALL])
    make_imagenette(folder, train=1)
    return {
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "SWINPRUNE_HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def kernel(outside):
    with one_kernel(outside, Path(outside["SWINPRUNE_HOME"])) as manager:
        yield manager


def test_a_folder_and_a_model_of_one_s_own(outside, tmp_path, kernel):
    classes = [f"class {number}" for number in range(10)]
    make_folder(tmp_path / "images" / "val", classes, 1)
    make_folder(tmp_path / "images" / "train", classes, 1)
    model = timm.create_model("test_vit", num_classes=10)
    save_for_hf(model, tmp_path / "own", model_args={"num_classes": 10}, safe_serialization=True)
    parameters = {
        "profile": "folder", "models": [f"local-dir:{tmp_path / 'own'}"], "data": str(tmp_path / "images"),
        "ratios": [0.5], "batch_size": 8,
    }  # fmt: skip
    executed(NOTEBOOKS[0].parent / "table3_uniform_vs_dimap.ipynb", parameters, kernel)
    assert len(list(Path(outside["SWINPRUNE_HOME"]).glob("results/folder-*/*.jsonl"))) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_the_imagenette_profile(path, kernel):
    model = SMALLER.get(path.stem, PAPER_MODELS[0])
    parameters = {"profile": "imagenette", "models": [model], "batch_size": 4}
    if path.stem in FEWER_RATIOS:
        parameters["ratios"] = FEWER_RATIOS[path.stem]
    cells = executed(path, parameters, kernel).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert printed.startswith(f"Profile imagenette: {model}.\nReal pretrained weights from timm's hub")
    tables = " ".join(str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "measured here (lite" not in tables
    assert (path.stem in MEASURED) == ("measured here (pretrained weights)" in tables)
