"""Cut and repair: masks applied, and what cutting took given back to the weights that stay."""

from collections.abc import Mapping

import torch
from torch import nn

from swinprune_lite.anatomy.modules import PRJ, QKV, kind_of
from swinprune_lite.pruning.holding import apply_masks, forget_whole_weights, whole_weights
from swinprune_lite.pruning.importance import check_weight
from swinprune_lite.pruning.masks import check_masks
from swinprune_lite.repairing.rules import RULES, Layer, Rule
from swinprune_lite.types import InputMoments


def repair(
    model: nn.Module,
    masks: Mapping[str, torch.Tensor],
    rule: str | Rule = "refit",
    moments: Mapping[str, InputMoments] | None = None,
) -> None:
    """Give the weights that stay what cutting took from their layers; the masks are held, applied already or not.

    Nothing undoes it, since the weights that stay are changed too; keep a copy of the dense model if you want it
    back. It comes before training, not after: what was cut is known only until then. Without `moments` no image is
    used. With them the biases are changed as well, so that each output keeps its mean.

    Args:
        model: the network that the masks were made for, whole, or cut by `apply_masks` and not trained, loaded into,
            unpickled or repaired since.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.
        rule: of `RULES`; or your own, a function of a `Layer` that gives its weights, float64 (rows, columns).
        moments: of what each masked layer reads, measured by `input_moments` or guessed by `propagated_moments`; None:
            each layer's own Gram matrix stands in the place of its inputs' covariance. It knows nothing of hidden units
            and heads that leave whole, so with the masks of `structured_masks` give moments, and "least squares".

    Raises:
        ValueError: an unknown rule, masks that do not fit, weights of which it is not known what was cut, that hold
            NaN or infinity or would after the repair, or moments that are missing; the model is as it was.
    """
    if not callable(rule) and rule not in RULES:
        raise ValueError(f"Unknown rule {rule!r}; choose one of {', '.join(RULES)}, or give a function.")
    rule = rule if callable(rule) else RULES[rule]
    check_masks(model, masks)
    cutting = {name: mask for name, mask in masks.items() if not mask.all()}
    parameters = {name: model.get_parameter(name) for name in cutting}
    whole = {name: tensor for name, tensor in whole_weights(model).items() if tensor is not None}
    weights = {name: _matrix(whole.get(name, parameter)) for name, parameter in parameters.items()}
    for name, weight in weights.items():
        check_weight(name, weight)
    if cutting and not any(weights[name][~mask.cpu().flatten(1)].any() for name, mask in cutting.items()):
        raise ValueError(
            "The weights that the masks prune are zero, and it is not known what they were: they were trained, loaded, "
            "unpickled or repaired since. Call repair on the whole model, or right after apply_masks."
        )
    if moments is not None and (missing := [name for name in cutting if name not in moments]):
        raise ValueError(f"The moments have nothing for {missing[0]}; gather them on the whole model.")
    heads = _heads(model)
    repaired = {}
    for name, weight in weights.items():
        layer = _layer(name, weight, cutting[name], heads.get(name, 1), moments)
        repaired[name] = _in_place_of(name, parameters[name], layer, rule(layer))
    biases = _biases(model, weights, repaired, moments) if moments is not None else {}
    hold_with(model, masks, repaired | biases)


def hold_with(model: nn.Module, masks: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Hold masks on a model whose parameters take other values: parameter name -> tensor of its shape.

    Raises:
        ValueError: masks that do not fit or cannot be held; the model is as it was.
    """
    apply_masks(model, masks)
    forget_whole_weights(model)
    with torch.no_grad():
        for name, tensor in values.items():
            model.get_parameter(name).copy_(tensor)


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().cpu().double().flatten(1)


def _layer(
    name: str, weight: torch.Tensor, mask: torch.Tensor, heads: int, moments: Mapping[str, InputMoments] | None
) -> Layer:
    groups = {QKV: (3 * heads, 1), PRJ: (1, heads)}.get(kind_of(name.rpartition(".")[0]), (1, 1))
    return Layer(weight, mask.cpu().flatten(1), moments and moments[name], *groups)


def _heads(model: nn.Module) -> dict[str, int]:
    """Name of a weight of an attention -> the attention's number of heads."""
    found = {}
    for path, _ in model.named_modules():
        if kind_of(path) in (QKV, PRJ):
            attention = model.get_submodule(path.rpartition(".")[0])
            found[f"{path}.weight"] = getattr(attention, "num_heads", 1)
    return found


def _in_place_of(name: str, parameter: nn.Parameter, layer: Layer, found: torch.Tensor) -> torch.Tensor:
    if not isinstance(found, torch.Tensor) or found.shape != layer.weight.shape:
        got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ValueError(f"The rule must give {name} weights of shape {tuple(layer.weight.shape)}; it gave {got}.")
    values = found.masked_fill(~layer.mask, 0).to(parameter.dtype)
    check_weight(f"{name} after the repair", values)
    return values.view(parameter.shape)


def _biases(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    repaired: Mapping[str, torch.Tensor],
    moments: Mapping[str, InputMoments],
) -> dict[str, torch.Tensor]:
    """The biases with which each output keeps its mean: b + (W - V) E[x]. A layer without one keeps none."""
    found = {}
    for name, weight in weights.items():
        bias = model.get_submodule(name.rpartition(".")[0])._parameters.get("bias")
        if bias is not None:
            lost = weight - _matrix(repaired[name])
            found[f"{name.rpartition('.')[0]}.bias"] = bias.detach().cpu().double() + lost @ moments[name].mean
    return found
