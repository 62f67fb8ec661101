import copy
import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

import swinprune_lite as sp
from swinprune_lite.acceleration import block_masks, compact, structured_masks, two_four_masks
from swinprune_lite.pruning import selection
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.pruning.criteria import magnitude
from swinprune_lite.pruning.groupings import GROUPINGS, by_layer, by_module, whole_model
from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.pruning.magnitudes import Magnitudes
from swinprune_lite.pruning.methods import METHODS, Method


def reference_masks(model, ratio, score, groups):
    """The textbook way: score everything, sort everything stably, cut."""
    masks = {}
    for group in groups:
        weights = [model.get_parameter(name).detach() for name in group]
        scores = torch.cat([score(weight).flatten() for weight in weights])
        kept = torch.zeros(len(scores), dtype=torch.bool)
        kept[scores.argsort(descending=True, stable=True)[: len(scores) - round(ratio * len(scores))]] = True
        parts = kept.split([weight.numel() for weight in weights])
        masks |= {name: part.view(weight.shape) for name, part, weight in zip(group, parts, weights)}
    return masks


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


SCORES = {"dimap": sp.importance, "lamp": sp.importance}


@pytest.mark.parametrize(
    "method", [method for method in METHODS if METHODS[method].budget == "same_share" and method != "random"]
)
@pytest.mark.parametrize("ratio", [0, 0.1, 0.37, 0.5, 0.95])
def test_every_method_equals_the_textbook_way(small_swin, method, ratio):
    _, grouping, _ = METHODS[method].parts()
    score = SCORES.get(method, torch.abs)
    assert same(
        sp.make_masks(small_swin, ratio, method), reference_masks(small_swin, ratio, score, grouping(small_swin))
    )


@pytest.mark.parametrize("method", ["erk", "uniform+"])
def test_uneven_budgets_cut_each_layer_by_magnitude(small_swin, method):
    names = sp.prunable(small_swin)
    removals = METHODS[method].parts()[2](small_swin, [[name] for name in names], 0.6)
    masks = sp.make_masks(small_swin, 0.6, method)
    for name, remove in zip(names, removals):
        size = small_swin.get_parameter(name).detach().abs().flatten()
        kept = size.argsort(descending=True, stable=True)[: len(size) - remove]
        assert torch.equal(masks[name].flatten().nonzero().squeeze(1), kept.sort().values)


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "swinv2_cr_tiny_ns_224", "swinv2_tiny_window8_256"])
def test_other_architectures_equal_the_textbook_way(name):
    model = timm.create_model(name, **({"embed_dim": 48} if "swin" in name else {}))
    for weight in model.parameters():  # layers of very different scale
        weight.data.mul_(10 ** torch.empty(()).uniform_(-3, 3))
    assert same(sp.make_masks(model, 0.6), reference_masks(model, 0.6, sp.importance, by_module(model)))


def test_uniform_and_global_equal_torch_prune(small_swin):
    names = sp.prunable(small_swin)
    layers = [nn.Linear(1, 1, bias=False) for _ in names]
    for layer, name in zip(layers, names):
        layer.weight = nn.Parameter(small_swin.get_parameter(name).detach().clone())
    count = sum(layer.weight.numel() for layer in layers)
    prune.global_unstructured([(layer, "weight") for layer in layers], prune.L1Unstructured, amount=round(0.4 * count))
    masks = sp.make_masks(small_swin, 0.4, "global")
    assert all(torch.equal(layer.weight_mask.bool(), masks[name]) for layer, name in zip(layers, names))

    masks = sp.make_masks(small_swin, 0.4, "uniform")
    for name in names:
        layer = nn.Linear(1, 1, bias=False)
        layer.weight = nn.Parameter(small_swin.get_parameter(name).detach().clone())
        prune.l1_unstructured(layer, "weight", amount=round(0.4 * layer.weight.numel()))
        assert torch.equal(layer.weight_mask.bool(), masks[name])


