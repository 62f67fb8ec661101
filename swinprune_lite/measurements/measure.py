"""One measurement: a model, pruned or not, fine-tuned or not, and for every test image whether it was right."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from swinprune_lite.acceleration.compacting import compact
from swinprune_lite.acceleration.patterns import block_masks, two_four_masks
from swinprune_lite.acceleration.structured import structured_masks
from swinprune_lite.calibration.propagated import propagated_moments
from swinprune_lite.calibration.statistics import GATHER
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.pruning.budgets import removing_macs
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.holding import apply_masks, remove_masks
from swinprune_lite.pruning.masks import digest, make_masks
from swinprune_lite.pruning.methods import METHODS, Method
from swinprune_lite.repairing.apply import repair
from swinprune_lite.repairing.sparsegpt import SPARSE_GPT, sparse_gpt
from swinprune_lite.training.distillation import Taught
from swinprune_lite.training.evaluate import verdicts
from swinprune_lite.training.finetune import finetune
from swinprune_lite.types import Gradients, InputMoments, Masks, Statistic

COMPACT = "compact"
PATTERNS: dict[str, Callable[[nn.Module, float], Masks]] = {
    COMPACT: structured_masks,  # its ratio is a share of the MACs by itself
    "2:4": two_four_masks,
    "blocks 16": lambda model, ratio: block_masks(model, ratio, (16, 16)),
    "blocks 32": lambda model, ratio: block_masks(model, ratio, (32, 32)),
}

WITH_HEAD = " + head"
"""After a rule of repair in a setting: the head is refitted too, on drawn images."""


def ways() -> tuple[str, ...]:
    """Names that `Setting.method` may have beside "dense": methods of `make_masks`, and patterns a clock can see."""
    return *METHODS, *PATTERNS, SPARSE_GPT


def measure(profile: Profile, setting: Setting, images: int | None = None) -> Measurement:
    """Load, prune, fine-tune if asked, and evaluate.

    Args:
        profile: gives the weights, the images and the recipe.
        setting: what to measure.
        images: evaluate on the first so many test images only; None: as the setting says.

    Raises:
        ValueError: an unknown method or budget.
    """
    start = time.perf_counter()
    model, masks = pruned(profile, setting)
    if setting.steps:
        batches = profile.training_batches(setting.seed, setting.steps)
        if setting.teacher == "dense":
            batches = Taught(batches, profile.load(setting.model, setting.training_seed).to(profile.recipe.precision))
        finetune(model, batches, profile.recipe, seed=setting.seed)
        remove_masks(model)
    top1, top5 = verdicts(model, profile.test_batches(images or setting.images or None))
    left = cost(model, None if is_compact(setting) else masks)
    seconds = time.perf_counter() - start
    found = digest(masks) if masks else ""
    return Measurement(top1, top5, left.nonzero_params, left.nonzero_macs, found, seconds)


def pruned(profile: Profile, setting: Setting) -> tuple[nn.Module, Masks | None]:
    """The model of a setting before any fine-tuning, its masks held or, if compact, cut out; and the masks.

    Raises:
        ValueError: an unknown method, budget or rule of repair, or ones that do not fit each other.
    """
    model = profile.load(setting.model, setting.training_seed)
    if setting.masks_from:
        _check_masks_from(setting)
    if setting.method == SPARSE_GPT:
        return model, sparse_gpt(model, setting.ratio, gathered(profile, setting, InputMoments))
    made_from = profile.load(setting.masks_from, setting.training_seed) if setting.masks_from else model
    masks = masks_of(made_from, setting, profile)
    if masks and setting.repair:
        moments = None
        if setting.calibration and not masks_want(setting):
            moments = gathered(profile, setting, InputMoments)
        elif setting.propagated:
            moments = propagated_moments(model)
        rule = setting.repair.removesuffix(WITH_HEAD)
        if moments and rule != setting.repair:
            raise ValueError(f"Moments set the biases, not the head; ask for {rule!r} where the repair is given some.")
        repair(model, masks, rule, moments, setting.drawn, head=rule != setting.repair)
    elif masks:
        apply_masks(model, masks)
    return (compact(model, masks) if is_compact(setting) else model), masks


def is_compact(setting: Setting) -> bool:
    """Whether whole hidden units and heads go, by whatever criterion."""
    return setting.method.split("/")[0] == COMPACT


def pattern_of(setting: Setting) -> Callable[[nn.Module, float], Masks] | None:
    """What makes the masks of a pattern; None: the method is no pattern.

    Raises:
        ValueError: "compact" with something else than a criterion and a number.
    """
    if not is_compact(setting) or setting.method == COMPACT:
        return PATTERNS.get(setting.method)
    try:
        _, criterion, share = setting.method.split("/")
        return partial(structured_masks, criterion=criterion, heads_share=float(share))
    except ValueError:
        raise ValueError(
            f"After compact come a criterion and heads_share, as in 'compact/variance/0.5'; got {setting.method!r}."
        ) from None


def _check_masks_from(setting: Setting) -> None:
    """Raise ValueError if the method wants more than another model's weights."""
    if setting.method in ("dense", SPARSE_GPT) or masks_want(setting):
        raise ValueError(
            f"Masks from the weights of {setting.masks_from} need a method that looks at weights alone; "
            f"{setting.method!r} does not."
        )


def masks_want(setting: Setting) -> type[InputMoments] | type[Gradients] | None:
    """The statistic that the setting's criterion wants; None: none."""
    return None if pattern_of(setting) else method_of(setting).parts()[0].wants


def method_of(setting: Setting) -> Method:
    """The method of a name, or of a criterion, a grouping and a budget with "/" between.

    Raises:
        ValueError: an unknown one.
    """
    return Method(*setting.method.split("/")) if "/" in setting.method else METHODS[setting.method]


def gathered(profile: Profile, setting: Setting, kind: type[InputMoments] | type[Gradients]) -> Mapping[str, Statistic]:
    """Statistics of a setting's dense model on its calibration images, in float64: the same on any processor."""
    dense = profile.load(setting.model, setting.training_seed).double()
    return GATHER[kind](dense, profile.calibration_batches(setting.calibration))


def masks_of(model: nn.Module, setting: Setting, profile: Profile | None = None) -> Masks | None:
    """The masks of a setting on a model; None for "dense".

    Args:
        model: the network.
        setting: its method, ratio, budget and seed.
        profile: gives the images of a criterion that wants statistics.

    Raises:
        ValueError: an unknown method or budget, or one that does not fit the method.
    """
    if setting.method == "dense":
        return None
    if setting.method not in ways() and "/" not in setting.method:
        raise ValueError(f"Unknown method {setting.method!r}; choose one of dense, {', '.join(ways())}.")
    if setting.budget not in ("weights", "macs"):
        raise ValueError(f"Unknown budget {setting.budget!r}; the ratio is a share of the 'weights' or of the 'macs'.")
    make = pattern_of(setting)
    if is_compact(setting) and setting.budget != "macs":
        raise ValueError("A compact model loses a share of the MACs; give the budget 'macs'.")
    if make is None:
        wanted = masks_want(setting)
        statistics = gathered(profile, setting, wanted) if wanted else None
        method = method_of(setting)
        return make_masks(model, setting.ratio, method, setting.seed, statistics=statistics, of=setting.budget)
    if setting.budget == "weights" or is_compact(setting):
        return make(model, setting.ratio)
    return removing_macs(model, setting.ratio, lambda ratio: make(model, ratio))
