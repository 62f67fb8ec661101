"""The scripts that make what is shipped: they refuse what is wrong, and go on where they were."""

import gzip
import json
from pathlib import Path

import compact_accuracy
import make_fashion_pairs as maker
import nbformat
import numpy as np
import outside
import pytest
import torch
import train_lite
from commit_outputs import clean
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swinprune_lite.data.pairs import FashionPairs
from swinprune_lite.files import SHIPPED
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.studies import acceleration

SCRIPTS = Path(__file__).parents[2] / "data_scripts"


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_help(script, capsys, monkeypatch):
    said = outside.run(capsys, monkeypatch, script, "--help")
    assert said.code == 0
    assert "Usage" in said.out


def test_a_folder_without_or_with_wrong_files_is_refused(tmp_path, capsys, monkeypatch):
    arguments = "make_fashion_pairs.py", "--source", tmp_path, "--output", tmp_path / "out"
    said = outside.run(capsys, monkeypatch, *arguments)
    assert said.code == 1
    assert "holds no train-images-idx3-ubyte.gz" in said.error
    for name in maker.IDX_DIGESTS:
        (tmp_path / name).write_bytes(gzip.compress(b"not garments"))
    with pytest.raises(ValueError, match="is not Fashion-MNIST's file"):
        maker.find_source(tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_shipped_pairs_come_from_fashion_mnist(tmp_path):
    if (folder := maker._debian_folder()) is None:
        pytest.skip(f"the Debian package {maker.PACKAGE} is not installed")
    maker.main(folder, tmp_path)
    for name in ("fashion_pairs_test.npz", "fashion_pairs_train.npz"):
        with np.load(tmp_path / name) as made, np.load(SHIPPED / name) as shipped:
            assert made.files == shipped.files
            assert all(np.array_equal(made[key], shipped[key]) for key in made.files)


def test_unknown_model(capsys, monkeypatch):
    said = outside.run(capsys, monkeypatch, "train_lite.py", "swin_lite_huge")
    assert said.code == 1
    assert "Unknown lite model 'swin_lite_huge'" in said.error


def test_a_fine_tuned_case_is_kept_as_it_was_and_not_computed_again(tmp_path, monkeypatch):
    """The one shot stands in for the fine-tuning, which takes minutes."""
    evidence, case = Evidence(acceleration.PROFILE), acceleration.cases()[-1]
    monkeypatch.setattr(
        compact_accuracy, "measure", lambda _, asked: evidence.measurement(acceleration.one_shot(asked))
    )
    monkeypatch.setattr(compact_accuracy, "KEPT", tmp_path / "kept.json")
    kept = acceleration.finetuned()
    monkeypatch.setattr(compact_accuracy, "finetuned", lambda: {key: row for key, row in kept.items() if key != case})
    (tmp_path / "kept.json").write_text("[]")
    compact_accuracy.main()
    *others, made = json.loads((tmp_path / "kept.json").read_text())
    assert others == [row for key, row in kept.items() if key != case]
    assert made["tuned_top1"] == made["one_shot_top1"]
    assert made.keys() == kept[case].keys()
    same = made.keys() - {"tuned_top1", "recipe", "versions", "device", "date"}
    assert {name: made[name] for name in same} == {name: kept[case][name] for name in same}


def test_training_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    garments = torch.randint(0, 256, (48, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(48) % 10
    recipe = train_lite.Recipe([2, 2], [1e-3, 5e-4], batch_size=24, distilled=[0.0, 0.5])

    def train(path):
        data = FashionPairs(garments, labels, None, recipe.batch_size)
        return train_lite.train("swin_lite_micro", 0, recipe, data, path, "cpu").state_dict()

    whole = train(tmp_path / "whole.pt")
    real = torch.save

    class KilledError(Exception):
        pass

    saved = []

    def save_then_die_in_the_next(state, path):
        if saved:
            Path(path).write_bytes(b"half a state")
            raise KilledError
        saved.append(path)
        real(state, path)

    monkeypatch.setattr(torch, "save", save_then_die_in_the_next)
    for _ in range(3):
        saved.clear()
        with pytest.raises(KilledError):
            train(tmp_path / "killed.pt")
    # killed while the file was being written: the last whole state counts, and no half file is left
    assert not list(tmp_path.glob(".*"))
    monkeypatch.setattr(torch, "save", real)
    resumed = train(tmp_path / "killed.pt")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_committed_notebooks_keep_what_was_said_and_lose_the_run():
    progress = new_output("stream", name="stderr", text="100%")
    result = new_output("execute_result", data={"text/plain": "1"}, execution_count=7)
    cell = new_code_cell("1", outputs=[progress, result], execution_count=7, metadata={"papermill": {"duration": 1}})
    injected = new_code_cell("profile = 'lite'", metadata={"tags": ["injected-parameters"]})
    cleaned = clean(new_notebook(cells=[injected, cell], metadata={"papermill": {"x": 1}}))
    nbformat.validate(cleaned)
    assert "papermill" not in cleaned.metadata
    (kept,) = cleaned.cells
    assert kept.metadata == {}
    assert [output.execution_count for output in kept.outputs] == [1]


def test_a_state_of_another_training_is_refused(tmp_path):
    path, model = tmp_path / "state.pt", torch.nn.Linear(2, 2)
    held = {"model": model.state_dict(), "optimizer": {}, "schedule": {}, "epoch": 1, "recipe": {"epochs": [1]}}
    for content, said in (
        (held | {"recipe": {}}, "was begun with another recipe"),
        (held | {"model": torch.nn.Linear(2, 3).state_dict()}, "was begun with another model"),
        ({"model": {}}, "is no state of a training"),
        (model, "holds more than weights and settings .*could run code"),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=f"{said}.*; remove it to start anew"):
            train_lite.read_state(path, {"epochs": [1]}, model)
    torch.save(held, path)
    assert train_lite.read_state(path, {"epochs": [1]}, model)["epoch"] == 1
