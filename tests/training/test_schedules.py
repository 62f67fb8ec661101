"""Gradual pruning: what is removed stays removed, however the rest is trained in between."""

import copy

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.pruning.budgets import shares
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe

ORDER = ("MLP-M", "QKV-M", "PRJ-M")


@pytest.fixture
def model():
    return sp.create_lite("swin_lite_micro")


def removed(masks, names):
    return sum(int((~masks[name]).sum()) for name in names)


def nested(later, earlier):
    return not any((later[name] & ~earlier[name]).any() for name in earlier)


def trained(model, masks):
    """The masks applied, and every weight moved as by training that does not know of them."""
    sp.apply_masks(model, masks)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=generator)


@pytest.mark.parametrize(("method", "how"), [
    ("dimap", {}), ("erk", {}), ("random", {}), ("uniform", {"budget": "alpha"}),
    ("dimap", {"criterion": lambda weight, statistic: torch.cos(1e4 * weight)}),  # zeros have the highest score
    ("dimap", {"of": "macs"}),
])  # fmt: skip
def test_masks_are_nested_and_grow_by_the_cubic(model, method, how):
    at_once = sp.make_masks(model, 0.8, method, **how)
    groups = [group for group in sp.modules(model).values() if group[0] in at_once]
    if method != "dimap":
        groups = [[name] for name in at_once]
    earlier = None
    for step, masks in enumerate(sp.schedule(model, 0.8, 4, method=method, **how), start=1):
        for names in groups:
            assert removed(masks, names) == round(removed(at_once, names) * (1 - (1 - step / 4) ** 3))
        assert earlier is None or nested(masks, earlier)
        earlier = masks
        trained(model, masks)
    assert step == 4


def test_held_zeros_have_the_lowest_score_anyway(model):
    """So `make_masks` by itself, on a model pruned and trained, gives masks within those it holds."""
    for method in ("dimap", "lamp"):
        other, earlier = copy.deepcopy(model), {}
        for ratio in (0.3, 0.6, 0.8):
            masks = sp.make_masks(other, ratio, method)
            assert nested(masks, earlier)
            earlier = masks
            trained(other, masks)
            other.state_dict()  # sets to zero what is held, as an optimizer's step does


def test_one_module_after_the_other(model):
    at_once = sp.make_masks(model, 0.7)
    found = list(sp.schedule(model, 0.7, 2, turns=ORDER))
    parts = sp.modules(model)
    ends = {module: removed(at_once, parts[module]) for module in ORDER}
    shares_ = [[removed(masks, parts[module]) / ends[module] for module in ORDER] for masks in found]
    half = 1 - 0.5**3
    expected = [[half, 0, 0], [1, 0, 0], [1, half, 0], [1, 1, 0], [1, 1, half], [1, 1, 1]]
    torch.testing.assert_close(torch.tensor(shares_), torch.tensor(expected).double().float(), atol=1e-3, rtol=0)
    assert all(map(torch.equal, found[-1].values(), at_once.values()))  # nothing was trained


def test_one_stage_after_the_other(model):
    found = list(sp.schedule(model, 0.7, 1, turns="by_stage", grouping="by_module_and_stage"))
    stages = [[name for name in sp.prunable(model) if name.startswith(f"layers.{stage}.")] for stage in range(4)]
    cut = [[removed(masks, names) > 0 for names in stages] for masks in found]
    assert cut == [[True] * done + [False] * (4 - done) for done in (1, 2, 3, 4)]


def test_it_goes_on_from_the_masks_that_are_held(model):
    first = sp.make_masks(model, 0.4)
    trained(model, first)
    names, size = list(first), sum(mask.numel() for mask in first.values())
    for step, masks in enumerate(sp.schedule(model, 0.8, 2), start=1):
        assert nested(masks, first)
        assert removed(masks, names) == pytest.approx((0.8 + (0.4 - 0.8) * (1 - step / 2) ** 3) * size, abs=3)
    with pytest.raises(ValueError, match="ratio 0.3 removes"):
        sp.schedule(model, 0.3, 2)


def test_a_loop_of_cutting_and_fine_tuning(model):
    images = torch.randn(4, 1, 32, 64)
    before = model.layers[0].blocks[0].mlp.fc1.weight.detach().clone()
    for masks in sp.schedule(model, 0.6, 2, turns=ORDER, budget=shares({"QKV-M": 0.5, "PRJ-M": 0.3, "MLP-M": 0.6})):
        sp.apply_masks(model, masks)
        finetune(model, [(images, torch.arange(4))], Recipe(lr=1e-3, warm_up=0, precision=torch.float32))
    assert all((model.get_parameter(name) != 0).equal(mask) for name, mask in masks.items())
    assert removed(masks, masks) == round(0.6 * sum(mask.numel() for mask in masks.values()))
    moved = model.layers[0].blocks[0].mlp.fc1.weight.detach() - before
    assert moved[masks["layers.0.blocks.0.mlp.fc1.weight"]].all()


@pytest.mark.parametrize(("given", "said"), [
    ({"steps": 0}, "whole number, 1 or more; got 0"),
    ({"steps": 2.0}, "whole number, 1 or more; got 2.0"),
    ({"ratio": 1.5}, r"ratio must be a number in \[0, 1\)"),
    ({"turns": ("MLP-M", "QKV-M")}, r"modules QKV-M, PRJ-M, MLP-M in the order .* got \('MLP-M', 'QKV-M'\)"),
    ({"turns": 3}, "or a grouping; got 3"),
    ({"turns": "by_head"}, "Unknown grouping 'by_head'"),
    ({"turns": "by_stage"}, r"compete with layers\.0\.blocks\.0\.attn\.qkv\.weight must have a turn, and .* together"),
    ({"turns": lambda model: [sp.prunable(model)[1:]], "grouping": "by_layer"}, "must have a turn"),
])  # fmt: skip
def test_a_schedule_that_means_nothing_is_refused_before_its_first_step(model, given, said):
    with pytest.raises(ValueError, match=said):
        sp.schedule(model, **({"ratio": 0.5, "steps": 2} | given))
