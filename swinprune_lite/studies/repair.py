"""Past the paper: cut, then repair. Which rule was chosen on held-out training pairs, and what it brings on others."""

from collections.abc import Sequence
from dataclasses import replace

from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.models.lite import LITE_MODELS
from swinprune_lite.models.probe import NAME
from swinprune_lite.sources.shipped_source import Shipped
from swinprune_lite.studies.profiles import PROFILES

PROFILE = replace(PROFILES["lite"], models=tuple(LITE_MODELS))
"""The lite profile with the model that is full."""

CHOICE = replace(PROFILE, source=Shipped("held-out"))
"""What is chosen is chosen here: held-out training pairs."""

RULE = "refit"
CHOSEN_ON = ("swin_lite_micro", "swin_lite_tiny")
METHODS = ("dimap", "lamp", "uniform", "global")
RATIOS = (0.15, 0.3, 0.55, 0.7, 0.8, 0.9)
HIGH = (0.8, 0.9)
RULES = (
    "rows",
    "rows^1.5",
    "rows, root of L1",
    "columns",
    "heads",
    "layer",
    "variances",
    "least squares",
    RULE,
)
REAL = (8, 32, 128, 512)
IMAGES = 5000


def setting(model: str, seed: int, method: str = "dense", ratio: float = 0.0, **more) -> Setting:
    """One measurement; seed 0 of the paper's three sizes on all images, as in the reproduction, the others on 5,000."""
    whole = seed == 0 and model in PROFILES["lite"].models and not more
    return Setting(model, method, ratio, seed, images=0 if whole else IMAGES, **more)


def seeds(model: str) -> list[int]:
    """Trainings of a model of which the weights ship."""
    return PROFILE.training_seeds(model)


def grid(models: Sequence[str] = PROFILE.models) -> list[Setting]:
    """Every method at every ratio, cut and repaired."""
    found = []
    for model in models:
        for seed in seeds(model):
            found.append(setting(model, seed))
            for method in METHODS:
                for ratio in RATIOS:
                    found += [setting(model, seed, method, ratio), setting(model, seed, method, ratio, repair=RULE)]
    return found


def rules(seeds_of=seeds) -> list[Setting]:
    """Every rule on DIMAP's masks at high ratios, without images, drawn or real, and with real ones."""
    found = []
    for model in CHOSEN_ON:
        for seed in seeds_of(model):
            for ratio in HIGH:
                one = setting(model, seed, "dimap", ratio, repair=RULE)
                found += [setting(model, seed, "dimap", ratio)]
                found += [replace(one, repair=rule) for rule in RULES]
                found += [replace(one, drawn=0), replace(one, drawn=0, repair="variances")]
                found += [replace(one, calibration=images) for images in REAL]
    return found


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for the chapter."""
    choosing = [replace(each, images=0) for each in rules(lambda model: [0])]
    found = [(CHOICE, each) for each in choosing] + [(PROFILE, each) for each in [*grid(), *rules()]]
    return list(dict.fromkeys(found))


PRETRAINED = PROFILES["pretrained"]
PRETRAINED_RATIOS = (0.3, 0.5)
GARMENTS = 500  # fifty of each kind


def pretrained() -> list[Setting]:
    """On the real pretrained transformer: cut, repaired without data, and with real images."""
    found = [Setting(NAME, images=GARMENTS)]
    for ratio in PRETRAINED_RATIOS:
        for method in METHODS:
            cut = Setting(NAME, method, ratio, images=GARMENTS)
            found += [cut, replace(cut, repair=RULE)]
        cut = Setting(NAME, "dimap", ratio, images=GARMENTS)
        found += [replace(cut, repair="rows"), replace(cut, repair="rows^1.5"), replace(cut, repair=RULE, drawn=0)]
        found += [replace(cut, repair=RULE, calibration=images) for images in (8, 32, 128)]
    return found
