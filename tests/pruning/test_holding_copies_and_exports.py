import copy
import gc
import io
import pickle
import weakref
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from held import (
    IMAGES,
    QKV,
    Small,
    assert_held_in_every_way,
    gradients_hold,
    second_swin,
    step,
    train,
    write,
    zeros_hold,
)
from timm.models.swin_transformer import SwinTransformer
from timm.utils import ModelEmaV2, ModelEmaV3
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import swinprune_lite as sp
from swinprune_lite.pruning.holding import held_masks


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiled_before", [False, True])
def test_a_compiled_step_of_an_optimizer_from_before_the_masks(compiled_before):
    model, inputs = Small(), torch.randn(5, 3)
    masks = {"first.weight": torch.rand(4, 3) > 0.5, "second.weight": torch.rand(2, 4) > 0.5}
    torch._dynamo.reset()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    compiled = torch.compile(optimizer.step, backend="eager")
    for number in range(4):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        (compiled if number or compiled_before else optimizer.step)()
        if not number:
            sp.apply_masks(model, masks)
        assert zeros_hold(model, masks)


class Mixed(nn.Module):
    """It uses one weight by a layer and another by itself."""

    def __init__(self):
        super().__init__()
        self.layer, self.weight = nn.Linear(3, 3), nn.Parameter(torch.ones(3, 3))

    def forward(self, inputs):
        return nn.functional.linear(self.layer(inputs), self.weight)


def test_a_model_traced_by_fx_is_held():
    model = Mixed()
    masks, dense = {name: torch.rand(3, 3) > 0.5 for name in ("layer.weight", "weight")}, Mixed().state_dict()
    sp.apply_masks(model, masks)
    traced = torch.fx.symbolic_trace(model)
    for one in (traced, copy.deepcopy(traced), pickle.loads(pickle.dumps(traced))):
        assert set(held_masks(one)) == set(masks)
        one.load_state_dict(dense)
        assert zeros_hold(one, masks)
        write(one, dense)
        one(torch.ones(1, 3)).sum().backward()
        assert zeros_hold(one, masks)
        assert gradients_hold(one, masks)
    sp.apply_masks(model, {name: torch.ones(3, 3, dtype=torch.bool) for name in masks})
    for _ in range(2):
        model.load_state_dict(dense)
        assert traced(torch.ones(1, 3)).isfinite().all()
        assert all(torch.equal(value, dense[name]) for name, value in model.state_dict().items())
        sp.remove_masks(model)


@pytest.mark.filterwarnings("ignore")
def test_a_model_prepared_for_quantisation_aware_training_is_held(pruned):
    model, masks = pruned
    dense = copy.deepcopy(model.state_dict())
    sp.apply_masks(model, masks)
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    prepared = torch.ao.quantization.prepare_qat(model.train())
    assert set(held_masks(prepared)) == set(masks)
    prepared.load_state_dict(dense, strict=False)
    assert zeros_hold(prepared, masks)
    step(prepared, torch.optim.SGD(prepared.parameters(), 0.1, weight_decay=0.1))
    assert zeros_hold(prepared, masks)
    sp.remove_masks(prepared)
    assert held_masks(prepared) == {}
    assert set(held_masks(model)) == set(masks)
