"""Prune a model that was loaded by name, to a target, and say what was achieved: what `swinprune prune` does."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from swinprune_lite.acceleration.compacting import compact
from swinprune_lite.anatomy.modules import prunable
from swinprune_lite.anatomy.parts import parts
from swinprune_lite.calibration.propagated import propagated_moments
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.pruning.cost import Cost, Counted, cost
from swinprune_lite.pruning.criteria import CRITERIA
from swinprune_lite.pruning.holding import apply_masks, remove_masks
from swinprune_lite.pruning.methods import combination
from swinprune_lite.repairing.apply import repair
from swinprune_lite.shell.named import Loaded
from swinprune_lite.shell.targets import amount, groups, ignored, stages_lost, zeros
from swinprune_lite.shell.unlabelled import unlabelled
from swinprune_lite.types import Gradients, Masks

ZEROS = "The weights that left are zeros: the file is smaller, and nothing will be faster on ordinary hardware."
INSTEAD = " --structured takes whole heads and hidden units instead, which does save time."
NO_GROUPS = " No whole heads or hidden units can leave this architecture, so --structured is no way out."
WHOLE = "Nothing was asked to leave, so the model is what it was."
SMALLER = "Whole heads and hidden units left, so the matrices are smaller; `swinprune bench` measures what that saves."
Step = Callable[[str], AbstractContextManager]


@dataclass(frozen=True)
class Asked:
    """What is asked of pruning; one of the three targets.

    Attributes:
        ratio: share to remove, in [0, 1): of the prunable weights, or of the model's MACs where structured.
        target_macs: to be left, such as "2.2G" or "50%".
        target_params: parameters to be left, such as "14M" or "50%".
        method: of `METHODS`; None: "dimap". So also criterion, grouping and budget in place of the method's.
        structured: whole heads and hidden units leave, and the model becomes smaller; criterion is then of
            `structured.CRITERIA`, and the others are not asked for.
        multiple, head_ratio: of `structured_masks`, there `multiple` and `heads_share`; None: its own.
        repair: the weights that stay get back what cutting took.
        ignore: patterns of weights that stay whole, such as "layers.3.*".
        calibrate: folder of images that statistics are taken of; None: no image is used.
        images: of them.
        seed: of all that is drawn.
    """

    ratio: float | None = None
    target_macs: str | None = None
    target_params: str | None = None
    method: str | None = None
    criterion: str | None = None
    grouping: str | None = None
    budget: str | None = None
    structured: bool = False
    multiple: int | None = None
    head_ratio: float | None = None
    repair: bool = True
    ignore: Sequence[str] = ()
    calibrate: Path | None = None
    images: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.ratio, self.target_macs, self.target_params)) != 1:
            raise ValueError("Give one of --ratio, --target-macs and --target-params: how much is to go.")
        parts = [name for name in ("method", "grouping", "budget") if getattr(self, name) is not None]
        only = [name for name in ("multiple", "head_ratio") if getattr(self, name) is not None]
        if self.structured and parts:
            raise ValueError(f"--{parts[0]} is of single weights, and --structured takes heads and hidden units.")
        if not self.structured and only:
            raise ValueError(f"--{only[0].replace('_', '-')} is of heads and hidden units; give --structured with it.")


@dataclass(frozen=True)
class Pruned:
    """A pruned model.

    Attributes:
        model: with zeros in place of what left (masks are not held), or smaller.
        masks: of the model as it was loaded, parameter name -> bool tensor of its shape, True = kept.
        before: its counts as it was loaded, without counting zeros.
        after: its counts now, the zeros of the masks counted.
        results: what a record says, but for the file.
    """

    model: nn.Module
    masks: Masks
    before: Cost
    after: Cost
    results: dict[str, object]


def prune(loaded: Loaded, asked: Asked, dry: bool = False, step: Step = lambda what: nullcontext()) -> Pruned:
    """Prune and repair a model; the model that was loaded is changed.

    Args:
        loaded: the model; if its file says what was pruned already, that stays so and counts.
        asked: how much, and how.
        dry: only choose the weights: the model is left as it is.
        step: from what is done now, in words, to a context in which it is done, for progress.

    Raises:
        ValueError: a target that cannot be met, and how far one can go; a method that does not go with the model; or
            images that are wanted and not given.
        FileNotFoundError: no images where they should be.
    """
    model = loaded.model
    counted = loaded.counted
    before = counted.cost({})
    whole = ignored(model, asked.ignore)
    target = {
        "macs": asked.target_macs and amount(asked.target_macs, before.macs, "MACs"),
        "parameters": asked.target_params and amount(asked.target_params, before.params, "parameters"),
    }
    moments, calibration = None, None
    if asked.calibrate:
        with step("reading images"):
            batches, digest = unlabelled(loaded, asked.calibrate, asked.images, asked.seed)
            moments = input_moments(model, batches)
            calibration = {"images": asked.images, "digest": digest}
    with step("choosing what goes"):
        masks = (
            _groups(loaded, asked, target, whole, moments, before)
            if asked.structured
            else _zeros(loaded, asked, target, whole, moments, counted)
        )
    stages = stages_lost(model, masks, counted.products)
    if not dry:
        with step("repairing" if asked.repair else "cutting"):
            _cut(model, masks, asked, moments)
    if asked.structured:
        model = compact(model, masks)
    after = cost(model, {}, loaded.image_size) if asked.structured else counted.cost(masks)
    results = {
        "asked": {key: value for key, value in (
            ("ratio", asked.ratio), ("target_macs", target["macs"]), ("target_parameters", target["parameters"])
        ) if value is not None},
        "achieved": _achieved(loaded.model, masks, before, after, asked.structured),
        "dense": {"parameters": before.params, "macs": before.macs},
        "method": method_name(asked),
        "repair": asked.repair and not dry,
        "structured": asked.structured,
        "ignored": whole,
        "calibration": calibration,
        "stages": stages,
        "output": None,
        "advice": _advice(loaded.model, masks, asked.structured),
    }  # fmt: skip
    return Pruned(model, masks, before, after, results)


def method_name(asked: Asked) -> str:
    """In a word or two what chose the weights, such as "dimap", "dimap, criterion wanda" or "structured"."""
    base = "structured" if asked.structured else asked.method or "dimap"
    parts = [f"{part} {value}" for part in ("criterion", "grouping", "budget") if (value := getattr(asked, part))]
    return ", ".join([base, *parts])


def _advice(model: nn.Module, masks: Masks, structured: bool) -> str:
    if all(mask.all() for mask in masks.values()):
        return WHOLE
    return SMALLER if structured else ZEROS + (INSTEAD if parts(model) else NO_GROUPS)


def told_of_dense(model: Mapping[str, object]) -> dict[str, object]:
    """What a pruned model's file says of the dense one, and, if it was pruned before, of that.

    Args:
        model: that is cut, of `records.described`.

    Returns:
        dense_sha256, dense (parameters and macs; None if an earlier file does not say them), and before (what the
        earlier file says of how it was pruned; None of a dense model).
    """
    before = model["pruned"]
    if before:
        return {"dense_sha256": before.get("dense_sha256"), "dense": before.get("dense"), "before": before}
    counts = {key: model[key] for key in ("parameters", "macs")}
    return {"dense_sha256": model["sha256"], "dense": counts, "before": None}


def _zeros(
    loaded: Loaded, asked: Asked, target: dict, whole: Sequence[str], moments: dict | None, counted: Counted
) -> Masks:
    known = CRITERIA.get(asked.criterion)
    if known and known.wants is Gradients:
        raise ValueError(
            f"The criterion {asked.criterion} wants images with their classes; --calibrate has none: in Python, give "
            "make_masks statistics of `gradients`."
        )
    given = {part: value for part in ("criterion", "grouping", "budget") if (value := getattr(asked, part))}
    chosen = combination(asked.method or "dimap", **given).parts()[0]
    if chosen.wants and moments is None:
        raise ValueError(f"The criterion {asked.criterion} wants images; give --calibrate FOLDER.")
    statistics = moments if chosen.wants else None
    how = {"method": asked.method or "dimap", "seed": asked.seed, "statistics": statistics} | given
    return zeros(loaded.model, asked.ratio, target["macs"], target["parameters"], counted, whole, loaded.masks, **how)


def _groups(
    loaded: Loaded, asked: Asked, target: dict, whole: Sequence[str], moments: dict | None, dense: Cost
) -> Masks:
    if loaded.masks:
        raise ValueError(f"{loaded.name} has zeros of an earlier pruning; give --structured the dense model.")
    ratio = asked.ratio if target["macs"] is None else 1 - target["macs"] / dense.macs
    how = {"multiple": asked.multiple, "heads_share": asked.head_ratio, "criterion": asked.criterion}
    how = {name: value for name, value in how.items() if value is not None}
    statistics = {"statistics": moments} if moments and how.get("criterion", "energy") != "energy" else {}
    return groups(loaded.model, ratio, target["parameters"], loaded.image_size, whole, **how, **statistics)


def _cut(model: nn.Module, masks: Masks, asked: Asked, moments: dict | None) -> None:
    """Make the masks' zeros, and repair what stays, in place."""
    if not asked.repair or all(mask.all() for mask in masks.values()):
        apply_masks(model, masks)
    elif asked.structured:
        repair(model, masks, "least squares", moments or _guessed(model))
    else:
        repair(model, masks, moments=moments, seed=asked.seed)
    remove_masks(model)


def _guessed(model: nn.Module) -> dict:
    try:
        return propagated_moments(model)
    except ValueError as error:
        raise ValueError(f"{error} Give --calibrate FOLDER, or --no-repair.") from error


def _achieved(model: nn.Module, masks: Masks, before: Cost, after: Cost, structured: bool) -> dict[str, object]:
    if structured:
        ratio = 1 - after.macs / before.macs
    else:
        weights = sum(model.get_parameter(name).numel() for name in prunable(model))
        ratio = sum(int((~mask).sum()) for mask in masks.values()) / weights
    return {
        "ratio": ratio,
        "parameters": after.params,
        "nonzero_parameters": after.nonzero_params,
        "macs": after.macs,
        "nonzero_macs": after.nonzero_macs,
    }
