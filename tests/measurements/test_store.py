"""The results store: found only by all that it depends on, and not to be edited."""

import hashlib
import json
import random
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import outside
import pytest
import torch
from damage import silent
from forked import Forked

from swinprune_lite.measurements import store
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.profile import replicates
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store, key, question
from swinprune_lite.models.lite import lite_card
from swinprune_lite.studies import acceleration, repair, reproduction, structured
from swinprune_lite.studies.acceleration import PROFILE
from swinprune_lite.studies.profiles import get_profile
from swinprune_lite.studies.reproduction import measurements

ROOT = Path(__file__).parents[2]
LITE = get_profile("lite")
BASE = "swin_lite_base"
SETTING = Setting("swin_lite_tiny", "dimap", 0.5)
SETTING_DENSE = Setting("swin_lite_tiny")
FOUND = Measurement(torch.arange(10_000) % 5 > 1, torch.ones(10_000, dtype=torch.bool), 5, 7, "masks", 1.5)


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
    assert set(record["ingredients"]) == {"digests", "recipe", "masks", "protocol"}
    assert "train" not in record["ingredients"]["digests"]  # one shot sees no training image


@pytest.mark.parametrize(
    ("old", "new"),
    [('"top1": 60.0', '"top1": 70.0'), ('"params": 5', '"params": 6'), ('"ratio": 0.5}', '"ratio": 0.55}'),
     ('"seconds": 1.5', '"seconds": 2.5'), ("}\n", "")],
)  # fmt: skip
def test_an_edited_or_cut_record_is_refused(filled, old, new):
    path = filled / "swin_lite_tiny.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"swin_lite_tiny.jsonl line \d is damaged or edited.*reinstall"):
        Store(filled)


def test_numbers_that_do_not_fit_the_images_are_refused_even_with_a_matching_digest(filled):
    path = filled / "swin_lite_tiny.jsonl"
    record = json.loads(path.read_text().splitlines()[0])
    record["result"]["top1"] = 90.0
    record["digest"] = store._digest({name: value for name, value in record.items() if name != "digest"})
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match="damaged or edited"):
        Store(filled)


def test_key_depends_on_everything():
    keys = {key(LITE, SETTING, "masks")}
    changes = [{"model": "swin_lite_base"}, {"method": "lamp"}, {"ratio": 0.51}, {"training_seed": 1}, {"seed": 1},
               {"steps": 25}, {"images": 100}, {"budget": "macs"}, {"teacher": "dense"}, {"repair": "refit"},
               {"calibration": 8}, {"drawn": 0}, {"propagated": True}, {"masks_from": "swin_lite_tiny"}]  # fmt: skip
    keys |= {key(LITE, replace(SETTING, **change), "masks") for change in changes}
    assert {field.name for field in fields(Setting)} == {name for change in changes for name in change}
    tuned = replace(SETTING, steps=25)
    keys.add(key(replace(LITE, recipe=replace(LITE.recipe, lr=1e-3)), tuned, "masks"))
    keys.add(key(replace(LITE, batch_size=64), tuned, "masks"))
    keys.add(key(LITE, SETTING, "other masks"))
    assert len(keys) == 1 + len(changes) + 3


def test_another_protocol_finds_nothing(filled, monkeypatch):
    monkeypatch.setattr(store, "PROTOCOL", store.PROTOCOL + 1)
    assert Store(filled).find(LITE, SETTING) is None


def test_the_key_is_written_out_once_so_that_no_change_of_the_code_moves_it():
    """Old records must be found for good: this is the key of one that ships, by hand."""
    record = next(iter(Store().records.values()))
    asked = {"setting": record["setting"], **record["ingredients"]}
    assert set(asked) == {"setting", "recipe", "digests", "masks", "protocol"}
    assert record["key"] == hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def test_a_new_attribute_of_settings_keeps_old_keys(filled):
    @dataclass(frozen=True, order=True)
    class Wider(Setting):
        statistic: str = "none"

    wider = Wider(SETTING.model, SETTING.method, SETTING.ratio)
    assert key(LITE, wider, "masks") == key(LITE, SETTING, "masks")
    assert key(LITE, replace(wider, statistic="norm"), "masks") != key(LITE, SETTING, "masks")
    assert Store(filled).find(LITE, wider) is not None


def test_two_recipes_of_one_setting_stand_side_by_side(tmp_path):
    tuned, other = replace(SETTING, steps=25), replace(LITE, recipe=replace(LITE.recipe, lr=1e-3))
    Store(tmp_path).add(LITE, tuned, FOUND)
    Store(tmp_path).add(other, tuned, replace(FOUND, params=6))
    assert [Store(tmp_path).find(run, tuned).params for run in (LITE, other)] == [5, 6]


