import copy

import pytest
import torch

import swinprune_lite as sp


@pytest.fixture
def pruned():
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.5)
    return model, masks


def zeros_hold(model, masks):
    return all(bool((model.get_parameter(name)[~mask] == 0).all()) for name, mask in masks.items())


def step(model, optimizer):
    loss = model(torch.randn(2, 1, 32, 64)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 1e-2),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_zeros_hold_through_training_even_with_momentum_from_before(pruned, optimizer):
    model, masks = pruned
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    step(model, optimizer)
    sp.apply_masks(model, masks)
    kept = {name: model.get_parameter(name)[mask].clone() for name, mask in masks.items()}
    for _ in range(3):
        step(model, optimizer)
        assert zeros_hold(model, masks)
        assert all((model.get_parameter(name).grad[~mask] == 0).all() for name, mask in masks.items())
    assert any(not torch.equal(kept[name], model.get_parameter(name)[mask]) for name, mask in masks.items())


def test_a_mask_changes_the_output_and_equals_multiplied_weights(pruned):
    model, masks = pruned
    model.eval()
    images = torch.randn(2, 1, 32, 64)
    expected = copy.deepcopy(model)
    for name, mask in masks.items():
        expected.get_parameter(name).data.mul_(mask)
    before = model(images)
    sp.apply_masks(model, masks)
    assert not torch.allclose(before, model(images))
    assert torch.equal(expected(images), model(images))


def test_loading_dense_weights_does_not_bring_pruned_ones_back(pruned):
    model, masks = pruned
    dense = copy.deepcopy(model.state_dict())
    keys = list(dense)
    sp.apply_masks(model, masks)
    model.load_state_dict(dense)
    assert list(model.state_dict()) == keys
    assert zeros_hold(model, masks)
    for twin in (copy.deepcopy(model), model.double()):
        twin.load_state_dict(dense)
        twin(torch.randn(1, 1, 32, 64, dtype=next(twin.parameters()).dtype))
        assert zeros_hold(twin, masks)


def test_two_forward_passes_before_one_backward(pruned):
    model, masks = pruned
    sp.apply_masks(model, masks)
    (model(torch.randn(1, 1, 32, 64)) + model(torch.randn(1, 1, 32, 64))).sum().backward()


def test_remove_masks_keeps_the_zeros_and_lets_go(pruned):
    model, masks = pruned
    sp.apply_masks(model, masks)
    sp.remove_masks(model)
    assert zeros_hold(model, masks)
    assert not [name for name, _ in model.named_buffers() if name.endswith("weight_mask")]
    step(model, torch.optim.SGD(model.parameters(), 1.0))
    assert not zeros_hold(model, masks)
    sp.remove_masks(model)


def test_a_second_call_replaces_the_first(pruned):
    model, masks = pruned
    sp.apply_masks(model, masks)
    more = sp.make_masks(model, 0.8)
    sp.apply_masks(model, more)
    step(model, torch.optim.SGD(model.parameters(), 1.0))
    assert zeros_hold(model, more)


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
