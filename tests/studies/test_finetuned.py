"""Fine-tuning from a cut start and from a repaired one."""

from itertools import islice

import pytest
import torch

from swinprune_lite.data.pairs import lite_data
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.store import question
from swinprune_lite.sources.shipped_source import Shipped
from swinprune_lite.studies import finetuned
from swinprune_lite.studies.repair import CHOICE, IMAGES, PROFILE


def test_the_rates_are_those_that_are_best_on_held_out_pairs():
    assert finetuned.best() == finetuned.CHOSEN
    assert {seed for case in finetuned.CASES for seed in finetuned.seeds(case)}.isdisjoint({0})


def test_another_rate_or_length_is_another_question():
    asked = finetuned.choosing()[0][1]
    keys = {question(finetuned.run(CHOICE, rate, epochs), asked) for rate in (1e-4, 1e-3) for epochs in (1, 4)}
    assert len(keys) == 4


def test_what_is_chosen_on_held_out_pairs_learns_from_none_of_their_garments():
    held = {garment.numpy().tobytes() for garment in lite_data("held-out").garments}
    batches = Shipped("held-out").training_batches([finetuned.FULL], 128, 0, 3)
    assert held.isdisjoint(garment.numpy().tobytes() for garment in batches.garments)
    assert len(list(batches)) == 3
    whole = Shipped("test").training_batches([finetuned.FULL], 128, 0, 3)
    assert len(whole.garments) - len(batches.garments) == len(held)


def test_the_larger_models_take_the_rates_of_tiny_and_all_their_trainings():
    larger = {case: rates for case, rates in finetuned.REPORTED.items() if case not in finetuned.CASES}
    assert {model for model, *_ in larger} == {"swin_lite_small", "swin_lite_base"}
    assert all(rates == finetuned.CHOSEN[finetuned.ROOMY, *rest] for (_, *rest), rates in larger.items())
    assert all(finetuned.seeds(case) == [0, 1, 2] for case in larger)
    assert not any(one.model in finetuned.LARGER for _, one in finetuned.choosing())


@pytest.mark.parametrize("case", [finetuned.CASES[2], finetuned.CASES[-1], ("swin_lite_base", 0.9, 1)])
def test_a_row_is_the_mean_over_the_stored_verdicts(case):
    model, ratio, epochs = case
    row = finetuned.table().query("model == @model and ratio == @ratio and steps == @epochs * 25").iloc[0]
    found = []
    for start, rate in zip(finetuned.STARTS, finetuned.REPORTED[case]):
        asked = [one for run, one in finetuned.reports() if (one.model, one.ratio, one.repair) == (model, ratio, start)]
        one_run = Evidence(finetuned.run(PROFILE, rate, epochs))
        tops = [one_run.measurement(one).top1[:IMAGES] for one in islice(asked, len(finetuned.seeds(case)))]
        found.append(100 * torch.stack(tops).double().mean().item())
    assert [row.cut, row.repaired] == pytest.approx(found)
    assert row.gain == pytest.approx(found[1] - found[0])
    assert row.trainings == len(finetuned.seeds(case))
