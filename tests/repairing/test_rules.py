"""The rules of repair against brute force."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swinprune_lite.pruning.criteria import damped
from swinprune_lite.repairing.covariance import DAMPING, own_gram
from swinprune_lite.repairing.refit import least_squares, variance
from swinprune_lite.repairing.rules import RULES, Layer, norms
from swinprune_lite.types import InputMoments

WEIGHTS = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(-3, 3, width=16))


def layer(weight, seed, share=0.5, **more):
    weight = torch.as_tensor(weight)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < share
    return Layer(weight, mask, **more)


def measured(columns, seed):
    reads = torch.randn(50, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    reads = reads @ torch.randn(
        columns, columns, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64
    )
    return InputMoments(reads.mean(0), reads.T @ reads / len(reads), len(reads))


@settings(deadline=None, max_examples=40)
@given(WEIGHTS, st.integers(0, 1000))
def test_least_squares_solves_each_rows_normal_equations(weight, seed):
    one = layer(weight, seed)
    covariance = damped(measured(weight.shape[1], seed).covariance, DAMPING)
    found = least_squares(one.weight, one.mask, covariance)
    for row, kept, values in zip(one.weight, one.mask, found):
        expected = torch.linalg.solve(covariance[kept][:, kept], (covariance @ row)[kept])
        torch.testing.assert_close(values[kept], expected, rtol=1e-5, atol=1e-6)
        assert not values[~kept].any()


@settings(deadline=None, max_examples=40)
@given(WEIGHTS, st.integers(0, 1000), st.sampled_from([0.0, 0.5, 1.0]))
def test_whole_columns_leave_as_single_weights_do(weight, seed, share):
    weight = torch.as_tensor(weight)
    kept = torch.rand(weight.shape[1], generator=torch.Generator().manual_seed(seed)) < share
    covariance = damped(measured(weight.shape[1], seed).covariance, DAMPING)
    found = least_squares(weight, kept.expand(weight.shape), covariance)
    below = torch.cat([kept.expand(weight.shape), ~kept[None]])  # a row of another mask: no factorisation for all
    slowly = least_squares(torch.cat([weight, weight[:1]]), below, covariance)[:-1]
    torch.testing.assert_close(found, slowly, rtol=1e-5, atol=1e-6)
    assert not found[:, ~kept].any()


@settings(deadline=None, max_examples=20)
@given(WEIGHTS, st.integers(0, 1000), st.sampled_from([*RULES]))
def test_a_rule_keeps_zeros_and_whole_layers_and_gives_numbers(weight, seed, name):
    for share in (0.0, 0.4, 1.0):
        for moments in (None, measured(weight.shape[1], seed)):
            one = layer(weight, seed, share, moments=moments)
            found = RULES[name](one)
            assert found.shape == one.weight.shape
            assert torch.isfinite(found).all()
            assert not found[~one.mask].any()
            if share == 1:
                torch.testing.assert_close(found, one.weight, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("rows", lambda each: each.square().sum(1)),
        ("columns", lambda each: each.square().sum(0)),
        ("layer", lambda each: each.square().sum()),
        ("heads", lambda each: each.view(6, -1).square().sum(1)),
    ],
)
def test_norms_are_given_back(name, norm):
    one = layer(torch.randn(12, 20, dtype=torch.float64), 3, row_groups=6)
    torch.testing.assert_close(norm(RULES[name](one)), norm(one.weight))
    assert not torch.allclose(norm(one.cut), norm(one.weight))


def test_what_reads_heads_is_grouped_by_columns():
    one = layer(torch.randn(5, 12, dtype=torch.float64), 3, column_groups=4)
    per_head = lambda each: each.view(5, 4, 3).square().sum((0, 2))  # noqa: E731
    torch.testing.assert_close(per_head(RULES["heads"](one)), per_head(one.weight))


def test_exponents_and_powers():
    one = layer(torch.randn(4, 30, dtype=torch.float64), 3)
    ratio = (one.weight.square().sum(1) / one.cut.square().sum(1)).sqrt()
    torch.testing.assert_close(RULES["rows^1.5"](one), one.cut * ratio[:, None] ** 1.5)
    ratio = one.weight.abs().sum(1) / one.cut.abs().sum(1)
    torch.testing.assert_close(RULES["rows, root of L1"](one), one.cut * ratio[:, None].sqrt())
    torch.testing.assert_close(norms(1, power=1.0)(one).abs().sum(1), one.weight.abs().sum(1))


@pytest.mark.parametrize("moments", [None, measured(16, 5)])
@pytest.mark.parametrize("name", ["variances", "refit"])
def test_each_rows_output_keeps_its_variance(name, moments):
    one = layer(torch.randn(8, 16, dtype=torch.float64), 2, moments=moments)
    found = RULES[name](one)
    torch.testing.assert_close(variance(found, one.covariance), variance(one.weight, one.covariance))
    brute = torch.stack([row @ one.covariance @ row for row in found])
    torch.testing.assert_close(variance(found, one.covariance), brute)


def test_with_orthogonal_rows_of_one_length_variance_is_the_norm():
    """A flat spectrum says nothing of the inputs: exponent 1. (Without the damping, which is flat too.)"""
    weight = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64))[0]
    one = layer(weight, 4)
    torch.testing.assert_close(RULES["variances"](one), RULES["rows"](one))


def test_where_all_rows_lie_along_one_direction_the_factor_is_the_norms_squared():
    """The other end, exponent 2."""
    weight = torch.outer(torch.tensor([1.0, -2.0, 0.5]), torch.randn(40)).double()
    one = layer(weight, 4)
    covariance = own_gram(weight)
    factor = (variance(weight, covariance) / variance(one.cut, covariance)).sqrt()
    torch.testing.assert_close(factor, weight.square().sum(1) / one.cut.square().sum(1))
