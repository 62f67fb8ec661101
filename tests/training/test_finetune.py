"""Fine-tuning by the paper's recipe: its schedule, its processes, and what a kill leaves."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import outside
import pandas as pd
import pytest
import timm
import torch
from damage import silent
from forked import Forked
from stubs import make_folder, make_hub
from timm.models import save_for_hf
from timm.scheduler import CosineLRScheduler
from torchvision.datasets import Imagenette

import swinprune_lite as sp
from swinprune_lite import lite_data
from swinprune_lite.jobs.images import config_of
from swinprune_lite.training import state as checkpoint
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import PAPER_RECIPE, Recipe

ROOT = Path(__file__).parents[2]
VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
SMALL = "test_vit.r160_in1k"
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
        started = [
            Forked([ROOT / "tests/training/two_processes.py", tmp_path / "train", batch, out], env)
            for env in as_torchrun_sets(processes)
        ]
        for process in started:
            assert process.wait(300) == 0, process.said()
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


def as_torchrun_sets(processes):
    """The variables of each process; of one alone none more."""
    if processes == 1:
        return [dict(os.environ)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    told = [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in range(processes)]
    return [os.environ | {name: str(value) for name, value in each.items()} for each in told]


def test_killed_three_times_and_resumed_to_the_same_losses(own_model, tmp_path):
    """In a step, halfway through writing a state, and in the first step after a state was written."""
    environment = os.environ | {"SWINPRUNE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    arguments = own_model("abc", "abc", "killed", epochs=5)
    state, epochs = tmp_path / "killed" / "state.pt", []
    for point in (("step", 5), ("state", 2), ("step", 4)):
        process = Forked([ROOT / "tests/training/killed.py", *point, *arguments], environment)
        assert process.wait(300) == -signal.SIGKILL, process.said()
        epochs.append(len(checkpoint.read_state(state)["losses"]) // 3)
        half = [path for path in state.parent.glob(".state.pt.*") if path.read_bytes() == b"half a state"]
        assert len(half) == (point[0] == "state")
        assert not (tmp_path / "killed" / "losses.csv").exists()
    assert epochs == [1, 2, 3]
    for folder in ("killed", "whole"):
        command = ["-m", "swinprune_lite", "finetune", *arguments[:-1], tmp_path / folder]
        process = Forked(command, environment)
        assert process.wait(300) == 0, process.said()
        assert "top-1" in process.said()
    curves = [pd.read_csv(tmp_path / folder / "losses.csv").loss.tolist() for folder in ("killed", "whole")]
    assert len(curves[0]) == 15
    assert curves[0] == curves[1]
    loaded = [sp.load_model(str(tmp_path / folder / "latest.safetensors")) for folder in ("killed", "whole")]
    weights = [each.model.state_dict() for each in loaded]
    assert loaded[0].pruned["ratio"] == 0.55
    assert loaded[0].pruned["finetuned"]["epochs"] == 5
    histories = [json.loads((tmp_path / folder / "epochs.json").read_text()) for folder in ("killed", "whole")]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 6
    assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())
    zeros = sum(int((tensor == 0).sum()) for key, tensor in weights[0].items() if "qkv.weight" in key)
    assert zeros == round(0.55 * sum(t.numel() for key, t in weights[0].items() if "qkv.weight" in key))


def test_the_command_shares_the_batch_among_its_processes(tmp_path):
    make_hub(tmp_path / "hub", [SMALL])
    make_folder(tmp_path / "data" / "train", CLASSES, 1)
    make_folder(tmp_path / "data" / "val", CLASSES, 1)
    arguments = ("-m", "swinprune_lite", "finetune", SMALL, "--profile", "folder", "--data", tmp_path / "data",
                 "--epochs", 1, "--batch-size", 4, "--output", tmp_path / "out")  # fmt: skip
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "SWINPRUNE_HOME": str(tmp_path / "home")}
    code, said, error = finish(run(*arguments, processes=2, **environment))
    assert code == 0, error
    assert said.count("top-1") == 1
    record = json.loads((tmp_path / "out/record.json").read_text())
    assert record["results"]["processes"] == 2
    assert record["results"]["images"] == 10
    assert len(pd.read_csv(tmp_path / "out/losses.csv")) == 2


def test_the_command_refuses_another_run_s_folder_and_removes_what_a_kill_left(
    own_model, tmp_path, capsys, monkeypatch
):
    arguments = own_model("abc", "abc")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".state.pt.abc123").write_bytes(b"half")
    assert outside.run(capsys, monkeypatch, "finetune", *arguments).code == 0
    assert not [name for name in outside.names(tmp_path / "out") if name.startswith(".")]
    next((tmp_path / "data" / "train" / "a").iterdir()).unlink()
    answer = outside.run(capsys, monkeypatch, "finetune", *arguments)
    assert answer.code == 1
    assert "belongs to another run: train " in answer.error
    answer = outside.run(capsys, monkeypatch, "finetune", *arguments, "--output", tmp_path / "damaged")
    assert answer.code == 0
    (tmp_path / "damaged" / "state.pt").write_bytes(b"(abc\n")
    answer = outside.run(capsys, monkeypatch, "finetune", *arguments, "--output", tmp_path / "damaged")
    assert answer.code == 1
    assert "is no checkpoint of a fine-tuning" in answer.error


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


@pytest.fixture
def own_model(tmp_path):
    """A model of three classes of one's own, and a function that makes its folder of images."""
    model = timm.create_model(VIT.partition(".")[0], img_size=32, depth=1, num_classes=3)
    own = {"input_size": (3, 32, 32), "num_classes": 3, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    model.pretrained_cfg = dict(model.pretrained_cfg) | own
    save_for_hf(model, tmp_path / "model", model_args={"img_size": 32, "depth": 1})

    def command(train, val, out="out", epochs=1):
        make_folder(tmp_path / "data" / "train", train, 4)
        make_folder(tmp_path / "data" / "val", val, 2)
        return (f"local-dir:{tmp_path}/model", "--ratio", 0.55, "--data", tmp_path / "data", "--epochs", epochs,
                "--batch-size", 4, "--output", tmp_path / out)  # fmt: skip

    return command


def test_a_model_of_three_classes_is_tuned_and_its_files_are_models(own_model, tmp_path, capsys, monkeypatch):
    answer = outside.run(capsys, monkeypatch, "finetune", *own_model("abc", "abc"))
    assert answer.code == 0, answer.error
    record = json.loads((tmp_path / "out/record.json").read_text(), parse_constant=pytest.fail)
    results = record["results"]
    assert (results["images"], results["epochs"], results["best"]["epoch"]) == (6, 1, 1)
    assert 0 <= results["top1"]["after"]["low"] <= results["top1"]["after"]["percent"] <= 100
    tuned = sp.load_model(str(tmp_path / "out" / "latest.safetensors"))
    assert config_of(tuned).mean == (0.1, 0.2, 0.3)  # the file knows what images it takes
    assert (tuned.sha256, tuned.classes, tuned.image_size) == (results["output"]["sha256"], 3, (32, 32))
    assert sum(int((~kept).sum()) for kept in tuned.masks.values()) == record["model"]["parameters"] - sum(
        int(weight.count_nonzero()) for weight in tuned.model.parameters()
    )
    assert len(pd.read_csv(tmp_path / "out/losses.csv")) == 3


@pytest.mark.parametrize(
    ("train", "val", "out", "said"),
    [
        ("abc", "abd", "out", "only .*train has c and only .*val has d"),
        ("ABC", "abc", "out", "only .*train has A, B, C and only .*val has a, b, c"),
        ("abc", "ab", "out", "only .*train has c"),
        ("abcd", "abcd", "out", "has 4 classes and vit_tiny_patch16_224 tells 3 apart"),
        ("", "abc", "out", "has no train folder"),
        ("abc", "abc", "model/config.json", "cannot be written"),
    ],
)
def test_the_command_checks_the_folders_first(own_model, tmp_path, capsys, monkeypatch, train, val, out, said):
    monkeypatch.setattr(torch.optim.AdamW, "step", pytest.fail)
    answer = outside.run(capsys, monkeypatch, "finetune", *own_model(train, val, out))
    assert answer.code == 1
    assert re.search(said, answer.error)
    assert not (tmp_path / "out" / "state.pt").exists()


def test_the_command_names_a_damaged_image(own_model, tmp_path, capsys, monkeypatch):
    arguments = own_model("abc", "abc")
    (tmp_path / "data/train/b/bad.jpg").write_text("no image")
    answer = outside.run(capsys, monkeypatch, "finetune", *arguments)
    assert re.search(r"train/b/bad\.jpg is not a whole image", answer.error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swin_lite_huge", "--profile", "lite"], "Unknown lite model 'swin_lite_huge'"),
        (["swin_lite_tiny", "--profile", "lite", "--ratio", "1.2"], "ratio must be a number in [0, 1)"),
        (["swin_lite_tiny"], 'Give --data, a folder with train and val or "lite"'),
        (["swin_lite_tiny", "--data", "lite", "--method", "lamp"], "--method is how --ratio prunes; give both"),
        (["swin_lite_tiny", "--data", "none"], "takes images of 1 channel(s), and those of a folder have 3"),
        (["swin_lite_tiny", "--data", "lite", "--batch-size", "5"], "A batch of 5 images cannot be shared by 1 proc"),
        (["swin_lite_tiny", "--data", "lite", "--lr", "0"], "The recipe's lr must be a number above 0"),
        (["swin_lite_tiny", "--profile", "lite", "--steps", "2"], "leave --steps and --images out"),
        (["swin_lite_tiny", "--profile", "dark"], "Unknown profile 'dark'; choose one of smoke, lite, pretrained"),
        ([VIT, "--profile", "folder"], "and `data`, a folder"),
        ([VIT, "--profile", "folder", "--data", "none"], "There is no folder none"),
        ([VIT, "--profile", "imagenette", "--batch-size", "3"], "batch_size must be an even number"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    answer = outside.run(capsys, monkeypatch, "finetune", *arguments)
    assert answer.code == 1
    assert said in answer.error


def small_state(path):
    """A checkpoint of one step of a small layer."""
    layer = torch.nn.Linear(8, 4)
    optimizer = torch.optim.AdamW(layer.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    layer(torch.randn(2, 8)).sum().backward()
    optimizer.step()
    schedule.step()
    parts = {"model": layer, "optimizer": optimizer, "schedule": schedule}
    checkpoint.save_state(path, parts, {"seed": "0"}, [1.5])
    return parts


def test_no_damage_to_a_checkpoint_is_believed(tmp_path):
    path = tmp_path / "state.pt"
    small_state(path)
    whole = str(checkpoint.read_state(path))  # few enough numbers to be printed whole
    assert "..." not in whole
    assert silent(path, lambda: checkpoint.read_state(path), lambda state: str(state) == whole, 300) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("losses"), "it lacks losses"),
        (lambda state: state.update(identity=3), "it lacks identity"),
        (lambda state: state.update(losses=[float("nan")]), "its losses are not all finite numbers"),
        (lambda state: state.update(losses=[1.0, 2.0]), "it holds 2 losses after 1 steps"),
        (lambda state: state["model"]["weight"].fill_(float("inf")), "weight holds NaN or infinity"),
        (
            lambda state: state["optimizer"]["state"][0]["exp_avg"].fill_(float("nan")),
            "exp_avg of parameter 0 holds NaN",
        ),
        (lambda state: state["optimizer"].pop("state"), "KeyError 'state'"),
        (lambda state: state["schedule"].clear(), "KeyError 'last_epoch'"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(tmp_path, change, said):
    path = tmp_path / "state.pt"
    small_state(path)
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(ValueError, match=f"is no checkpoint of a fine-tuning: .*{said}.*; it was not used. Remove it"):
        checkpoint.read_state(path)
    torch.save([state], path)
    with pytest.raises(ValueError, match="it lacks identity"):
        checkpoint.read_state(path)


@pytest.mark.parametrize("part", ["optimizer", "schedule"])
def test_a_model_stays_as_it_was_where_another_part_is_refused(tmp_path, part):
    path = tmp_path / "state.pt"
    parts, state = small_state(path), checkpoint.read_state(path)
    if part == "optimizer":
        state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3, 3)
    else:
        state["schedule"] = {"lr_lambdas": 3}
    state["model"]["weight"] = state["model"]["weight"] + 1
    before = {name: tensor.clone() for name, tensor in parts["model"].state_dict().items()}
    with pytest.raises(ValueError, match="is no checkpoint of a fine-tuning: .*; it was not used"):
        checkpoint.load_state(state, parts, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in parts["model"].state_dict().items())


def test_a_checkpoint_with_code_says_that_it_could_run(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"identity": Code(tmp_path / "ran")}, path)
    with pytest.raises(
        ValueError, match="holds more than weights and settings .*could run code; it was not used"
    ) as caught:
        checkpoint.read_state(path)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
