"""Records joined into what the report shows: every number where it belongs, and a sentence for what does not fit."""

import json
import math
from copy import deepcopy

import made_records as made
import pytest

from swinprune_lite.report import page_data, read_records


def points(data):
    (group,) = data["groups"]
    return {(series["epochs"], point["ratio"]): point for series in group["series"] for point in series["points"]}


def test_every_number_is_where_it_belongs():
    data = page_data(made.everything())
    (group,) = data["groups"]
    assert (group["name"], group["lite"], group["classes"]) == (made.DENSE["name"], False, made.CLASSES)
    assert [place["machine"] for place in group["places"]] == [made.MACHINE, "cuda, a board"]
    found = points(data)
    assert set(found) == {(0, 0.3), (0, 0.5), (0, 0.7), (3, 0.5)}
    for letter, key in (("a", (0, 0.3)), ("b", (0, 0.5)), ("c", (0, 0.7)), ("t", (3, 0.5))):
        point = found[key]
        assert point["top1"]["percent"] == made.TOP1[letter]
        assert point["difference"] == {"points": made.TOP1[letter] - made.TOP1["d"], "half": 0.625, "paired": True}
        assert [each["percent"] for each in point["recalls"]] == made.RECALL[letter]
        changes = [after - before for after, before in zip(made.RECALL[letter], made.RECALL["d"])]
        assert [each["points"] for each in point["class_differences"]] == changes
        assert {each["half"] for each in point["class_differences"]} == {math.hypot(5.5, 5.5)}
        assert point["macs"] == made.left("b" if letter == "t" else letter, made.DENSE["macs"])
        assert point["calibration_error"] == 4.25
    assert found[0, 0.5]["file_bytes"] == 60_000_000 + 1000 * ord("b")
    assert found[3, 0.5]["file_bytes"] == 60_000_999
    assert found[3, 0.5]["stages"] == made.prune("b")["results"]["stages"]
    assert [each and each["speedup"]["ratio"] for each in found[0, 0.5]["timings"]] == [1.0, 1.5]
    assert found[0, 0.3]["timings"] is None


def test_the_order_of_records_is_no_matter_but_that_of_places():
    records = made.everything()
    whole, (measured, timed) = points(page_data(records)), (records[:-3], records[-3:])
    for shuffled in (measured[::-1] + timed, timed + measured[::-1]):
        assert points(page_data(shuffled)) == whole


def test_a_model_named_second_is_compared_the_other_way():
    turned = made.evaluate("d", against="b")
    assert points(page_data([made.prune("b"), turned])) == points(page_data([made.prune("b"), made.evaluate("b")]))
    bench = made.bench("b", gain=2.0)
    bench["model"] = made.model("d")  # it is now the dense model that is 2 times as fast
    speedup = points(page_data([made.prune("b"), bench]))[0, 0.5]["timings"][0]["speedup"]
    assert speedup == {"ratio": 0.5, "low": 1 / 2.05, "high": 1 / 1.95}


def test_models_evaluated_by_themselves_are_two_samples():
    records = [made.prune("b"), made.evaluate("b", None), made.evaluate("d", None)]
    assert points(page_data(records))[0, 0.5]["difference"] == {
        "points": 90.5 - 91.25, "half": math.hypot(1.25, 1.25), "paired": False
    }  # fmt: skip


def test_differences_that_a_record_has_of_classes_are_taken():
    record = made.evaluate("b")
    for number, row in enumerate(record["results"]["against"]["classes"]):
        row["difference"] = {"points": -1.0 * number, "half": 0.5}
    changes = points(page_data([made.prune("b"), record]))[0, 0.5]["class_differences"]
    assert [each["points"] for each in changes] == [0, -1, -2]
    assert {each["half"] for each in changes} == {0.5}


def test_a_pruned_model_says_itself_what_no_other_record_does():
    point = points(page_data([made.evaluate("b")]))[0, 0.5]
    assert (point["macs"], point["stages"]) == (made.left("b", made.DENSE["macs"]), None)
    tuned = made.model("t")
    tuned["pruned"] |= {"finetuned": {"epochs": 5, "before_sha256": "b" * 64}}
    record = made.evaluate("b") | {"model": tuned}
    assert points(page_data([made.prune("b"), record]))[5, 0.5]["stages"] == made.prune("b")["results"]["stages"]


def test_fine_tuning_s_own_accuracies_are_shown_where_nothing_else_was_evaluated():
    records = [made.prune("b"), made.finetune()]
    found = points(page_data([*records, *records]))  # a record twice is one model
    assert {key: point["top1"]["percent"] for key, point in found.items()} == {(0, 0.5): 90.25, (3, 0.5): 90.875}
    said = found[0, 0.5]["findings"][0]
    assert said["sentences"]["sure"] == {"key": "sure.alone", "values": {"images": 2000, "percent": 90.25, "half": 1.5}}
    (tuned,) = [each for each in said["risks"] if each["name"] == "finetuning"]
    assert (tuned["measured"], tuned["values"]["before"], tuned["values"]["after"]) == (False, 90.25, 90.875)
    assert found[0, 0.5]["difference"] is None


