"""SparseGPT against Optimal Brain Surgeon by explicit inverses, least squares, and cutting alone."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import swinprune_lite as sp
from swinprune_lite.calibration.statistics import gradients, input_moments
from swinprune_lite.pruning.criteria import damped
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.repairing.refit import least_squares
from swinprune_lite.repairing.sparsegpt import sparse_gpt, sparsegpt, update


def drawn(seed, rows=4, columns=9):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    reads = torch.randn(30, columns, generator=generator, dtype=torch.float64) @ mix
    mask = torch.rand(rows, columns, generator=generator) < 0.5
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64), reads.T @ reads / 30, mask


def errors(weight, left, second):
    """Of each row, (w - v) S (w - v)^T."""
    return torch.stack([lost @ second @ lost for lost in weight - left])


def one_at_a_time(row, second, leaves):
    """Optimal Brain Surgeon along a row: at each column the inverse of what is still to come, made anew."""
    row = row.clone()
    for j in range(len(row)):
        inverse = torch.linalg.inv(second[j:, j:])
        if leaves(j, row, inverse):
            row[j:] -= row[j] / inverse[0, 0] * inverse[0]
            row[j] = 0
    return row


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 100]))
def test_with_a_given_mask_it_is_the_surgeon_column_by_column(seed, block):
    weight, second, mask = drawn(seed)
    found = update(weight, mask, second, block, 0.1)
    for row, kept, left in zip(weight, mask, found):
        expected = one_at_a_time(row, damped(second, 0.1), lambda j, _row, _inverse, kept=kept: not kept[j])
        torch.testing.assert_close(left, expected, rtol=1e-7, atol=1e-9)
        assert not left[~kept].any()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 100]), st.integers(0, 9))
def test_a_block_loses_what_costs_least_when_it_is_reached(seed, block, removed):
    weight, second, _ = drawn(seed, rows=1)
    mask, found = sparsegpt(weight, second, removed, block, 0.1)
    chosen = []

    def leaves(j, row, inverse):
        if j % block == 0:
            end = min(j + block, 9)
            costs = {k: row[k] ** 2 / torch.linalg.inv(damped(second, 0.1)[k:, k:])[0, 0] for k in range(j, end)}
            count = round(removed * end / 9) - round(removed * j / 9)
            chosen.extend(sorted(costs, key=costs.get)[:count])
        return j in chosen

    expected = one_at_a_time(weight[0], damped(second, 0.1), leaves)
    torch.testing.assert_close(found[0], expected, rtol=1e-7, atol=1e-9)
    assert sorted(chosen) == (~mask[0]).nonzero().flatten().tolist()
    assert len(chosen) == removed


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_the_rows_of_a_block_compete_and_the_count_is_met(seed, share):
    weight, second, _ = drawn(seed)
    removed = round(share * 36)
    mask, left = sparsegpt(weight, second, removed, 4)
    assert int((~mask).sum()) == removed
    torch.testing.assert_close(left, update(weight, mask, second, 4))
    factor = torch.linalg.cholesky(torch.linalg.inv(damped(second, 0.01)), upper=True)
    costs = (weight / factor.diagonal())[:, :4].square()  # the first block, as it is found
    kept = mask[:, :4]
    if kept.any() and not kept.all():
        assert costs[kept].min() >= costs[~kept].max()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_it_is_never_nearer_than_least_squares_and_equal_where_the_cut_comes_first(seed):
    weight, second, mask = drawn(seed)
    second = damped(second, 0.1)
    best = errors(weight, least_squares(weight, mask, second), second)
    assert (errors(weight, update(weight, mask, second, damping=0), second) >= best * (1 - 1e-6)).all()
    mask = torch.arange(9).expand(4, 9) >= torch.tensor([[0], [2], [5], [9]])  # the cut weights first
    left = update(weight, mask, second, damping=0)
    torch.testing.assert_close(left, least_squares(weight, mask, second), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(update(weight, mask.flip(1), second), weight * mask.flip(1))  # last: nobody to refit


def test_one_row_may_end_further_away_than_by_cutting_alone():
    factor = torch.tensor([[1, 1, 0], [0, 1, 2], [0, 0, 1]], dtype=torch.float64)
    second = torch.linalg.inv(factor.T @ factor)
    weight, mask = torch.tensor([[1, 0, -2]], dtype=torch.float64), torch.tensor([[False, True, False]])
    assert errors(weight, weight * mask, second).item() == pytest.approx(2)
    assert errors(weight, update(weight, mask, second, damping=0), second).item() == pytest.approx(5)


@pytest.fixture(scope="module")
def lite():
    return sp.load_lite("swin_lite_micro")


@pytest.fixture(scope="module")
def moments(lite):
    return input_moments(lite, [next(iter(sp.lite_data("calibration", 20)))])


def test_on_a_trained_model_a_layer_ends_nearer_than_by_cutting_alone(lite, moments):
    masks = sp.make_masks(lite, 0.7, "uniform")
    for name, mask in [*masks.items()][::5]:  # of all four kinds
        weight, second = lite.get_parameter(name).detach().double(), damped(moments[name].second, 0.01)
        for kept in (mask, sparsegpt(weight, moments[name].second, int((~mask).sum()))[0]):
            cut, refitted, best = (
                errors(weight, left, second).sum()
                for left in (
                    weight * kept,
                    update(weight, kept, second, damping=0),
                    least_squares(weight, kept, second),
                )
            )
            assert best * (1 - 1e-6) <= refitted < cut, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_model_is_pruned_layer_by_layer_and_the_masks_are_held(lite, moments, dtype):
    model = copy.deepcopy(lite).to(dtype)
    whole = copy.deepcopy(model)
    masks = sparse_gpt(model, 0.6, moments)
    found = held_masks(model)
    assert list(masks) == sp.prunable(model)
    for name, parameter in model.named_parameters():
        if name not in masks:
            assert torch.equal(parameter, whole.get_parameter(name))
            continue
        assert torch.equal(masks[name], found[name])
        weight = whole.get_parameter(name).detach().double()
        mask, left = sparsegpt(weight, moments[name].second, round(0.6 * weight.numel()))
        assert torch.equal(masks[name], mask)
        assert torch.equal(parameter, left.to(dtype))


def test_at_ratio_zero_nothing_changes(lite, moments):
    model = copy.deepcopy(lite)
    masks = sparse_gpt(model, 0, moments)
    assert all(mask.all() for mask in masks.values())
    assert all(torch.equal(value, lite.state_dict()[name]) for name, value in model.state_dict().items())


def test_its_update_is_a_rule_of_repair(lite, moments):
    masks = sp.make_masks(lite, 0.7)
    images, _ = next(iter(sp.lite_data("held-out", 50)))
    far = []
    for rule in (lambda layer: layer.cut, lambda layer: update(layer.weight, layer.mask, layer.covariance)):
        model = copy.deepcopy(lite)
        sp.repair(model, masks, rule, moments)
        with torch.no_grad():
            far.append(float((model(images) - lite(images)).norm()))
    assert far[1] < 0.9 * far[0]


def test_what_does_not_fit_is_refused_and_the_model_left(lite, moments):
    model = copy.deepcopy(lite)
    name = sp.prunable(model)[-1]
    poisoned = copy.deepcopy(lite)
    poisoned.get_parameter(name).data[0, 0] = math.nan
    huge = copy.deepcopy(lite).half()
    huge.get_parameter(name).data.fill_(6e4)
    apart = {name: torch.randn(64, 256, dtype=torch.float64) for name in moments}
    for other, ratio, measured, said in (
        (model, 1.0, moments, r"ratio must be a number in \[0, 1\)"),
        (model, 0.5, None, r"^SparseGPT wants input moments: give moments=input_moments\(model, batches\)\.$"),
        (model, 0.5, apart, r"^SparseGPT wants input moments: .*, not Tensor\.$"),
        (model, 0.5, {name: moments[name]}, r"have nothing for layers\.0\.blocks\.0\.attn\.qkv\.weight"),
        (poisoned, 0.5, moments, rf"^{name} holds NaN or infinity"),
        (huge, 0.5, moments, rf"^{name} after SparseGPT holds NaN or infinity"),
        (torch.nn.Linear(2, 2), 0.5, {}, "Linear has nothing to prune"),
    ):
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(ValueError, match=said):
            sparse_gpt(other, ratio, measured)
        assert held_masks(other) == {}
        after = other.state_dict()
        assert all(torch.equal(value.nan_to_num(), after[key].nan_to_num()) for key, value in before.items())
    slopes = gradients(lite, [next(iter(sp.lite_data("calibration", 1)))])
    with pytest.raises(ValueError, match=r"SparseGPT wants input moments: .*, not Gradients\.$"):
        sparse_gpt(model, 0.5, slopes)


def test_numbers_that_do_not_fit_a_layer_are_refused():
    weight, second, mask = drawn(0)
    zeros = torch.zeros_like(second)
    assert torch.equal(update(weight, mask, zeros), weight * mask)  # nothing is known of what the layer reads
    for asked, said in (
        ((weight, second, 37), "removed must be a whole number from 0 to 36, the weights; got 37"),
        ((weight, second, 0.5), "removed must be a whole number .* got 0.5"),
        ((weight, second[:3, :3], 2), r"got \(4, 9\) of torch.float64 and \(3, 3\) of torch.float64"),
        ((weight.float(), second, 2), r"both float64; got \(4, 9\) of torch.float32"),
        ((weight, second, 2, 0), "block must be a whole number of 1 or more.* got 0, 0.01"),
        ((weight, second, 2, 4, -1), "damping finite and 0 or more; got 4, -1"),
        ((weight, -second, 2), "not positive definite with damping 0.01; give a larger one"),
        ((weight, zeros, 2, 4, 0.0), "not positive definite with damping 0.0; give a larger one"),
    ):
        with pytest.raises(ValueError, match=said):
            sparsegpt(*asked)
    with pytest.raises(ValueError, match=r"mask must be a bool tensor of the weight's shape \(4, 9\); got \(9, 4\)"):
        update(weight, mask.T, second)
