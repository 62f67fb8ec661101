import math

import pandas as pd
import pytest

from swinprune_lite.reproduction import tables
from swinprune_lite.reproduction.experiments import clear_differences

LITE, PAPER = tables.LITE, tables.PAPER


def one_shot_row(model, method, ratio, top1):
    return {"model": model, "method": method, "ratio": ratio, "top1": top1, "top5": 99.0, "images": 10_000}


@pytest.fixture
def one_shot():
    tiny = "swin_lite_tiny"
    return pd.DataFrame([
        one_shot_row(tiny, "dense", 0.0, 83.0),
        one_shot_row(tiny, "uniform", 0.38, 80.0),
        one_shot_row(tiny, "dimap", 0.38, 80.5),
        one_shot_row(tiny, "uniform", 0.9, 40.0),
        one_shot_row(tiny, "dimap", 0.9, 50.0),
    ])  # fmt: skip


def test_table3_keeps_measured_and_printed_apart(one_shot):
    table = tables.table3(one_shot)
    row = table.loc[("38 %", "T")]
    assert row[LITE].to_dict() == {"uniform": "80.00", "DIMAP": "80.50", "gain": "0.50"}
    assert row[PAPER].to_dict() == {
        "uniform": "72.06",
        "DIMAP": "78.54",
        "gain printed": "4.79",
        "DIMAP − uniform": "6.48",  # the paper's own arithmetic, which it misprints
    }
    assert set(table.loc[("90 %", "T")][PAPER]) == {""}


def test_a_difference_is_marked_only_where_the_intervals_are_apart(one_shot):
    assert clear_differences(one_shot)["swin_lite_tiny"].to_dict() == {"38 %": "+0.50", "90 %": "+10.00 *"}


def test_table1_and_its_empty_cells():
    rows = [
        {"model": "swin_lite_base", "ratio": 0.0, "params": 100, "macs": 200, "top1": 84.0, "top5": 99.0},
        {"model": "swin_lite_base", "ratio": 0.35, "params": 67, "macs": 150, "top1": 83.0, "top5": 98.0}
        | {"tuned_top1": 83.5, "tuned_top5": 98.5},
        {"model": "swin_lite_base", "ratio": 0.354, "params": 66, "macs": 149, "top1": 82.0, "top5": 97.0}
        | {"tuned_top1": 82.5, "tuned_top5": 97.5},
    ]
    accuracy, cost = tables.table1_accuracy(pd.DataFrame(rows)), tables.table1_cost(pd.DataFrame(rows))
    assert accuracy.loc[("dense", "B")][LITE].to_dict() == {
        "top-1": "84.00", "top-5": "99.00", "tuned top-1": "", "tuned top-5": ""
    }  # fmt: skip
    assert accuracy.loc[("35 %", "B")][PAPER].to_dict() == {"top-1": "83.43", "top-5": "96.42"}
    assert set(accuracy.loc[("35.4 %", "B")][PAPER]) == {""}
    assert cost.loc[("35 %", "B")][LITE]["removed %"] == "33.0"
    assert cost.loc[("35 %", "B")][PAPER]["FLOPs removed %"] == "33.5"


def test_parameter_check_says_no_where_a_digit_differs():
    counts = pd.DataFrame([
        {"model": "Swin-T", "ratio": 0.55, "params": 14_060_000, "dense": 28_288_354},
        {"model": "Swin-T", "ratio": 0.60, "params": 12_000_000, "dense": 28_288_354},
    ])  # fmt: skip
    check = tables.parameter_check(counts)
    assert check.loc[("Swin-T", "55 %")]["agrees"].to_dict() == {"params M": "no", "removed %": "yes"}
    assert set(check.loc[("Swin-T", "60 %")]["agrees"]) == {""}


def test_interval_of_one_half():
    assert tables.interval(50, 10_000) == pytest.approx(0.98)
    assert math.isclose(tables.interval(100, 5), 0)
