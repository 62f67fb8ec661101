"""`sp.repair`: masks held and weights that give back what cutting took, on whole models."""

import copy
import pickle

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.acceleration.storage import load_pruned, save_pruned
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.repairing.apply import DRAWN
from swinprune_lite.repairing.rules import RULES
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe

QKV = "layers.0.blocks.0.attn.qkv.weight"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Images of 224 pixels in float64 take time; that 64 are drawn by default is tested on lite models."""
    defaults = list(sp.repair.__defaults__)
    defaults[defaults.index(DRAWN)] = 2
    monkeypatch.setattr(sp.repair, "__defaults__", tuple(defaults))


@pytest.fixture
def swin(small_swin):
    return copy.deepcopy(small_swin)


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_micro")


def outputs(model):
    images, _ = next(iter(sp.lite_data("smoke", 50)))
    with torch.no_grad():
        return model.eval()(images)


@pytest.mark.parametrize("rule", RULES)
def test_masks_are_held_and_all_else_is_left(swin, rule):
    dense, masks = copy.deepcopy(swin.state_dict()), sp.make_masks(swin, 0.6)
    assert sp.repair(swin, masks, rule) is None
    found = held_masks(swin)
    assert found.keys() == masks.keys()
    for name, parameter in swin.named_parameters():
        if name not in masks:
            assert torch.equal(parameter, dense[name]) != name.startswith("head.")
            continue
        assert torch.equal(found[name], masks[name])
        assert not parameter[~masks[name]].any()
        assert not torch.equal(parameter[masks[name]], dense[name][masks[name]])


def test_a_repaired_lite_model_is_nearer_to_the_dense_one(lite):
    masks, dense = sp.make_masks(lite, 0.8), outputs(lite)
    distances = {}
    for rule in ("cut", "rows", "variances", "refit"):
        model = copy.deepcopy(lite)
        if rule == "cut":
            sp.apply_masks(model, masks)
        else:
            sp.repair(model, masks, rule)
        distances[rule] = float((outputs(model) - dense).norm())
    assert distances["refit"] < distances["variances"] < distances["cut"]
    assert distances["rows"] < distances["cut"]


def test_with_moments_each_output_keeps_its_mean(lite):
    moments, masks = input_moments(lite, [next(iter(sp.lite_data("smoke", 40)))]), sp.make_masks(lite, 0.8)
    model = copy.deepcopy(lite)
    sp.repair(model, masks, moments=moments)
    for name in masks:
        path = name.removesuffix(".weight")
        before, after = (each.get_submodule(path) for each in (lite, model))
        mean = moments[name].mean.float()
        torch.testing.assert_close(after(mean), before(mean), rtol=1e-3, atol=1e-3)
    assert (outputs(model) - outputs(lite)).norm() < 0.9 * _distance_without(lite, masks)


def _distance_without(lite, masks):
    model = copy.deepcopy(lite)
    sp.repair(model, masks)
    return (outputs(model) - outputs(lite)).norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type(swin, dtype):
    masks = sp.make_masks(swin, 0.5)
    narrow = copy.deepcopy(swin).to(dtype)
    sp.repair(swin, masks)
    sp.repair(narrow, masks)
    assert narrow.get_parameter(QKV).dtype == dtype
    torch.testing.assert_close(narrow.get_parameter(QKV).float(), swin.get_parameter(QKV), rtol=0.05, atol=0.02)


def test_it_goes_with_what_comes_after(swin, tmp_path):
    data = [(torch.randn(4, 3, 224, 224), torch.arange(4))]
    masks = sp.make_masks(swin, 0.5)
    sp.repair(swin, masks)
    save_pruned(swin, tmp_path / "pruned", masks)
    state, loaded = load_pruned(tmp_path / "pruned")
    assert all(torch.equal(loaded[name], masks[name]) for name in masks)
    assert torch.equal(state[QKV], swin.get_parameter(QKV).half())
    before = swin.get_parameter(QKV).detach().clone()
    finetune(swin, data, Recipe(epochs=1))
    assert not swin.get_parameter(QKV)[~masks[QKV]].any()
    assert not torch.equal(swin.get_parameter(QKV), before)


def test_heads_and_hidden_units_that_leave_are_made_up_for(lite):
    masks = sp.structured_masks(lite, 0.3)
    model = copy.deepcopy(lite)
    sp.repair(model, masks, "rows")
    small = sp.compact(model, masks)
    torch.testing.assert_close(outputs(small), outputs(model), rtol=1e-3, atol=1e-4)


def test_a_rule_of_ones_own(swin):
    masks, dense = sp.make_masks(swin, 0.5), swin.get_parameter(QKV).detach().clone()
    sp.repair(swin, masks, lambda layer: 2 * layer.weight)
    torch.testing.assert_close(swin.get_parameter(QKV), 2 * dense * masks[QKV])


def test_what_does_not_fit_is_refused_and_the_model_left(swin):
    masks = sp.make_masks(swin, 0.5)
    before = copy.deepcopy(swin.state_dict())
    huge = copy.deepcopy(swin).half()
    huge.get_parameter(QKV).data[:, 0] = 6e4
    for model, given, said in (
        (swin, {"rule": "magic"}, "Unknown rule 'magic'; choose one of refit"),
        (swin, {"rule": lambda layer: layer.weight[0]}, f"must give {QKV} weights of shape"),
        (swin, {"rule": lambda layer: None}, "it gave NoneType"),
        (swin, {"rule": lambda layer: layer.weight / 0}, f"{QKV} after the repair holds NaN or infinity"),
        (huge, {"rule": lambda layer: layer.weight * 2}, f"{QKV} after the repair holds NaN or infinity"),
        (swin, {"moments": {}}, f"statistics have nothing for {QKV}"),
        (
            swin,
            {"moments": masks},
            r"repair wants input moments: give moments=input_moments\(model, batches\), not Tensor",
        ),
        (swin, {"drawn": -1}, "drawn must be a whole number of images, 0 .* or more; got -1"),
        (swin, {"drawn": 1.5}, "drawn must be a whole number of images"),
    ):
        with pytest.raises(ValueError, match=said):
            sp.repair(model, masks, **given)
        assert held_masks(model) == {}
    with pytest.raises(ValueError, match="no parameter 'magic'"):
        sp.repair(swin, {"magic": masks[QKV]})
    assert all(torch.equal(before[name], value) for name, value in swin.state_dict().items())
    sp.repair(swin, {name: torch.ones_like(mask) for name, mask in masks.items()})  # takes nothing


def test_before_or_after_apply_masks_is_the_same(swin):
    masks, other = sp.make_masks(swin, 0.3), sp.make_masks(swin, 0.6)
    first, then, late, copied = (copy.deepcopy(swin) for _ in range(4))
    sp.repair(first, other)
    for model in (then, late, copied):
        sp.apply_masks(model, masks)
        sp.apply_masks(model, other)  # more goes; what went before is remembered too
    sp.repair(then, other)
    copied = copy.deepcopy(copied)
    sp.repair(copied, other)
    late.double()
    sp.repair(late.float(), other)
    for model in (then, late, copied):
        torch.testing.assert_close(model.state_dict(), first.state_dict())


def step(model):
    model(torch.randn(1, 3, 224, 224)).sum().backward()
    torch.optim.SGD(model.parameters(), 1e-3).step()
    return model


@pytest.mark.parametrize(
    "later",
    [
        step,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: model.load_state_dict(model.state_dict()) and model,
        lambda model: sp.repair(model, sp.make_masks(model, 0.5)) or model,
    ],
    ids=["trained", "unpickled", "loaded", "repaired"],
)
def test_what_was_cut_is_known_until_the_rest_changes(swin, later):
    masks = sp.make_masks(swin, 0.5)
    sp.apply_masks(swin, masks)
    before = copy.deepcopy(swin)
    swin = later(swin)
    with pytest.raises(ValueError, match="it is not known what they were.*right after apply_masks"):
        sp.repair(swin, masks)
    sp.repair(before, masks)
    sp.repair(swin, sp.make_masks(swin, 0.7))  # what this takes is there
