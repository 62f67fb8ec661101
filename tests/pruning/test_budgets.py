import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import swinprune_lite as sp
from swinprune_lite.pruning.budgets import (
    alpha,
    erdos_renyi_kernel,
    removing_macs,
    same_share,
    shares,
    tail_exponent,
    uniform_plus,
)
from swinprune_lite.pruning.groupings import by_layer, by_module

layers = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=8)
ratios = st.floats(0, 0.999)
KINDS = {"QKV-M": "attn.qkv", "PRJ-M": "attn.proj", "MLP-M": "mlp.fc1"}


def prepare(shapes):
    model = nn.ParameterList([torch.randn(shape) for shape in shapes])
    return model, [[name] for name, _ in model.named_parameters()], np.array([math.prod(shape) for shape in shapes])


@given(layers, ratios)
def test_same_share(shapes, ratio):
    model, groups, sizes = prepare(shapes)
    assert same_share(model, groups, ratio) == [round(ratio * int(size)) for size in sizes]


def in_proportion(raw, sizes, most, total):
    """Numbers in proportion to raw * size, none above its `most`, with this sum: the scale found by bisection."""
    low, high = 0.0, (most / np.maximum(raw * sizes, 1e-300)).max() + 1
    for _ in range(200):
        middle = (low + high) / 2
        few = np.minimum(most, middle * raw * sizes).sum() < total
        low, high = (middle, high) if few else (low, middle)
    return np.minimum(most, high * raw * sizes)


@given(layers, ratios)
def test_erk_equals_the_densities_found_by_bisection(shapes, ratio):
    model, groups, sizes = prepare(shapes)
    removed = np.array(erdos_renyi_kernel(model, groups, ratio))
    assert removed.sum() == round(ratio * int(sizes.sum()))
    raw = np.array([sum(shape) / np.prod(shape) for shape in shapes])
    kept = in_proportion(raw, sizes, sizes, sizes.sum() - removed.sum())
    np.testing.assert_allclose(sizes - removed, kept, atol=1.001)


@given(layers, ratios)
def test_uniform_plus_protects_the_first_and_the_last_layer(shapes, ratio):
    assume(len(shapes) >= 3)
    model, groups, sizes = prepare(shapes)
    try:
        removed = np.array(uniform_plus(model, groups, ratio))
    except ValueError as error:
        assert "too high for uniform+" in str(error)  # noqa: PT017
        assert (1 - ratio) * sizes.sum() < sizes[0] + round(0.2 * int(sizes[-1])) + 1
        return
    assert removed.sum() == round(ratio * int(sizes.sum()))
    assert removed[0] == 0
    assert sizes[-1] - removed[-1] >= round(0.2 * int(sizes[-1])) - 1e-9
    kept = (sizes - removed)[1:-1] / sizes[1:-1]
    assert np.ptp(kept * sizes[1:-1].min()) <= 1.001  # alike, up to whole weights


def test_too_high_a_ratio_says_what_is_possible(small_swin):
    with pytest.raises(ValueError, match=r"ratio 0.99 is too high for uniform\+.*give less than 0\.\d{4}"):
        sp.make_masks(small_swin, 0.99, "uniform+")
    assert sum(mask.sum() for mask in sp.make_masks(small_swin, 0.99, "erk").values()) > 0


def test_uniform_plus_on_one_or_two_layers():
    one, two = prepare([(10, 10)])[:2], prepare([(10, 10), (10, 10)])[:2]
    assert uniform_plus(*one, 0) == [0]
    assert uniform_plus(*two, 0.4) == [0, 80]
    for layers_, ratio in ((one, 0.1), (two, 0.41)):
        with pytest.raises(ValueError, match="too high for uniform"):
            uniform_plus(*layers_, ratio)


def with_spectrum(squares, rows, columns):
    """A matrix (rows, columns) with these squared singular values, and zeros for the rest."""
    left, right = (torch.linalg.qr(torch.randn(side, side, dtype=torch.float64))[0] for side in (rows, columns))
    values = torch.tensor(squares, dtype=torch.float64).sqrt()
    return (left[:, : len(values)] * values) @ right[: len(values)]


