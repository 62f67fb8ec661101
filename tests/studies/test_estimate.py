"""Estimates: what a profile needs is counted, what a machine does with it is divided."""

import pytest

from swinprune_lite.kept import keep
from swinprune_lite.paper.counts import whole
from swinprune_lite.studies import estimate, reproduction
from swinprune_lite.studies.profiles import get_profile


def test_work_counts_every_measurement_of_the_grid():
    profile = get_profile("imagenette")
    needed = estimate.work(profile)
    assert list(needed.index) == ["Swin-T", "Swin-S", "Swin-B"]
    assert needed.measurements.sum() == len(reproduction.whole(profile))
    assert (needed.evaluated == 3925 * needed.measurements).all()
    tuned = sum(setting.steps > 0 for setting in reproduction.whole(profile))
    assert needed.trained.sum() == tuned * profile.finetune_steps * profile.batch_size
    epochs = estimate.work(get_profile("imagenet")).trained / needed["fine-tunings"]
    assert set(epochs) == {30 * 1_281_167}


def test_hours_by_hand():
    profile = get_profile("imagenette")
    machine = estimate.Machine("slow", peak=1e12, share=0.5, memory=1e9)
    found, needed = estimate.hours(profile, machine), estimate.work(profile)
    macs = whole("swin_tiny_patch4_window7_224", 224).macs
    assert found.evaluation["Swin-T"] == pytest.approx(needed.evaluated["Swin-T"] * macs / 0.5e12 / 3600)
    assert found["fine-tuning"]["Swin-T"] == pytest.approx(3 * needed.trained["Swin-T"] * macs / 0.5e12 / 3600)
    rates = estimate.throughput()["rows"].set_index(["model", "work"]).images_a_second
    expected = needed.evaluated["Swin-B"] / rates["Swin-B", "evaluation"] / 3600
    assert estimate.hours(profile).evaluation["Swin-B"] == pytest.approx(expected)


def test_what_fits_a_free_gpu():
    batch = get_profile("imagenette").batch_size
    assert estimate.memory(batch).loc["Swin-B", "fine-tuning"] < estimate.COLAB.memory
    few, many = (estimate.memory(size) for size in (8, 16))
    assert (many > few).all().all()


def test_estimates_of_nothing_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="Estimates are made for imagenette and imagenet; got the profile 'lite'"):
        estimate.work(get_profile("lite"))
    for numbers in ({"peak": 0}, {"share": 0}, {"share": 1.5}, {"memory": float("inf")}):
        with pytest.raises(ValueError, match="slow must have a peak and memory above zero and a share in"):
            estimate.Machine("slow", **({"peak": 1e12, "share": 0.5, "memory": 1e9} | numbers))
    with pytest.raises(ValueError, match="A batch has 1 image or more; got 0"):
        estimate.memory(0)
    found = estimate.throughput()
    path = tmp_path / "throughput.json"
    monkeypatch.setattr(estimate, "THROUGHPUT", path)
    with pytest.raises(
        LookupError,
        match=r"throughput\.json is missing; in the repository 'python benchmarks/throughput\.py --keep' measures it",
    ):
        estimate.throughput()
    rows = found["rows"].assign(images_a_second=0.0).to_dict("records")
    keep(path, found | {"rows": rows})
    with pytest.raises(ValueError, match="has a speed that is not above zero images a second"):
        estimate.throughput()
