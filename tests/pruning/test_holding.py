import copy
import pickle

import pytest
import torch
from accelerate.utils import set_module_tensor_to_device
from held import (
    IMAGES,
    QKV,
    Small,
    assert_held_in_every_way,
    gradients_hold,
    step,
    write,
    zeros_hold,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import prune

import swinprune_lite as sp
from swinprune_lite.pruning.holding import held_masks

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
    assert held_masks(model) == {}
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
    sp.apply_masks(model, less := sp.make_masks(model, 0.2, "random", seed=1))
    freed = {name: less[name] & ~more[name] for name in less}
    step(model, torch.optim.SGD(model.parameters(), 1.0))
    assert all(model.get_parameter(name)[each].count_nonzero() > 0 for name, each in freed.items())


@pytest.mark.parametrize("when", ["before", "after", "copied"])
def test_frozen_weights_are_held_and_stay_so_when_they_are_unfrozen(second, when):
    model, masks, dense = second
    model.requires_grad_(when != "before")
    sp.apply_masks(model, masks)
    model.requires_grad_(False)
    model = copy.deepcopy(model) if when == "copied" else model
    assert zeros_hold(model, masks)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    model(IMAGES)
    assert_held_in_every_way(model.requires_grad_(True), masks, dense)


EVENTS = ["step", "copy", "pickle", "load", "write", "freeze", "unfreeze", "state", "double"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.integers(0, 2**16))
def test_whatever_happens_equals_weights_multiplied_by_hand(events, seed):
    torch.manual_seed(seed)
    model, dense = Small().double(), Small().double().state_dict()
    masks = {"first.weight": torch.rand(4, 3) > 0.5, "second.weight": torch.rand(2, 4) > 0.5}
    by_hand = copy.deepcopy(model)
    optimizers = [torch.optim.SGD(one.parameters(), 0.1, momentum=0.9) for one in (model, by_hand)]
    sp.apply_masks(model, masks)

    def multiply(take):
        for name, mask in masks.items():
            if (tensor := take(by_hand.get_parameter(name))) is not None:
                tensor.mul_(mask)

    for event in [*events, "step"]:
        inputs = torch.randn(5, 3).double()
        for one in (model, by_hand):
            if event == "load":
                one.load_state_dict(dense)
            elif event == "write":
                one.second.weight.data.fill_(0.3)
            elif event == "freeze":
                one.first.requires_grad_(False)
            elif event == "unfreeze":
                one.first.requires_grad_(True)
        if event in ("copy", "pickle"):
            model = copy.deepcopy(model) if event == "copy" else pickle.loads(pickle.dumps(model))
            optimizers = [torch.optim.SGD(one.parameters(), 0.1, momentum=0.9) for one in (model, by_hand)]
        elif event == "double":
            model.float().double(), by_hand.float().double()
        elif event == "state":
            model.state_dict()
        elif event == "step":
            multiply(lambda parameter: parameter.data)
            for one, optimizer in zip((model, by_hand), optimizers):
                optimizer.zero_grad()
                one(inputs).square().sum().backward()
                if one is by_hand:
                    multiply(lambda parameter: parameter.grad)
                nn.utils.clip_grad_norm_(one.parameters(), 0.5)
                optimizer.step()
        multiply(lambda parameter: parameter.data)
    for (name, one), two in zip(model.state_dict().items(), by_hand.state_dict().values()):
        assert torch.equal(one, two), name


def test_steps_without_an_optimizer_and_clipping_see_no_pruned_weight(second):
    model, masks, _ = second
    sp.apply_masks(model, masks)
    model = copy.deepcopy(model)
    model.set_grad_checkpointing(True)
    for _ in range(2):
        model.zero_grad()
        model(IMAGES).square().mean().backward()
        assert gradients_hold(model, masks)
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for parameter in model.parameters():
            parameter.data -= 0.1 * parameter.grad
        assert zeros_hold(model, masks)


def test_a_pruned_weight_or_gradient_that_is_not_finite_becomes_zero(second):
    model, masks, dense = second
    dense[QKV][~masks[QKV]] = float("nan")
    model.load_state_dict(dense)
    sp.apply_masks(model, masks)
    assert zeros_hold(model, masks)
    model.load_state_dict(dense)
    assert zeros_hold(model, masks)
    (model.get_parameter(QKV) * float("nan")).sum().backward()
    assert gradients_hold(model, {QKV: masks[QKV]})


def test_weights_of_others_are_masked_for_one_call_and_left_alone(second):
    model, masks, dense = second
    model.eval()
    multiplied = copy.deepcopy(model)
    stranger = copy.deepcopy(model)
    for name, mask in masks.items():
        multiplied.get_parameter(name).data.mul_(mask)
    sp.apply_masks(model, masks)
    parameters = {name: parameter.clone() for name, parameter in stranger.named_parameters()}
    given, expected = dict(stranger.named_parameters()), multiplied(IMAGES)
    for weights in (dense, given):
        for _ in range(2):
            logits = functional_call(model, weights, IMAGES)
            assert torch.equal(logits, expected)
        logits.sum().backward() if weights is given else None
    assert all(given[name] is parameter for name, parameter in stranger.named_parameters())
    assert all(torch.equal(parameters[name], dense[name]) and torch.equal(given[name], dense[name]) for name in given)
    assert gradients_hold(stranger, masks)
    torch.optim.SGD(stranger.parameters(), 0.1).step()
    assert not zeros_hold(stranger, masks)
    slopes = grad(lambda weights: functional_call(model, weights, IMAGES).sum())(
        {name: parameter.detach() for name, parameter in stranger.named_parameters()}
    )
    assert all((slopes[name][~mask] == 0).all() for name, mask in masks.items())
    stacked = {name: torch.stack([dense[name], dense[name]]) for name in given}
    assert torch.allclose(
        vmap(lambda weights: functional_call(model, weights, IMAGES))(stacked)[1], expected, atol=1e-5
    )
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        functional_call(model, dense, IMAGES[0, 0])
    assert all(torch.equal(dense[name], value) for name, value in parameters.items())
    model.train()
    assert_held_in_every_way(model, masks, dense)


def test_a_tied_weight_is_held_under_each_of_its_names():
    class Tied(Small):
        def __init__(self):
            super().__init__()
            self.first = self.third = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3)
            self.second.weight = self.first.weight

    model = Tied()
    dense, masks = copy.deepcopy(model.state_dict()), {"first.weight": torch.rand(3, 3) > 0.5}
    with pytest.raises(ValueError, match=r"'second\.weight' is tied to 'first\.weight'"):
        sp.apply_masks(model, {"second.weight": masks["first.weight"]})
    sp.apply_masks(model, masks)
    for one in (model, copy.deepcopy(model)):
        assert one.second.weight is one.first.weight
        one.load_state_dict(dense)
        assert zeros_hold(one, masks)
        optimizer = torch.optim.SGD(one.parameters(), 1.0)
        one(torch.ones(1, 3)).sum().backward()
        assert gradients_hold(one, masks)
        optimizer.step()
        assert zeros_hold(one, masks)
    sp.apply_masks(model, {"first.weight": ~masks["first.weight"]})
    model.load_state_dict(dense)
    assert torch.equal(model.second.weight == 0, masks["first.weight"])
    model.second.weight.data.fill_(1)
    model.second(torch.ones(1, 3))  # by itself: no forward pass of the model
    assert torch.equal(model.second.weight == 0, masks["first.weight"])


