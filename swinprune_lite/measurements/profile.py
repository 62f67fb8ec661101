"""A profile says what a run is: models, weights and images, methods and ratios, fine-tuning, seed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import nn

from swinprune_lite.files import RESULTS, home
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.sources.source import Source
from swinprune_lite.training.recipe import Recipe
from swinprune_lite.types import Batches


@dataclass(frozen=True)
class Profile:
    """One run of the notebooks.

    Attributes:
        name: "smoke", "lite", "pretrained", "imagenette", "imagenet" or "folder".
        models: in the paper's order T, S, B.
        source: of weights and images.
        finetune_steps: optimizer steps an epoch of the fine-tuning.
        batch_size: images a step, over all processes.
        recipe: of the fine-tuning.
        methods: of `make_masks` that are compared.
        high_ratios: shares removed beyond the paper's; fine-tuned once.
        replicates: how often each is measured, with another training seed, or another seed of what is random.
        common_images: that every replicate is evaluated on; None: all.
        first_images: that the first replicate is evaluated on; None: all.
        live_images: how many are evaluated in every build, beside the stored results on all.
        live_draws: how many measurements of each method every build draws anew, computes and compares.
        finetunes_in_notebooks: whether a notebook may fine-tune; what takes days has a command of its own.
        seed: of random masks and of the drawing of images, where a command or a reader asks for a fine-tuning.
    """

    name: str
    models: tuple[str, ...]
    source: Source
    finetune_steps: int
    batch_size: int = 128
    recipe: Recipe = field(default_factory=Recipe)
    methods: tuple[str, ...] = field(default_factory=lambda: tuple(METHODS))
    high_ratios: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95)
    replicates: int = 3
    common_images: int | None = 5000
    first_images: int | None = None
    live_images: int = 0
    live_draws: int = 0
    finetunes_in_notebooks: bool = True
    seed: int = 0

    @property
    def shipped(self) -> bool:
        """Whether images and results come with the package; weights may have to be fetched, to measure anew."""
        return self.source.ships

    @property
    def results(self) -> Path:
        """The folder of the results store: the one that ships, or one of the reader's own."""
        return RESULTS if self.shipped else home() / "results" / f"{self.name}{self.source.identity()}"

    def load(self, model: str, training_seed: int = 0) -> nn.Module:
        """The trained model."""
        return self.source.load(model, training_seed)

    def training_seeds(self, model: str) -> list[int]:
        """Seeds of the trainings that can be measured, or were."""
        return self.source.training_seeds(model)

    def test_batches(self, images: int | None = None) -> Batches:
        """What accuracy is measured on: all of it, or the first so many images."""
        return self.source.test_batches(self.models, images)

    def training_batches(self, seed: int, steps: int | None = None, processes: int = 1) -> Iterable:
        """The batches of an epoch's first `steps` steps, of this process's size; None: of a whole epoch."""
        return self.source.training_batches(self.models, self.batch_size // processes, seed, steps)

    def calibration_batches(self, images: int) -> Batches:
        """Training images that statistics are gathered on, so many, the same in every call."""
        return self.source.calibration_batches(self.models, images)

    def digests(self, model: str, training_seed: int, training: bool) -> dict[str, str]:
        """SHA-256 of the weights and of the images, with the training images if they are used."""
        return self.source.digests(self.models, model, training_seed, training)

    def ingredients(self, setting: Setting) -> dict:
        """All that a measurement depends on beyond its setting and its masks: recipe, weights, images.

        Returns:
            "recipe" (numbers, or text; empty without fine-tuning) and "digests" (SHA-256 by what it is of).
        """
        recipe = asdict(self.recipe) | {"batch_size": self.batch_size} if setting.steps else {}
        told = {name: value if isinstance(value, (int, float)) else str(value) for name, value in recipe.items()}
        digests = self.digests(
            setting.model, setting.training_seed, training=bool(setting.steps or setting.calibration)
        )
        if setting.masks_from:
            other = self.digests(setting.masks_from, setting.training_seed, training=False)
            digests |= {"weights of the masks": other["weights"]}
        return {"recipe": told, "digests": digests}

    def describe(self) -> str:
        """What the numbers of this run are, and what they are not; the first line names the profile."""
        return f"Profile {self.name}: {', '.join(self.models)}.\n{self.source.say(self.models, self.live_images)}"


def replicate(profile: Profile, model: str, number: int, method: str, ratio: float, steps: int = 0) -> Setting:
    """A method at a ratio, once more.

    Replicate `number` takes the weights of training seed `number` where they are shipped, else those
    of seed 0, and `number` as the seed of random masks and of fine-tuning. Replicate 0 is evaluated
    on the profile's `first_images`, others on its `common_images`.
    """
    training_seed = number if number in profile.training_seeds(model) else 0
    drawn = steps or (method in METHODS and METHODS[method].parts()[0].draws)
    seed = number if drawn else 0
    images = profile.common_images if training_seed or seed else profile.first_images
    return Setting(model, method, ratio, training_seed, seed, steps, images or 0)


def replicates(profile: Profile, model: str, method: str, ratio: float, steps: int = 0) -> list[Setting]:
    """All replicates of a method at a ratio, those that differ. After fine-tuning a high ratio has the first alone."""
    numbers = range(1 if steps and ratio in profile.high_ratios else profile.replicates)
    return list(dict.fromkeys(replicate(profile, model, number, method, ratio, steps) for number in numbers))
