"""The study of criteria: what was chosen is what the held-out pairs say, and its tables follow from the store."""

import copy

import numpy as np
import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import spread
from swinprune_lite.measurements.measure import gathered, masks_of
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.pruning.criteria import between
from swinprune_lite.studies import criteria as study
from swinprune_lite.studies.repair import CHOICE, PROFILE, reported
from swinprune_lite.types import InputMoments

MICRO = study.FULL


@pytest.fixture(scope="module")
def store():
    return Store()


@pytest.fixture(scope="module")
def evidence(store):
    return Evidence(PROFILE, store)


def test_the_chosen_groupings_and_criteria_are_the_best_on_held_out_pairs(store):
    best = study.choice(Evidence(CHOICE, store))["mean"]
    assert {name: group.idxmax()[1] for name, group in best.groupby("criterion")} == study.CHOSEN
    ranked = best.groupby("criterion").max()[[*study.WITH_DATA]].sort_values(ascending=False).index
    choosing_only = [name for name in ranked if name != study.SPARSE_GPT]  # which has its own repair
    assert tuple(choosing_only[:2]) == study.REPAIRED


def test_no_test_image_and_no_reported_training_chooses():
    assert {each.training_seed for each in study.choosing()} == {0}
    assert 0 not in {each.training_seed for each in study.grid()}
    assert all(profile is CHOICE for profile, each in study.whole() if not each.training_seed)


def test_one_measurement_has_one_name():
    assert study.method("relative_energy", "by_layer") == study.method("magnitude", "by_layer") == "uniform"
    assert study.method("activation_energy", "by_layer") == study.method("wanda", "by_layer")
    assert study.method("relative_energy", "by_module") == "dimap"
    assert study.at_alpha(0.0)["method"] == study.method("relative_energy")
    assert study.at_alpha(1.0) == study.asked("activation_energy")


def test_criteria_of_one_name_by_layer_make_the_same_masks():
    model = sp.load_lite(MICRO)
    moments = input_moments(model, PROFILE.calibration_batches(4))
    made = [
        sp.make_masks(model, 0.8, "uniform", criterion=name, statistics=moments)
        for name in ("wanda", "activation_energy")
    ]
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_a_setting_may_ask_for_what_lies_between():
    setting = Setting(MICRO, study.at_alpha(0.5)["method"], 0.8, 1, calibration=4)
    model = sp.load_lite(MICRO, 1)
    asked = {"grouping": "whole_model", "statistics": gathered(PROFILE, setting, InputMoments)}
    made = masks_of(model, setting, PROFILE)
    wanted, whole = (sp.make_masks(model, 0.8, criterion=between(alpha), **asked) for alpha in (0.5, 1))
    assert all(torch.equal(made[name], wanted[name]) for name in made)
    assert not all(torch.equal(made[name], whole[name]) for name in made)


def test_a_curve_is_the_mean_of_its_trainings(evidence):
    rows = study.curves(evidence).set_index(["criterion", "where", "repaired", "images"])
    seeds = reported(MICRO)
    found = [Setting(MICRO, "sparsegpt", 0.8, seed, images=5000, calibration=32) for seed in seeds]
    values = [100 * evidence.measurement(each).top1.double().mean().item() for each in found]
    row = rows.loc[("sparsegpt", "choice", False, 32)]
    assert row.top1 == pytest.approx(np.mean(values))
    assert spread(values) < row.half < spread(values) + 1
    shown = study.table(study.curves(evidence))
    assert shown.loc[("cut", "in the choice", "sparsegpt"), 32].startswith(f"{row.top1:.1f}")
    assert list(shown.index.get_level_values(0)) == sorted(shown.index.get_level_values(0))  # one block each


def test_what_is_compared_is_one_curve_minus_another(evidence):
    rows = study.curves(evidence).set_index(["criterion", "where", "repaired", "images"]).top1
    found = study.worth(evidence)[(MICRO, "mean")]
    pairs = {
        "activations in the choice, cut": (
            ("activation_energy", "choice", False, 128), ("relative_energy", "", False, 0),
        ),
        "real images in the repair": (("relative_energy", "repair", True, 128), ("relative_energy", "", True, 0)),
    }  # fmt: skip
    for what, (first, second) in pairs.items():
        assert found[what] == pytest.approx(rows[first] - rows[second])


def test_the_bound_holds_and_is_exact_where_one_weight_of_a_layer_leaves():
    model = sp.load_lite(MICRO)
    images = list(PROFILE.calibration_batches(4))
    moments = input_moments(model, images)
    found = study.bounds(model, sp.make_masks(model, 0.8), moments)
    assert (found.change <= found.bound * (1 + 1e-9)).all()
    name = sp.prunable(model)[2]
    single = torch.ones_like(model.get_parameter(name), dtype=torch.bool)
    single[1, 3] = False
    (row,) = study.bounds(model, {name: single}, moments).itertuples()
    assert row.change == pytest.approx(row.energy)
    path, read = name.removesuffix(".weight"), []
    twin = copy.deepcopy(model).double().eval()
    hook = twin.get_submodule(path).register_forward_pre_hook(
        lambda layer, inputs: read.append(inputs[0].flatten(0, -2))
    )
    with torch.no_grad():
        twin(images[0][0].double())
    hook.remove()
    gone = torch.cat(read)[:, 3] * twin.get_parameter(name)[1, 3]
    assert row.change == pytest.approx(gone.square().mean().item(), rel=1e-4)