def test_another_parameter_under_the_same_name_is_held(second):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    model.layers[0].blocks[0].attn.qkv.weight = nn.Parameter(dense[QKV].clone())
    assert zeros_hold(model, masks)
    assert_held_in_every_way(model, masks, dense)


def test_masks_on_a_part_and_on_the_whole(second):
    model, masks, dense = second
    part = {name.removeprefix("layers.0."): mask for name, mask in masks.items() if name.startswith("layers.0.")}
    sp.apply_masks(model.layers[0], part)
    assert set(held_masks(model)) == {f"layers.0.{name}" for name in part}
    model.load_state_dict(dense)
    assert zeros_hold(model.layers[0], part)
    sp.apply_masks(model, masks)
    sp.remove_masks(model.layers[0])
    rest = {name: mask for name, mask in masks.items() if not name.startswith("layers.0.")}
    assert set(held_masks(model)) == set(rest)
    model.load_state_dict(dense)
    assert zeros_hold(model, rest)
    assert not zeros_hold(model.layers[0], part)
    sp.apply_masks(model.layers[0], part)
    assert_held_in_every_way(model, masks, dense)
    model.layers[0].load_state_dict(
        {name.removeprefix("layers.0."): dense[name] for name in dense if "layers.0." in name}
    )
    assert zeros_hold(model, masks)
    sp.remove_masks(model)
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_state_dict_pre_hooks", "_load_state_dict_post_hooks")
    assert not any(getattr(module, kind) for module in model.modules() for kind in hooks)
    assert not any(parameter._backward_hooks for parameter in model.parameters())


