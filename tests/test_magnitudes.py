import numpy as np
import pytest
import torch

from swinprune_lite.magnitudes import Magnitudes

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [1, 1000, 2**17, 2**17 + 1])
def test_bins_split_and_order_equal_what_sorting_says(dtype, size):
    weight = (torch.randn(size) * 10 ** torch.empty(size).uniform_(-6, 1)).to(dtype)
    weight[::3] = weight[0]  # ties
    value = weight.double().abs().numpy()
    layer = Magnitudes("layer", weight)
    place = np.searchsorted(layer.low, value, side="right") - 1
    assert len(layer) == size
    assert np.array_equal(np.bincount(place), layer.counts)
    assert (value <= layer.high[place]).all()
    assert (layer.high[:-1] < layer.low[1:]).all()
    if dtype.itemsize == 2:
        assert np.array_equal(layer.low, layer.high)

    chosen = np.random.default_rng(0).permutation(size)[: size // 2 + 1]
    order, ordered = layer.descending(chosen)
    assert np.array_equal(order, np.argsort(-value[chosen], kind="stable"))
    assert np.array_equal(ordered, value[chosen][order])

    for first, last in ((0, 0), (len(layer.bins) // 3, len(layer.bins) // 2), (0, len(layer.bins) - 1)):
        for _ in range(2):  # once more after a change of scale
            above, positions, energy = layer.split(layer.bins[first], layer.bins[last])
            assert np.array_equal(above.numpy(), place > last)
            assert np.array_equal(positions, np.flatnonzero((place >= first) & (place <= last)))
            assert energy == pytest.approx(np.square(value[place > last]).sum(), rel=1e-13)
            layer.rescale(4.0)
            value = value * 4
    assert ((layer.low[place] <= value) & (value <= layer.high[place])).all()


def test_the_edges_of_a_bin_lie_next_to_the_neighbours():
    layer = Magnitudes("layer", torch.tensor([1.0, -1.0, 1 + 2**-7, 0.0]))
    assert layer.counts.tolist() == [1, 2, 1]
    assert layer.low.tolist() == [0, 1, 1 + 2**-7]
    assert layer.high[1] == 1 + 2**-7 - 2**-23
