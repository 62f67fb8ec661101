"""Statistics of layers: what they read, and their gradients."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import swinprune_lite as sp
from swinprune_lite.calibration.statistics import gradients, input_moments


def batches(size, count=5, classes=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, *size, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return list(zip(images.split(2), labels.split(2)))


@pytest.mark.parametrize(("name", "size"), [("swin_tiny_patch4_window7_224", 224), ("swinv2_tiny_window8_256", 256)])
def test_moments_are_those_of_all_that_a_layer_reads(name, size):
    model = timm.create_model(name, embed_dim=16, depths=(1, 1), num_heads=(1, 2), num_classes=7)
    read = {each: [] for each in sp.prunable(model)}
    weights = {id(model.get_parameter(each)): each for each in read}

    class Seen(torch.overrides.TorchFunctionMode):  # Swin V2's qkv is no call of a module
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is F.linear and (each := weights.get(id((kwargs or {}).get("weight", args[1] if args[1:] else 0)))):
                read[each].append(args[0].detach().double().flatten(0, -2))
            return func(*args, **(kwargs or {}))

    data = batches((size, size), 3)
    model.train()
    found = input_moments(model, data)
    assert model.training
    with Seen(), torch.no_grad():
        for images, _ in data:
            model.eval()(images)
    assert list(found) == sp.prunable(model)
    for each, parts in read.items():
        rows = torch.cat(parts)
        assert found[each].positions == len(rows)
        torch.testing.assert_close(found[each].mean, rows.mean(0))
        torch.testing.assert_close(found[each].norms, rows.square().mean(0).sqrt())
        torch.testing.assert_close(found[each].covariance, torch.cov(rows.T, correction=0), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize(
    "how",
    [{}, {"stride": 2}, {"stride": (2, 1), "padding": 1}, {"padding": "same", "dilation": 2}, {"padding": "valid"},
     {"padding": (2, 0), "padding_mode": "reflect"}],
)  # fmt: skip
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_moments_of_a_kernels_inputs_tell_its_outputs(kind, how):
    """For any kernel w E[w x] = w E[x] and E[(w x)^2] = w E[x x^T] w^T, over all positions of all images."""
    if kind is nn.Conv1d:
        how = {name: each[0] if isinstance(each, tuple) else each for name, each in how.items()}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.ModuleDict({"qkv": kind(3, 6, 3, bias=False, **how), "proj": nn.Linear(6, 3)})

        def forward(self, images):
            given = images.flatten(2) if kind is nn.Conv1d else images
            self.given = self.attn["qkv"](given)
            return self.attn["proj"](self.given.flatten(2).mean(2))

    model, images = Net().double(), torch.randn(4, 3, 7, 6, dtype=torch.float64)
    found = input_moments(model, zip(images.split(3), torch.zeros(4, dtype=torch.long).split(3)))["attn.qkv.weight"]
    with torch.no_grad():
        model(images)
    weight, outputs = model.attn["qkv"].weight.detach().flatten(1), model.given.flatten(2).transpose(1, 2).flatten(0, 1)
    assert found.positions == len(outputs)
    torch.testing.assert_close(weight @ found.mean, outputs.mean(0))
    torch.testing.assert_close((weight @ found.second @ weight.T).diagonal(), outputs.square().mean(0))


def test_moments_do_not_depend_on_how_images_are_batched(small_swin):
    images, labels = (torch.cat(part) for part in zip(*batches((224, 224), 4)))
    one, other = (
        input_moments(small_swin, [(images, labels)]),
        input_moments(small_swin, zip(images.split(1), labels.split(1))),
    )
    for name in one:
        torch.testing.assert_close(one[name].second, other[name].second, rtol=1e-5, atol=1e-7)


def test_gradients_are_image_by_image_and_leave_the_model_alone(small_swin):
    frozen = sp.prunable(small_swin)[0]
    small_swin.get_parameter(frozen).requires_grad_(False)
    data = batches((224, 224), 3)
    found = gradients(small_swin, data)
    assert not small_swin.get_parameter(frozen).requires_grad
    small_swin.get_parameter(frozen).requires_grad_(True)
    assert all(parameter.grad is None for parameter in small_swin.parameters())
    single = []
    for images, labels in data:
        for image, label in zip(images, labels):
            loss = F.cross_entropy(small_swin(image[None]), label[None])
            single.append(torch.autograd.grad(loss, small_swin.get_parameter(frozen))[0].double())
    torch.testing.assert_close(found[frozen].mean, sum(single) / 3)
    torch.testing.assert_close(found[frozen].square, sum(each.square() for each in single) / 3)
    assert gradients(small_swin, data, images=1)[frozen].images == 1


def test_nothing_to_gather_from_is_said(small_swin):
    for gather in (input_moments, gradients):
        with pytest.raises(ValueError, match="no images to gather"):
            gather(small_swin, [])

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 7)
            self.mlp = nn.Module()
            self.mlp.fc1 = nn.Linear(3, 3)

        def forward(self, images):
            return self.first(images.mean((2, 3)))

    with pytest.raises(ValueError, match=r"mlp\.fc1\.weight was used by no linear map"):
        input_moments(Unused(), batches((4, 4)))
    with pytest.raises(ValueError, match=r"does not depend on mlp\.fc1\.weight"):
        gradients(Unused(), batches((4, 4)))
