"""Criteria that use data, against brute force on a small model: formulas, masks, and what is refused."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import swinprune_lite as sp
from swinprune_lite.calibration.statistics import gradients, input_moments
from swinprune_lite.paper.bound import chain_output, random_chain
from swinprune_lite.pruning.criteria import CRITERIA, OBS_DAMPING, between, between_of
from swinprune_lite.pruning.importance import relative_energy
from swinprune_lite.repairing.sparsegpt import sparse_gpt
from swinprune_lite.types import Gradients, InputMoments

pytestmark = pytest.mark.filterwarnings("ignore:.*has nothing in QKV-M")
WEIGHTS = ["mlp.fc1.weight", "mlp.fc2.weight"]
WANT_DATA = [name for name, criterion in CRITERIA.items() if criterion.wants]


class Small(nn.Module):
    """Two linear layers with a ReLU between them, on images (B, 1, 2, 4)."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(8, 9), nn.Linear(9, 6)

    def forward(self, images):
        return self.mlp.fc2(self.mlp.fc1(images.flatten(1)).relu())


class Convolutions(Small):
    """The same in convolutions of 1 x 1."""

    def __init__(self, small):
        super().__init__()
        for name, layer in small.mlp.named_children():
            alike = nn.Conv2d(layer.in_features, layer.out_features, 1).double()
            alike.load_state_dict({"weight": layer.weight[..., None, None], "bias": layer.bias})
            setattr(self.mlp, name, alike)

    def forward(self, images):
        return self.mlp.fc2(self.mlp.fc1(images.flatten(1)[..., None, None]).relu()).flatten(1)


def batches(size=3, count=11, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 2, 4, generator=generator, dtype=torch.float64) * torch.arange(1, 9).view(1, 2, 4)
    images = images + images.flip(3) / 2  # correlated
    return list(zip(images.split(size), torch.randint(6, (count,), generator=generator).split(size)))


def gathered(criterion, model, data):
    wanted = CRITERIA[criterion].wants if isinstance(criterion, str) else criterion.wants
    return {InputMoments: input_moments, Gradients: gradients}[wanted](model, data) if wanted else None


@pytest.fixture
def small():
    return Small().double()


def brute_force(criterion, model, data):
    """Scores before any comparison, one image and one weight at a time."""
    reads, slopes = ({name: [] for name in WEIGHTS} for _ in "rs")
    for images, labels in data:
        for image, label in zip(images, labels):
            first = model.mlp.fc1(image.flatten())
            for name, read in zip(WEIGHTS, (image.flatten(), first.relu())):
                reads[name].append(read.detach())
            weights = [model.get_parameter(name) for name in WEIGHTS]
            for name, slope in zip(
                WEIGHTS, torch.autograd.grad(F.cross_entropy(model(image[None])[0], label), weights)
            ):
                slopes[name].append(slope)
    found = {}
    for name in WEIGHTS:
        weight, count = model.get_parameter(name).detach(), len(reads[name])
        hessian = sum(torch.outer(read, read) for read in reads[name]) / count
        inverse = torch.linalg.inv(hessian + OBS_DAMPING * hessian.trace() / len(hessian) * torch.eye(len(hessian)))
        scores = torch.empty_like(weight)
        for i, j in torch.cartesian_prod(*map(torch.arange, weight.shape)).tolist():
            w, power = weight[i, j].item(), sum(read[j].item() ** 2 for read in reads[name]) / count
            slope = [each[i, j].item() for each in slopes[name]]
            scores[i, j] = {
                "wanda": abs(w) * math.sqrt(power),
                "activation_energy": w * math.sqrt(power),
                "taylor": abs(w * sum(slope) / count),
                "fisher": w**2 * sum(each**2 for each in slope) / count / 2,
                "obs": w**2 / inverse[j, j].item(),
            }[criterion]
        found[name] = sp.importance(scores) if criterion == "activation_energy" else scores
    return found


def textbook(scores, groups, ratio):
    """Masks by sorting everything."""
    masks = {}
    for group in groups:
        flat = torch.cat([scores[name].flatten() for name in group])
        kept = torch.zeros(len(flat), dtype=torch.bool)
        kept[flat.argsort(descending=True, stable=True)[: len(flat) - round(ratio * len(flat))]] = True
        parts = kept.split([scores[name].numel() for name in group])
        masks |= {name: part.view(scores[name].shape) for name, part in zip(group, parts)}
    return masks


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("criterion", WANT_DATA)
def test_every_criterion_is_its_formula(small, criterion):
    data = batches()
    statistics, scores = gathered(criterion, small, data), brute_force(criterion, small, data)
    for grouping, groups in (("by_layer", [[name] for name in WEIGHTS]), ("whole_model", [WEIGHTS])):
        for ratio in (0, 0.5, 0.97):
            masks = sp.make_masks(small, ratio, criterion=criterion, grouping=grouping, statistics=statistics)
            assert same(masks, textbook(scores, groups, ratio))


