"""Past the paper: why cutting takes scale, and who can tell a repair which directions count."""

import copy
from collections.abc import Mapping

import pandas as pd
import torch
from torch import nn

from swinprune_lite.anatomy.modules import blocks, mapped
from swinprune_lite.anatomy.parts import parts
from swinprune_lite.calibration.propagated import propagated_moments
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.pruning.holding import apply_masks
from swinprune_lite.repairing.apply import repair
from swinprune_lite.repairing.refit import variance
from swinprune_lite.repairing.rules import RULES, Layer
from swinprune_lite.training.surroundings import in_evaluation, plain_arithmetic
from swinprune_lite.types import Batches, InputMoments, Masks

CUT = "cut"
TOLD_BY = ("nothing", "weights", "drawn images", "their mean", "real images")
"""Who tells `refit` the covariance of what a layer reads."""


def layers(model: nn.Module, masks: Masks, real: Mapping[str, InputMoments]) -> pd.DataFrame:
    """What cutting does to each layer's output on real inputs, and what a refit told by each of `TOLD_BY` leaves of it.

    Args:
        model: dense.
        masks: parameter name -> bool tensor of its shape.
        real: moments of what each layer reads, on other images than the refit's own.

    Returns:
        By layer: kind; "norm" and "deviation" (medians over rows of what cutting leaves of the row's norm, and of the
        standard deviation of what it gives); "exponent" (median of log deviation over log norm, rows that lost a tenth
        of their norm); and by `CUT` and each of `TOLD_BY` the squared error of the output over its variance.
    """
    seen: dict[str, Layer] = {}
    twin, places = copy.deepcopy(model), mapped(model)
    names = (name for name, mask in masks.items() if not mask.all())  # a whole layer is none of the rule's
    repair(twin, masks, lambda layer: seen.setdefault(next(names), layer).weight)
    rows = []
    for name, layer in seen.items():
        truth = real[name].covariance
        left, before = variance(layer.cut, truth), variance(layer.weight, truth)
        norm = (layer.cut.square().sum(1) / layer.weight.square().sum(1)).sqrt()
        deviation = (left / before).sqrt()
        lost = (norm < 0.9) & (norm > 0)
        told = {
            "nothing": layer._replace(moments=None, written_by=torch.eye(layer.weight.shape[1]).double(), drawn=None),
            "weights": layer._replace(drawn=None),
            "drawn images": layer._replace(moments=layer.drawn()),
            "their mean": layer,
            "real images": layer._replace(moments=real[name]),
        }
        found = {CUT: layer.cut} | {who: RULES["refit"](told[who]) for who in TOLD_BY}
        errors = {who: float(variance(layer.weight - one, truth).sum() / before.sum()) for who, one in found.items()}
        rows.append(
            {
                "layer": name.removesuffix(".weight"),
                "kind": places[name].kind.label,
                "norm": float(norm.median()),
                "deviation": float(deviation.median()),
                "exponent": float((deviation.log() / norm.log())[lost].median()),
                **errors,
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def whole_parts(model: nn.Module, masks: Masks, real: Mapping[str, InputMoments]) -> pd.DataFrame:
    """What leaves with whole heads and hidden units, and what the others can say of it.

    Args:
        model: dense.
        masks: of `structured_masks`.
        real: moments of what each layer reads on real images.

    Returns:
        By repair (as cut, by the refit of `apply`, by least squares under propagated moments, and under the very
        moments), a column "heads" and one "hidden units": of the layers that read them the squared error of the output,
        its mean included, over the output's variance; median over layers.
    """
    told = {
        CUT: (lambda layer: layer.cut, None),
        "refit": ("refit", None),
        "least squares, propagated moments": ("least squares", propagated_moments(model)),
        "least squares, these real images": ("least squares", real),
    }
    found = []
    for name, (rule, moments) in told.items():
        twin = copy.deepcopy(model)
        repair(twin, masks, rule, moments, head=False)
        for part in parts(model):
            read = real[f"{part.reader}.weight"]
            (before, bias), (after, moved) = (
                [each.detach().double() for each in whole.get_submodule(part.reader).parameters()]
                for whole in (model, twin)
            )
            lost = before - after
            error = variance(lost, read.covariance).sum() + (lost @ read.mean + bias - moved).square().sum()
            found.append((name, part.kind, float(error / variance(before, read.covariance).sum())))
    return pd.DataFrame(found, columns=["repair", "kind", "error"]).pivot_table(
        "error", "repair", "kind", "median", sort=False
    )


def stream(dense: nn.Module, others: Mapping[str, nn.Module], images: Batches) -> pd.DataFrame:
    """The residual stream after each block: standard deviation of its channels over that of the dense model's.

    Args:
        dense: a Swin.
        others: name -> the same network, pruned.
        images: pairs of images (B, C, H, W) and classes.

    Returns:
        By stage and block, a column a model: the root of the ratio of the variances, summed over channels.
    """
    found = {name: _after_blocks(model, images) for name, model in {"dense": dense, **others}.items()}
    table = pd.DataFrame({name: found[name] / found["dense"] for name in others}) ** 0.5
    return table.rename_axis(["stage", "block"])


def pruned(model: nn.Module, masks: Masks, rule: str = "") -> nn.Module:
    """A copy, cut and, if a rule is given, repaired."""
    twin = copy.deepcopy(model)
    if rule:
        repair(twin, masks, rule)
    else:
        apply_masks(twin, masks)
    return twin


def moments_on(model: nn.Module, batches: Batches) -> dict[str, InputMoments]:
    """`input_moments` of a float64 copy: the same digits on any processor."""
    return input_moments(copy.deepcopy(model).double(), batches)


def _after_blocks(model: nn.Module, images: Batches) -> pd.Series:
    variances, twin = {}, copy.deepcopy(model).double()

    def keep(where: tuple[int, int]):
        return lambda block, given, output: variances.__setitem__(
            where, float(output.flatten(0, -2).var(0, correction=0).sum())
        )

    for path, where in blocks(twin).items():
        twin.get_submodule(path).register_forward_hook(keep(where))
    with in_evaluation(twin), plain_arithmetic(), torch.inference_mode():
        twin(torch.cat([batch for batch, _ in images]).double())
    return pd.Series(variances)
