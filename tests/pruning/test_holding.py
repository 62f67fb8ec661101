import copy
import gc
import io
import pickle
import weakref
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.utils import ModelEmaV2, ModelEmaV3
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.func import functional_call, grad, vmap
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import swinprune_lite as sp
from swinprune_lite.pruning.holding import held_masks


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


IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
QKV = "layers.0.blocks.0.attn.qkv.weight"


def second_swin():
    """A small Swin V2, whose attention uses qkv's weight without calling qkv; its masks, and its dense weights."""
    model = SwinTransformerV2(
        img_size=32, patch_size=4, window_size=4, embed_dim=24, depths=(1, 1), num_heads=(1, 2), num_classes=10
    )
    for name, parameter in model.named_parameters():
        if "norm" in name:  # timm starts some at zero, which would hide what goes on before them
            nn.init.constant_(parameter, 0.5)
    return model, sp.make_masks(model, 0.5), copy.deepcopy(model.state_dict())


@pytest.fixture
def second():
    return second_swin()


def gradients_hold(model, masks):
    return all(bool((model.get_parameter(name).grad[~mask] == 0).all()) for name, mask in masks.items())


def write(model, values):
    """As code does that knows neither of masks nor of optimizers."""
    for name in held_masks(model):
        model.get_parameter(name).data.copy_(values[name])


def train(model, masks, steps=2, wrapped=None):
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        (model if wrapped is None else wrapped)(IMAGES.to(next(model.parameters()).dtype)).square().mean().backward()
        assert gradients_hold(model, masks)
        optimizer.step()
        assert zeros_hold(model, masks)


def assert_held_in_every_way(model, masks, dense):
    assert {name: mask.tolist() for name, mask in held_masks(model).items()} == {
        name: mask.tolist() for name, mask in masks.items()
    }
    train(model, masks)
    model.load_state_dict(dense)
    assert zeros_hold(model, masks)
    write(model, dense)
    with torch.no_grad():
        model(IMAGES)
    assert zeros_hold(model, masks)
    write(model, dense)
    assert list(model.state_dict()) == list(dense)
    assert zeros_hold(model, masks)
    write(model, dense)
    model.layers[0].blocks[0].attn(torch.randn(4, 16, 24))
    assert (model.get_parameter(QKV)[~masks[QKV]] == 0).all()
    model.zero_grad(set_to_none=False)
    model.get_parameter(QKV).exp().sum().backward()
    assert gradients_hold(model, {QKV: masks[QKV]})
    model.load_state_dict(copy.deepcopy(dense), assign=True)
    assert zeros_hold(model, masks)
    train(model, masks, 1)


def saved_and_loaded(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def averaged(kind, **options):
    def average(model):
        mean = kind(model, **options)
        for _ in range(2):
            train(model, held_masks(model), 1)
            getattr(mean, "update_parameters", getattr(mean, "update", None))(model)
            assert zeros_hold(mean.module, held_masks(model))
        return mean.module.train()

    return average


def with_new_parameters(model):
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return model.double().float()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


COPIES = {
    "itself": lambda model: model,
    "copy": copy.deepcopy,
    "copy of a copy": lambda model: copy.deepcopy(copy.deepcopy(model)),
    "file": saved_and_loaded,
    "other process": lambda model: pickle.loads(ForkingPickler.dumps(model)),
    "copy of a pickle": lambda model: copy.deepcopy(pickle.loads(pickle.dumps(model))),
    "double and back": lambda model: model.double().half().float(),
    "new parameters": with_new_parameters,
    "averaged": averaged(AveragedModel),
    "averaged with buffers": averaged(AveragedModel, use_buffers=True),
    "timm's second average": averaged(ModelEmaV2),
    "timm's third average": averaged(ModelEmaV3),
}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("way", COPIES)
def test_what_comes_of_a_held_model_is_held_too(second, way):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    other = COPIES[way](model)
    assert_held_in_every_way(other, masks, dense)
    if other is not model:
        sp.remove_masks(other)
        assert held_masks(other) == {}
        assert_held_in_every_way(model, masks, dense)


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


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, inputs):
        return nn.functional.linear(self.first(inputs).relu(), self.second.weight, self.second.bias)


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


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("order", ["compiled first", "masked first", "a function of it"])
def test_a_compiled_model_is_held(order, backend):
    model, inputs = Small(), torch.randn(5, 3)
    dense = copy.deepcopy(model.state_dict())
    masks = {"first.weight": torch.rand(4, 3) > 0.5, "second.weight": torch.rand(2, 4) > 0.5}
    expected = functional_call(model, {name: dense[name] * mask for name, mask in masks.items()}, inputs)
    if order != "compiled first":
        sp.apply_masks(model, masks)
    torch._dynamo.reset()
    what = model if order != "a function of it" else lambda images: model(images)
    compiled = torch.compile(what, backend=backend, fullgraph=True)
    if order == "compiled first":
        compiled(inputs)
        sp.apply_masks(model, masks)
    for change in (lambda: None, lambda: model.load_state_dict(dense), lambda: write(model, dense)):
        change()
        assert torch.allclose(compiled(inputs), expected)
    torch._dynamo.utils.counters.clear()
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        compiled(inputs).square().sum().backward()
        assert gradients_hold(model, masks)
        optimizer.step()
        assert zeros_hold(model, masks)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    if order == "a function of it":
        call = torch.compile(lambda weights, inputs: functional_call(model, weights, inputs), backend=backend)
        weights = {name: value.clone() for name, value in dense.items()}
        assert torch.allclose(call(weights, inputs), expected)
        assert all(torch.equal(weights[name], value) for name, value in dense.items())


