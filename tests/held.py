"""What the tests of held masks share: small models, ways to train and to write, and what must hold afterwards."""

import copy

import torch
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import nn

import swinprune_lite as sp
from swinprune_lite.pruning.holding import held_masks


def zeros_hold(model, masks):
    return all(bool((model.get_parameter(name)[~mask] == 0).all()) for name, mask in masks.items())


def step(model, optimizer):
    loss = model(torch.randn(2, 1, 32, 64)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


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


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, inputs):
        return nn.functional.linear(self.first(inputs).relu(), self.second.weight, self.second.bias)
