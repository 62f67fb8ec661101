"""Data-independent, module-aware pruning (DIMAP) for hierarchical vision transformers, open and tested."""

from swinprune_lite.acceleration import compact, load_compact, save_compact, structured_masks
from swinprune_lite.anatomy.modules import modules, prunable
from swinprune_lite.calibration.statistics import input_moments
from swinprune_lite.data.pairs import FashionPairs, lite_data
from swinprune_lite.models.lite import LITE_MODELS, create_lite, lite_card, lite_seeds, load_lite
from swinprune_lite.pruning.cost import Cost, cost
from swinprune_lite.pruning.holding import apply_masks, remove_masks
from swinprune_lite.pruning.importance import importance
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.repairing.apply import repair
from swinprune_lite.training.evaluate import Accuracy, evaluate
from swinprune_lite.training.schedules import schedule

__version__ = "0.1.0"
__all__ = [
    "LITE_MODELS",
    "METHODS",
    "Accuracy",
    "Cost",
    "FashionPairs",
    "apply_masks",
    "compact",
    "cost",
    "create_lite",
    "evaluate",
    "importance",
    "input_moments",
    "lite_card",
    "lite_data",
    "lite_seeds",
    "load_compact",
    "load_lite",
    "make_masks",
    "modules",
    "prunable",
    "remove_masks",
    "repair",
    "save_compact",
    "schedule",
    "structured_masks",
]
