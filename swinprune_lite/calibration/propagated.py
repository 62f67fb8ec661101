"""What layers read, told by weights alone: LayerNorm's moments, passed on through an attention or an MLP.

A LayerNorm's output x has, over its channels together, the mean and variance of its beta and gamma; as if the
normalised channels were alike and independent, E[x] = beta and Cov(x) = diag(gamma^2). They are not, so this is a
guess. Judged on images (correlation with measured means and variances, mean over the blocks), it tells fc2's inputs on
the lite models (0.7 and 0.8) better than on DINOv2's ViT-S (0.3 and 0.2), and the projection's mean nowhere (0.1, 0.2).

- u = W x + b has the mean W beta + b and the covariance W diag(gamma^2) W^T.
- The MLP's h = a(u) is taken as if u were Gaussian. Unit by unit its mean and variance are integrals over one normal
  variable. With a(mean + deviation z) = sum_k c_k He_k(z) / (k!)^(1/2), He_k Hermite's polynomials, two units of
  correlation r have the covariance sum_k c_k c'_k r^k (Mehler's formula), of which the first two terms are taken.
- The attention's heads give averages of v, whose mean is v's, since attention's weights sum to 1. Two heads average
  over different positions, so that they vary together less than their v do: by `TOGETHER`.
"""

import copy

import numpy as np
import torch
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.vision_transformer import Block
from torch import nn

from swinprune_lite.anatomy.parts import HIDDEN, Part, parts
from swinprune_lite.types import InputMoments

TOGETHER = 0.5  # times v's covariance, of two heads; measured on the lite models it is 0.1 to 0.9, mean 0.4
NODES = 64  # of Gauss and Hermite's quadrature


def propagated_moments(model: nn.Module) -> dict[str, InputMoments]:
    """Guessed moments of what the layers read whose hidden units and heads can leave, without an image.

    They go where measured ones do: `repair(model, masks, "least squares", propagated_moments(model))`.

    Args:
        model: a network whose blocks normalise what they read, as timm's Swin, ViT and DeiT do.

    Returns:
        Parameter name -> `InputMoments`, for fc1, fc2, qkv and proj. `positions` is 0: nothing was measured.

    Raises:
        ValueError: no hidden units or heads that can leave, or a block of another kind, such as Swin V2's.
    """
    found: dict[str, InputMoments] = {}
    for part in parts(model):
        written, read = part_moments(model, part)
        found |= {f"{part.writer}.weight": written, f"{part.reader}.weight": read}
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no hidden units or heads that can leave, so there are no moments."
        )
    return found


def part_moments(model: nn.Module, part: Part) -> tuple[InputMoments, InputMoments]:
    """Guessed moments of what a part's writer reads (fc1 or qkv), and its reader (fc2 or proj).

    Raises:
        ValueError: its block does not normalise what it reads by a LayerNorm with a gamma and a beta.
    """
    norm, writer = _norm(model, part), model.get_submodule(part.writer)
    weight, bias, gamma, beta = map(_wide, (writer.weight, writer.bias, norm.weight, norm.bias))
    weight = weight[-part.count * part.width :]  # of q, k and v the last
    bias = 0 if bias is None else bias[-len(weight) :]
    mean, covariance = weight @ beta + bias, (weight * gamma.square()) @ weight.T
    if part.kind == HIDDEN:
        mean, covariance = _activated(model.get_submodule(part.path).act, mean, covariance)
    else:
        head = torch.arange(part.count, device="cpu").repeat_interleave(part.width)
        covariance = torch.where(head[:, None] == head, covariance, TOGETHER * covariance)
    return _moments(beta, gamma.square().diag()), _moments(mean, covariance)


def _norm(model: nn.Module, part: Part) -> nn.LayerNorm:
    path = part.path.rpartition(".")[0]
    block = model.get_submodule(path)
    norm = getattr(block, "norm2" if part.kind == HIDDEN else "norm1", None)
    known = type(block) in (SwinTransformerBlock, Block) and isinstance(norm, nn.LayerNorm)
    if not known or norm.weight is None or norm.bias is None:
        raise ValueError(
            f"{path or 'The model'} is a {type(block).__name__}, which has no LayerNorm before its layers, as the "
            "blocks of timm's Swin, ViT and DeiT have, so its weights do not tell what they read."
        )
    return norm


def _activated(
    activation: nn.Module, mean: torch.Tensor, covariance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of a(u), u Gaussian with those given: variances exact, covariances to the second order."""
    nodes, shares = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(NODES))
    shares = shares / shares.sum()
    deviation = covariance.diagonal().sqrt()
    activation = copy.deepcopy(activation).cpu().double()
    with torch.no_grad():
        values = activation(mean[:, None] + deviation[:, None] * nodes)
    middle = values @ shares
    first, second = values @ (shares * nodes), values @ (shares * (nodes.square() - 1)) / 2**0.5
    correlation = covariance / torch.outer(deviation, deviation).clamp_min(1e-200)
    together = torch.outer(first, first) * correlation + torch.outer(second, second) * correlation.square()
    together.diagonal().copy_((values - middle[:, None]).square() @ shares)
    return middle, together


def _moments(mean: torch.Tensor, covariance: torch.Tensor) -> InputMoments:
    return InputMoments(mean, covariance + torch.outer(mean, mean), 0)


def _wide(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.detach().cpu().double()
