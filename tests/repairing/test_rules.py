"""The rules of repair against brute force."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swinprune_lite.anatomy.modules import writers
from swinprune_lite.pruning.criteria import damped
from swinprune_lite.repairing.covariance import DAMPING, mean_of, told_by_weights, writer
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


@settings(deadline=None, max_examples=20)
@given(WEIGHTS, st.integers(0, 1000))
def test_a_covariance_without_images_is_the_mean_of_what_tells(weight, seed):
    weight, moments = torch.as_tensor(weight), measured(weight.shape[1], seed)
    other = torch.randn(weight.shape[1], 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    told = {
        (): [weight.T @ weight],
        ("written_by",): [other @ other.T],
        ("drawn",): [weight.T @ weight, moments.covariance],
        ("written_by", "drawn"): [other @ other.T, moments.covariance],
    }
    for given_parts, expected in told.items():
        parts = {"written_by": other, "drawn": lambda: moments}
        one = Layer(weight, weight > 0, **{part: parts[part] for part in given_parts})
        scaled = [each * len(each) / each.trace() for each in expected if each.trace() > 0]
        by_hand = sum([*scaled, torch.eye(weight.shape[1], dtype=torch.float64)]) / (1 + len(scaled))
        torch.testing.assert_close(one.covariance, by_hand, rtol=1e-9, atol=1e-9)
        assert torch.linalg.eigvalsh(one.covariance)[0] > 0.2 / (1 + len(scaled))


def test_where_real_images_tell_nothing_else_counts():
    one = layer(torch.randn(4, 6), 1, moments=measured(6, 2), written_by=torch.ones(6, 6), drawn=lambda: 1 / 0)
    torch.testing.assert_close(one.covariance, damped(measured(6, 2).covariance, DAMPING))


def test_drawn_inputs_that_do_not_vary_tell_nothing():
    """What rounding leaves of the difference of two moments is no covariance."""
    constant = torch.rand(6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    reads = constant.expand(7, 6) * (1 + 1e-16 * torch.arange(7)[:, None])
    moments = InputMoments(reads.mean(0), reads.T @ reads / len(reads), len(reads))
    assert not moments.varies
    assert measured(6, 2).varies
    weight, written_by = torch.randn(4, 6, dtype=torch.float64), torch.randn(6, 9, dtype=torch.float64)
    told = layer(weight, 1, written_by=written_by, drawn=lambda: moments)
    assert torch.equal(told.covariance, layer(weight, 1, written_by=written_by).covariance)


def test_what_writes_a_layers_inputs():
    attention = {"qkv": nn.Linear(2, 12), "proj": nn.Linear(4, 3)}
    mlps = {"": {"fc1": nn.Linear(3, 6), "fc2": nn.Linear(6, 3)},
            "gated": {"fc1": nn.Linear(3, 12), "fc2": nn.Linear(6, 3)},
            "alone": {"fc2": nn.Linear(6, 3)}}  # fmt: skip
    model = nn.ModuleDict({f"{name}mlp": nn.ModuleDict({"mlp": nn.ModuleDict(each)}) for name, each in mlps.items()})
    model["a"] = nn.ModuleDict({"attn": nn.ModuleDict(attention)})
    matrices, written = dict(model.named_parameters()), writers(model)
    assert torch.equal(writer("a.attn.proj.weight", written, matrices.get), matrices["a.attn.qkv.weight"][8:])  # v
    assert torch.equal(writer("mlp.mlp.fc2.weight", written, matrices.get), matrices["mlp.mlp.fc1.weight"])
    for name in ("a.attn.qkv.weight", "mlp.mlp.fc1.weight", "gatedmlp.mlp.fc2.weight", "alonemlp.mlp.fc2.weight"):
        assert writer(name, written, matrices.get) is None


def test_conjugate_gradients_end_near_enough_on_what_layers_read():
    """Inputs of which a few directions dominate, as in a transformer."""
    drawn = torch.Generator().manual_seed(1)
    few = torch.randn(300, 5, generator=drawn, dtype=torch.float64)
    reads = few @ few.T + 0.01 * torch.rand(300, 1, generator=drawn, dtype=torch.float64) * torch.eye(300)
    weight = torch.randn(20, 300, generator=drawn, dtype=torch.float64)
    one = Layer(weight, torch.rand(20, 300, generator=drawn) < 0.5)
    covariance = mean_of([reads, told_by_weights(weight)])
    found = least_squares(weight, one.mask, covariance)
    for row, kept, values in zip(weight, one.mask, found):
        exact = torch.linalg.solve(covariance[kept][:, kept], (covariance @ row)[kept])
        assert (values[kept] - exact).norm() < 1e-3 * exact.norm()


def test_with_orthogonal_rows_of_one_length_variance_is_the_norm():
    """A flat spectrum says nothing of the inputs: exponent 1."""
    weight = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64))[0]
    one = layer(weight, 4)
    torch.testing.assert_close(RULES["variances"](one), RULES["rows"](one))


def test_where_all_rows_lie_along_one_direction_the_factor_is_the_norms_squared():
    """The other end, exponent 2."""
    weight = torch.outer(torch.tensor([1.0, -2.0, 0.5]), torch.randn(40)).double()
    one = layer(weight, 4)
    covariance = told_by_weights(weight)
    factor = (variance(weight, covariance) / variance(one.cut, covariance)).sqrt()
    torch.testing.assert_close(factor, weight.square().sum(1) / one.cut.square().sum(1))
