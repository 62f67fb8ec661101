"""The linear probe: its regression against another solution of the same equations, its card, damaged files."""

import json
import shutil

import numpy as np
import pytest
import torch

from swinprune_lite.data.pairs import DIGESTS
from swinprune_lite.files import SHIPPED, sha256
from swinprune_lite.models import probe
from swinprune_lite.models.dinov2 import SHA256, load_dinov2
from swinprune_lite.models.probe import fit_ridge, load_probed, probe_card

FILES = [SHIPPED / f"dinov2_vits14_probe.{kind}" for kind in ("json", "safetensors")]


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 30.0])
def test_the_regression_is_least_squares_with_rows_for_the_penalty(penalty):
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3 + 2
    classes = torch.arange(40) % 3
    found = fit_ridge(inputs, classes, penalty)
    per_number = penalty * inputs.var(0, correction=0).mean().item() * len(inputs)
    rows = np.vstack([np.hstack([inputs.numpy(), np.ones((40, 1))]), np.hstack([np.eye(6), np.zeros((6, 1))])])
    rows[40:] *= per_number**0.5
    expected = np.linalg.lstsq(rows, np.vstack([np.eye(3)[classes], np.zeros((6, 3))]), rcond=None)[0]
    assert np.allclose(found["weight"], expected[:6].T, atol=1e-10)
    assert np.allclose(found["bias"], expected[6], atol=1e-10)


@pytest.mark.parametrize("penalty", [0, -1.0, float("nan")])
def test_a_penalty_must_be_above_zero(penalty):
    with pytest.raises(ValueError, match="penalty must be above zero; got"):
        fit_ridge(torch.ones(2, 1), torch.arange(2), penalty)


def test_the_card_says_what_ships():
    card = probe_card()
    assert card["sha256"] == sha256(FILES[1])
    assert (card["backbone"]["sha256"], card["data"]["sha256"]) == (SHA256, DIGESTS)
    best = max(card["held_out_top1"].values())
    assert card["held_out_top1"][str(card["recipe"]["penalty"])] == best
    assert abs(card["top1"] - best) < 5  # points, between test and held-out garments
    assert card["test_images"] == 1000


def test_the_head_stands_on_the_class_token(wheel):
    model, backbone = load_probed(wheel), load_dinov2(wheel, 112)
    images = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        expected = model.head(backbone.forward_features(images)[:, 0])
        assert torch.equal(model(images), expected)
    assert expected.shape == (1, model.num_classes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card, head: card.unlink(), "probe.json is missing; restore it"),
        (lambda card, head: card.write_text("{"), "probe.json is damaged"),
        (lambda card, head: card.write_text("[]"), "is no card of a probe: it lacks model, backbone"),
        (lambda card, head: card.write_text(json.dumps(probe_card() | {"sha256": "0"})), "has no SHA-256"),
        (lambda card, head: head.unlink(), "probe.safetensors is missing; restore it"),
        (lambda card, head: head.write_bytes(head.read_bytes()[:-1]), "safetensors is damaged or altered"),
    ],
)
def test_damaged_files_are_refused_before_the_wheel_is_opened(tmp_path, monkeypatch, change, said):
    for path in FILES:
        shutil.copy(path, tmp_path)
    change(*(tmp_path / path.name for path in FILES))
    monkeypatch.setattr(probe, "SHIPPED", tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as refused:
        load_probed("no wheel is looked for")
    assert "\n" not in str(refused.value)
