"""A fine-tuning's folder: whose it is, what is kept of it, and what another process finds."""

import json
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from filelock import FileLock
from torch import nn

from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe
from swinprune_lite.training.runs import run_folder, tune

RECIPE = Recipe(epochs=4, lr=0.1, label_smoothing=0.0, precision=torch.float32)


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def batches():
    drawn = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 1, 2, 2, generator=drawn), torch.arange(6) % 3) for _ in range(2)]


def run(folder, accelerator, accuracies, recipe=RECIPE, **more):
    """A run whose accuracies are as told, and what was saved of it: name -> weights."""
    told, model = iter(accuracies), small()

    def save(path):
        path.write_text(str(model[1].weight.detach().double().sum().item()))

    with run_folder(folder, {"seed": 0}, accelerator):
        found = tune(model, batches(), recipe, folder, lambda: next(told), save, accelerator, **more)
    return found, model


def test_the_best_is_the_first_of_the_highest_and_the_latest_the_last(tmp_path, accelerator):
    found, model = run(tmp_path, accelerator, [10.0, 40.0, 70.0, 70.0, 50.0])
    assert (found.top1, found.best, len(found.losses)) == ([10.0, 40.0, 70.0, 70.0, 50.0], 2, 8)
    latest, best = (float((tmp_path / f"{name}.safetensors").read_text()) for name in ("latest", "best"))
    assert latest == pytest.approx(model[1].weight.double().sum().item())
    two, _ = run(tmp_path / "two", accelerator, [10.0, 40.0, 70.0], replace(RECIPE, epochs=2))
    assert len(two.losses) == 4
    assert best != latest
    assert json.loads((tmp_path / "epochs.json").read_text()) == found.top1
    assert {path.name for path in tmp_path.iterdir()} >= {"run.json", "state.pt", "losses.csv"}
    again, _ = run(tmp_path, accelerator, [])  # nothing is left to do
    assert again == found


def test_a_run_stopped_anywhere_ends_as_one_that_was_not(tmp_path, accelerator):
    whole, _ = run(tmp_path / "whole", accelerator, [1.0, 2.0, 3.0, 4.0, 5.0])

    def stopped(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", accelerator, [1.0, 2.0, 3.0], progress=stopped)
    found, _ = run(tmp_path / "cut", accelerator, [4.0, 5.0])
    assert found == whole
    for name in ("latest", "best"):
        assert len({(tmp_path / each / f"{name}.safetensors").read_text() for each in ("cut", "whole")}) == 1


def test_what_was_found_of_an_epoch_without_its_state_is_found_again(tmp_path, accelerator):
    def killed():  # between the accuracy and the state
        yield from (1.0, 9.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, accelerator, killed())
    (tmp_path / "epochs.json").write_text("[1.0, 9.0, 99.0]")
    found, _ = run(tmp_path, accelerator, [3.0, 4.0, 5.0])
    assert found.top1 == [1.0, 9.0, 3.0, 4.0, 5.0]
    (tmp_path / "epochs.json").write_text("[1.0]")
    with pytest.raises(ValueError, match=r"epochs\.json lacks accuracies of earlier epochs"):
        run(tmp_path, accelerator, [])


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_a_damaged_description_of_a_run_gets_one_sentence(tmp_path, accelerator, content):
    (tmp_path / "run.json").write_text(content)
    with (
        pytest.raises(ValueError, match=r"run\.json is damaged .*; remove it, or give another folder\."),
        run_folder(tmp_path, {"seed": 0}, accelerator),
    ):
        pytest.fail("it was entered")


def test_a_folder_is_one_run_s_and_one_process_s(tmp_path, accelerator):
    with run_folder(tmp_path, {"seed": 0}, accelerator):
        (tmp_path / ".epochs.json.abc").touch()
        (tmp_path / ".own.notes.txt").touch()
    with (
        pytest.raises(ValueError, match="belongs to another run: seed 0 there and 1 here"),
        run_folder(tmp_path, {"seed": 1}, accelerator),
    ):
        pytest.fail("it was entered")
    with run_folder(tmp_path, {"seed": 0}, accelerator):
        assert not (tmp_path / ".epochs.json.abc").exists()  # what a kill left
        assert (tmp_path / ".own.notes.txt").exists()
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(ValueError, match="A run is at work in .*; wait for it"),
        run_folder(tmp_path, {"seed": 0}, accelerator),
    ):
        pytest.fail("it was entered")


def test_a_folder_of_someone_else_s_is_left_alone(tmp_path, accelerator):
    (tmp_path / "losses.csv").write_text("mine")
    with (
        pytest.raises(ValueError, match=r"holds losses\.csv, and no run\.json that says of which run"),
        run_folder(tmp_path, {"seed": 0}, accelerator),
    ):
        pytest.fail("it was entered")
    assert (tmp_path / "losses.csv").read_text() == "mine"


def test_a_teacher_s_answers_are_learned_not_the_classes():
    teacher, recipe = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), replace(RECIPE, epochs=30)
    model, wrong = small(), [(images, (classes + 1) % 3) for images, classes in batches()]
    finetune(model, wrong, recipe, teacher=teacher)
    for images, _ in wrong:
        assert torch.equal(model(images).argmax(1), teacher(images).argmax(1))
    with pytest.raises(ValueError, match="probabilities of 5 classes and the model gives 3 logits"):
        finetune(small(), wrong, recipe, teacher=nn.Sequential(nn.Flatten(), nn.Linear(4, 5)))
