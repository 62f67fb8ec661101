"""Past the paper: pruning that a clock can see. Smaller matrices, patterns, a small file, and ONNX."""

from swinprune_lite.acceleration.compact_files import load_compact, save_compact
from swinprune_lite.acceleration.compacting import compact, group_counts
from swinprune_lite.acceleration.patterns import block_masks, two_four_masks
from swinprune_lite.acceleration.storage import information_bound, load_pruned, save_pruned
from swinprune_lite.acceleration.structured import structured_masks
from swinprune_lite.training.distillation import Taught

__all__ = [
    "Taught",
    "block_masks",
    "compact",
    "group_counts",
    "information_bound",
    "load_compact",
    "load_pruned",
    "save_compact",
    "save_pruned",
    "structured_masks",
    "two_four_masks",
]
