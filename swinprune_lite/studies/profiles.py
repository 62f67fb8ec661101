"""The named profiles: "smoke", "lite", "pretrained", "imagenette", "imagenet" and "folder"."""

import json
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path

from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.lite import LIKE_THE_PAPERS
from swinprune_lite.models.pretrained import PAPER_MODELS, best_device
from swinprune_lite.models.probe import NAME
from swinprune_lite.paper.numbers import counterpart, paper_table
from swinprune_lite.sources.pretrained_source import Pretrained
from swinprune_lite.sources.probed_source import Probed
from swinprune_lite.sources.shipped_source import Shipped
from swinprune_lite.training.recipe import PAPER_RECIPE

SWIN_BATCH = 512  # that the learning rates of Swin's code, and so the paper's, hold for
GARMENTS = 500  # fifty of each kind, that the pretrained transformer's results are of
SWIN_CROP = 224 / 256  # of Swin's code, which measured the paper's dense accuracies; timm's own is 0.9
TRAINING_IMAGES = 1_281_167  # of ImageNet-1k


def _short() -> dict:
    """Fine-tuning that shows the direction in minutes: the paper's peak rate, a few steps, nothing mixed."""
    recipe = replace(PAPER_RECIPE, epochs=1, warm_up=0.25, min_lr=0.0, warm_up_lr=0.0, mixup=0.0, cutmix=0.0)
    return {"recipe": recipe, "finetune_steps": 120, "batch_size": 16}  # Swin-B with 16 images fits a free GPU


_FEWER = {
    "methods": ("dimap", "lamp", "uniform", "module-magnitude"),
    "replicates": 1,
    "common_images": None,
}


def _dense_top1() -> dict[str, float]:
    dense = paper_table("table1_pruned_swin").query("variant == 'dense'").set_index("model").top1_pct
    return {name: dense[counterpart(name)] for name in PAPER_MODELS}


PROFILES = {
    "smoke": Profile(
        "smoke", ("swin_lite_tiny",), Shipped("smoke"), finetune_steps=2, batch_size=16, live_images=100,
        live_draws=1,
    ),
    "lite": Profile(
        "lite", LIKE_THE_PAPERS, Shipped("test"), finetune_steps=25, live_images=1000, live_draws=1
    ),
    "pretrained": Profile(
        "pretrained", (NAME,), Probed(), common_images=GARMENTS, first_images=GARMENTS, live_images=20,
        finetunes_in_notebooks=False, **_short(),
    ),
    "imagenette": Profile("imagenette", PAPER_MODELS, Pretrained("imagenette"), **_FEWER, **_short()),
    "imagenet": Profile(
        "imagenet", PAPER_MODELS, Pretrained("imagenet", crop_pct=SWIN_CROP, dense_top1=_dense_top1()),
        finetune_steps=TRAINING_IMAGES // 1024, batch_size=1024, recipe=PAPER_RECIPE.scaled(1024 / SWIN_BATCH),
        finetunes_in_notebooks=False, **_FEWER,
    ),
    "folder": Profile("folder", (), Pretrained("folder"), **_FEWER, **_short()),
}  # fmt: skip


def get_profile(
    name: str,
    models: Sequence[str] | str | None = None,
    seed: int = 0,
    data: str | Path | None = None,
    batch_size: int | None = None,
) -> Profile:
    """The named profile, with other models, another seed, folder or batch size if given.

    Args:
        name: one of `PROFILES`.
        models: those of the profile that ship, or names of pretrained timm models with their tags; the folder
            profile needs some. Also as text, see `as_list`.
        seed: of a fine-tuning by the command, a whole number.
        data: folder of images; not for smoke, lite and pretrained, whose images ship.
        batch_size: images at a time, where memory is short; with it changes the fine-tuning, and in the
            imagenet profile its learning rate, as Swin's code has it.

    Raises:
        ValueError: an unknown profile or model, models that do not go together, or an argument that is missing or
            means nothing here.
    """
    if name not in PROFILES:
        raise ValueError(f"Unknown profile {name!r}; choose one of {', '.join(PROFILES)}.")
    profile = PROFILES[name]
    models = None if models is None else as_list(models)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"seed must be a whole number; got {seed!r}.")
    if batch_size is not None:
        profile = _with_batch_size(profile, batch_size)
    if data is not None:
        if profile.shipped:
            raise ValueError(f"The {name} profile has its own images; leave `data` out, or take the folder profile.")
        profile = replace(profile, source=replace(profile.source, folder=Path(data).expanduser()))
    if name == "folder" and not (models and data):
        raise ValueError(
            "The folder profile needs `models`, a list of timm's names, and `data`, a folder that holds a folder of "
            "images for every class (or `val` and `train` with such folders)."
        )
    return replace(profile, models=profile.source.resolve(models or profile.models), seed=seed)


def as_list(value: object, kind: type = str) -> list:
    """A notebook's parameter that is a list, also where it came as text, as papermill's -p and -r pass it.

    Args:
        value: a sequence; or text: a list in JSON, '["a", "b"]' or '[0.5, 0.8]', values with commas between
            them, 'a, b', or a single value. A name that begins with "local-dir:" is one, whatever commas it has.
        kind: str, or float for numbers.

    Raises:
        ValueError: neither, or an element of another kind.
    """
    found = value
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                found = json.loads(text)
            except ValueError:
                found = _split(text.strip("[]"))
        else:
            found = [text] if text.startswith("local-dir:") else _split(text)
    elif kind is float and isinstance(value, Real):
        found = [value]
    try:
        if kind is float:
            found = [float(element) for element in found]
        right = not isinstance(found, dict) and all(isinstance(element, kind) for element in found)
    except (TypeError, ValueError):
        right = False
    if not right:
        such = "numbers, such as [0.5, 0.8]" if kind is float else "names, such as ['a', 'b']"
        raise ValueError(f"A list of {such}, is needed; got {value!r}.")
    return list(found)


def _split(text: str) -> list[str]:
    """Values with commas between them, quoted or not."""
    return [part.strip().strip("'\"") for part in text.split(",") if part.strip()]


def _with_batch_size(profile: Profile, batch_size: int) -> Profile:
    if not isinstance(batch_size, int) or batch_size < 2 or batch_size % 2:
        raise ValueError(f"batch_size must be an even number of images, 2 or more; got {batch_size!r}.")
    if profile.shipped:
        raise ValueError(f"The {profile.name} profile has a fixed batch size, as its stored results; leave it out.")
    recipe = profile.recipe
    if not profile.finetunes_in_notebooks:
        recipe = recipe.scaled(batch_size / profile.batch_size)
        profile = replace(profile, finetune_steps=TRAINING_IMAGES // batch_size)
    source = replace(profile.source, batch_size=min(batch_size, profile.source.batch_size))
    return replace(profile, batch_size=batch_size, recipe=recipe, source=source)


def evidence_for(run: Profile) -> Evidence:
    """The shipped store where results ship; for other models and images a store that fills as it is asked."""
    if run.shipped:
        return Evidence(PROFILES["lite" if run.name == "smoke" else run.name])
    measuring = replace(run, source=replace(run.source, device=best_device()))
    return Evidence(measuring, Store(run.results), measures=True)
