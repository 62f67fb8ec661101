"""Data-independent, module-aware pruning (DIMAP) for hierarchical vision transformers, open and tested.

A public name is imported from its home when it is first asked for, so that `swinprune --help` need not wait for torch.
"""

from importlib import import_module

__version__ = "0.1.0"
HOMES = {
    "acceleration": ("compact", "load_compact", "save_compact", "structured_masks"),
    "anatomy.modules": ("modules", "prunable"),
    "calibration.statistics": ("input_moments",),
    "data.pairs": ("FashionPairs", "lite_data"),
    "models.lite": ("LITE_MODELS", "create_lite", "lite_card", "lite_seeds", "load_lite"),
    "pruning.cost": ("Cost", "cost"),
    "pruning.holding": ("apply_masks", "remove_masks"),
    "pruning.importance": ("importance",),
    "pruning.masks": ("make_masks",),
    "pruning.methods": ("METHODS",),
    "repairing.apply": ("repair",),
    "shell.named": ("load_model",),
    "training.evaluate": ("Accuracy", "evaluate"),
    "training.schedules": ("schedule",),
}
"""Module -> the public names that it has."""

_HOME = {name: home for home, names in HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