def test_an_altered_image_changes_the_masks_that_use_data_and_no_others(small):
    data = batches()
    other = [(images.clone(), labels) for images, labels in data]
    other[0][0][0] = 5 * other[0][0][0].flip(1)
    for criterion in (*CRITERIA, between(0), between(0.3)):
        one, two = (
            sp.make_masks(small, 0.5, criterion=criterion, statistics=gathered(criterion, small, each))
            for each in (data, other)
        )
        uses_data = (CRITERIA[criterion] if isinstance(criterion, str) else criterion).wants
        assert same(one, two) == (uses_data is None), criterion


@pytest.mark.parametrize("criterion", WANT_DATA)
def test_masks_do_not_depend_on_how_images_are_batched(small, criterion):
    one, other = (
        sp.make_masks(small, 0.6, criterion=criterion, statistics=gathered(criterion, small, batches(size)))
        for size in (1, 11)
    )
    assert same(one, other)


@pytest.mark.parametrize("criterion", WANT_DATA)
def test_masks_do_not_depend_on_the_default_device(small, criterion):
    statistics = gathered(criterion, small, batches())
    with torch.device("meta"):
        masks = sp.make_masks(small, 0.6, criterion=criterion, statistics=statistics)
    assert same(masks, sp.make_masks(small, 0.6, criterion=criterion, statistics=statistics))


@pytest.mark.parametrize("criterion", WANT_DATA)
def test_a_convolution_of_1_x_1_is_pruned_as_the_linear_layer_that_it_is(small, criterion):
    alike = Convolutions(small)
    masks = [
        sp.make_masks(model, 0.4, criterion=criterion, statistics=gathered(criterion, model, batches()))
        for model in (small, alike)
    ]
    for name, mask in masks[0].items():
        assert torch.equal(masks[1][name].flatten(1), mask)
    one, other = copy.deepcopy(small), copy.deepcopy(alike)
    for model in (one, other):
        sparse_gpt(model, 0.4, input_moments(model, batches()))
    for name in WEIGHTS:
        torch.testing.assert_close(other.get_parameter(name).flatten(1), one.get_parameter(name))


