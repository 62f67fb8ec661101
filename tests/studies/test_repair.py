"""The study of repair: what is asked, and what its tables say."""

from dataclasses import replace

import pytest

from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.store import Store
from swinprune_lite.studies import repair, reproduction

MICRO = "swin_lite_micro"


@pytest.fixture(scope="module")
def evidence():
    return Evidence(repair.PROFILE)


def test_the_choice_saw_no_test_image_and_seed_0_is_not_reported_where_it_chose():
    chosen = [(run, setting) for run, setting in repair.whole() if run == repair.CHOICE]
    assert {setting.training_seed for _, setting in chosen} == {0}
    assert {setting.model for _, setting in chosen} == set(repair.CHOSEN_ON)
    assert repair.CHOICE.source.split == "held-out"
    for model in repair.PROFILE.models:
        assert (0 in repair.reported(model)) == (model not in repair.CHOSEN_ON)
    assert len(repair.reported(MICRO)) == 9


def test_held_out_and_test_images_have_records_of_their_own():
    store, asked = Store(), repair.setting(MICRO, 0, "dimap", 0.8, repair=repair.RULE)
    first, second = store.find(repair.CHOICE, replace(asked, images=0)), store.find(repair.PROFILE, asked)
    assert len(first.top1) < len(second.top1)
    assert first.masks == second.masks


def test_tables_are_means_over_the_stored_verdicts(evidence):
    row = repair.gains(evidence, models=[MICRO]).query("ratio == 0.8").iloc[0]
    tops = [
        [
            100 * Store().find(repair.PROFILE, repair.setting(MICRO, seed, **asked)).top1[:5000].double().mean().item()
            for seed in range(1, 10)
        ]
        for asked in ({"method": "dimap", "ratio": 0.8}, {"method": "dimap", "ratio": 0.8, "repair": repair.RULE})
    ]
    cut, repaired = (sum(each) / 9 for each in tops)
    assert (row.cut, row.repaired) == pytest.approx((cut, repaired))
    assert row.gain == pytest.approx(repaired - cut)
    assert row.trainings == 9


def test_every_measurement_is_asked_for_once():
    found = reproduction.measurements()
    assert len(set(found)) == len(found)
    assert {run.name for run, _ in found} == {"lite", "pretrained"}
