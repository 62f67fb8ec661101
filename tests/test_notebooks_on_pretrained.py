"""Every notebook in the imagenette profile: a hub and images in the real layouts, so that no typo survives there.

The weights are random and the images few, so no number is looked at; that the right classes are asked for is
in test_profiles.py.
"""

from pathlib import Path

import nbformat
import papermill
import pytest
from stubs import make_hub, make_imagenette

from swinprune_lite.pretrained import PAPER_MODELS

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FEWER_RATIOS = {"table1_pruned_swin": [0.55], "table3_uniform_vs_dimap": [0.5]}
MEASURED = {"table1_pruned_swin", "table3_uniform_vs_dimap", "table4_model_as_module"}


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The variables by which a reader points to the hub's cache and the images; no network."""
    folder = tmp_path_factory.mktemp("outside")
    make_hub(folder / "hub", [PAPER_MODELS[0]])
    make_imagenette(folder)
    return {
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "SWINPRUNE_HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_the_imagenette_profile(path, outside, tmp_path, monkeypatch):
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    parameters = {"profile": "imagenette", "models": [PAPER_MODELS[0]]}
    if path.stem in FEWER_RATIOS:
        parameters["ratios"] = FEWER_RATIOS[path.stem]
    out = tmp_path / "out.ipynb"
    papermill.execute_notebook(path, out, parameters, kernel_name="python3", progress_bar=False)
    outputs = [output for cell in nbformat.read(out, 4).cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert printed.startswith(f"Profile imagenette: {PAPER_MODELS[0]}.\nReal pretrained weights from timm's hub")
    tables = " ".join(str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "measured here (lite" not in tables
    assert (path.stem in MEASURED) == ("measured here (pretrained weights)" in tables)