def test_the_tail_exponent_of_a_known_spectrum():
    squares = [math.e**power for power in range(8)]  # the upper half spans 0, 1, 2 and 3
    for scale in (1, 1e-9, 1e9):
        assert tail_exponent(scale * with_spectrum(squares, 8, 12)) == pytest.approx(1 + 4 / 6)
    assert tail_exponent(with_spectrum(squares[:5], 9, 7)) == pytest.approx(1 + 3 / 3)  # the middle one counts
    assert tail_exponent(with_spectrum(squares, 8, 12).view(8, 3, 2, 2)) == pytest.approx(1 + 4 / 6)
    assert tail_exponent(with_spectrum([3.0] * 6, 6, 6)) == tail_exponent(torch.zeros(3, 3)) == math.inf


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**31))
def test_the_tail_exponent_equals_hill_s_estimate_from_the_gram_matrix(rows, columns, seed):
    weight = np.random.default_rng(seed).standard_t(3, (rows, columns))
    gram = weight @ weight.T if rows < columns else weight.T @ weight
    tail = np.sort(np.linalg.eigvalsh(gram))[min(rows, columns) // 2 :]
    assume(len(tail) > 1)
    expected = 1 + 1 / np.mean(np.log(tail / tail[0]))
    assert tail_exponent(torch.from_numpy(weight)) == pytest.approx(expected, rel=1e-6)


def test_alpha_takes_more_where_the_tail_is_lighter():
    steps = (1.0, 0.5, 0.25)  # the spectrum's in logarithms; exponents of 1 + 4 / (6 step): 5/3, 7/3, 11/3
    weights = [with_spectrum([math.e ** (step * power) for power in range(8)], 8, 50) for step in steps]
    model, groups = nn.ParameterList(weights), [["0"], ["1"], ["2"]]
    raw = [0.7, 0.7 + 0.6 / 3, 1.3]
    assert alpha(model, groups, 0.5) == [round(400 * 1.5 * share / sum(raw)) for share in raw]
    raw = [0.9, 0.9 + 0.2 / 3, 1.1]
    assert alpha(model, groups, 0.5, spread=0.1) == [round(400 * 1.5 * share / sum(raw)) for share in raw]
    assert alpha(model, groups, 0.5, spread=0) == [200] * 3
    model[1].data.zero_()  # no tail at all: as the lightest one
    assert alpha(model, groups, 0.5) == pytest.approx([600 * share / 3.3 for share in (0.7, 1.3, 1.3)], abs=1)
    model[1].data[0, 0] = math.nan
    for spread, said in ((0.3, "1 holds NaN"), (1.5, r"in \[0, 1\]; got 1.5"), (True, "got True")):
        with pytest.raises(ValueError, match=said):
            alpha(model, groups, 0.5, spread)


@settings(max_examples=40)
@given(layers, ratios, st.floats(0, 1))
def test_alpha_meets_the_total_and_leaves_each_layer_a_weight(shapes, ratio, spread):
    model, groups, sizes = prepare(shapes)
    total = round(ratio * int(sizes.sum()))
    exponents = np.array([tail_exponent(weight) for weight in model])
    finite = exponents[np.isfinite(exponents)] if np.isfinite(exponents).any() else np.zeros(1)
    span = np.ptp(finite)
    places = (np.minimum(exponents, finite.max()) - finite.min()) / span if span else np.full(len(sizes), 0.5)
    raw = 1 - spread + 2 * spread * places
    most = np.where(raw > 0, sizes - 1, 0)
    if total > most.sum():
        with pytest.raises(ValueError, match=f"it can remove {most.sum():,} of the {sizes.sum():,} weights"):
            alpha(model, groups, ratio, spread)
        return
    removed = np.array(alpha(model, groups, ratio, spread))
    assert removed.sum() == total
    assert (removed <= most).all()
    np.testing.assert_allclose(removed, in_proportion(raw, sizes, most, total), atol=1.001)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 40)), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(sorted(KINDS)), st.floats(0.01, 5), min_size=3),
    ratios,
)
def test_shares_keep_their_proportions_and_the_total(drawn, given_, ratio):
    model = nn.ModuleList()
    for module, side in drawn:
        above, leaf = KINDS[module].split(".")
        model.append(nn.ModuleDict({above: nn.ModuleDict({leaf: nn.Linear(side, 7, bias=False)})}))
    for grouping in (by_layer, by_module):
        groups = grouping(model)
        sizes = np.array([sum(model.get_parameter(name).numel() for name in group) for group in groups])
        raw = np.array([next(given_[key] for key, path in KINDS.items() if path in group[0]) for group in groups])
        total = round(ratio * int(sizes.sum()))
        assume(total <= (sizes - 1).sum())
        removed = np.array(shares(given_)(model, groups, ratio))
        assert removed.sum() == total
        np.testing.assert_allclose(removed, in_proportion(raw, sizes, sizes - 1, total), atol=1.001)


