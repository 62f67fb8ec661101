"""evaluate, bench, grid and finetune as a shell runs them: their examples, their records, one sentence each."""

import csv
import importlib
import json
import shlex
from pathlib import Path

import pytest
import timm
import torch
from stubs import make_folder
from timm.models import save_for_hf

import swinprune_lite as sp
from swinprune_lite.__main__ import main
from swinprune_lite.clock import benching
from swinprune_lite.measurements.confidence import calibration_error, probabilities
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.training.evaluate import verdicts

MINE = ("evaluate", "finetune", "bench", "grid")


@pytest.fixture(autouse=True)
def _somewhere(tmp_path, monkeypatch):
    """A folder of its own; what only takes time is left out: other processes that measure memory, and many pairs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(benching, "peak_memory", lambda model, batch, runtime: 1e6)


def said(capsys, *arguments):
    code = main([*map(str, arguments)])
    found = capsys.readouterr()
    return code, found.out, found.err


@pytest.mark.parametrize("command", MINE)
def test_the_examples_of_the_help_run(command, capsys, monkeypatch):
    function = getattr(importlib.import_module(f"swinprune_lite.commands.{command}"), command)
    lines = [line.split("`")[1] for line in function.__doc__.splitlines() if line.strip().startswith("- `")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["swinprune", command]
        few = ["--images", "100"] if command == "finetune" and "--images" not in words else []
        code, out, error = said(capsys, *words[1:], "--json", *few)
        assert code == 0, error
        assert json.loads(out)["command"] == command


def test_evaluate_says_of_two_models_what_the_library_says(capsys):
    code, out, error = said(capsys, "evaluate", "swin_lite_micro", "--against", "swin_lite_micro:1", "--data", "lite",
                            "--split", "smoke", "--json", "--results-file", "out.csv")  # fmt: skip
    assert code == 0, error
    record = json.loads(out)
    results, other = record["results"], record["results"]["against"]
    data = sp.lite_data("smoke")
    models = [sp.load_lite("swin_lite_micro", seed) for seed in (0, 1)]
    (first, five), (second, _) = (verdicts(model, data) for model in models)
    assert results["top1"]["percent"] == 100 * first.double().mean()
    assert results["top5"]["percent"] == 100 * five.double().mean()
    assert (other["difference"]["points"], other["difference"]["half"]) == paired_difference([first], [second])
    assert results["calibration_error"] == pytest.approx(100 * calibration_error(*probabilities(models[0], data)))
    assert other["model"]["sha256"] == sp.lite_card("swin_lite_micro", 1)["sha256"]
    assert sum(each["images"] for each in results["classes"]) == results["images"] == 200
    right = sum(each["images"] * each["recall"]["percent"] / 100 for each in results["classes"])
    assert right == pytest.approx(int(first.sum()))
    assert [each["name"] for each in other["classes"]] == [each["name"] for each in results["classes"]]
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [float(row["top1"]) for row in rows] == [results["top1"]["percent"], other["top1"]["percent"]]
    assert json.loads(Path("out.json").read_text()) == record


@pytest.fixture
def own(tmp_path):
    """A model of three classes, and a folder of images of them."""
    model = timm.create_model("test_vit", num_classes=3, img_size=32)
    model.pretrained_cfg = dict(model.pretrained_cfg) | {"input_size": (3, 32, 32), "num_classes": 3}
    save_for_hf(model, tmp_path / "model", model_args={"img_size": 32})
    make_folder(tmp_path / "images" / "val", "abc", 2)
    return f"local-dir:{tmp_path}/model"


def test_evaluate_on_a_folder_by_other_names(own, tmp_path, capsys):
    (tmp_path / "map.txt").write_text("c\nb\na\n")
    code, out, error = said(capsys, "evaluate", own, "--data", "images", "--class-map", "map.txt", "--amp", "--json")
    assert code == 0, error
    results = json.loads(out)["results"]
    assert (results["images"], results["top5"]) == (6, None)
    assert [each["name"] for each in results["classes"]] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "four"], "has 4 classes and test_vit tells 3 apart"),
        (["--data", "empty"], "must hold a folder of images for every class"),
        (["--data", "nowhere"], "There is no folder nowhere; give one"),
        (["--data", "broken"], "broken/b/b_0.JPEG is not a whole image"),
        (["--data", "lite"], "The pairs that ship are"),
        (["--data", "images", "--class-map", "none.txt"], "There is no file none.txt"),
        (["--data", "images", "--results-file", "mine.csv"], "mine.csv is there already and is no table"),
        (["--data", "images", "--results-file", "mine.txt"], "A table is a .csv file"),
        (["--data", "images", "--batch-size", "0"], "batch_size must be a whole number"),
        (["--data", "images", "--images", "7"], "There are 6 images, fewer than 7; ask for no more"),
    ],
)
def test_evaluate_says_in_a_sentence_what_is_wrong(own, tmp_path, capsys, arguments, sentence):
    make_folder(tmp_path / "four", "abcd", 1)
    (tmp_path / "empty").mkdir()
    make_folder(tmp_path / "broken", "abc", 1)
    (tmp_path / "broken" / "b" / "b_0.JPEG").write_text("no image")
    (tmp_path / "mine.csv").write_text("my own\n")
    code, out, error = said(capsys, "evaluate", own, *arguments)
    assert (code, out) == (1, "")
    assert sentence in error
    assert "\n" not in error.strip()
    assert (tmp_path / "mine.csv").read_text() == "my own\n"


def test_bench_names_models_machine_and_what_it_could_not_measure(capsys):
    code, out, error = said(capsys, "bench", "swin_lite_micro", "--against", "swin_lite_micro", "--repeats", 3,
                            "--warm-up", 1, "--json")  # fmt: skip
    assert code == 0, error
    record = json.loads(out)
    results = record["results"]
    assert [row["model"] for row in results["rows"]] == ["swin_lite_micro", "swin_lite_micro (again)"]
    assert {row["sha256"] for row in results["rows"]} == {record["model"]["sha256"]}
    for row in results["rows"]:
        assert row["file_bytes"] == 423028
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_second"] == pytest.approx(1000 / row["p50_ms"])
    (ratio,) = results["ratios"]
    assert ratio["theory"] == 1
    assert ratio["speedup"]["low"] <= ratio["speedup"]["ratio"] <= ratio["speedup"]["high"]
    assert "logical cores" in results["machine"]
    assert ("Energy was not measured" in error) == (results["rows"][0]["joules_per_image"] is None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bench", "swin_lite_micro", "--runtime", "tea"], "Unknown --runtime 'tea'; choose of eager, compile, onnx"),
        (["bench", "swin_lite_micro", "--runtime", "onnx", "--precision", "float16"], "ONNX Runtime is timed in"),
        (["bench", "swin_lite_micro", "--output", "mine.json"], "is no record of `swinprune bench`"),
        (["bench", "swin_lite_micro", "--output", "times.txt"], "A record is a .json file"),
        (["grid", "--models", "swin_lite_micro", "--ratios", "2", "--data", "lite"], "A ratio is in (0, 1)"),
        (["grid", "--models", "swin_lite_micro", "--ratios", "x", "--data", "lite"], "A list of numbers"),
        (["grid", "--models", "swin_lite_micro", "--ratios", "0.5", "--data", "lite", "--workers", "0"], "1 or more"),
        (["evaluate", "swin_lite_micro", "--data", "lite", "--images", "10001"], "There are 10,000 images, fewer than"),
        (["finetune", "swin_lite_micro", "--data", "lite", "--batch-size", "0"], "batch_size must be a whole number"),
    ],
)
def test_bench_and_grid_say_in_a_sentence_what_is_wrong(tmp_path, capsys, arguments, sentence):
    (tmp_path / "mine.json").write_text("{}")
    code, out, error = said(capsys, *arguments)
    assert (code, out) == (1, "")
    assert sentence in error


def test_a_model_is_pruned_tuned_and_measured_by_its_files(capsys, tmp_path):
    few = ("--data", "lite", "--epochs", 1, "--steps", 2, "--batch-size", 20, "--images", 50)
    arguments = ("finetune", "swin_lite_micro", "--ratio", 0.5, *few, "--lr", 1e-3, "--output", "one", "--json")
    code, out, error = said(capsys, *arguments)
    assert code == 0, error
    first = json.loads(out)["results"]
    assert json.loads(said(capsys, *arguments)[1])["results"]["losses"] == first["losses"]  # nothing is left to do
    code, out, error = said(capsys, *arguments, "--no-resume")
    assert (code, "holds a run already" in error) == (1, True)
    tuned = sp.load_model("one/latest.safetensors")
    code, out, error = said(capsys, "finetune", "one/latest.safetensors", *few, "--output", "two", "--json")
    assert code == 0, error
    again = sp.load_model("two/latest.safetensors")
    assert [each.pruned["finetuned"]["epochs"] for each in (tuned, again)] == [1, 2]
    assert again.pruned["dense_sha256"] == sp.lite_card("swin_lite_micro")["sha256"]
    assert tuned.masks.keys() == again.masks.keys()
    assert all(torch.equal(again.masks[name], mask) for name, mask in tuned.masks.items())
    assert all((again.model.get_parameter(name)[~mask] == 0).all() for name, mask in again.masks.items())
    code, out, error = said(capsys, "finetune", "one/latest.safetensors", "--ratio", 0.7, *few)
    assert (code, "is pruned already" in error) == (1, True)
    code, out, error = said(capsys, "finetune", "swin_lite_micro", *few, "--teacher", "test_vit")
    assert code == 1
