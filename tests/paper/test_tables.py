import pandas as pd
import pytest

from swinprune_lite.measurements import frames
from swinprune_lite.paper import tables
from swinprune_lite.studies.profiles import evidence_for, get_profile

LITE, PAPER = tables.LITE, tables.PAPER


def row(model, method, ratio, top1, top5=99.0, params=100, macs=200):
    halves = {"top1_mean": top1 - 0.1, "top5_mean": top5 - 0.1, "top1_half": 0.5, "top5_half": 0.25}
    return {"model": model, "method": method, "ratio": ratio, "top1": top1, "top5": top5, **halves, "seeds": 3,
            "params": params, "macs": macs}  # fmt: skip


TINY = "swin_lite_tiny"
ONE_SHOT = pd.DataFrame([
    row(TINY, "dense", 0.0, 83.0),
    row(TINY, "uniform", 0.38, 80.0),
    row(TINY, "dimap", 0.38, 80.5),
    row(TINY, "uniform", 0.9, 40.0),
    row(TINY, "dimap", 0.9, 50.0),
])  # fmt: skip
GAINS = pd.DataFrame([
    {"model": TINY, "ratio": 0.38, "gain": 0.5, "half": 0.6, "clear": False},
    {"model": TINY, "ratio": 0.9, "gain": 10.0, "half": 1.0, "clear": True},
])  # fmt: skip


def test_table3_keeps_measured_and_printed_apart():
    table = tables.table3(ONE_SHOT, GAINS)
    cells = table.loc[("38 %", "T")]
    assert cells[LITE].to_dict() == {
        "uniform": "80.00",
        "DIMAP": "80.50",
        "uniform, seeds": "79.90 ± 0.50",
        "DIMAP, seeds": "80.40 ± 0.50",
        "gain": "+0.50 ± 0.60",
    }
    assert cells[PAPER].to_dict() == {
        "uniform": "72.06",
        "DIMAP": "78.54",
        "gain printed": "4.79",
        "DIMAP − uniform": "6.48",  # the paper's own arithmetic, which it misprints
    }
    assert set(table.loc[("90 %", "T")][PAPER]) == {""}


def test_a_star_only_outside_the_interval():
    assert tables.gain_table(GAINS)[TINY].to_dict() == {"38 %": "+0.50 ± 0.60", "90 %": "+10.00 ± 1.00 *"}


def test_methods_by_ratio():
    table = tables.methods(ONE_SHOT)
    assert table.loc[(TINY, "uniform")].to_dict() == {"38 %": "79.90 ± 0.50", "90 %": "39.90 ± 0.50"}


def test_table1_and_its_empty_cells():
    base = "swin_lite_base"
    one_shot = pd.DataFrame([
        row(base, "dense", 0.0, 84.0),
        row(base, "dimap", 0.35, 83.0, 98.0, 67, 150),
        row(base, "dimap", 0.354, 82.0, 97.0, 66, 149),
    ])  # fmt: skip
    tuned = pd.DataFrame([row(base, "dimap", 0.35, 83.5, 98.5), row(base, "dimap", 0.354, 82.5, 97.5)])
    accuracy, cost = tables.table1_accuracy(one_shot, tuned), tables.table1_cost(one_shot)
    assert accuracy.loc[("dense", "B")][LITE].to_dict() == {
        "top-1": "84.00", "top-5": "99.00", "tuned top-1": "", "tuned top-5": "", "tuned top-1, seeds": "83.90 ± 0.50"
    }  # fmt: skip
    assert accuracy.loc[("35 %", "B")][LITE]["tuned top-1"] == "83.50"
    assert accuracy.loc[("35 %", "B")][LITE]["tuned top-1, seeds"] == "83.40 ± 0.50"
    assert accuracy.loc[("35 %", "B")][PAPER].to_dict() == {"top-1": "83.43", "top-5": "96.42"}
    assert set(accuracy.loc[("35.4 %", "B")][PAPER]) == {""}
    assert cost.loc[("35 %", "B")][LITE]["removed %"] == "33.0"
    assert cost.loc[("35 %", "B")][PAPER]["FLOPs removed %"] == "33.5"


