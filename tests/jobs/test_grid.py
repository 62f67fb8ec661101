"""A table on many workers: what it asks for, that no unit is lost with a worker, and none measured twice."""

import os
import signal
import sys
import threading

import dask
import distributed  # noqa: F401  it brings its settings along, which a test changes
import forked
import pytest
import timm
import torch
from stubs import make_folder
from timm.models import save_for_hf

from swinprune_lite.jobs import grid
from swinprune_lite.jobs.processes import unheard
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store

MICRO = "swin_lite_micro"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def warm():
    """Workers are forked from the tests' own server, which has imported torch."""
    forked.begun(os.getpid).join()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield


def test_units_are_settings_of_the_store_each_once():
    wanted = grid.units([MICRO, f"{MICRO}:1"], ["dimap", "random"], [0.5], ["none", "refit + head"], seed=3)
    assert [unit.setting for unit in wanted][:5] == [
        Setting(MICRO),
        Setting(MICRO, "dimap", 0.5),
        Setting(MICRO, "dimap", 0.5, repair="refit + head"),
        Setting(MICRO, "random", 0.5, seed=3),
        Setting(MICRO, "random", 0.5, seed=3, repair="refit + head"),
    ]
    assert wanted[5].setting == Setting(MICRO, training_seed=1)
    assert len({unit.key for unit in wanted}) == len(wanted) == 10
    (_, compact) = grid.units([MICRO], ["compact"], [0.5], ["refit + head"])
    assert compact.setting == Setting(MICRO, "compact", 0.5, budget="macs", repair="refit", propagated=True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"models": []}, "Give at least one model"),
        ({"ratios": [1.0]}, r"A ratio is in \(0, 1\)"),
        ({"ratios": [0.0]}, r"A ratio is in \(0, 1\)"),
        ({"methods": ["magic"]}, "Unknown method 'magic'; choose one of dimap"),
        ({"methods": ["wanda/by_layer/same_share"]}, "wants statistics of images"),
        ({"repairs": ["glue"]}, "Unknown repair 'glue'; choose of none, "),
        ({"models": [f"{MICRO}:77"]}, "has the training seeds .*; got 77"),
        ({"models": [f"{MICRO}:x"]}, "stands a training seed"),
        ({"models": ["no_such_model"], "data": "."}, "timm has no model 'no_such_model'"),
        ({"models": [__file__]}, "is a file, and a table prunes dense models by name"),
        ({"data": "/nowhere"}, "takes the pairs that ship"),
        ({"images": 20_000}, "There are 10000 images, fewer than 20000"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(asked, said):
    with pytest.raises(ValueError, match=said):
        grid.units(**{"models": [MICRO], "methods": ["dimap"], "ratios": [0.5]} | asked)


def test_a_folder_s_table_goes_where_the_notebooks_look(tmp_path):
    make_folder(tmp_path / "own", ["a", "b"], 1)
    model = timm.create_model("test_vit", num_classes=2, img_size=32)
    model.pretrained_cfg = dict(model.pretrained_cfg) | {"input_size": (3, 32, 32), "num_classes": 2}
    save_for_hf(model, tmp_path / "model", model_args={"img_size": 32})
    (dense, _) = grid.units([f"local-dir:{tmp_path}/model"], ["dimap"], [0.5], data=str(tmp_path / "own"))
    assert grid.store_of(dense) == dense.profile.results
    assert grid.store_of(dense).parent == tmp_path / "results"


def test_what_ships_is_not_measured_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    wanted = grid.units(["swin_lite_tiny"], ["dimap", "lamp"], [0.5])
    found = grid.fill(wanted, workers=2)
    assert found.keys() == {unit.key for unit in wanted}
    with pytest.raises(ImportError, match=r"pip install 'swinprune-lite\[grid\]'"):
        grid.fill(grid.units([MICRO], ["dimap"], [0.123]), workers=2)


def test_no_unit_is_lost_with_a_worker_that_is_killed(home, monkeypatch, warm):
    wanted = grid.units([MICRO], ["dimap", "uniform"], [0.5, 0.7], images=40)
    clients, seen, own = [], [], grid._client

    def client(*arguments):
        clients.append(own(*arguments))
        return clients[-1]

    def progress(done):
        seen.append(done)
        if done == 1:
            os.kill(next(iter(clients[0].run(os.getpid).values())), signal.SIGKILL)

    monkeypatch.setattr(grid, "_client", client)
    found = grid.fill(wanted, workers=2, progress=progress)
    assert seen == list(range(len(wanted) + 1))
    kept = Store(home / "results" / "grid")
    assert len(kept.records) == len(wanted) == 5
    for unit in wanted[1:3]:
        assert found[unit.key].same_as(measure(unit.profile, unit.setting))
        assert found[unit.key].same_as(kept.find(unit.profile, unit.setting))
    monkeypatch.setattr(grid, "_client", pytest.fail)
    again = grid.fill(wanted, workers=2)
    assert all(again[key].same_as(one) for key, one in found.items())


def test_ctrl_c_is_for_the_first_process_alone(ctrl_c):
    masks, own = [], signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def begin():
        with unheard():
            thread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
            thread.start()
            thread.join()
            os.kill(os.getpid(), signal.SIGINT)
            masks.append("heard later")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert masks == [own | {signal.SIGINT}, "heard later"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == own


def test_a_unit_that_cannot_be_measured_is_named(monkeypatch):
    unit = grid.units([MICRO], ["lamp"], [0.5], ["refit + head"])[1]
    assert unit.told == f"{MICRO}, lamp at 0.5, refit + head"


def test_workers_are_asked_for_in_one_way():
    wanted = grid.units([MICRO], ["dimap"], [0.123])
    for arguments in ({"workers": 0}, {"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, {"scheduler": ""}):
        with pytest.raises(ValueError, match="Give either a number of workers, 1 or more, or the address"):
            grid.fill(wanted, **arguments)


def test_no_scheduler_is_said(monkeypatch):
    monkeypatch.setattr(grid, "PATIENCE", 0.3)
    with pytest.raises(ConnectionError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1; start one with"):
        grid.fill(grid.units([MICRO], ["dimap"], [0.123]), scheduler="tcp://127.0.0.1:1")


def test_a_worker_takes_what_another_has_measured_meanwhile(home, monkeypatch):
    (unit, _) = grid.units([MICRO], ["dimap"], [0.5], images=40)
    first = grid._measured(unit.profile, unit.setting, home)
    monkeypatch.setattr(grid, "measure", pytest.fail)
    assert grid._measured(unit.profile, unit.setting, home).same_as(first)


def test_the_table_is_of_the_same_images():
    wanted = grid.units([MICRO], ["dimap"], [0.5])
    right = [torch.tensor([True, True, False, True]), torch.tensor([True, False, False, False])]
    found = {unit.key: Measurement(one, one, 5, 7) for unit, one in zip(wanted, right)}
    dense, cut = grid.table(wanted, found).to_dict("records")
    assert (dense["top1"], dense["lost"], dense["method"]) == (75.0, 0.0, "dense")
    assert (cut["top1"], cut["repair"], cut["params"], cut["macs"]) == (25.0, "none", 5, 7)
    assert (cut["lost"], cut["lost_half"]) == paired_difference([right[0]], [right[1]])
    assert cut["top1_low"] < 25 < cut["top1_high"]
