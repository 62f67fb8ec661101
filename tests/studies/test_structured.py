"""The study of structured repair: what is asked, what its tables say, and that no test image chose anything."""

from dataclasses import replace

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.acceleration import group_counts
from swinprune_lite.calibration.propagated import propagated_moments
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.measure import masks_of, pruned
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.pruning.masks import digest
from swinprune_lite.studies import acceleration, repair, structured

MICRO = "swin_lite_micro"
CUT = Setting(MICRO, structured.CHOSEN, 0.5, budget="macs")


@pytest.fixture(scope="module")
def evidence():
    return Evidence(repair.PROFILE)


def test_the_choice_saw_no_test_image_and_seed_0_is_not_reported_where_it_chose(evidence):
    chosen = [setting for run, setting in structured.whole() if run == repair.CHOICE]
    assert {setting.training_seed for setting in chosen} == {0}
    for model, seeds in structured.SEEDS.items():
        assert list(seeds) == [seed for seed in repair.reported(model) if seed < 10 and (seed < 3 or model == MICRO)]
    table = structured.by_masks(Evidence(repair.CHOICE, evidence.store))
    criterion, share = table["mean", ""].idxmax()
    assert f"compact/{criterion}/{share}" == structured.CHOSEN


def test_a_compact_setting_names_its_criterion_and_share():
    model = sp.load_lite(MICRO)
    found = {method: masks_of(model, replace(CUT, method=method)) for method in ("compact", "compact/energy/1.2")}
    assert digest(found["compact"]) == digest(found["compact/energy/1.2"])
    chosen = masks_of(model, CUT)
    assert digest(chosen) == digest(sp.structured_masks(model, 0.5, criterion="variance", heads_share=0.5))
    for method in ("compact/variance", "compact/variance/much", "compact/variance/0.5/1"):
        with pytest.raises(ValueError, match=f"After compact come a criterion and heads_share, .* got '{method}'"):
            masks_of(model, replace(CUT, method=method))
    with pytest.raises(ValueError, match="Unknown criterion 'magic'; choose one of energy, variance"):
        masks_of(model, replace(CUT, method="compact/magic/0.5"))
    with pytest.raises(ValueError, match="A compact model loses a share of the MACs"):
        masks_of(model, replace(CUT, budget="weights"))


def test_a_setting_repairs_as_the_readme_does():
    model, _ = pruned(repair.PROFILE, replace(CUT, **structured.REPAIR))
    mine = sp.load_lite(MICRO)
    masks = sp.structured_masks(mine, 0.5, criterion="variance", heads_share=0.5)
    sp.repair(mine, masks, "least squares", propagated_moments(mine))
    mine = sp.compact(mine, masks)
    assert group_counts(mine) == group_counts(model)
    assert all(torch.equal(each, mine.get_parameter(name)) for name, each in model.named_parameters())
    other, _ = pruned(repair.PROFILE, replace(CUT, repair="least squares"))
    assert not torch.equal(other.layers[3].blocks[0].mlp.fc2.weight, mine.layers[3].blocks[0].mlp.fc2.weight)


def test_what_acceleration_measured_is_not_measured_again():
    assert structured.case("swin_lite_tiny", 1, "compact", 0.5) in acceleration.whole()
    assert structured.case("swin_lite_tiny", 1, "compact", 0.5, **structured.REPAIR).images == repair.IMAGES


def test_tables_are_means_over_the_stored_verdicts(evidence):
    row = structured.gains(evidence).xs("mean", axis=1, level=1).loc[(MICRO, 0.5)]
    ways = {"default": {"method": "compact"}, "chosen": {"method": structured.CHOSEN}}
    ways |= {f"{name}, repaired": way | structured.REPAIR for name, way in ways.items()}
    means = {}
    for name, way in ways.items():
        asked = [structured.case(MICRO, seed, ratio=0.5, **way) for seed in range(1, 10)]
        found = torch.stack([evidence.store.find(repair.PROFILE, each).top1[:5000] for each in asked])
        means[name] = 100 * found.double().mean().item()
    assert row["default"] == pytest.approx(means["default"])
    assert row["masks"] == pytest.approx(means["chosen"] - means["default"])
    assert row["repair of default"] == pytest.approx(means["default, repaired"] - means["default"])
    assert row["repair of chosen"] == pytest.approx(means["chosen, repaired"] - means["chosen"])
    repaired = means["chosen, repaired"] - means["default, repaired"]
    assert row["masks, repaired"] == pytest.approx(repaired)
    rules = structured.by_rule(evidence).xs("mean", axis=1, level=1).loc[(MICRO, "chosen")]
    assert rules["least squares"] == pytest.approx(row["repair of chosen"])
    assert rules["ahead"] == pytest.approx(rules["least squares"] - rules[repair.RULE])
    written = structured.written(structured.gains(evidence)).loc[(MICRO, 0.5), "masks"]
    assert written.startswith(f"{row['masks']:.1f} ± ")