LAYERS = st.lists(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 1.0, -1.0, 0.1, -0.3, 7.0, 1e-20, 3e4])),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(LAYERS, st.floats(0, 1), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]), st.booleans())
def test_selection_with_ties_zeros_and_every_count(arrays, share, dtype, narrow):
    """With and without the bounds that spare most weights an exact score; equal scores may then fall apart."""
    layers = {str(i): torch.from_numpy(array).to(dtype) for i, array in enumerate(arrays)}
    scores = torch.cat([sp.importance(weight) for weight in layers.values()])
    remove = round(share * len(scores))
    with pytest.MonkeyPatch.context() as patch:
        if narrow:
            patch.setattr(selection, "EXACT_BELOW", 0)
        kept = torch.cat(list(selection.select(layers, remove, relative_energy).values()))
    assert int((~kept).sum()) == remove
    if narrow:
        assert scores[~kept].sort().values.numpy() == pytest.approx(scores.sort().values[:remove].numpy(), rel=1e-12)
    else:
        expected = scores.argsort(descending=True, stable=True)[: len(scores) - remove]
        assert torch.equal(kept.nonzero().squeeze(1), expected.sort().values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("criterion", [relative_energy, magnitude])
def test_bounds_lose_nothing_on_large_groups(dtype, criterion):
    layers = {str(i): (torch.randn(150, 400) * 4.0**-i).to(dtype) for i in range(4)}
    layers["heavy tail"] = torch.randn(90_000).pow(5).mul(1e-3).to(dtype)
    score = sp.importance if criterion is relative_energy else lambda weight: weight.double().abs()
    scores = torch.cat([score(weight).flatten() for weight in layers.values()])
    for remove in (1, 1000, len(scores) // 2, len(scores) - 1, len(scores)):
        kept = torch.cat([mask.flatten() for mask in selection.select(layers, remove, criterion).values()])
        expected = scores.argsort(descending=True, stable=True)[: len(scores) - remove]
        assert int((~kept).sum()) == remove
        assert torch.equal(scores[kept].sort(descending=True).values, scores[expected])


@pytest.mark.parametrize("criterion", [relative_energy, magnitude])
def test_bounds_leave_few_weights_to_be_scored(criterion):
    layers = {str(i): torch.randn(150, 400) * 4.0**-i for i in range(4)}
    scored = []
    _exact = selection._exact_scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_exact_scores", lambda *a: scored.append(len(a[1])) or _exact(*a))
        selection.select(layers, 100_000, criterion)
    assert 0 < sum(scored) < 0.03 * 240_000


@pytest.mark.parametrize("criterion", [relative_energy, magnitude])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_bounds_enclose_every_score_with_a_margin_for_rounding(criterion, dtype):
    weight = torch.randn(100_000).to(dtype)  # of float16, a bin's weights are equal and reach its bounds
    layer = Magnitudes("layer", weight)
    scores = (sp.importance(weight) if criterion is relative_energy else weight.double().square()).numpy()
    bins = np.searchsorted(layer.low, weight.double().abs().numpy(), side="right") - 1
    lower, upper = (bound[bins] for bound in selection._bounds(layer, criterion))
    some = scores > 0
    assert (lower[some] < scores[some] * (1 - 1e-10)).all()
    assert (upper[some] > scores[some] * (1 + 1e-10)).all()


def test_of_bins_with_one_magnitude_each_one_is_undecided():
    weight = torch.randn(100_000).bfloat16()
    layer = Magnitudes("layer", weight)
    ordered = weight.abs().sort().values
    for remove in (1, 50_000, 99_990, 100_000):
        key = int(ordered[remove - 1].view(torch.int16))
        ((first, last),) = selection._undecided_bins([layer], remove, magnitude)
        assert layer.bins[(layer.bins >= first) & (layer.bins <= last)].tolist() == [key]
        assert first == 0 or first - 1 in layer.bins  # next to the bins that are decided
        assert last == 2**15 - 1 or last + 1 in layer.bins


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(-4, 4)),
    hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(-4, 4)),
    st.sampled_from([2.0**-1074, 2.0**-1022, 2.0**-600, 2.0**-300, 2.0**600, 2.0**1020]),
    st.floats(0, 1),
)
def test_no_scale_of_float64_changes_a_mask(one, other, scale, share):
    layers = {"one": torch.from_numpy(one), "other": torch.from_numpy(other)}
    remove = round(share * (len(one) + len(other)))
    scaled = {name: weight * scale for name, weight in layers.items()}
    for criterion in (relative_energy, magnitude):
        assert same(selection.select(scaled, remove, criterion), selection.select(layers, remove, criterion))


