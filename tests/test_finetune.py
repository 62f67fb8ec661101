"""Fine-tuning by the paper's recipe: its schedule, its processes, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import outside
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from stubs import make_folder, make_hub
from timm.scheduler import CosineLRScheduler
from torchvision.datasets import Imagenette

import swinprune_lite as sp
from swinprune_lite import lite_data
from swinprune_lite.finetune import PAPER_RECIPE, Recipe, finetune

ROOT = Path(__file__).parents[1]
VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
CLASSES = list(Imagenette._WNID_TO_CLASS)


def test_the_paper_s_recipe():
    recipe = PAPER_RECIPE
    assert (recipe.epochs, recipe.lr, recipe.min_lr, recipe.warm_up_lr) == (30, 2e-5, 2e-7, 2e-8)
    assert (recipe.weight_decay, recipe.warm_up * recipe.epochs) == (1e-8, 15)
    rates = [recipe.lr * recipe.factor(step, 3000) for step in range(3000)]
    assert max(rates) == pytest.approx(2e-5)
    assert rates.index(max(rates)) == pytest.approx(1500, abs=2)
    assert rates[0] == pytest.approx(2e-8, rel=1)
    assert rates[-1] == pytest.approx(2e-7, rel=0.01)
    assert recipe.scaled(2).lr == 4e-5
    assert recipe.scaled(2).factor(10, 100) == recipe.factor(10, 100)


def test_the_schedule_is_timm_s():
    recipe, steps = PAPER_RECIPE, 400
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], recipe.lr)
    theirs = CosineLRScheduler(
        optimizer, steps - 200, recipe.min_lr, warmup_t=200, warmup_lr_init=recipe.warm_up_lr, warmup_prefix=True
    )
    for step in range(steps):
        theirs.step(step + 1 if step < 200 else step)  # ours has no step without learning
        assert recipe.lr * recipe.factor(step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)


def run(*arguments, processes=1, **more):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | more,
    )  # fmt: skip


def finish(process):
    said, error = process.communicate(timeout=300)
    return process.returncode, said, error


def test_two_processes_do_what_one_does_with_twice_the_batch(tmp_path):
    make_folder(tmp_path / "train", CLASSES, 3)
    found = {}
    for processes, batch in ((1, 8), (2, 4)):
        (out := tmp_path / str(processes)).mkdir()
        code, _, error = finish(
            run(ROOT / "tests/two_processes.py", tmp_path / "train", batch, out, processes=processes)
        )
        assert code == 0, error
        found[processes] = [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(processes)]
    (one,), (first, second) = found[1], found[2]
    assert (one["processes"], first["processes"]) == (1, 2)
    assert first["losses"] == second["losses"]
    assert len(one["losses"]) == 9
    assert one["losses"] == pytest.approx(first["losses"], rel=1e-9)
    for key, tensor in one["weights"].items():
        assert torch.equal(first["weights"][key], second["weights"][key])
        torch.testing.assert_close(first["weights"][key], tensor, rtol=1e-6, atol=1e-8)
    for name, mask in one["masks"].items():
        assert torch.equal(first["masks"][name], second["masks"][name])
        assert torch.equal(first["masks"][name], mask)
        assert (first["weights"][name][~mask] == 0).all()


def test_killed_three_times_and_resumed_to_the_same_losses(tmp_path):
    make_hub(tmp_path / "hub", [VIT])
    make_folder(tmp_path / "data" / "train", CLASSES, 1)
    make_folder(tmp_path / "data" / "val", CLASSES, 1)
    arguments = (ROOT / "data_scripts/finetune.py", VIT, "--profile", "folder", "--data", tmp_path / "data",
                 "--epochs", 5, "--batch-size", 4)  # fmt: skip
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "SWINPRUNE_HOME": str(tmp_path / "home")}
    killed = tmp_path / "killed"
    before = 0
    for _ in range(3):
        process = run(*arguments, "--folder", killed, **environment)
        state = killed / "state.pt"
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = state.stat().st_mtime_ns
        assert not (killed / "losses.csv").exists()
    for folder in (killed, tmp_path / "whole"):
        code, said, error = finish(run(*arguments, "--folder", folder, **environment))
        assert code == 0, error
        assert "top-1" in said
    curves = [pd.read_csv(folder / "losses.csv").loss.tolist() for folder in (killed, tmp_path / "whole")]
    assert len(curves[0]) == 10
    assert curves[0] == curves[1]
    weights = [load_file(folder / "model.safetensors") for folder in (killed, tmp_path / "whole")]
    assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())
    zeros = sum(int((tensor == 0).sum()) for key, tensor in weights[0].items() if "qkv.weight" in key)
    assert zeros == round(0.55 * sum(t.numel() for key, t in weights[0].items() if "qkv.weight" in key))


def test_the_command_shares_the_batch_among_its_processes(tmp_path):
    make_hub(tmp_path / "hub", [VIT])
    make_folder(tmp_path / "data" / "train", CLASSES, 1)
    make_folder(tmp_path / "data" / "val", CLASSES, 1)
    arguments = (ROOT / "data_scripts/finetune.py", VIT, "--profile", "folder", "--data", tmp_path / "data",
                 "--epochs", 1, "--batch-size", 4, "--folder", tmp_path / "out")  # fmt: skip
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "SWINPRUNE_HOME": str(tmp_path / "home")}
    code, said, error = finish(run(*arguments, processes=2, **environment))
    assert code == 0, error
    assert said.count("top-1") == 1
    assert json.loads((tmp_path / "out/card.json").read_text())["processes"] == 2
    assert len(pd.read_csv(tmp_path / "out/losses.csv")) == 2


def test_the_command_refuses_another_run_s_folder_and_removes_what_a_kill_left(tmp_path):
    arguments = (ROOT / "data_scripts/finetune.py", VIT, "--profile", "folder", "--epochs", 1, "--batch-size", 4,
                 "--folder", tmp_path / "out")  # fmt: skip
    make_hub(tmp_path / "hub", [VIT])
    for name in ("data", "other"):
        make_folder(tmp_path / name / "train", CLASSES, 1, (48, 40) if name == "data" else (64, 40))
        make_folder(tmp_path / name / "val", CLASSES, 1)
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "SWINPRUNE_HOME": str(tmp_path / "home")}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".state.pt.abc123").write_bytes(b"half")
    code, _, error = finish(run(*arguments, "--data", tmp_path / "data", **environment))
    assert code == 0, error
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    code, _, error = finish(run(*arguments, "--data", tmp_path / "other", **environment))
    assert (code, "Traceback" in error) == (1, False)
    assert "belongs to another run: train " in error
    (tmp_path / "out" / "state.pt").write_bytes(b"(abc\n")
    code, _, error = finish(run(*arguments, "--data", tmp_path / "data", **environment))
    assert (code, "Traceback" in error) == (1, False)
    assert "is no checkpoint of a fine-tuning" in error


@pytest.fixture
def tuned(tmp_path):
    """A checkpoint of two epochs, and a function that goes on from it."""
    batches = [batch for batch, _ in zip(lite_data("train", 8), range(2))]
    recipe = Recipe(epochs=2, precision=torch.float32)

    def go_on(recipe=recipe, ratio=0.5, seed=0):
        model = sp.load_lite("swin_lite_tiny")
        sp.apply_masks(model, sp.make_masks(model, ratio))
        return finetune(model, batches, recipe, checkpoint=tmp_path / "state.pt", seed=seed)

    go_on()
    return tmp_path / "state.pt", go_on, recipe


def test_a_checkpoint_of_another_run_is_refused(tuned):
    path, go_on, recipe = tuned
    assert len(go_on()) == 4
    for changes, said in (
        ({"recipe": replace(recipe, lr=1e-3)}, "lr 0.0001 there and 0.001 here"),
        ({"ratio": 0.6}, "masks"),
        ({"seed": 1}, "seed 0 there and 1 here"),
    ):
        with pytest.raises(ValueError, match=f"belongs to another run: .*{said}.*Remove it to begin anew"):
            go_on(**changes)
    assert path.exists()


class Code:
    """Something that a pickle would run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("content", ["half", "text", "pickle"])