@pytest.mark.filterwarnings("ignore")
def test_exports_have_the_zeros(second):
    model, masks, dense = second
    model.eval()
    sp.apply_masks(model, masks)
    model.load_state_dict(dense)
    program = torch.export.export(model, (IMAGES,))
    assert all((program.state_dict[name][~mask] == 0).all() for name, mask in masks.items())
    assert torch.allclose(program.module()(IMAGES), model(IMAGES), atol=1e-5)
    with pytest.raises(ValueError, match=r"torch\.jit\.script takes no model that holds masks"):
        torch.jit.script(model)
    scripted = torch.jit.trace(model, IMAGES)
    with pytest.raises(ValueError, match=r"compiled by torch\.jit"):
        sp.apply_masks(scripted, masks)


def test_an_onnx_file_of_a_held_model(tmp_path):
    pytest.importorskip("onnxruntime")
    from swinprune_lite.acceleration.onnx_export import export_onnx

    model = SwinTransformer(
        img_size=16, patch_size=4, window_size=4, embed_dim=16, depths=(1,), num_heads=(1,), num_classes=5
    )
    masks, dense = sp.make_masks(model, 0.5), copy.deepcopy(model.state_dict())
    sp.apply_masks(model, masks)
    write(model, dense)
    export_onnx(model, tmp_path / "held.onnx")  # which compares the file's logits with the model's
    assert zeros_hold(model, masks)


@pytest.mark.filterwarnings("ignore")
def test_quantised_linear_layers_keep_their_zeros(pruned):
    model, masks = pruned
    sp.apply_masks(model, masks)
    quantised = torch.ao.quantization.quantize_dynamic(model.eval(), {nn.Linear})
    quantised(torch.randn(1, 1, 32, 64))
    layers = {name: quantised.get_submodule(name.removesuffix(".weight")) for name in masks}
    for name, layer in layers.items():
        weight = layer.weight().dequantize() if callable(layer.weight) else layer.weight
        assert (weight[~masks[name]] == 0).all()
    assert any(callable(layer.weight) for layer in layers.values())
    assert set(held_masks(model)) == set(masks)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("order", ["masked first", "sharded first", "stages sharded too"])
def test_a_sharded_model_is_held_and_disturbs_no_other(second, group, order):
    model, masks, _ = second
    if order != "sharded first":
        sp.apply_masks(model, masks)
    for part in (*(model.layers if order == "stages sharded too" else ()), model):
        fully_shard(part, mesh=group)
    if order == "sharded first":
        sp.apply_masks(model, masks)

    def zero(tensors):
        return all((tensors[name].full_tensor()[~mask] == 0).all() for name, mask in masks.items())

    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        model(IMAGES).square().mean().backward()
        assert zero({name: parameter.grad for name, parameter in model.named_parameters()})
        optimizer.step()
        assert zero(dict(model.named_parameters()))
    for name in masks:
        model.get_parameter(name).data.fill_(1.0)
    assert zero(model.state_dict())
    other = nn.Linear(2, 2)
    other(torch.ones(1, 2)).sum().backward()
    torch.optim.SGD(other.parameters(), 0.1).step()


@pytest.mark.filterwarnings("ignore")
def test_a_model_under_ddp_is_held_and_under_the_old_fsdp_refused(second, group):
    model, masks, dense = second
    sp.apply_masks(model, masks)
    train(model, masks, 2, DistributedDataParallel(model))
    assert_held_in_every_way(model, masks, dense)
    flat = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    with pytest.raises(ValueError, match="weight cannot be held any longer, as weight is no parameter now"):
        flat(IMAGES)


def test_a_replica_of_data_parallel_is_masked():
    layer = nn.Linear(4, 4)
    masks = {"weight": torch.rand(4, 4) > 0.5}
    sp.apply_masks(layer, masks)
    replica = layer._replicate_for_data_parallel()
    replica.weight, replica.bias = layer.weight + 1, layer.bias + 1
    replica(torch.ones(1, 4)).sum().backward()
    assert (replica.weight[~masks["weight"]] == 0).all()
    assert gradients_hold(layer, masks)


def test_a_model_that_is_dropped_is_freed_at_once():
    model, masks, dense = second_swin()
    sp.apply_masks(model, masks)
    gc.collect()
    gc.disable()
    try:
        watched = [weakref.ref(model.get_parameter(QKV))]
        model.load_state_dict(dense, assign=True)
        models = [model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        for one in models:
            train(one, masks, 1)
        watched += [weakref.ref(one.get_parameter(QKV)) for one in models]
        del model, one, models
        assert not [reference for reference in watched if reference() is not None]
    finally:
        gc.enable()
