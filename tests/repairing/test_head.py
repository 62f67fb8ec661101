"""The head refitted on drawn images: the estimate against brute force, and which heads are found."""

import copy

import numpy as np
import pytest
import timm
import torch
import torchvision

import swinprune_lite as sp
from swinprune_lite.calibration.drawn import drawn_kinds
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.repairing.head import PULL, head_of, read_by, refitted


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_micro")


def heads(seed=0, kinds=3, rows=20, features=5, classes=4):
    """W, b, what the dense network gives and what the pruned one gives, a part of it turned and shifted."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    before = {str(kind): draw(rows, features) + 2 * draw(features) for kind in range(kinds)}
    turn, shift = torch.eye(features) + 0.3 * draw(features, features), draw(features)
    after = {kind: f @ turn + shift + 0.1 * draw(rows, features) for kind, f in before.items()}
    return draw(classes, features), draw(classes), before, after


@pytest.mark.parametrize("seed", range(3))
def test_the_weight_is_the_ridge_regression_of_the_dense_logits(seed):
    """Least squares on the images and, as rows of their own, on the pull to the dense head."""
    weight, bias, before, after = heads(seed)
    f, g = (torch.cat(list(side.values())) for side in (before, after))
    f, g = f - f.mean(0), g - g.mean(0)
    pull = float(PULL * g.square().sum(0).mean()) ** 0.5
    rows = np.vstack([g.numpy(), pull * np.eye(5)])
    expected = np.linalg.lstsq(rows, np.vstack([f @ weight.T, pull * weight.T]), rcond=None)[0].T
    np.testing.assert_allclose(refitted(weight, bias, before, after)[0], expected, rtol=1e-9, atol=1e-9)


def test_a_shift_that_all_kinds_share_is_given_back_and_one_they_disagree_about_is_not():
    weight, bias, before, _ = heads()
    step = torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0], dtype=torch.float64)
    moved = {kind: f - step for kind, f in before.items()}
    found, shifted = refitted(weight, bias, before, moved)
    torch.testing.assert_close(found, weight)
    torch.testing.assert_close(shifted, bias + weight @ step)
    apart = {kind: f - sign * step for sign, (kind, f) in zip((1, -1, 0), before.items())}
    found, shifted = refitted(weight, bias, before, apart)
    centre = torch.cat(list(apart.values())).mean(0)
    torch.testing.assert_close(shifted, bias - (found - weight) @ centre)


def test_a_network_that_nothing_was_cut_from_keeps_its_head():
    weight, bias, before, _ = heads()
    for found, own in zip(refitted(weight, bias, before, before), (weight, bias)):
        torch.testing.assert_close(found, own)
    nothing = {kind: torch.zeros_like(f) for kind, f in before.items()}
    assert all(torch.isfinite(found).all() for found in refitted(weight, bias, before, nothing))


@pytest.mark.parametrize(
    ("name", "path"),
    [("swin_tiny_patch4_window7_224", "head.fc"), ("vit_tiny_patch16_224", "head"), ("resnet18", "fc"),
     ("deit_tiny_distilled_patch16_224", None)],
)  # fmt: skip
def test_heads_of_timm_are_found(name, path):
    model = timm.create_model(name)
    assert head_of(model) == path
    model.reset_classifier(0)
    assert head_of(model) is None


def test_a_head_of_torchvision_is_found():
    assert head_of(torchvision.models.swin_t()) == "head"


def test_drawn_images_give_nearer_logits_with_the_head_refitted(lite):
    masks, apart = sp.make_masks(lite, 0.8), {}
    kinds = drawn_kinds(8, (1, 32, 64), seed=9)  # others than those that the head was refitted on
    logits = lambda model: torch.cat([model.eval()(images.float()) for images in kinds.values()])  # noqa: E731
    for head in (False, True):
        model = copy.deepcopy(lite)
        sp.repair(model, masks, head=head)
        with torch.no_grad():
            apart[head] = float((logits(model) - logits(lite)).norm())
        assert torch.equal(model.head.fc.weight, lite.head.fc.weight) != head
        assert torch.equal(model.head.fc.bias, lite.head.fc.bias) != head
    assert apart[True] < 0.9 * apart[False]


def test_the_head_stays_without_drawn_images_or_with_real_ones_or_if_it_is_pruned(lite):
    masks = sp.make_masks(lite, 0.8)
    real = input_moments(lite, [next(iter(sp.lite_data("smoke", 20)))])
    own = masks | {"head.fc.weight": lite.head.fc.weight.abs() > 0.05}
    for asked, given in (({"drawn": 0}, masks), ({"moments": real}, masks), ({"rule": "rows"}, own)):
        model = copy.deepcopy(lite)
        sp.repair(model, given, **asked)
        assert torch.equal(model.head.fc.bias, lite.head.fc.bias)
    assert not model.head.fc.weight[~own["head.fc.weight"]].any()


def test_a_compiled_model_gets_the_same_head(lite):
    masks = sp.make_masks(lite, 0.8)
    plain, compiled = copy.deepcopy(lite), torch.compile(copy.deepcopy(lite))
    sp.repair(plain, masks, drawn=8)
    sp.repair(compiled, {f"_orig_mod.{name}": mask for name, mask in masks.items()}, drawn=8)
    assert torch.equal(compiled.head.fc.weight, plain.head.fc.weight)


def test_a_head_in_half_precision_and_one_that_never_runs(lite):
    masks, half = sp.make_masks(lite, 0.8), copy.deepcopy(lite).half()
    sp.repair(half, masks, drawn=8)
    assert half.head.fc.weight.dtype == torch.float16
    assert not torch.equal(half.head.fc.weight, lite.head.fc.weight.half())
    assert read_by(lite.double(), "head.fc", []).shape == (0, lite.head.fc.in_features)
