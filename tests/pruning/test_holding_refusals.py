import copy
import gc
import pickle

import pytest
import torch
from held import (
    IMAGES,
    QKV,
    assert_held_in_every_way,
    second_swin,
)
from torch import nn
from torch.nn.utils import parametrizations, prune

import swinprune_lite as sp
from swinprune_lite.pruning.holding import held_masks


def test_bad_masks(pruned):
    model, masks = pruned
    name = next(iter(masks))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"no parameter 'no\.such\.weight'"):
        sp.apply_masks(model, masks | {"no.such.weight": torch.ones(2, 2, dtype=torch.bool)})
    with pytest.raises(
        ValueError, match=rf"mask of {name} must be a bool tensor of shape .* got \(2, 2\) of torch.bool"
    ):
        sp.apply_masks(model, masks | {name: torch.ones(2, 2, dtype=torch.bool)})
    with pytest.raises(ValueError, match="of torch.float32"):
        sp.apply_masks(model, {name: masks[name].float()})
    with pytest.raises(ValueError, match="got list"):
        sp.cost(model, {name: [True]})
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def by_prune(layer):
    prune.l1_unstructured(layer, "weight", 0.5)


def by_a_norm(layer):
    parametrizations.weight_norm(layer)


@pytest.mark.parametrize(
    ("wrap", "leaf"), [(by_prune, "weight_orig"), (by_a_norm, "parametrizations.weight.original1")]
)
def test_weights_that_are_computed_from_others_are_refused(second, wrap, leaf):
    model, masks, dense = second
    layer, path = model.layers[0].blocks[0].mlp.fc2, "layers.0.blocks.0.mlp.fc2"
    wrap(layer)
    given = {name: mask for name, mask in masks.items() if not name.startswith(path)}
    with pytest.raises(ValueError, match=rf"{path}.{leaf} is what a layer computes its weight from"):
        sp.apply_masks(model, given | {f"{path}.{leaf}": masks[f"{path}.weight"]})
    assert held_masks(model) == {}
    assert all(torch.equal(model.state_dict()[name], dense[name]) for name in given)
    assert not model._forward_pre_hooks
    sp.apply_masks(model, given)
    wrap(model.layers[0].blocks[0].mlp.fc1)
    for use in (lambda: model(IMAGES), model.state_dict):
        with pytest.raises(ValueError, match="weight cannot be held any longer, as weight is no parameter now"):
            use()
    sp.remove_masks(model)
    model(IMAGES)


def test_masks_and_weights_without_values_are_refused(second):
    model, masks, dense = second
    for bad, message in (
        (masks[QKV].to("meta"), "is on the meta device, which holds no values"),
        (masks[QKV].to_sparse(), "must be an ordinary tensor"),
    ):
        with pytest.raises(ValueError, match=message):
            sp.apply_masks(model, masks | {QKV: bad})
    with pytest.raises(ValueError, match="must be a mapping of parameter name to bool tensor; got list"):
        sp.apply_masks(model, list(masks.values()))
    with pytest.raises(ValueError, match="weight has no shape yet"):
        sp.apply_masks(nn.Sequential(nn.LazyLinear(2)), {"0.weight": torch.ones(2, 2, dtype=torch.bool)})
    assert all(torch.equal(value, dense[name]) for name, value in model.state_dict().items())
    assert held_masks(model) == {}
    with pytest.raises(ValueError, match="is on the meta device and has no values"):
        sp.apply_masks(model.to("meta"), masks)


KINDS = {
    "float8 without a zero": lambda weight: weight.to(torch.float8_e8m0fnu),
    "uint16": lambda weight: weight.to(torch.uint16),
    "sparse": torch.Tensor.to_sparse,
    "sparse rows": torch.Tensor.to_sparse_csr,
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_a_type_or_layout_that_torch_cannot_fill_is_refused_before_anything_changes(kind):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    masks = {f"{number}.weight": torch.zeros(3, 3, dtype=torch.bool) for number in range(2)}
    model[1].weight = nn.Parameter(KINDS[kind](torch.ones(3, 3)), requires_grad=False)
    before = model[0].weight.clone()
    with pytest.raises(ValueError, match=r"^1\.weight is a torch\.\w+ tensor of .*; make it a dense one"):
        sp.apply_masks(model, masks)
    assert torch.equal(model[0].weight, before)
    assert held_masks(model) == {}
    assert not model._forward_pre_hooks


def test_a_replacement_of_another_shape_is_refused(second):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    layer, other = model.layers[0].blocks[0].attn.qkv, nn.Parameter(torch.ones(2, 2))
    message = r"shape \(2, 2\) cannot be held by a mask of shape \(72, 24\); give one of the mask's shape, or call"
    with pytest.raises(ValueError, match=message):
        layer.weight = other
    assert_held_in_every_way(model, masks, dense)
    layer._parameters["weight"] = other
    for use in (lambda: model(IMAGES), model.state_dict, lambda: layer(torch.ones(1, 2))):
        with pytest.raises(ValueError, match=message):
            use()
    layer._parameters["weight"] = None
    with pytest.raises(ValueError, match="weight is no parameter now"):
        model(IMAGES)
    layer._parameters["weight"] = other
    sp.remove_masks(model)
    assert torch.equal(layer.weight, torch.ones(2, 2))


ORIGINALS = {
    "as made": lambda model: model,
    "a copy": copy.deepcopy,
    "a pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("original", ORIGINALS)
def test_remove_masks_takes_no_shallow_copy(original):
    model, masks, dense = second_swin()
    sp.apply_masks(model, masks)
    model = ORIGINALS[original](model)
    model(IMAGES)
    shallow = copy.copy(model)
    with pytest.raises(ValueError, match="SwinTransformerV2 is a shallow copy, .*; give remove_masks that model"):
        sp.remove_masks(shallow)
    for one in (shallow, model):
        assert_held_in_every_way(one, masks, dense)
    deep = copy.deepcopy(shallow)
    sp.remove_masks(deep)
    assert held_masks(deep) == {}
    assert_held_in_every_way(model, masks, dense)
    del model, one
    gc.collect()
    sp.remove_masks(shallow)
    assert held_masks(shallow) == {}