def test_shares_of_modules(small_swin):
    lost = partial(_lost, small_swin)
    equal = sp.make_masks(small_swin, 0.5, budget=shares({"QKV-M": 2, "PRJ-M": 2, "MLP-M": 2}))
    dimap = lost(sp.make_masks(small_swin, 0.5))
    assert lost(equal) == pytest.approx(dimap, abs=1e-4)
    given_ = {"QKV-M": 0.5, "PRJ-M": 0.3, "MLP-M": 0.6}
    budget = shares(given_)
    given_["MLP-M"] = 7.0  # which changes nothing any more
    found = lost(sp.make_masks(small_swin, 0.5, budget=budget))
    assert found["MLP-M"] / found["QKV-M"] == pytest.approx(0.6 / 0.5, rel=1e-3)
    assert found["PRJ-M"] / found["QKV-M"] == pytest.approx(0.3 / 0.5, rel=1e-3)
    kept = lost(sp.make_masks(small_swin, 0.2, budget=shares({"QKV-M": 1, "PRJ-M": 0, "MLP-M": 0})))
    assert (kept["PRJ-M"], kept["MLP-M"]) == (0, 0)
    with pytest.raises(ValueError, match=r"ratio 0.5 is too high .* it can remove [\d,]+ of the [\d,]+ weights"):
        sp.make_masks(small_swin, 0.5, budget=shares({"QKV-M": 1, "PRJ-M": 0, "MLP-M": 0}))
    with pytest.raises(ValueError, match="group mixes MLP-M, PRJ-M, QKV-M; give a grouping"):
        sp.make_masks(small_swin, 0.5, "lamp", budget=budget)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"QKV-M": 1, "PRJ-M": 1}, "each of the modules QKV-M, PRJ-M, MLP-M its share, and no other; got QKV-M, PRJ-M"),
        ({"QKV-M": 1, "PRJ-M": 1, "MLP-M": 1, "AUX-M": 1}, "no other; got QKV-M, PRJ-M, MLP-M, AUX-M"),
        ({}, "got none"),
        (0.5, "got 0.5"),
        ({"QKV-M": 1, "PRJ-M": -1, "MLP-M": 1}, "numbers, 0 or more, and one of them above 0; got .*-1"),
        ({"QKV-M": 1, "PRJ-M": math.nan, "MLP-M": 1}, "numbers, 0 or more"),
        ({"QKV-M": 1, "PRJ-M": "1", "MLP-M": 1}, "numbers, 0 or more"),
        ({"QKV-M": 0, "PRJ-M": 0, "MLP-M": 0}, "one of them above 0"),
    ],
)
def test_shares_that_mean_nothing_are_refused(given_, said):
    with pytest.raises(ValueError, match=said):
        shares(given_)


def _lost(model, masks):
    found = {}
    for module, names in sp.modules(model).items():
        if module != "AUX-M":
            found[module] = 1 - np.mean(np.concatenate([masks[name].numpy().ravel() for name in names]))
    return found


@pytest.mark.parametrize("method", ["dimap", "erk", "uniform+"])
def test_a_share_of_the_macs_is_met_from_above_to_a_thousandth_of_the_weights(small_swin, method):
    masks = sp.make_masks(small_swin, 0.5, method, of="macs")
    removed, total = sum(int((~mask).sum()) for mask in masks.values()), sum(mask.numel() for mask in masks.values())
    counts = sp.cost(small_swin, masks)
    assert counts.nonzero_macs <= 0.5 * counts.macs
    less = sp.cost(small_swin, sp.make_masks(small_swin, removed / total - 1.1 / 1024, method))
    assert less.nonzero_macs > 0.5 * counts.macs


def test_no_macs_or_more_than_there_are(small_swin):
    assert all(mask.all() for mask in sp.make_masks(small_swin, 0, of="macs").values())
    dense = sp.cost(small_swin, {}).macs
    rest = sp.cost(small_swin, sp.make_masks(small_swin, 1023 / 1024)).nonzero_macs
    said = rf"97.00% of the MACs of SwinTransformer cannot go: with 99.90% .* {1 - rest / dense:.2%} of them are gone"
    with pytest.raises(ValueError, match=said):
        sp.make_masks(small_swin, 0.97, of="macs")
    with pytest.raises(ValueError, match="does not take an image"):
        sp.make_masks(small_swin, 0.5, of="macs", input_size=100)


def test_a_budget_that_ends_early_is_bisected_up_to_its_end(small_swin):
    only_mlp = partial(sp.make_masks, small_swin, of="macs", budget=shares({"QKV-M": 0, "PRJ-M": 0, "MLP-M": 1}))
    size = sum(small_swin.get_parameter(name).numel() for name in sp.modules(small_swin)["MLP-M"])
    most = {name: torch.zeros_like(small_swin.get_parameter(name)) > 0 for name in sp.modules(small_swin)["MLP-M"]}
    counts = sp.cost(small_swin, most)
    share = 1 - counts.nonzero_macs / counts.macs
    masks = only_mlp(0.98 * share)
    assert 0.98 <= sum(int((~mask).sum()) for mask in masks.values()) / size < 1
    with pytest.raises(ValueError, match=r"cannot go: with 6\d\.\d\d% of its prunable weights removed"):
        only_mlp(share + 0.01)


def test_macs_of_an_unused_weight_are_not_counted_as_saved():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.ModuleDict({"qkv": nn.Linear(4, 12), "proj": nn.Linear(4, 4)})

        def forward(self, image):
            return self.attn["qkv"](image.mean((2, 3)))

    with pytest.raises(ValueError, match=r"^attn\.proj\.weight: no matrix product or convolution of Idle uses this"):
        removing_macs(Idle(), 0.5, lambda ratio: {}, (4, 8, 8))
