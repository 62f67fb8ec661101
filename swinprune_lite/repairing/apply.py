"""Cut and repair: masks applied, and what cutting took given back to the weights that stay."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from swinprune_lite.anatomy.inputs import COMPILED, image_shape, image_type
from swinprune_lite.anatomy.modules import Mapped, mapped, writers
from swinprune_lite.anatomy.units import PRJ, QKV
from swinprune_lite.calibration.drawn import dead_leaves, drawn_kinds
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.files import reason
from swinprune_lite.pruning.criteria import check_statistics
from swinprune_lite.pruning.holding import apply_masks, forget_whole_weights, remove_masks, whole_weights
from swinprune_lite.pruning.importance import check_type, check_weight
from swinprune_lite.pruning.masks import check_masks
from swinprune_lite.repairing.covariance import writer
from swinprune_lite.repairing.head import head_of, read_by, refitted
from swinprune_lite.repairing.rules import RULES, Layer, Rule
from swinprune_lite.types import InputMoments

DRAWN = 64  # images
BATCH = 16  # of them at a time
AROUND = (DataParallel, DistributedDataParallel, AveragedModel)
"""What keeps the network as its `module`, under which name its parameters are."""


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
        masks: parameter name -> bool tensor of the parameter's shape, True = kept; of weights of linear layers and of
            convolutions of one group.
        rule: of `RULES`; or your own, a function of a `Layer` that gives its weights, float64 (rows, columns).
        moments: of what each masked layer reads, measured by `input_moments` or guessed by `propagated_moments`; None:
            what weights and drawn images tell, see `covariance`. With the masks of `structured_masks` give moments, and
            "least squares": the default may harm them.
        drawn: images that are drawn where there are no moments, a quarter as many of each kind for the head; 0: none,
            weights alone tell and the head stays.
        seed: of what is drawn, a whole number, 0 or more.
        head: whether the head is refitted where there are no moments. A model without one, such as a backbone, a head
            that is pruned itself, and one that `head.head_of` does not find are left alone.

    Raises:
        ValueError: an unknown rule, masks that do not fit or of other parameters, weights of which it is not known what
            was cut, that hold NaN or infinity or would after the repair, moments that are missing or do not fit, a
            model that does not run on drawn images, or a number of them or a seed below 0; the model is as it was.
    """
    if not callable(rule) and (not isinstance(rule, str) or rule not in RULES):
        raise ValueError(f"Unknown rule {rule!r}; choose one of {', '.join(RULES)}, or give a function.")
    if not isinstance(drawn, int) or isinstance(drawn, bool) or drawn < 0:
        raise ValueError(f"drawn must be a whole number of images, 0 (weights alone tell) or more; got {drawn!r}.")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more; got {seed!r}.")
    rule = rule if callable(rule) else RULES[rule]
    check_masks(model, masks)
    cutting = {name: mask for name, mask in masks.items() if not mask.all()}
    parameters = {name: model.get_parameter(name) for name in cutting}
    places = mapped(model)
    _check_layers(model, cutting, places)
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
        moments = {name: _wide(moments[name]) for name in parameters}
    inside, prefix = _unwrapped(model)
    dense = cache(lambda: _whole(inside, {name.removeprefix(prefix): tensor for name, tensor in whole.items()}))
    read = [name.removeprefix(prefix) for name in weights]
    told = cache(lambda: _on_drawn_images(inside, lambda: _drawn_moments(dense(), read, drawn, seed)))
    every = dict(model.named_parameters())

    def matrix(name: str) -> torch.Tensor | None:
        if name in weights or name not in every:
            return weights.get(name)
        return _matrix(whole.get(name, every[name]))  # whole too, though it may be held by an earlier mask

    written = writers(model)
    repaired = {}
    for name, weight in weights.items():
        mask = cutting[name].cpu().flatten(1)
        layer = Layer(
            weight.clone(),  # a rule may write into what it is given
            mask.clone(),
            moments and moments[name],
            writer(name, written, matrix),
            (lambda name=name: told()[name.removeprefix(prefix)]) if drawn else None,
            **_heads(places.get(name)),
        )
        repaired[name] = _in_place_of(name, parameters[name], mask, rule(layer))
    if moments is not None:
        repaired |= _biases(model, weights, repaired, moments)
    elif head and drawn and repaired:
        repaired |= _on_drawn_images(
            inside, lambda: _refitted_head(model, prefix, dense(), repaired, -(-drawn // 4), seed)
        )
    repaired = {name: _narrow(name, tensor, model.get_parameter(name)) for name, tensor in repaired.items()}
    hold_with(model, masks, repaired)


def hold_with(model: nn.Module, masks: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Hold masks on a model whose parameters take other values: parameter name -> tensor of its shape.

    Raises:
        ValueError: masks that do not fit or cannot be held, or a parameter that cannot be changed; the model is as it
            was.
    """
    for name in values:
        if model.get_parameter(name).is_inference() and not torch.is_inference_mode_enabled():
            raise ValueError(f"{name} was made under torch.inference_mode, so it cannot be changed; make it outside.")
    apply_masks(model, masks)
    forget_whole_weights(model)
    with torch.no_grad():
        for name, tensor in values.items():
            model.get_parameter(name).copy_(tensor)


def _check_layers(model: nn.Module, cutting: Mapping[str, torch.Tensor], places: Mapping[str, Mapped]) -> None:
    """Raise ValueError unless what is cut are weights of layers, and all that is floating is there and finite."""
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ValueError(f"{name} has no shape yet; run the model on one input first.")
        if name in cutting:
            layer = model.get_submodule(name.rpartition(".")[0])
            known = isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)) and getattr(layer, "groups", 1) == 1
            if parameter.ndim < 2 or not (known or name in places):
                raise ValueError(
                    f"{name} is no weight of a linear layer or of a convolution of one group, so nothing can make up "
                    "for what is cut of it; leave it out, and cut it by apply_masks."
                )
            check_type(name, parameter)
        if parameter.is_floating_point() and parameter.numel() and parameter.layout == torch.strided:
            check_weight(name, parameter.detach())


def _unwrapped(model: nn.Module) -> tuple[nn.Module, str]:
    """The network in what compiles or distributes it, and what its parameters' names begin with there."""
    prefix = ""
    while leaf := COMPILED if hasattr(model, COMPILED) else "module" if isinstance(model, AROUND) else "":
        model, prefix = getattr(model, leaf), f"{prefix}{leaf}."
    return model, prefix


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().to("cpu", torch.float64, copy=True).flatten(1)


def _wide(moments: InputMoments) -> InputMoments:
    return InputMoments(moments.mean.cpu().double(), moments.second.cpu().double(), moments.positions)


def _whole(model: nn.Module, whole: Mapping[str, torch.Tensor]) -> nn.Module:
    """A copy that is not cut, in float64, so that digits are the same on any processor."""
    dense = copy.deepcopy(model)
    remove_masks(dense)
    with torch.no_grad():
        for name, tensor in whole.items():
            dense.get_parameter(name).copy_(tensor)
    return dense.double()


def _drawn_moments(dense: nn.Module, names: Sequence[str], images: int, seed: int) -> dict[str, InputMoments]:
    leaves = dead_leaves(images, image_shape(dense), seed).split(BATCH)
    return input_moments(
        dense, [(batch, torch.zeros(len(batch), dtype=torch.long, device="cpu")) for batch in leaves], names
    )


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
    bias = own.get("bias", own["weight"].new_zeros(layer.out_features))
    found = refitted(own["weight"], bias, before, after)
    return {f"{prefix}{path}.{name}": tensor for name, tensor in zip(("weight", "bias"), found) if name in own}


def _on_drawn_images(model: nn.Module, run: Callable[[], dict]) -> dict:
    """What is found by running a model on drawn images.

    Raises:
        ValueError: it does not run on them.
    """
    try:
        return run()
    except Exception as error:  # whatever a model may raise
        said = reason(error.__cause__ or error)
        raise ValueError(
            f"{type(model).__name__} does not run on drawn images ({said}); give moments of real ones, or drawn=0, so "
            "that weights alone tell."
        ) from error


def _heads(place: Mapped | None) -> dict[str, int]:
    """`Layer`'s equal parts of the rows or columns of a weight."""
    which = {QKV: "row_groups", PRJ: "column_groups"}.get(place.kind) if place else None
    return {which: place.role.groups} if which else {}


def _in_place_of(name: str, parameter: nn.Parameter, mask: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """What a rule gave, of the parameter's type and shape."""
    if not isinstance(found, torch.Tensor) or found.shape != mask.shape:
        got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ValueError(f"The rule must give {name} weights of shape {tuple(mask.shape)}; it gave {got}.")
    return _narrow(name, found.detach().masked_fill(~mask, 0).reshape(parameter.shape), parameter)


def _narrow(name: str, values: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    """Values of the parameter's type.

    Raises:
        ValueError: they hold NaN or infinity.
    """
    values = values.to(parameter.dtype)
    if not torch.isfinite(values if values.element_size() > 1 else values.float()).all():
        raise ValueError(
            f"{name} after the repair holds NaN or infinity as {str(values.dtype).removeprefix('torch.')}; repair the "
            "model in a wider type, such as float32, or by another rule."
        )
    return values


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
