import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import swinprune_lite as sp
from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.pruning.selection import select

VALUES = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5]), st.floats(-4, 4, width=16))
WEIGHTS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=VALUES)
DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


def brute_force(weight: torch.Tensor) -> np.ndarray:
    """Equation 10 read literally: for each weight, sum the squares of those that come before it."""
    values = [float(value) for value in weight.flatten()]
    scores = []
    for j, value in enumerate(values):
        energy = sum(
            other**2
            for i, other in enumerate(values)
            if abs(other) > abs(value) or (abs(other) == abs(value) and i <= j)
        )
        scores.append(value**2 / energy if value else 0.0)
    return np.array(scores).reshape(weight.shape)


@settings(deadline=None, max_examples=200)
@given(WEIGHTS, DTYPES)
def test_equals_the_brute_force_reference(array, dtype):
    weight = torch.from_numpy(array).to(dtype)
    scores = sp.importance(weight)
    assert scores.dtype == torch.float64
    np.testing.assert_allclose(scores.numpy(), brute_force(weight), rtol=1e-12, atol=0)


@settings(deadline=None)
@given(WEIGHTS)
def test_orders_a_layer_by_magnitude_with_the_largest_at_one(array):
    weight = torch.from_numpy(array).flatten()
    scores = sp.importance(weight)
    ordered = scores[weight.abs().argsort(stable=True)]
    nonzero = weight.abs().sort().values > 0
    groups = weight.abs().sort().values[1:] > weight.abs().sort().values[:-1]
    assert (ordered[1:][groups] >= ordered[:-1][groups]).all()
    assert scores.max() == (1 if nonzero.any() else 0)


def test_edges():
    assert sp.importance(torch.tensor([3.0])).tolist() == [1.0]
    assert sp.importance(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2
    # ties: the earlier of two equal weights counts as the larger
    assert sp.importance(torch.tensor([1.0, -1.0])).tolist() == [1.0, 0.5]
    # squares that neither float32 nor float64 could hold
    assert sp.importance(torch.tensor([1e-30, 1e30])).tolist() == pytest.approx([1e-120, 1.0])
    assert sp.importance(torch.tensor([1e-200, 2e-200], dtype=torch.float64)).tolist() == pytest.approx([0.2, 1.0])


@pytest.mark.parametrize("scale", [2.0**-1074, 2.0**-1022, 2.0**-600, 2.0**600, 2.0**1020])
def test_no_scale_of_float64_changes_a_score(scale):
    weight = torch.tensor([3.0, -1.0, 0.0, 5.0, 15.0, 5.0], dtype=torch.float64)
    assert torch.equal(sp.importance(weight * scale), sp.importance(weight))
    assert sp.importance(torch.full((4,), 2.0**1023, dtype=torch.float64)).tolist() == [1, 1 / 2, 1 / 3, 1 / 4]


def test_relative_energy_is_equation_10():
    square, energy = torch.tensor([0.0, 0.0, 1.0, 4.0]), torch.tensor([0.0, 2.0, 5.0, 4.0])
    assert torch.equal(relative_energy(square, energy), torch.tensor([0, 0, 1 / 5, 1]))
    assert METHODS["dimap"].parts()[0].score is METHODS["lamp"].parts()[0].score is relative_energy


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.tensor([1.0, float("nan")]), "NaN or infinity"),
        (torch.tensor([1.0, float("inf")]), "NaN or infinity"),
        (torch.empty(0), "non-empty floating"),
        (torch.ones(2, dtype=torch.int64), "non-empty floating"),
        (torch.ones(2, device="meta"), "on the meta device"),
        (
            torch.eye(2).to_sparse(),
            r"weight is a sparse tensor \(sparse_coo\), and only dense ones are taken; call to_dense",
        ),
        (torch.eye(2).to_sparse_csr(), r"weight is a sparse tensor \(sparse_csr\)"),
    ],
)
def test_bad_input(weight, words):
    with pytest.raises(ValueError, match=words):
        sp.importance(weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_denormals_count_also_where_the_process_flushes_them(dtype):
    least = torch.finfo(dtype).smallest_normal / 2**7
    weight = (torch.tensor([1.0, 3.0, 0.0, 4.0], dtype=torch.float64) * least).to(dtype)
    assert weight.count_nonzero() == 3
    if not torch.set_flush_denormal(True):
        pytest.skip("This processor cannot flush them.")
    try:
        assert sp.importance(weight).tolist() == [1 / 26, 9 / 25, 0, 1]
        assert select({"layer": weight}, 2, relative_energy)["layer"].tolist() == [False, True, False, True]
        assert (torch.tensor(1e-39) * 1).item() == 0  # still
    finally:
        torch.set_flush_denormal(False)