def test_every_measurement_of_every_study_is_in_the_committed_store_and_nothing_else():
    committed = Store()
    wanted = measurements()
    assert [setting for run, setting in wanted if committed.find(run, setting) is None] == []
    assert set(committed.records) == {question(run, setting) for run, setting in wanted}


def test_a_sample_drawn_afresh_is_recomputed():
    """Another one in every run; each is named when it fails. Masks are compared too.

    A fine-tuned one of the grid is drawn by every run of table 1's notebook. Those of the study of acceleration take
    minutes each: none is.
    """
    committed, draw = Store(), random.SystemRandom()
    grid, study = reproduction.whole(LITE), acceleration.whole()
    tiny = [setting for setting in grid if setting.model.endswith("tiny")]
    drawn = [(LITE, setting, 250) for setting in draw.sample([s for s in grid if not s.steps], 4)]
    drawn += [(LITE, setting, 1000) for setting in draw.sample([s for s in tiny if not s.steps], 1)]
    drawn += [
        (PROFILE, setting, 250) for setting in draw.sample([s for s in study if s.method != "dense" and not s.steps], 1)
    ]
    repaired = [
        (run, setting)
        for run, setting in [*repair.whole(), *structured.whole()]
        if setting.repair and setting.model != BASE
    ]
    drawn += [(run, setting, 250) for run, setting in draw.sample(repaired, 2)]
    found = [(run, setting, measure(run, setting, images)) for run, setting, images in drawn]
    assert [setting for run, setting, one in found if not one.same_as(committed.find(run, setting))] == []


def test_the_cards_accuracy_is_what_the_store_holds_and_the_checkpoint_gives():
    """The store's record, of weights with this digest, on all images; the checkpoint's verdicts on the first 2000."""
    for model in LITE.models:
        kept, card = Store().find(LITE, Setting(model)), lite_card(model)
        top1, top5 = (100 * int(right.sum()) / len(right) for right in (kept.top1, kept.top5))
        assert (top1, top5, len(kept.top1)) == (card["top1"], card["top5"], card["test_images"])
    assert measure(LITE, SETTING_DENSE, 2000).same_as(Store().find(LITE, SETTING_DENSE))


def test_missing_evidence_says_what_to_do(tmp_path):
    with pytest.raises(LookupError, match="make reproduce"):
        Evidence(LITE, Store(tmp_path)).accuracy("swin_lite_tiny", "dimap", 0.5)


def test_replicates():
    assert len(replicates(LITE, "swin_lite_tiny", "dimap", 0.5)) == 3  # training seeds
    assert len(replicates(LITE, "swin_lite_base", "dimap", 0.5)) == 3
    assert len(replicates(LITE, "swin_lite_base", "random", 0.5)) == 3
    assert len(replicates(LITE, "swin_lite_base", "dimap", 0.5, steps=25)) == 3
    assert len(replicates(LITE, "swin_lite_tiny", "dimap", 0.9, steps=25)) == 1  # high ratios tuned once
    first, *others = replicates(LITE, "swin_lite_tiny", "dimap", 0.5)
    assert first.images == 0
    assert {other.images for other in others} == {LITE.common_images}


def reproduce(folder, jobs):
    return ["--into", folder, "--profile", "smoke", "--first", "4", "--jobs", jobs]


def test_reproduction_killed_goes_on_and_agrees_with_the_committed_store(tmp_path, capsys, monkeypatch):
    (tmp_path / "acceleration.json").write_text("{}")  # times are not what is tested
    path = tmp_path / "swin_lite_tiny.jsonl"
    process = Forked([ROOT / "data_scripts" / "reproduce.py", *reproduce(tmp_path, 2)])
    while not path.exists():
        assert process.poll() is None, process.said()
        time.sleep(0.1)
    process.kill()
    process.wait()
    done = len(Store(tmp_path).records)
    assert 1 <= done < 4
    said = outside.run(capsys, monkeypatch, "reproduce.py", *reproduce(tmp_path, 1))
    assert said.code == 0
    told = " ".join(said.out.split())
    assert f"4 measurements, {done} of them" in told
    assert "agree in all 4 measurements" in told


def test_top5_of_fewer_than_five_classes_is_kept_as_none(tmp_path):
    found = Measurement(FOUND.top1, FOUND.top5[:0], 5, 7, "masks")
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
