"""Cut and repair: masks applied, and what cutting took given back to the weights that stay."""

import copy
from collections.abc import Mapping
from functools import cache

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import COMPILED, image_shape
from swinprune_lite.anatomy.modules import Mapped, mapped, writers
from swinprune_lite.anatomy.units import PRJ, QKV
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.data.drawn import dead_leaves
from swinprune_lite.files import reason
from swinprune_lite.pruning.criteria import check_statistics
from swinprune_lite.pruning.holding import apply_masks, forget_whole_weights, remove_masks, whole_weights
from swinprune_lite.pruning.importance import check_weight
from swinprune_lite.pruning.masks import check_masks
from swinprune_lite.repairing.covariance import writer
from swinprune_lite.repairing.rules import RULES, Layer, Rule
from swinprune_lite.types import InputMoments

DRAWN = 64  # images
BATCH = 16  # of them at a time


def repair(
    model: nn.Module,
    masks: Mapping[str, torch.Tensor],
    rule: str | Rule = "refit",
    moments: Mapping[str, InputMoments] | None = None,
    drawn: int = DRAWN,
    seed: int = 0,
) -> None:
    """Give the weights that stay what cutting took from their layers; the masks are held, applied already or not.

    Nothing undoes it, since the weights that stay are changed too; keep a copy of the dense model if you want it
    back. It comes before training, not after: what was cut is known only until then. Without `moments` no image of
    any data is used. With them the biases are changed as well, so that each output keeps its mean.

    Args:
        model: the network that the masks were made for, whole, or cut by `apply_masks` and not trained, loaded into,
            unpickled or repaired since.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.
        rule: of `RULES`; or your own, a function of a `Layer` that gives its weights, float64 (rows, columns).
        moments: of what each masked layer reads, measured by `input_moments` or guessed by `propagated_moments`; None:
            what weights and drawn images tell, see `covariance`. With the masks of `structured_masks` give moments, and
            "least squares": the default may harm them.

    Raises:
        ValueError: an unknown rule, masks that do not fit, weights of which it is not known what was cut, that hold
            NaN or infinity or would after the repair, moments that are missing or do not fit, a model that does not
            run on drawn images, or a number of them below 0; the model is as it was.
    """
    if not callable(rule) and rule not in RULES:
        raise ValueError(f"Unknown rule {rule!r}; choose one of {', '.join(RULES)}, or give a function.")
    if not isinstance(drawn, int) or isinstance(drawn, bool) or drawn < 0:
        raise ValueError(f"drawn must be a whole number of images, 0 (weights alone tell) or more; got {drawn!r}.")
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
    if moments is not None:
        check_statistics("repair", InputMoments, parameters, moments, "moments")
    told = cache(lambda: _drawn_moments(model, whole, drawn, seed))
    every = dict(model.named_parameters())

    def matrix(name: str) -> torch.Tensor | None:
        if name in weights or name not in every:
            return weights.get(name)
        return _matrix(whole.get(name, every[name]))  # whole too, though it may be held by an earlier mask

    places, written = mapped(model), writers(model)
    repaired = {}
    for name, weight in weights.items():
        layer = Layer(
            weight,
            cutting[name].cpu().flatten(1),
            moments and moments[name],
            writer(name, written, matrix),
            (lambda name=name: told()[name]) if drawn else None,
            **_heads(places.get(name)),
        )
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


def _drawn_moments(
    model: nn.Module, whole: Mapping[str, torch.Tensor], images: int, seed: int
) -> dict[str, InputMoments]:
    """What the whole model's layers read of drawn images, in float64, so that digits are the same on any processor."""
    try:
        dense = copy.deepcopy(getattr(model, COMPILED, model))
        remove_masks(dense)
        with torch.no_grad():
            for name, tensor in whole.items():
                dense.get_parameter(name.removeprefix(f"{COMPILED}.")).copy_(tensor)
        leaves = dead_leaves(images, image_shape(model), seed).split(BATCH)
        return input_moments(dense.double(), [(batch, torch.zeros(len(batch), dtype=torch.long)) for batch in leaves])
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"{type(model).__name__} does not run on drawn images ({reason(error)}); give moments of real ones, or "
            "drawn=0, so that weights alone tell."
        ) from error


def _heads(place: Mapped | None) -> dict[str, int]:
    """`Layer`'s equal parts of the rows or columns of a weight."""
    which = {QKV: "row_groups", PRJ: "column_groups"}.get(place.kind) if place else None
    return {which: place.role.groups} if which else {}


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
