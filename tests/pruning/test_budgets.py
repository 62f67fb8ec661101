import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Size

import swinprune_lite as sp
from swinprune_lite.pruning.budgets import erdos_renyi_kernel, same_share, uniform_plus

layers = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=8)
ratios = st.floats(0, 0.999)


def prepare(shapes):
    return [[Size(shape)] for shape in shapes], np.array([rows * columns for rows, columns in shapes])


@given(layers, ratios)
def test_same_share(shapes, ratio):
    groups, sizes = prepare(shapes)
    assert same_share(groups, ratio) == [round(ratio * int(size)) for size in sizes]


@given(layers, ratios)
def test_erk_equals_the_densities_found_by_bisection(shapes, ratio):
    groups, sizes = prepare(shapes)
    removed = np.array(erdos_renyi_kernel(groups, ratio))
    assert removed.sum() == round(ratio * int(sizes.sum()))
    raw = np.array([sum(shape) / np.prod(shape) for shape in shapes])
    low, high = 0.0, 1 / raw.min()
    for _ in range(200):
        middle = (low + high) / 2
        few = (np.minimum(1, middle * raw) * sizes).sum() < sizes.sum() - removed.sum()
        low, high = (middle, high) if few else (low, middle)
    np.testing.assert_allclose(sizes - removed, np.minimum(1, high * raw) * sizes, atol=1.001)


@given(layers, ratios)
def test_uniform_plus_protects_the_first_and_the_last_layer(shapes, ratio):
    assume(len(shapes) >= 3)
    groups, sizes = prepare(shapes)
    try:
        removed = np.array(uniform_plus(groups, ratio))
    except ValueError as error:
        assert "too high for uniform+" in str(error)  # noqa: PT017
        assert (1 - ratio) * sizes.sum() < sizes[0] + round(0.2 * int(sizes[-1])) + 1
        return
    assert removed.sum() == round(ratio * int(sizes.sum()))
    assert removed[0] == 0
    assert sizes[-1] - removed[-1] >= round(0.2 * int(sizes[-1])) - 1e-9
    shares = (sizes - removed)[1:-1] / sizes[1:-1]
    assert np.ptp(shares * sizes[1:-1].min()) <= 1.001  # alike, up to whole weights


def test_too_high_a_ratio_says_what_is_possible(small_swin):
    with pytest.raises(ValueError, match=r"ratio 0.99 is too high for uniform\+.*give less than 0\.\d{4}"):
        sp.make_masks(small_swin, 0.99, "uniform+")
    assert sum(mask.sum() for mask in sp.make_masks(small_swin, 0.99, "erk").values()) > 0


def test_uniform_plus_on_one_or_two_layers():
    assert uniform_plus([[Size((10, 10))]], 0) == [0]
    assert uniform_plus([[Size((10, 10))], [Size((10, 10))]], 0.4) == [0, 80]
    for layers_, ratio in (([[Size((10, 10))]], 0.1), ([[Size((10, 10))], [Size((10, 10))]], 0.41)):
        with pytest.raises(ValueError, match="too high for uniform"):
            uniform_plus(layers_, ratio)
