"""The study of acceleration: its cases are settings of the store, at the same MACs, and its tables follow from it."""

import json
import random
from dataclasses import replace

import pandas as pd
import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.measurements.measure import measure, pruned
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.pruning.masks import digest
from swinprune_lite.studies import acceleration
from swinprune_lite.studies.acceleration import PROFILE

SHORT = replace(PROFILE, recipe=replace(PROFILE.recipe, epochs=1, precision=torch.float32), batch_size=20)


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_tiny")


@pytest.mark.parametrize("method", ["compact", "dimap", "blocks 16"])
def test_every_way_is_compared_at_the_same_macs(lite, method):
    setting = Setting("swin_lite_tiny", method, 0.5, budget="macs")
    model, masks = pruned(PROFILE, setting)
    assert digest(masks) == Store().find(PROFILE, setting).masks
    assert 0.48 < sp.cost(model).nonzero_macs / sp.cost(lite).macs <= 0.5


def test_two_of_four_removes_half_of_the_weights():
    model, _ = pruned(PROFILE, Setting("swin_lite_tiny", "2:4", 0.5))
    left = sp.cost(model)
    assert 0.5 < left.nonzero_macs / left.macs < 0.55  # attention's own products stay


def test_a_teacher_has_a_say_in_what_is_learned():
    setting = Setting("swin_lite_tiny", "compact", 0.5, 1, 1, 10, 500, "macs")
    labels, taught = (measure(SHORT, replace(setting, teacher=teacher)) for teacher in ("labels", "dense"))
    assert len(labels.top1) == 500
    assert labels.masks == taught.masks
    assert 0.4 < taught.macs / sp.cost(sp.load_lite("swin_lite_tiny", 1)).macs <= 0.5
    assert not torch.equal(labels.top1, taught.top1)


def test_all_is_in_the_store():
    store = Store()
    assert [setting for setting in acceleration.whole() if store.find(PROFILE, setting) is None] == []


def test_a_one_shot_accuracy_drawn_anew_comes_out_again():
    drawn = random.SystemRandom().choice([acceleration.one_shot(case) for case in acceleration.cases()])
    assert measure(PROFILE, drawn, 1000).same_as(Store().find(PROFILE, drawn)), drawn


def test_fine_tuned_cases_began_where_the_store_says_or_are_refused(tmp_path):
    kept = tmp_path / "kept.json"
    with pytest.raises(LookupError, match="reinstall"):
        acceleration.results(path=kept)
    for text in ("{", "[1]", '[{"model": "swin_lite_tiny"}]'):
        kept.write_text(text)
        with pytest.raises(ValueError, match="is damaged"):
            acceleration.results(path=kept)
    rows = json.loads(acceleration.KEPT.read_text())
    rows[0]["one_shot_top1"] += 0.01
    kept.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match="differ in one_shot_top1"):
        acceleration.results(path=kept)
    kept.write_text(json.dumps(rows[1:]))
    with pytest.raises(LookupError, match="is not in"):
        acceleration.results(path=kept)


def test_dense_accuracies_are_those_of_the_cards():
    for row in acceleration.results().itertuples():
        assert row.dense_top1 == sp.lite_card(row.model, row.seed)["top1"]


def test_summary_and_curve():
    rows = acceleration.results()
    table = acceleration.summary(rows)
    mine = rows.query("model == 'swin_lite_tiny' and way == 'compact' and removed == 0.6")
    line = table.loc["swin_lite_tiny", "compact", 0.6, "dense"]
    assert line["lost"] == pytest.approx((mine.dense_top1 - mine.tuned_top1).mean())
    assert line["±"] == pytest.approx(4.303 * (mine.dense_top1 - mine.tuned_top1).std() / 3**0.5, rel=1e-3)
    times = pd.DataFrame([{"way": "compact", "removed": 0.6, "speedup": 2.0}])
    curve = acceleration.against_time(rows, times).set_index(["way", "removed"])
    assert curve.loc[("compact", 0.6), "time"] == 0.5
    assert curve.loc[("compact", 0.6), "top1"] == pytest.approx(mine.tuned_top1.mean())
