"""The study of repair: what is asked, what its tables say, and what it sees inside of a model."""

import copy
from dataclasses import replace
from itertools import islice

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.store import Store
from swinprune_lite.studies import collapse, every, repair

MICRO = "swin_lite_micro"
LAYER = "layers.2.blocks.1.attn.proj"


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


def test_what_a_layer_gives_is_what_a_forward_pass_gives():
    model = sp.load_lite(MICRO)
    masks, pairs = sp.make_masks(model, 0.8), list(islice(sp.lite_data("held-out"), 1))
    found = collapse.layers(model, masks, collapse.moments_on(model, pairs)).loc[LAYER]
    read = []
    twin = copy.deepcopy(model).double()
    twin.get_submodule(LAYER).register_forward_pre_hook(lambda layer, given: read.append(given[0].flatten(0, -2)))
    with torch.no_grad():
        twin(pairs[0][0].double())
    weight = twin.get_parameter(f"{LAYER}.weight").detach()
    cut = weight * masks[f"{LAYER}.weight"]
    before, after = (read[0] @ each.T for each in (weight, cut))
    assert found.deviation == pytest.approx(float((after.std(0) / before.std(0)).median()))
    difference = (before - after).var(0, correction=0).sum() / before.var(0, correction=0).sum()
    assert found[collapse.CUT] == pytest.approx(float(difference))
    assert found["real images"] < found["their mean"]
    assert found["real images"] < found[collapse.CUT]


def test_the_stream_of_a_model_is_its_own():
    model = sp.load_lite(MICRO)
    pairs = list(islice(sp.lite_data("held-out", 20), 1))
    quiet = copy.deepcopy(model)
    with torch.no_grad():
        for name in ("weight", "bias"):
            quiet.get_parameter(f"layers.3.blocks.1.mlp.fc2.{name}").zero_()
    found = collapse.stream(model, {"same": model, "quiet": quiet}, pairs)
    assert (found.same == 1).all()
    assert (found.quiet.iloc[:-1] == 1).all()
    assert found.quiet.iloc[-1] != 1
    assert len(found) == 12


def test_every_measurement_is_asked_for_once():
    found = every.measurements()
    assert len(set(found)) == len(found)
    assert {run.name for run, _ in found} == {"lite", "pretrained"}