@pytest.mark.parametrize("shape", [(40,), (300, 301)])
def test_layers_of_different_types_compete_and_any_layout_is_read(shape):
    types = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    layers = {str(dtype): torch.randn(shape).to(dtype).t() for dtype in types}
    layers["empty"] = torch.empty(0, 3)
    wide = {name: weight.double().contiguous() for name, weight in layers.items()}
    for remove in (0, 7, sum(map(torch.numel, layers.values())) // 2):
        masks = selection.select(layers, remove, relative_energy)
        assert same(masks, selection.select(wide, remove, relative_energy))
        assert all(masks[name].shape == weight.shape for name, weight in layers.items())


def test_a_layer_larger_than_a_chunk_equals_the_textbook_way():
    layers = {"large": torch.randn(500, 701), "small": torch.randn(10, 30)}  # no multiple of a chunk
    scores = torch.cat([sp.importance(weight).flatten() for weight in layers.values()])
    kept = torch.cat([mask.flatten() for mask in selection.select(layers, 123_456, relative_energy).values()])
    expected = scores.argsort(descending=True, stable=True)[: len(scores) - 123_456]
    assert torch.equal(kept.nonzero().squeeze(1), expected.sort().values)


def test_no_thread_is_started_and_none_is_taken_away(small_swin):
    """Masks do not depend on the number of threads, and leave it as it is; torch works on small parts only."""
    sizes, before = [], torch.get_num_threads()

    def noted(square, energy):
        sizes.append(len(square))
        return relative_energy(square, energy)

    layers = {"0": torch.randn(60_000), "1": torch.randn(400, 600).round(decimals=1)}
    masks = selection.select(layers, 100_000, noted)
    assert max(sizes) <= 2**14  # of 2**15 torch would start threads
    torch.set_num_threads(2)
    try:
        assert same(selection.select(layers, 100_000, noted), masks)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_random_is_magnitude_of_random_numbers(small_swin):
    generator = torch.Generator().manual_seed(3)
    numbers = {
        name: torch.rand(small_swin.get_parameter(name).shape, generator=generator) for name in sp.prunable(small_swin)
    }
    masks = sp.make_masks(small_swin, 0.3, "random", 3)
    for name, weight in numbers.items():
        assert torch.equal(masks[name], selection.select({name: weight}, round(0.3 * weight.numel()), magnitude)[name])


def test_a_criterion_of_ones_own_scores_a_statistic(small_swin):
    norms = {name: torch.rand(small_swin.get_parameter(name).shape[1]) for name in sp.prunable(small_swin)}

    def weighted(weight, norm):
        return -1 / (weight * norm).abs()  # of whatever sign

    masks = sp.make_masks(small_swin, 0.4, "uniform", criterion=weighted, statistics=norms)
    for name, norm in norms.items():
        score = (small_swin.get_parameter(name).detach() * norm).abs().flatten()
        kept = score.argsort(descending=True, stable=True)[: len(score) - round(0.4 * len(score))]
        assert torch.equal(masks[name].flatten().nonzero().squeeze(1), kept.sort().values)


def test_every_part_of_a_method_can_be_another(small_swin, monkeypatch):
    mixed = sp.make_masks(small_swin, 0.5, criterion="magnitude", grouping="whole_model", budget="same_share")
    assert same(mixed, sp.make_masks(small_swin, 0.5, "global"))
    whole = sp.make_masks(small_swin, 0.5, "uniform", grouping=lambda model: [sp.prunable(model)])
    assert same(whole, mixed)
    lamp_erk = Method("relative_energy", "by_layer", "erdos_renyi_kernel")
    assert same(sp.make_masks(small_swin, 0.5, lamp_erk), sp.make_masks(small_swin, 0.5, "erk"))
    monkeypatch.setitem(METHODS, "mine", lamp_erk)
    assert same(sp.make_masks(small_swin, 0.5, "mine"), sp.make_masks(small_swin, 0.5, "erk"))


LAST = "layers.3.blocks.0.mlp.fc2.weight"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": 3}, "Unknown method 3; choose one of dimap, .* or give a Method"),
        ({"criterion": "magic"}, "Unknown criterion 'magic'; choose one of relative_energy, magnitude, random, .* or"),
        ({"grouping": "by_head"}, "Unknown grouping 'by_head'; choose one of by_module, whole_model, by_layer, by_bl"),
        ({"budget": 0.5}, "Unknown budget 0.5; choose one of same_share, erdos_renyi_kernel, uniform_plus, alpha, or"),
        ({"budget": "erdos_renyi_kernel"}, "single layers; give the grouping 'by_layer'"),
        ({"budget": "uniform_plus"}, "single layers; give the grouping 'by_layer'"),
        ({"budget": "alpha"}, "single layers; give the grouping 'by_layer'"),
        ({"of": "flops"}, "a share of the 'weights' or of the 'macs'; got of='flops'"),
        ({"within": {LAST: torch.ones(1)}}, "mask of layers.3.* must be a bool tensor"),
        ({"grouping": lambda model: [sp.prunable(model)[1:]]}, "each prunable weight.* in exactly one"),
        ({"grouping": lambda model: [sp.prunable(model), ["head.fc.weight"]]}, "each prunable weight.* in exactly one"),
        ({"budget": lambda *_: [10**9] * 3}, "whole number from 0 to the group's size for each of the 3"),
        ({"budget": lambda model, groups, ratio: [-1] * 3}, "whole number from 0"),
        ({"budget": lambda model, groups, ratio: [0.5] * 3}, "whole number from 0"),
        ({"budget": lambda model, groups, ratio: [1]}, "whole number from 0"),
        ({"criterion": lambda weight, statistic: weight[0]}, r"must give layers\.0.* numbers of its shape"),
        ({"criterion": lambda weight, statistic: 1.0}, "it gave float"),
        ({"criterion": lambda weight, statistic: weight / 0}, r"layers\.0\.blocks\.0\.attn\.qkv\.weight holds NaN"),
        ({"statistics": {LAST: torch.ones(1)}}, r"statistics have nothing for layers\.0\.blocks\.0\.attn\.qkv"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_refused(small_swin, given, said):
    with pytest.raises(ValueError, match=said):
        sp.make_masks(small_swin, 0.5, **given)


@pytest.mark.parametrize("score", [lambda square, energy: square / energy, lambda square, energy: -square])
def test_a_score_that_is_no_number_or_falls_with_the_square_is_refused(score):
    layers = {"zeros": torch.zeros(90_000), "other": torch.randn(90_000)}
    with pytest.raises(ValueError, match="A score must (grow with the square|be a number)"):
        selection.select(layers, 40_000, score)


def test_the_ratio_is_met_exactly_in_every_group(small_swin):
    sizes = {name: small_swin.get_parameter(name).numel() for name in sp.prunable(small_swin)}
    for grouping, method in ((by_module, "dimap"), (whole_model, "lamp"), (by_layer, "uniform"), (by_layer, "random")):
        masks = sp.make_masks(small_swin, 0.333, method)
        for group in grouping(small_swin):
            assert sum(int((~masks[name]).sum()) for name in group) == round(0.333 * sum(sizes[name] for name in group))


def test_random_follows_its_seed_and_the_model_is_left_alone(small_swin):
    before = {name: weight.clone() for name, weight in small_swin.named_parameters()}
    assert same(sp.make_masks(small_swin, 0.5, "random", 1), sp.make_masks(small_swin, 0.5, "random", 1))
    assert same(sp.make_masks(small_swin, 0.5, "random"), sp.make_masks(small_swin, 0.5, "random", 0))
    assert not same(sp.make_masks(small_swin, 0.5, "random", 1), sp.make_masks(small_swin, 0.5, "random", 2))
    sp.make_masks(small_swin, 0.5)
    assert all(torch.equal(before[name], weight) for name, weight in small_swin.named_parameters())


@pytest.mark.parametrize("ratio", [1.0, -0.1, 1.2, math.nan, "half", None, False])
def test_bad_ratio(small_swin, ratio):
    with pytest.raises(ValueError, match=r"ratio must be a number in \[0, 1\)"):
        sp.make_masks(small_swin, ratio)


def test_bad_method_model_and_weights(small_swin):
    with pytest.raises(ValueError, match="Unknown method 'magic'; choose one of dimap"):
        sp.make_masks(small_swin, 0.5, "magic")
    with pytest.raises(ValueError, match="Linear has nothing to prune"):
        sp.make_masks(nn.Linear(2, 2), 0.5)
    for poison in (math.nan, math.inf, -math.inf):
        model = sp.create_lite("swin_lite_tiny")
        model.layers[1].blocks[0].mlp.fc1.weight.data[3, 4] = poison
        for ratio in (0, 0.5):
            with pytest.raises(ValueError, match=r"layers\.1\.blocks\.0\.mlp\.fc1\.weight holds NaN or infinity"):
                sp.make_masks(model, ratio)
    for weight, words in (
        (torch.ones(2, device="meta"), "layer is on the meta device"),
        (torch.ones(2, dtype=torch.int32), "layer is torch.int32; masks are made from float16"),
    ):
        for remove in (0, 1):
            with pytest.raises(ValueError, match=words):
                selection.select({"layer": weight}, remove, magnitude)


def test_weights_of_eight_bits_are_widened():
    layers = {name: torch.randn(40, 50).to(torch.float8_e4m3fn) for name in "ab"}
    wide = {name: weight.float() for name, weight in layers.items()}
    assert same(selection.select(layers, 700, relative_energy), selection.select(wide, 700, relative_energy))


@pytest.mark.parametrize("score", [relative_energy, magnitude])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("largest", [1.0, 1e300])
def test_numbers_whose_squares_are_too_small_for_float64_go_by_magnitude(monkeypatch, score, narrow, largest):
    if narrow:
        monkeypatch.setattr(selection, "EXACT_BELOW", 0)
    weight = torch.tensor([1e-200, 1e-170, 0, -1e-180, largest, 1e-161, 1.1e-161, 0, 1e-160], dtype=torch.float64)
    layers = {"0": weight[:4], "1": weight[4:]} if score is magnitude else {"0": weight}
    for remove in range(len(weight) + 1):
        kept = torch.cat(list(selection.select(layers, remove, score).values()))
        expected = weight.abs().argsort(descending=True, stable=True)[: len(weight) - remove]
        assert kept.nonzero().flatten().tolist() == expected.sort().values.tolist()


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_weights_are_refused_everywhere(layout):
    model = sp.create_lite("swin_lite_tiny")
    fc1 = model.layers[1].blocks[0].mlp.fc1
    fc1.weight = nn.Parameter(fc1.weight.detach().to_sparse(layout=layout))
    for use in (sp.make_masks, two_four_masks, block_masks, structured_masks):
        with pytest.raises(ValueError, match=r"layers\.1\.blocks\.0\.mlp\.fc1\.weight is a sparse tensor"):
            use(model, 0.3)
    for use in (sp.cost, macs_and_positions, lambda model: sp.cost(model, {}), lambda model: compact(model, {})):
        with pytest.raises(ValueError, match="only dense ones are taken; call to_dense"):
            use(model)


@pytest.mark.parametrize("method", ["dimap", "uniform", "random"])
def test_what_earlier_masks_removed_stays_removed_and_counts(small_swin, method):
    earlier = sp.make_masks(small_swin, 0.3, "random", 1)
    earlier.pop(LAST)  # whole
    masks = sp.make_masks(small_swin, 0.8, method, within=earlier)
    assert not any((masks[name] & ~mask).any() for name, mask in earlier.items())
    _, grouping, _ = METHODS[method].parts()
    for group in grouping(small_swin):
        sizes = [small_swin.get_parameter(name).numel() for name in group]
        assert sum(int((~masks[name]).sum()) for name in group) == round(0.8 * sum(sizes))
    if method != "random":  # as of the model in which they are zero
        cut = copy.deepcopy(small_swin)
        sp.apply_masks(cut, earlier)
        assert same(masks, sp.make_masks(cut, 0.8, method))


def test_earlier_masks_that_removed_more_are_refused(small_swin):
    most = sp.make_masks(small_swin, 0.9)
    gone = {name: torch.zeros_like(mask) for name, mask in most.items()}
    with pytest.raises(ValueError, match=r"\(`within`\) has removed [\d,]+ weights of a group, and ratio 0.5 removes"):
        sp.make_masks(small_swin, 0.5, within=most)
    assert same(sp.make_masks(small_swin, 0.9, within=most), most)
    assert same(sp.make_masks(small_swin, 0.9, within={}), most)
    assert same(sp.make_masks(small_swin, 0.1, of="macs", within=most), most)
    assert same(sp.make_masks(small_swin, 0.1, of="macs", within=gone), gone)


def test_ties_with_what_is_removed_already(small_swin):
    """Weights that are kept and zero go before any other, and none that is removed comes back in their place."""
    model = copy.deepcopy(small_swin)
    first = sp.prunable(model)[0]
    weight = model.get_parameter(first)
    weight.data[:4] = 0
    earlier = {first: torch.ones(weight.shape, dtype=torch.bool)}
    earlier[first][2:6] = False
    weight.data[4:6] = 0
    masks = sp.make_masks(model, 5 / weight.shape[0], "uniform", within=earlier)
    assert (~masks[first]).sum() == 5 * weight.shape[1]
    assert not masks[first][1:6].any()
    assert masks[first][6:].all()


def test_groupings_are_what_they_are_called(small_swin):
    names = sp.prunable(small_swin)
    module = {name: module for module, found in sp.modules(small_swin).items() for name in found}
    keys = {
        "by_stage": lambda name: name.split(".")[1],
        "by_block": lambda name: name.split(".")[1:4],
        "by_module_and_stage": lambda name: (module[name], name.split(".")[1]),
        "by_fan_in": lambda name: small_swin.get_parameter(name).shape[1],
        "by_module": lambda name: module[name],
        "by_layer": lambda name: name,
        "whole_model": lambda name: None,
    }
    assert set(keys) == set(GROUPINGS)
    counts = {}
    for grouping, key in keys.items():
        groups = GROUPINGS[grouping](small_swin)
        counts[grouping] = len(groups)
        number = {name: index for index, group in enumerate(groups) for name in group}
        assert sorted(number) == sorted(names) == sorted(name for group in groups for name in group)
        for one, other in itertools.combinations(names, 2):
            assert (number[one] == number[other]) == (key(one) == key(other))
        assert all(group == [name for name in names if name in group] for group in groups)  # ties go by the order
    assert counts == {"by_module": 3, "whole_model": 1, "by_layer": 20, "by_block": 5, "by_stage": 4,
                      "by_module_and_stage": 12, "by_fan_in": 6}  # fmt: skip


def test_groupings_by_stage_without_layers_of_a_swin():
    vit = timm.create_model("vit_tiny_patch16_224", depth=2)
    assert GROUPINGS["by_stage"](vit) == [sp.prunable(vit)]
    assert [len(group) for group in GROUPINGS["by_block"](vit)] == [4, 4]
    other = timm.create_model("swinv2_cr_tiny_ns_224", depths=(1, 1, 1, 1))  # its stages are called stages
    assert [len(group) for group in GROUPINGS["by_stage"](other)] == [4] * 4
