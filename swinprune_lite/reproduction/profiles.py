"""A profile says what a run is: which models, which images, how much fine-tuning, which seed."""

from dataclasses import dataclass, field, replace
from itertools import islice

from torch import nn

from swinprune_lite.data import DIGESTS, FashionPairs, lite_data
from swinprune_lite.finetune import Recipe
from swinprune_lite.lite import LITE_MODELS, lite_card, lite_seeds, load_lite


@dataclass(frozen=True)
class Profile:
    """One run of the notebooks.

    Attributes:
        name: "smoke" or "lite".
        models: lite models, in the paper's order T, S, B.
        split: of `lite_data`, what accuracy is measured on.
        live_images: how many of them are evaluated in every build, beside the stored results on all.
        finetune_steps: optimizer steps of the short fine-tuning.
        batch_size: pairs a step.
        recipe: of the fine-tuning.
        live_replicates: how many seeds are computed in every build.
        seed: of the short fine-tuning that is computed in every build.
    """

    name: str
    models: tuple[str, ...]
    split: str
    live_images: int
    live_replicates: int
    finetune_steps: int
    batch_size: int = 128
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The trained model."""
        return load_lite(model, training_seed)

    def training_seeds(self, model: str) -> list[int]:
        """Seeds of the trainings of which the weights are there."""
        return lite_seeds(model)

    def test_batches(self, images: int | None = None) -> FashionPairs:
        """What accuracy is measured on: all of it, or the first so many images."""
        data = lite_data(self.split)
        return data if images is None else replace(data, right=data.right[:images])

    def training_batches(self, seed: int, steps: int) -> list:
        """The batches of the short fine-tuning, the same in every call with this seed."""
        return list(islice(lite_data("train", self.batch_size, seed), steps))

    def digests(self, model: str, training_seed: int) -> dict[str, str]:
        """SHA-256 of the weights and of both sets of images."""
        return {"weights": lite_card(model, training_seed)["sha256"], **DIGESTS}

    def describe(self) -> str:
        """What the numbers of this run are, and what they are not; the first line names the profile."""
        return (
            f"Profile {self.name}: {', '.join(self.models)}.\n"
            "Trained for this project on Fashion-Pairs-100; the weights are the shipped ones.\n"
            f"Accuracy: on {self.live_images:,} test images if computed in this build, on up to "
            f"{lite_data('test').images:,} if from the results store.\nThese are not ImageNet results."
        )


PROFILES = {
    "smoke": Profile(
        "smoke", ("swin_lite_tiny",), "smoke", live_images=100, live_replicates=1, finetune_steps=2, batch_size=16
    ),
    "lite": Profile("lite", tuple(LITE_MODELS), "test", live_images=1000, live_replicates=3, finetune_steps=25),
}


def get_profile(name: str, models: list[str] | None = None, seed: int = 0) -> Profile:
    """The named profile, with other models or another seed if given.

    Raises:
        ValueError: an unknown profile or model.
    """
    if name not in PROFILES:
        raise ValueError(f"Unknown profile {name!r}; choose one of {', '.join(PROFILES)}.")
    for model in models or ():
        if model not in LITE_MODELS:
            raise ValueError(f"Unknown lite model {model!r}; choose from {', '.join(LITE_MODELS)}.")
    profile = PROFILES[name]
    return replace(profile, models=tuple(models or profile.models), seed=seed)