def test_a_checkpoint_that_is_none_is_refused_and_runs_nothing(tuned, tmp_path, content):
    path, go_on, _ = tuned
    if content == "half":
        path.write_bytes(path.read_bytes()[:1000])
    elif content == "text":
        path.write_text("not a checkpoint")
    else:
        torch.save({"identity": Code(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="is no checkpoint of a fine-tuning.*it was not used"):
        go_on()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swin_lite_huge", "--profile", "lite"], "Unknown lite model 'swin_lite_huge'"),
        (["swin_lite_tiny", "--profile", "lite", "--ratio", "1.2"], "ratio must be a number in [0, 1)"),
        (["swin_lite_tiny", "--profile", "dark"], "Unknown profile 'dark'; choose one of smoke, lite, imagenette"),
        ([VIT, "--profile", "folder"], "and `data`, a folder"),
        ([VIT, "--profile", "folder", "--data", "none"], "There is no folder none"),
        ([VIT, "--profile", "imagenette", "--batch-size", "3"], "batch_size must be an even number"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    answer = outside.run(capsys, monkeypatch, "finetune.py", *arguments)
    assert answer.code == 1
    assert said in answer.error


def test_mixup_needs_the_number_of_classes():
    model = torch.nn.Sequential(sp.create_lite("swin_lite_tiny"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [(torch.randn(2, 1, 32, 64), torch.tensor([1, 2]))]
    for recipe in (Recipe(mixup=0.8), Recipe(cutmix=1.0)):
        with pytest.raises(ValueError, match="need the number of classes, which Sequential does not say"):
            finetune(model, batches, recipe)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model.num_classes = 100
    assert len(finetune(model, batches, Recipe(mixup=0.8, precision=torch.float32))) == 1