def test_inference_mode(second):
    model, masks, dense = second
    with torch.inference_mode():
        sp.apply_masks(model, {name: mask.clone() for name, mask in masks.items()})
        model(IMAGES)
    functional_call(model, {QKV: dense[QKV].requires_grad_()}, IMAGES).sum().backward()
    assert (dense[QKV].grad[~masks[QKV]] == 0).all()


def by_accelerate(model, dense):
    set_module_tensor_to_device(model, QKV, "cpu", dense[QKV])


def by_conversion(model, dense):
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        model.double().float()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    write(model, dense)


def by_way_of_the_meta_device(model, dense):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.to("meta").to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    for name, parameter in model.named_parameters():
        parameter.data.copy_(dense[name])


@pytest.mark.parametrize("put", [by_accelerate, by_conversion, by_way_of_the_meta_device])
def test_a_parameter_that_torch_is_not_told_of_is_held_from_the_next_forward(second, put):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)  # which keeps the parameters that were replaced
    put(model, dense)
    assert not zeros_hold(model, masks)
    with torch.no_grad():
        model(IMAGES)
    assert zeros_hold(model, masks)
    assert_held_in_every_way(model, masks, dense)
    assert optimizer.param_groups


def test_a_float8_weight_is_held():
    model, mask = nn.Linear(4, 4, bias=False), torch.rand(4, 4) > 0.5
    weight = torch.ones(4, 4).to(torch.float8_e4m3fn)
    model.weight = nn.Parameter(weight.clone(), requires_grad=False)
    sp.apply_masks(model, {"weight": mask})
    assert torch.equal(model.weight.float(), mask.float())
    model.load_state_dict({"weight": weight})
    assert torch.equal(model.weight.float(), mask.float())
    model.forward = lambda inputs: inputs @ model.weight.float()
    assert torch.equal(functional_call(model, {"weight": weight}, torch.eye(4)), mask.float())
    assert torch.equal(weight.float(), torch.ones(4, 4))


class Recursive(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)

    def forward(self, inputs, depth=2):
        if depth:
            self(inputs, depth - 1)
        return nn.functional.linear(inputs, self.layer.weight)


@pytest.mark.parametrize("kind", [torch.Tensor, nn.Parameter])
def test_weights_of_others_are_masked_until_a_module_that_calls_itself_is_through(kind):
    model, mask = Recursive(), torch.rand(3, 3) > 0.5
    sp.apply_masks(model, {"layer.weight": mask})
    own, given = model.layer.weight, kind(torch.ones(3, 3))
    for _ in range(2):
        weights = {"layer.weight": given}
        assert torch.equal(functional_call(model, weights, torch.eye(3)).T, mask.float())
        assert weights["layer.weight"] is given
    assert torch.equal(given, torch.ones(3, 3))
    assert model.layer.weight is own
    assert not held_masks(model)["layer.weight"].logical_xor(mask).any()


def test_a_forward_that_is_interrupted_leaves_every_part_held(second):
    model, masks, dense = second

    def interrupt(*_hook_arguments):
        raise KeyboardInterrupt

    sp.apply_masks(model, masks)
    handle = model.layers[1].register_forward_pre_hook(interrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            model(IMAGES)
    handle.remove()
    write(model, dense)
    model.layers[0].blocks[0].attn(torch.randn(4, 16, 24))
    assert (model.get_parameter(QKV)[~masks[QKV]] == 0).all()
    assert_held_in_every_way(model, masks, dense)


def test_masks_that_torch_prune_hid_for_a_while_are_held_again(second):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    layer = model.layers[0].blocks[0].mlp.fc1
    prune.identity(layer, "weight")
    prune.remove(layer, "weight")
    assert set(held_masks(model)) == set(masks)
    write(model, dense)
    model(IMAGES)
    assert zeros_hold(model, masks)
