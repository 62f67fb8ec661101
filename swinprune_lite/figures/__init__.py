"""The notebooks' figures. Each takes a data frame or a model and returns a matplotlib figure."""

from swinprune_lite.figures.acceleration import (
    accuracy_against_time,
    mac_and_time_shares,
    speedup_against_theory,
)
from swinprune_lite.figures.accuracy import accuracy_against_ratio, before_and_after, differences, leads
from swinprune_lite.figures.architecture import (
    components,
    module_map,
    pareto_front,
    shares_by_module,
    state_of_the_art,
)
from swinprune_lite.figures.criteria import accuracy_against_alpha, accuracy_against_images
from swinprune_lite.figures.ideas import (
    mask_of,
    multiply_accumulates,
    one_threshold,
    patches_and_windows,
    scores_by_layer,
    shifted_windows,
    shot_and_tuning,
    stages,
    threshold_explorer,
    zeros_or_smaller,
)
from swinprune_lite.figures.layerwise import heat_map, keep_ratios, masks, weight_histograms
from swinprune_lite.figures.repair import cut_and_repaired
from swinprune_lite.figures.style import METHOD_STYLES, set_style
from swinprune_lite.figures.surfaces import dots, gallery, recall_by_size, recovery
from swinprune_lite.figures.theory import bound_looseness, distortions, speedups

__all__ = [
    "METHOD_STYLES",
    "accuracy_against_alpha",
    "accuracy_against_images",
    "accuracy_against_ratio",
    "accuracy_against_time",
    "before_and_after",
    "bound_looseness",
    "components",
    "cut_and_repaired",
    "differences",
    "distortions",
    "dots",
    "gallery",
    "heat_map",
    "keep_ratios",
    "leads",
    "mac_and_time_shares",
    "mask_of",
    "masks",
    "module_map",
    "multiply_accumulates",
    "one_threshold",
    "pareto_front",
    "patches_and_windows",
    "recall_by_size",
    "recovery",
    "scores_by_layer",
    "set_style",
    "shares_by_module",
    "shifted_windows",
    "shot_and_tuning",
    "speedup_against_theory",
    "speedups",
    "stages",
    "state_of_the_art",
    "threshold_explorer",
    "weight_histograms",
    "zeros_or_smaller",
]