def test_what_was_not_measured_is_none():
    data = page_data([made.prune("a")])
    (point,) = points(data).values()
    unknown = ("top1", "difference", "recalls", "class_differences", "timings", "calibration_error")
    assert [point[name] for name in unknown] == [None] * len(unknown)
    assert data["groups"][0]["start"] == {"series": 0, "point": 0, "why": "smallest"}
    (found,) = point["findings"]
    assert {name: said["key"] for name, said in found["sentences"].items()} == {
        "gain": "gain.unmeasured_zeros", "risk": "risk.unmeasured", "sure": "sure.unmeasured"
    }  # fmt: skip
    assert [each["name"] for each in found["risks"] if each["measured"]] == []
    assert [each["key"] for each in found["phrases"]] == ["phrase.no_data", "phrase.proof"]
    assert [name for name, value in found["criteria"].items() if value] == []


def changed(record, path, value):
    record = deepcopy(record)
    *above, last = path.split(".")
    place = record
    for key in above:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return record


B = made.prune("b")
REFUSED = {
    "no records": ([], "needs records"),
    "two dense models": (
        [B, changed(made.prune("a"), "model.sha256", "e" * 64)],
        r"record 1 and record 2 are of two dense models \(swin_demo\.in_house, SHA-256 ddd.*leave the records",
    ),
    "another version": ([changed(B, "record", 2)], "record 1 is a record of version 2; this version reads 1"),
    "another command": ([changed(B, "command", "grid")], "record of 'grid', which has no place in a report"),
    "no pruned model": ([made.evaluate("d", None)], "None of the records is of a pruned model"),
    "no object": ([[1]], "no whole record"),
    "no results": ([changed(B, "results", None)], "no whole record"),
    "a text for a number": ([changed(B, "results.achieved.ratio", "half")], "ratio is 'half', which is no number"),
    "no finite number": ([changed(B, "results.achieved.nonzero_macs", math.nan)], "nonzero_macs is nan"),
    "below zero": ([changed(B, "results.output.bytes", -1)], "bytes is -1, below 0"),
    "more than all can go": ([changed(B, "results.achieved.ratio", 1.5)], "ratio is 1.5, above 1"),
    "nothing left": ([changed(B, "results.achieved.nonzero_macs", 0)], "nonzero_macs is 0, below 1"),
    "no dense model": ([changed(B, "model.macs", 0)], "macs is 0, below 1"),
    "a text for rows": ([changed(B, "results.stages", "all")], "its stages are no list of objects"),
    "numbers for rows": ([B, changed(made.evaluate("b"), "results.classes", [1])], "its classes are no list"),
    "a text for an object": ([changed(B, "model.pruned", "yes")], "it has no pruned"),
    "a number for an object": ([B, changed(made.evaluate("b"), "results.top5", 5)], "it has no top5"),
    "no images": ([B, changed(made.evaluate("b"), "results.images", 0)], "images is 0, below 1"),
    "no time": ([B, changed(made.bench("b"), "results.rows.0.p50_ms", 0)], "p50_ms is 0"),
    "no speed": ([B, changed(made.bench("b"), "results.ratios.0.speedup.low", 0)], "low is 0"),
    "no threads": ([B, changed(made.bench("b"), "results.threads", "<b>")], "threads is '<b>', which is no number"),
    "another model's text": ([B, changed(made.bench("b"), "results.against", 5)], "it has no against"),
    "more than all": ([B, changed(made.evaluate("b"), "results.top1.percent", 101)], "101 is no percentage"),
    "nothing achieved": ([changed(B, "results.achieved", None)], "has no achieved"),
    "an unknown model": ([B, changed(made.bench("c"), "model.pruned", None)], "two dense models|no other record knows"),
    "other images": (
        [B, made.evaluate("b", None), changed(made.evaluate("d", None), "results.images", 9)],
        "same ones",
    ),
    "two results": ([B, made.evaluate("b"), changed(made.evaluate("b"), "results.top1.percent", 50)], "two results"),
    "other classes": (
        [B, made.evaluate("b"), changed(made.evaluate("a"), "results.classes.0.name", "hole")],
        "other classes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_gets_one_sentence(case):
    records, said = REFUSED[case]
    with pytest.raises(ValueError, match=said) as caught:
        page_data(records)
    assert "\n" not in str(caught.value)


def test_a_date_that_is_none_is_not_known():
    assert page_data([changed(B, "provenance.date", 5)])["sources"][0]["date"] is None
    assert page_data([B])["sources"][0]["date"] == made.PROVENANCE["date"]


def test_files(tmp_path):
    path = tmp_path / "half.json"
    path.write_text(json.dumps(B))
    records, names = read_records([path])
    assert (records, names) == ([B], ["half.json"])
    assert page_data(records, names)["sources"][0]["file"] == "half.json"
    path.write_text(json.dumps(B)[:-9])
    with pytest.raises(ValueError, match=r"half\.json is damaged"):
        read_records([path])
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_records([tmp_path / "none.json"])
