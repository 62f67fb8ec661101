"""The study of surfaces: what was chosen where, what its tables say, and a sample of them measured anew."""

import random
from collections import Counter

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.data.surfaces import KINDS
from swinprune_lite.measurements.measure import measure, pruned
from swinprune_lite.measurements.store import Store
from swinprune_lite.models import surfaces as models
from swinprune_lite.pruning.masks import digest
from swinprune_lite.sources.surface_sets import TEST_SIZES, plan
from swinprune_lite.studies import surfaces as study


@pytest.fixture(scope="module")
def store():
    return Store()


def test_the_choice_saw_no_test_surface_and_seed_0_is_not_reported():
    for run, setting in study.choice():
        assert run.source.split == "held-out"
        assert setting.training_seed == 0
    others = [(run, setting) for run, setting in study.whole() if (run, setting) not in study.choice()]
    assert {run.source.split for run, _ in others} == {"test"}
    assert {setting.training_seed for _, setting in others} == set(study.SEEDS)
    assert 0 not in study.SEEDS
    card = models.surface_card(f"{models.ADAPTED}_{study.BASE}", 0)
    tried = {float(rate): top1 for rate, top1 in card["held_out_top1_by_rate"].items()}
    assert set(tried) == set(study.RATES)
    assert max(tried, key=tried.get) == study.ADAPT.lr == card["recipe"]["lr"]


def test_the_rate_of_light_tuning_is_the_best_on_held_out_surfaces(store):
    tops = {run.recipe.lr: int(study.correct(store, run, setting).sum()) for run, setting in study.choice()}
    assert max(tops, key=tops.get) == study.TUNE.lr


def test_every_checkpoint_that_is_asked_for_ships_and_has_the_accuracy_of_its_card(store):
    for view in models.VIEWS:
        name = f"{models.ADAPTED}_{view}"
        assert set(study.SEEDS) <= set(models.surface_seeds(name))
        for seed in study.SEEDS:
            found = study.correct(store, study.profile(view), study.adapted(seed, view=view))
            card = models.surface_card(name, seed)
            assert 100 * found.double().mean().item() == pytest.approx(card["test_top1"])
            assert card["origin"]["sha256"] == sp.lite_card(models.ORIGIN, seed)["sha256"]
            assert {key: card["recipe"][key] for key in ("lr", "steps", "batch_size")} == {
                "lr": study.ADAPT.lr, "steps": study.STEPS, "batch_size": study.BATCH,
            }  # fmt: skip


def test_a_measurement_drawn_afresh_is_the_stored_one(store):
    asked = [(run, one) for run, one in study.whole() if not one.steps and not one.repair]
    run, setting = random.SystemRandom().choice(asked)
    assert store.find(run, setting).same_as(measure(run, setting, 120)), (run, setting)


def test_tables_are_counts_of_the_stored_verdicts(store):
    planned = list(plan("test"))
    verdicts = [
        store.find(study.profile("32"), study.adapted(seed, study.RATIO, view="32")).top1 for seed in study.SEEDS
    ]
    rows = study.by_size(store).query("view == '32' and state == '80 % cut'").set_index("size")
    for size in TEST_SIZES:
        right = [bool(each[number]) for each in verdicts for number, one in enumerate(planned) if one.size == size]
        assert rows.recall[size] == pytest.approx(100 * sum(right) / len(right))
    classes = study.by_class(store, "adapt, prune", study.RATIO)
    run, kinds = study.profile(), Counter(one.kind for one in planned)
    dense, cut = (
        [store.find(run, study.adapted(seed, ratio)).top1 for seed in study.SEEDS] for ratio in (0.0, study.RATIO)
    )
    for kind in KINDS:
        place = torch.tensor([one.kind == kind for one in planned])
        shares = [100 * sum(int(each[place].sum()) for each in side) / len(side) / kinds[kind] for side in (dense, cut)]
        assert classes.loc[kind, ["dense", "after"]].tolist() == pytest.approx(shares)
    assert classes.dense["on the line"] == pytest.approx(
        sum(share * classes.dense[kind] for kind, share in study.SHARES.items())
    )
    order = study.order(store)
    assert order.top1["adapt, prune"] == pytest.approx(classes.after[list(KINDS)].mean())
    masks = study.transfer(store).set_index(["ratio", "steps", "masks"])
    for _, rows in masks.groupby(["ratio", "steps"]):
        assert list(rows.behind) == pytest.approx(list(rows.top1.iloc[0] - rows.top1))
    assert order.lost["adapt, prune"] == pytest.approx(order.top1["adapt"] - order.top1["adapt, prune"])


def test_masks_from_another_model_are_those_of_its_weights():
    run = study.profile("32")
    setting = study.adapted(1, 0.5, view="32", masks_from=f"{models.UNADAPTED}_32")
    model, masks = pruned(run, setting)
    assert digest(masks) == digest(sp.make_masks(sp.load_lite(models.ORIGIN, 1), 0.5))
    whole = models.load_surface_model(f"{models.ADAPTED}_32", 1)
    name, mask = next(iter(masks.items()))
    assert torch.equal(model.get_parameter(name), whole.get_parameter(name) * mask)
    told = run.ingredients(setting)["digests"]
    assert told["weights of the masks"] == sp.lite_card(models.ORIGIN, 1)["sha256"]
    for method in ("dense", "wanda/by_layer/same_share"):
        wrong = study.adapted(1, 0.5, view="32", method=method, masks_from=f"{models.UNADAPTED}_32")
        with pytest.raises(ValueError, match="Masks from the weights of swin_garments_32 need a method that looks at"):
            pruned(run, wrong)


def test_what_was_kept_of_calibration_is_measured_again():
    kept = study.calibration()
    assert sorted(zip(kept.state, kept.seed)) == sorted(
        (state, seed) for state in study.states() for seed in study.SEEDS
    )
    row = kept.sample(1, random_state=random.SystemRandom().randrange(2**32))
    row = row.iloc[0] if "repaired" not in row.state.item() else kept.iloc[0]
    again = study.calibration_of(row.state, int(row.seed))
    for name in ("error", "sure", "right", "missed"):
        assert again[name] == pytest.approx(row[name], abs=0.11)  # a surface or two may turn between processors