@pytest.mark.parametrize("criterion", sorted({*WANT_DATA} - {"obs"}))
def test_the_units_of_the_inputs_change_no_mask_that_uses_data(small, criterion):
    """Inputs times powers of two and their weights divided by them: the same function. (Damping knows units.)"""
    units = 2.0 ** torch.randint(-3, 4, (8,))
    data = batches()
    scaled = [(images * units.view(1, 1, 2, 4), labels) for images, labels in data]
    other = copy.deepcopy(small)
    other.mlp.fc1.weight.data /= units
    one, two = (
        sp.make_masks(model, 0.6, "lamp", criterion=criterion, statistics=gathered(criterion, model, each))
        for model, each in ((small, data), (other, scaled))
    )
    assert same(one, two)
    assert not same(sp.make_masks(small, 0.6, "lamp"), sp.make_masks(other, 0.6, "lamp"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("criterion", WANT_DATA)
def test_in_half_precision_the_numbers_are_taken_as_they_are(small, criterion, dtype):
    narrow = small.to(dtype)
    statistics = gathered(criterion, narrow, batches())
    masks = sp.make_masks(narrow, 0.6, criterion=criterion, statistics=statistics)
    assert same(masks, sp.make_masks(copy.deepcopy(narrow).double(), 0.6, criterion=criterion, statistics=statistics))
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(0.6 * 126)


def test_between_goes_from_equation_10_to_scaled_weights(small):
    moments = input_moments(small, batches())
    ends = [sp.make_masks(small, 0.5, "lamp", criterion=between(alpha), statistics=moments) for alpha in (0, 0.5, 1)]
    assert same(ends[0], sp.make_masks(small, 0.5, "lamp"))
    assert same(ends[0], sp.make_masks(small, 0.5, "lamp", criterion=between(0)))
    assert same(ends[2], sp.make_masks(small, 0.5, "lamp", criterion="activation_energy", statistics=moments))
    scaled = {name: small.get_parameter(name).detach() * moments[name].norms.sqrt() for name in WEIGHTS}
    assert same(ends[1], textbook({name: sp.importance(weight) for name, weight in scaled.items()}, [WEIGHTS], 0.5))
    for alpha in (-1, math.inf, math.nan, "half", True):
        with pytest.raises(ValueError, match=f"alpha must be a finite number, 0 .* got {alpha!r}"):
            between(alpha)


def test_any_of_them_may_be_scored_by_equation_10(small):
    statistics = gradients(small, batches())
    masks = sp.make_masks(
        small, 0.5, "lamp", criterion=CRITERIA["fisher"]._replace(score=relative_energy), statistics=statistics
    )
    scaled = {name: small.get_parameter(name).detach() * statistics[name].square.sqrt() for name in WEIGHTS}
    assert same(masks, textbook({name: sp.importance(weight) for name, weight in scaled.items()}, [WEIGHTS], 0.5))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_the_output_moves_by_no_more_than_the_scaled_weights_that_leave(seed, share):
    """The inequality that `between` derives, in one layer and at the end of a chain."""
    generator = torch.Generator().manual_seed(seed)
    chain = random_chain(generator, depth=3, width=9)
    weight = chain[0]
    columns = weight.shape[1]
    mix = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    inputs = mix @ torch.randn(columns, 40, generator=generator, dtype=torch.float64)
    cut = weight * (torch.rand(weight.shape, generator=generator) < share)
    second = inputs @ inputs.T / 40
    norms = second.diagonal().sqrt()
    largest = torch.linalg.eigvalsh(second / torch.outer(norms, norms))[-1]
    energy = ((weight - cut) * norms).square().sum()
    change = ((weight - cut) @ inputs).square().sum(0).mean()
    assert change <= largest * energy * (1 + 1e-9)
    assert 1 - 1e-9 <= largest <= columns + 1e-9
    after = chain_output(chain, inputs) - chain_output([cut, *chain[1:]], inputs)
    above = math.prod(each.square().sum().item() for each in chain[1:])
    assert after.square().sum(0).mean() <= largest * energy * above * (1 + 1e-9)
    white = torch.linalg.qr(torch.randn(40, columns, generator=generator, dtype=torch.float64))[0].T * norms[:, None]
    equal = ((weight - cut) @ white).square().sum()  # of inputs without correlation
    torch.testing.assert_close(equal, energy)


@pytest.mark.parametrize("criterion", WANT_DATA)
def test_what_is_not_wanted_or_does_not_fit_is_refused(small, criterion):
    given = gathered(criterion, small, batches())
    other = (gradients if CRITERIA[criterion].wants is InputMoments else input_moments)(small, batches())
    words, call = {
        InputMoments: ("input moments", "input_moments"),
        Gradients: ("gradients", "gradients"),
    }[CRITERIA[criterion].wants]
    wants = rf"^The criterion {criterion} wants {words}: give statistics={call}\(model, batches\)"
    larger = nn.Module()
    larger.mlp = nn.Module()
    larger.mlp.fc1, larger.mlp.fc2 = nn.Linear(9, 8), nn.Linear(6, 9)
    broken = copy.deepcopy(given)
    broken[WEIGHTS[1]].mean[0] = math.nan
    for model, statistics, said in (
        (small, None, rf"{wants}\.$"),
        (small, [given], rf"{wants}, not list\.$"),
        (small, other, rf"{wants}, not {type(other[WEIGHTS[0]]).__name__}\.$"),
        (small, {name: torch.ones(8) for name in WEIGHTS}, rf"{wants}, not Tensor\.$"),
        (small, {WEIGHTS[0]: given[WEIGHTS[0]]}, r"nothing for mlp\.fc2\.weight; gather them for every"),
        (larger, given, rf"^The {words} of mlp\.fc1\.weight do not fit its shape \(8, 9\); gather them on this"),
        (small, broken, rf"^The {words} of mlp\.fc2\.weight hold NaN or infinity; gather them on images"),
    ):
        with pytest.raises(ValueError, match=said):
            sp.make_masks(model, 0.5, criterion=criterion, statistics=statistics)


@pytest.mark.parametrize("criterion", ["wanda", "obs"])
def test_a_layer_that_reads_only_zeros_goes_first(small, criterion):
    with torch.no_grad():
        small.mlp.fc1.bias.fill_(-1e9)  # of which the ReLU makes zeros
    moments = input_moments(small, batches())
    masks = sp.make_masks(small, 54 / 126, "global", criterion=criterion, statistics=moments)
    assert masks[WEIGHTS[0]].all()
    assert not masks[WEIGHTS[1]].any()


def test_between_has_a_name_that_methods_know(small):
    moments = input_moments(small, batches())
    asked = {"grouping": "whole_model", "statistics": moments}
    named, made = (sp.make_masks(small, 0.6, criterion=one, **asked) for one in ("between(0.5)", between(0.5)))
    assert all(torch.equal(named[name], made[name]) for name in WEIGHTS)
    assert between_of("between(0.5)").name == between(0.5).name == "between(0.5)"
    assert between_of("between(0)").wants is None


@pytest.mark.parametrize("name", ["between(-1)", "between()", "between(nan)", "between(0.5) ", "between(1e3)"])
def test_what_is_no_such_name_is_an_unknown_criterion(small, name):
    assert between_of(name) is None
    with pytest.raises(ValueError, match="Unknown criterion"):
        sp.make_masks(small, 0.5, criterion=name)
