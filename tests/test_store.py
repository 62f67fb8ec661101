"""The results store: found only by all that it depends on, and not to be edited."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from damage import silent

from swinprune_lite.reproduction import grid, store
from swinprune_lite.reproduction.evidence import Evidence
from swinprune_lite.reproduction.measure import Measurement, Setting, measure
from swinprune_lite.reproduction.profiles import get_profile
from swinprune_lite.reproduction.store import Store, key

ROOT = Path(__file__).parents[1]
LITE = get_profile("lite")
SETTING = Setting("swin_lite_tiny", "dimap", 0.5)
FOUND = Measurement(torch.arange(10_000) % 5 > 1, torch.ones(10_000, dtype=torch.bool), 5, 7, 1.5)


@pytest.fixture
def filled(tmp_path):
    Store(tmp_path).add(LITE, SETTING, FOUND)
    Store(tmp_path).add(LITE, Setting("swin_lite_tiny"), FOUND)
    return tmp_path


def test_round_trip(filled):
    found = Store(filled).find(LITE, SETTING)
    assert found.same_as(FOUND)
    assert found.seconds == 1.5
    assert Store(filled).find(LITE, replace(SETTING, ratio=0.6)) is None
    assert len((filled / "swin_lite_tiny.jsonl").read_text().splitlines()) == 2


def test_a_measurement_on_too_few_images_does_not_serve(tmp_path):
    smoke = get_profile("smoke")
    Store(tmp_path).add(smoke, SETTING, Measurement(FOUND.top1[:200], FOUND.top5[:200], 5, 7))
    assert Store(tmp_path).find(smoke, SETTING) is not None
    assert Store(tmp_path).find(LITE, SETTING) is None


def test_provenance_is_kept(filled):
    record = json.loads((filled / "swin_lite_tiny.jsonl").read_text().splitlines()[0])
    assert set(record["provenance"]) == {"python", "torch", "timm", "device", "date", "seconds"}
    assert set(record["ingredients"]) == {"digests", "recipe", "code"}
    assert "train" not in record["ingredients"]["digests"]  # one shot sees no training image


@pytest.mark.parametrize(
    ("old", "new"),
    [('"top1": 60.0', '"top1": 70.0'), ('"params": 5', '"params": 6'), ('"ratio": 0.5', '"ratio": 0.55'),
     ('"seconds": 1.5', '"seconds": 2.5'), ("}\n", "")],
)  # fmt: skip
def test_an_edited_or_cut_record_is_refused(filled, old, new):
    path = filled / "swin_lite_tiny.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"swin_lite_tiny.jsonl line \d is damaged or edited.*make reproduce"):
        Store(filled)


def test_numbers_that_do_not_fit_the_images_are_refused_even_with_a_matching_digest(filled):
    path = filled / "swin_lite_tiny.jsonl"
    record = json.loads(path.read_text().splitlines()[0])
    record["result"]["top1"] = 90.0
    record["digest"] = store._digest({name: value for name, value in record.items() if name != "digest"})
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match="damaged or edited"):
        Store(filled)


def test_key_depends_on_everything(monkeypatch):
    keys = {key(LITE, SETTING)}
    changes = [{"model": "swin_lite_base"}, {"method": "lamp"}, {"ratio": 0.51}, {"training_seed": 1}, {"seed": 1},
               {"steps": 25}, {"images": 100}]  # fmt: skip
    keys |= {key(LITE, replace(SETTING, **change)) for change in changes}
    tuned = replace(SETTING, steps=25)
    keys |= {key(replace(LITE, recipe=replace(LITE.recipe, lr=1e-3)), tuned), key(replace(LITE, batch_size=64), tuned)}
    monkeypatch.setattr(store, "code_version", lambda files: "other code")
    keys.add(key(LITE, SETTING))
    assert len(keys) == 1 + len(changes) + 2 + 1


def test_code_version_ignores_prose_and_nothing_else():
    bare = store._without_prose("def f(x):\n    return x + 1\n")
    assert store._without_prose('"""Doc."""\n# why\n\ndef f(x):  # comment\n    """Doc."""\n    return x + 1\n') == bare
    assert store._without_prose("def f(x):\n    return x + 2\n") != bare
    assert "#" in store._without_prose('colour = "#fff"\n')


def test_every_measurement_of_the_grid_is_in_the_committed_store_and_nothing_else():
    committed = Store()
    missing = [setting for setting in grid.whole(LITE) if committed.find(LITE, setting) is None]
    assert missing == []
    assert set(committed.records) == set(grid.whole(LITE))


def test_a_sample_drawn_afresh_is_recomputed():
    """Another one in every run; each is named when it fails."""
    committed, draw = Store(), random.SystemRandom()
    one_shot = [setting for setting in grid.whole(LITE) if not setting.steps]
    tuned = [setting for setting in grid.whole(LITE) if setting.steps and "tiny" in setting.model]
    drawn = [(setting, 1000) for setting in draw.sample(one_shot, 12)]
    drawn += [(setting, None) for setting in draw.sample(one_shot, 2)] + [(draw.choice(tuned), 1000)]
    wrong = [s for s, images in drawn if not measure(LITE, s, images).same_as(committed.find(LITE, s))]
    assert wrong == []


def test_missing_evidence_says_what_to_do(tmp_path):
    with pytest.raises(LookupError, match="make reproduce"):
        Evidence(LITE, Store(tmp_path)).accuracy("swin_lite_tiny", "dimap", 0.5)


def test_replicates():
    assert len(grid.replicates(LITE, "swin_lite_tiny", "dimap", 0.5)) == 3  # training seeds
    assert len(grid.replicates(LITE, "swin_lite_base", "dimap", 0.5)) == 1  # one training seed, nothing drawn
    assert len(grid.replicates(LITE, "swin_lite_base", "random", 0.5)) == 3
    assert len(grid.replicates(LITE, "swin_lite_base", "dimap", 0.5, steps=25)) == 3
    assert len(grid.replicates(LITE, "swin_lite_tiny", "dimap", 0.9, steps=25)) == 1  # high ratios tuned once
    first, *others = grid.replicates(LITE, "swin_lite_tiny", "dimap", 0.5)
    assert first.images == 0
    assert {other.images for other in others} == {LITE.common_images}


def reproduce(folder):
    return [sys.executable, ROOT / "data_scripts" / "reproduce.py", "--into", folder, "--profile", "smoke", "--first",
            "6", "--jobs", "2"]  # fmt: skip


def test_reproduction_killed_goes_on_and_agrees_with_the_committed_store(tmp_path):
    (tmp_path / "acceleration.json").write_text("{}")  # times are not what is tested
    path = tmp_path / "swin_lite_tiny.jsonl"
    process = subprocess.Popen(reproduce(tmp_path), stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(Store(tmp_path).records)
    assert 1 <= done < 6
    said = " ".join(subprocess.run(reproduce(tmp_path), capture_output=True, text=True).stdout.split())
    assert f"6 measurements, {done} of them" in said
    assert "agree in all 6 measurements" in said


def test_top5_of_fewer_than_five_classes_is_kept_as_none(tmp_path):
    found = Measurement(FOUND.top1, FOUND.top5[:0], 5, 7)
    Store(tmp_path).add(LITE, Setting("swin_lite_tiny"), found)
    kept = Store(tmp_path).find(LITE, Setting("swin_lite_tiny"))
    assert kept.same_as(found)
    assert len(kept.top5) == 0
    record = json.loads((tmp_path / "swin_lite_tiny.jsonl").read_text(), parse_constant=pytest.fail)
    assert record["result"]["top5"] is None
    evidence = Evidence(replace(LITE, replicates=1), Store(tmp_path))
    assert evidence.accuracy("swin_lite_tiny", "dense", 0.0)[0] == pytest.approx(60)
    assert str(evidence.accuracy("swin_lite_tiny", "dense", 0.0, kind="top5")) == "(nan, nan, 1)"
    assert str(evidence.drop("swin_lite_tiny", "dense", 0.0, kind="top5")) == "(nan, nan)"


def test_no_damage_to_the_store_is_believed(filled):
    path = filled / "swin_lite_tiny.jsonl"
    whole = Store(filled).records
    assert silent(path, lambda: Store(filled).records, lambda found: found == whole, 300) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("provenance"),
        lambda record: record.pop("key"),
        lambda record: record["setting"].update(more=1),
        lambda record: record["result"].pop("params"),
        lambda record: record["result"].update(images=20_000),
        lambda record: record["result"].update(images=0),
        lambda record: record["result"].update(images=-8),
    ],
)
def test_what_was_altered_and_signed_anew_is_refused(filled, change):
    path = filled / "swin_lite_tiny.jsonl"
    record = json.loads(path.read_text().splitlines()[0])
    change(record)
    record["digest"] = store._digest({name: value for name, value in record.items() if name != "digest"})
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match="line 1 is damaged or edited"):
        Store(filled)