def test_table4():
    results = pd.DataFrame([row(TINY, "dimap", 0.55, 83.0), row(TINY, "lamp", 0.55, 82.0)])
    gain = pd.DataFrame([{"model": TINY, "ratio": 0.55, "gain": 1.0, "half": 0.4, "clear": True}])
    cells = tables.table4(results, gain).loc[("55 %", "T")]
    assert cells[LITE]["difference"] == "+1.00 ± 0.40"
    assert cells[PAPER].to_dict() == {"three modules": "80.35", "one module": "80.12", "difference": "0.23"}


def test_parameter_check_says_no_where_a_digit_differs():
    counts = pd.DataFrame([
        {"model": "Swin-T", "ratio": 0.55, "params": 14_060_000, "dense": 28_288_354},
        {"model": "Swin-T", "ratio": 0.60, "params": 12_000_000, "dense": 28_288_354},
    ])  # fmt: skip
    check = tables.parameter_check(counts)
    assert check.loc[("Swin-T", "55 %")]["agrees"].to_dict() == {"params M": "no", "removed %": "yes"}
    assert set(check.loc[("Swin-T", "60 %")]["agrees"]) == {""}


@pytest.mark.parametrize("value", ["4.79", "6.48"])
def test_both_the_printed_and_the_true_gain_are_shown(value):
    assert value in set(tables.table3(ONE_SHOT, GAINS)[PAPER].to_numpy().ravel())


@pytest.fixture(scope="module")
def evidence():
    return evidence_for(get_profile("lite"))


def percent(found, images=None):
    return 100 * found.top1[:images].double().mean().item()


@pytest.mark.parametrize("model", [TINY, "swin_lite_base"])
@pytest.mark.parametrize("ratio", [0.35, 0.8])
def test_before_and_after_fine_tuning_are_of_the_same_replicates_and_images(evidence, model, ratio):
    steps = evidence.profile.finetune_steps
    tuned = evidence.measurements(model, "dimap", ratio, steps)
    images = min(len(one.top1) for one in tuned)
    dense, one_shot = (
        evidence.measurements(model, method, removed)[: len(tuned)]
        for method, removed in (("dense", 0.0), ("dimap", ratio))
    )
    expected = [
        sum(percent(a, images) - percent(b, images) for a, b in zip(first, second)) / len(tuned)
        for first, second in ((dense, one_shot), (dense, tuned), (tuned, one_shot))
    ]
    before = frames.drops(evidence, [model], "dimap", [ratio], beside=steps)
    after = frames.drops(evidence, [model], "dimap", [ratio], steps)
    back = frames.recoveries(evidence, [model], "dimap", [ratio], steps)
    assert [before["drop"].item(), after["drop"].item(), back.won.item()] == pytest.approx(expected, abs=1e-9)
    assert back.won.item() == pytest.approx(before["drop"].item() - after["drop"].item(), abs=1e-9)
    assert back.replicates.item() == len(tuned) == (1 if ratio == 0.8 else 3)
    assert after.equals(frames.drops(evidence, [model], "dimap", [ratio], steps, beside=steps))


def test_training_by_training(evidence):
    found = frames.gains_by_training(evidence, [TINY, "swin_lite_base"], "dimap", "uniform", [0.9])
    assert list(found) == [(model, f"seed {seed}") for model in (TINY, "swin_lite_base") for seed in range(3)]
    first, second = (evidence.measurements(TINY, method, 0.9)[1] for method in ("dimap", "uniform"))
    images = evidence.profile.common_images
    assert found[TINY, "seed 1"].item() == pytest.approx(percent(first, images) - percent(second, images))
    gain = frames.gains(evidence, [TINY], "dimap", "uniform", [0.9]).gain.item()
    assert found[TINY].loc[0.9].mean() == pytest.approx(gain)


def test_recovery_by_ratio_with_a_star_outside_the_interval():
    where = pd.DataFrame({"model": [TINY, TINY], "ratio": [0.9, 0.15]})
    lost = where.assign(drop=[40.0, 0.1], half=[1.0, 0.2])
    tuned = where.assign(drop=[30.0, 0.4], half=[1.0, 0.3])
    won = where.assign(won=[10.0, -0.3], half=[0.5, 0.3], replicates=[1, 3])
    table = tables.recovery(lost, tuned, won)
    assert list(table.index) == [("15 %", TINY), ("90 %", TINY)]
    assert list(table.loc[("90 %", TINY)]) == ["40.00 ± 1.00", "30.00 ± 1.00", "+10.00 ± 0.50 *", "1"]
    assert table.loc[("15 %", TINY), "won back"] == "-0.30 ± 0.30"
