"""What is said of a cut follows from its numbers: which sentence, which phrase, which range of costs."""

import itertools
import json
import math
import re

import made_records as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from swinprune_lite.report import page_data
from swinprune_lite.report.costs import COMMON, DEFAULTS, costs
from swinprune_lite.report.writing import LANGUAGES, texts, write_report


def said(letter="b", change=-0.75, half=0.625, gain=None):
    record = made.evaluate(letter)
    record["results"]["against"]["difference"] = {"points": change, "half": half}
    records = [made.prune(letter), record, *([made.bench(letter, gain=gain)] if gain else [])]
    (series,) = page_data(records)["groups"][0]["series"]
    return series["points"][0]["findings"][0]


@pytest.mark.parametrize(
    ("change", "half", "risk", "phrase"),
    [
        (-0.5, 0.25, "risk.loss_worst", "phrase.bearable"),
        (-0.5, 0.5, "risk.no_loss_worst", "phrase.bearable"),
        (0.5, 0.25, "risk.no_loss_worst", "phrase.bearable"),
        (-1.0, 0.25, "risk.loss_worst", "phrase.open"),
        (-2.0, 0.5, "risk.loss_worst", "phrase.too_much"),
    ],
)
def test_what_is_said_of_a_loss(change, half, risk, phrase):
    found = said(change=change, half=half)
    assert found["sentences"]["risk"]["key"] == risk
    assert phrase in [each["key"] for each in found["phrases"]]
    assert found["criteria"]["loss"] == (-change - half, -change + half)
    assert found["sentences"]["sure"]["values"]["high"] == -change + half


@pytest.mark.parametrize(("gain", "pace"), [(1.5, "faster"), (1.02, "same"), (0.5, "slower")])
def test_what_is_said_of_speed(gain, pace):
    found = said(gain=gain)
    values = found["sentences"]["gain"]["values"]
    assert found["sentences"]["gain"]["key"] == f"gain.{pace}"
    assert (values["speedup"], values["machine"]) == (gain, made.MACHINE)
    assert values["macs_removed"] == pytest.approx(40)
    assert values["theory"] == pytest.approx(1 / 0.6)
    phrases = [each["key"] for each in found["phrases"]]
    assert ("phrase.faster" in phrases, "phrase.not_faster" in phrases) == (pace == "faster", pace != "faster")
    assert found["criteria"]["speedup"] == (gain - 0.05, gain + 0.05)


def test_the_worst_class_and_what_chance_alone_would_do():
    (rare,) = [each for each in said()["risks"] if each["name"] == "rare"]
    assert (rare["values"]["class"], rare["values"]["class_loss"], rare["values"]["fewest"]) == ("scratch", 10.0, 40)
    assert (rare["values"]["beyond"], rare["values"]["by_chance"]) == (1, pytest.approx(0.075))
    for loss, key in ((10.0, "risk.loss_worst"), (9.0, "risk.loss_classes")):  # 7.8 for one class, 9.5 for each of 3
        record = made.evaluate("b")
        record["results"]["classes"][0]["recall"]["percent"] = 80.0 - loss
        found = page_data([made.prune("b"), record])["groups"][0]["series"][0]["points"][0]["findings"][0]
        assert found["sentences"]["risk"]["key"] == key
        low, high = found["criteria"]["worst_class"]
        assert (high - low) / 2 == pytest.approx(
            math.hypot(5.5, 5.5) * stats.norm.isf(0.025 / 3) / stats.norm.isf(0.025)
        )
    assert found["criteria"]["calibration"] == (0.75, 0.75)  # its rise, not what the dense model had


def test_fine_tuning_is_set_against_the_same_cut():
    series = page_data(made.everything())["groups"][0]["series"]
    cut = series[0]["points"][1]["findings"][0]
    (tuned,) = [each["values"] for each in cut["risks"] if each["name"] == "finetuning"]
    assert tuned == {"before": 0.75, "before_half": 0.625, "after": 0.5, "after_half": 0.625}
    assert cut["criteria"]["tuned_loss"] == (-0.125, 1.125)
    assert "phrase.recovers" not in [each["key"] for each in cut["phrases"]]  # the intervals overlap
    assert "phrase.no_data" not in [each["key"] for each in series[1]["points"][0]["findings"][0]["phrases"]]


def test_both_languages_have_the_same_texts_with_the_same_numbers():
    first, second = map(texts, LANGUAGES)
    assert list(first) == list(second)
    for key in first:
        holes = [sorted(re.findall(r"\{[^}]*\}|`[^`]*`", words[key])) for words in (first, second)]
        assert holes[0] == holes[1], key
        assert bool(first[key]) == bool(second[key]), key
    japanese = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
    assert not [key for key, value in first.items() if japanese.search(value)]


def test_a_page_cannot_be_ended_by_a_name_in_a_record(tmp_path):
    record = made.prune("b")
    record["model"]["name"] = "</script><script>alert(1)</script> /* texts */"
    data = page_data([record])
    page = write_report(data, tmp_path / "page.html").read_text()
    assert page.count("</script>") == 3
    embedded = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(embedded) == json.loads(json.dumps(data))


@pytest.mark.parametrize("languages", [(), ("fr",), ("en", "en")])
def test_languages_that_there_are_not(tmp_path, languages):
    with pytest.raises(ValueError, match="Languages are some of en, ja"):
        write_report(page_data([made.prune("b")]), tmp_path / "page.html", languages)
    assert list(tmp_path.iterdir()) == []


def range_of(low, high):
    return st.tuples(st.floats(low, high), st.floats(low, high)).map(sorted)


@settings(max_examples=50, deadline=None)
@given(
    images=range_of(0, 1e7), price=range_of(0, 1e3), watts=range_of(0, 1e3), power=range_of(0, 100),
    speedup=range_of(0.25, 8), milliseconds=st.floats(0, 1e3), machines=st.integers(1, 50), years=st.floats(0, 10),
)  # fmt: skip
def test_costs_are_the_ranges_over_all_that_may_be(images, price, watts, power, speedup, milliseconds, machines, years):
    found = costs({"images": images, "price": price, "watts": watts, "power_price": power, "speedup": speedup,
                   "milliseconds": milliseconds, "machines": machines, "years": years})  # fmt: skip
    dense, saving = [], []
    for count, hour, watt, kwh, gain in itertools.product(images, price, watts, power, speedup):
        busy = count * milliseconds / 1000 / 3600
        dense.append(busy * 365 * years * (hour + watt / 1000 * kwh))
        saving.append(dense[-1] - dense[-1] / gain)
    assert found["dense"] == pytest.approx((min(dense), max(dense)))
    assert found["saving"] == pytest.approx((min(saving), max(saving)), rel=1e-9, abs=1e-6)
    assert found["machines"][0] <= found["machines"][1]
    assert found["machines"][1] - 1 < machines / speedup[0] + 1e-6 <= found["machines"][1] + 2e-6


@pytest.mark.parametrize(
    "wrong", [{"images": (2, 1)}, {"speedup": (0, 1)}, {"machines": 0}, {"years": -1}, {"price": (0, float("inf"))}]
)
def test_costs_of_what_is_no_number(wrong):
    asked = COMMON | DEFAULTS["JPY"] | {"speedup": (1, 2), "milliseconds": 5.0} | wrong
    with pytest.raises(ValueError, match="must be finite"):
        costs(asked)
