"""Cut and repair: masks applied, and what cutting took given back to the weights that stay."""

import copy
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import nn

from swinprune_lite.anatomy.inputs import COMPILED, image_shape, image_type
from swinprune_lite.anatomy.modules import Mapped, mapped, writers
from swinprune_lite.anatomy.units import PRJ, QKV
from swinprune_lite.calibration.drawn import dead_leaves, drawn_kinds
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.files import reason
from swinprune_lite.pruning.criteria import check_statistics
from swinprune_lite.pruning.holding import apply_masks, forget_whole_weights, remove_masks, whole_weights
from swinprune_lite.pruning.importance import check_weight
from swinprune_lite.pruning.masks import check_masks
from swinprune_lite.repairing.covariance import writer
from swinprune_lite.repairing.head import head_of, read_by, refitted
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
    head: bool = True,
) -> None:
    """Give the weights that stay what cutting took from their layers; the masks are held, applied already or not.

    Nothing undoes it, since the weights that stay are changed too; keep a copy of the dense model if you want it
    back. It comes before training, not after: what was cut is known only until then. Without `moments` no image of
    any data is used, and the linear layer that gives the logits is refitted too, on drawn images (`head.refitted`).
    With them the biases are changed instead, so that each output keeps its mean.

    Args:
        model: the network that the masks were made for, whole, or cut by `apply_masks` and not trained, loaded into,
            unpickled or repaired since.
        masks: parameter name -> bool tensor of the parameter's shape, True = kept.
        rule: of `RULES`; or your own, a function of a `Layer` that gives its weights, float64 (rows, columns).
        moments: of what each masked layer reads, measured by `input_moments` or guessed by `propagated_moments`; None:
            what weights and drawn images tell, see `covariance`. With the masks of `structured_masks` give moments, and
            "least squares": the default may harm them.
        drawn: images that are drawn where there are no moments, a quarter as many of each kind for the head; 0: none,
            weights alone tell and the head stays.
        seed: of what is drawn.
        head: whether the head is refitted where there are no moments. A model without one, such as a backbone, and a
            head that is pruned itself are left alone.

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
    dense = cache(lambda: _whole(model, whole))
    told = cache(lambda: _on_drawn_images(model, lambda: _drawn_moments(dense(), drawn, seed)))
    prefix = f"{COMPILED}." if hasattr(model, COMPILED) else ""  # of a compiled model's names, not of its copy's
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
            (lambda name=name: told()[name.removeprefix(prefix)]) if drawn else None,
            **_heads(places.get(name)),
        )
        repaired[name] = _in_place_of(name, parameters[name], layer, rule(layer))
    if moments is not None:
        repaired |= _biases(model, weights, repaired, moments)
    elif head and drawn and repaired:
        repaired |= _on_drawn_images(
            model, lambda: _refitted_head(model, prefix, dense(), repaired, -(-drawn // 4), seed)
        )
    hold_with(model, masks, repaired)


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


def _whole(model: nn.Module, whole: Mapping[str, torch.Tensor]) -> nn.Module:
    """A copy that is not cut, in float64, so that digits are the same on any processor."""
    dense = copy.deepcopy(getattr(model, COMPILED, model))
    remove_masks(dense)
    with torch.no_grad():
        for name, tensor in whole.items():
            dense.get_parameter(name.removeprefix(f"{COMPILED}.")).copy_(tensor)
    return dense.double()


def _drawn_moments(dense: nn.Module, images: int, seed: int) -> dict[str, InputMoments]:
    leaves = dead_leaves(images, image_shape(dense), seed).split(BATCH)
    return input_moments(dense, [(batch, torch.zeros(len(batch), dtype=torch.long)) for batch in leaves])


def _refitted_head(
    model: nn.Module, prefix: str, dense: nn.Module, repaired: Mapping[str, torch.Tensor], images: int, seed: int
) -> dict[str, torch.Tensor]:
    """Parameter name -> value of the refitted head; empty if there is none that runs, or if it is pruned itself."""
    path = head_of(dense)
    if path is None or f"{prefix}{path}.weight" in {*repaired, *whole_weights(model)}:
        return {}
    pruned = copy.deepcopy(dense)
    with torch.no_grad():
        for name, tensor in repaired.items():
            pruned.get_parameter(name.removeprefix(prefix)).copy_(tensor)
    kinds = drawn_kinds(images, image_shape(dense), seed)
    device, dtype = image_type(dense)
    before, after = (
        {kind: read_by(each, path, drawn.to(device, dtype).split(BATCH)) for kind, drawn in kinds.items()}
        for each in (dense, pruned)
    )
    if not all(len(rows) for rows in after.values()):
        return {}
    layer = dense.get_submodule(path)
    own = {name: tensor.detach().cpu() for name, tensor in layer.named_parameters(recurse=False)}
    found = refitted(own["weight"], own.get("bias", torch.zeros(layer.out_features)).double(), before, after)
    values = {f"{prefix}{path}.{name}": tensor for name, tensor in zip(("weight", "bias"), found) if name in own}
    values = {name: tensor.to(model.get_parameter(name).dtype) for name, tensor in values.items()}
    for name, tensor in values.items():
        check_weight(f"{name} after the repair", tensor)
    return values


def _on_drawn_images(model: nn.Module, run: Callable[[], dict]) -> dict:
    """What is found by running a model on drawn images.

    Raises:
        ValueError: it does not run on them.
    """
    try:
        return run()
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
