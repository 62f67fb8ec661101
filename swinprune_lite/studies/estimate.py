"""How long a profile takes on other machines: estimates, from MACs that are counted and speed that was measured."""

import math
from dataclasses import dataclass

import pandas as pd

from swinprune_lite.files import RESULTS
from swinprune_lite.kept import kept
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.paper.counts import whole
from swinprune_lite.paper.numbers import TIMM_NAMES, counterpart
from swinprune_lite.studies import reproduction
from swinprune_lite.studies.profiles import TRAINING_IMAGES

THROUGHPUT = RESULTS / "throughput.json"
"""What `benchmarks/throughput.py --keep` measured."""

IMAGES = {"imagenette": 3_925, "imagenet": 50_000}  # that accuracy is measured on
COLUMNS = {"model": str, "work": str} | dict.fromkeys(("images_a_second", "bytes_an_image", "bytes_beside"), float)
BACKWARD = 3  # a training step costs about as much as three forward passes


@dataclass(frozen=True)
class Machine:
    """A machine that nothing was measured on.

    Attributes:
        name: what it is.
        peak: multiply-accumulates a second in float32, from its maker's sheet.
        share: of the peak that a network of this kind may reach: an assumption.
        memory: bytes.

    Raises:
        ValueError: a peak or memory that is not above zero, or a share outside (0, 1].
    """

    name: str
    peak: float
    share: float
    memory: float

    def __post_init__(self) -> None:
        if not (0 < self.peak < math.inf and 0 < self.share <= 1 and 0 < self.memory < math.inf):
            raise ValueError(
                f"{self.name} must have a peak and memory above zero and a share in (0, 1]; got {self.peak!r}, "
                f"{self.memory!r} and {self.share!r}."
            )


COLAB = Machine("Colab's free GPU (T4)", 4.05e12, 0.3, 15e9)
LARGE = Machine("one A100", 9.75e12, 0.4, 40e9)


def throughput() -> dict:
    """What was measured, "rows" as a data frame: model, work, images_a_second, bytes_an_image, bytes_beside.

    Raises:
        LookupError: nothing was measured.
        ValueError: a file that is damaged or was altered, or a speed of zero.
    """
    advice = "in the repository 'python benchmarks/throughput.py --keep' measures it"
    found = kept(THROUGHPUT, {"rows": COLUMNS}, advice)
    if not (found["rows"].images_a_second > 0).all():
        raise ValueError(f"{THROUGHPUT} has a speed that is not above zero images a second; remove it, {advice}.")
    return found


def work(profile: Profile) -> pd.DataFrame:
    """What the whole grid of tables 1, 3 and 4 needs, by model: images evaluated and images trained on.

    Args:
        profile: "imagenette" or "imagenet".

    Raises:
        ValueError: another profile, for which nothing is estimated.
    """
    if profile.name not in IMAGES:
        raise ValueError(f"Estimates are made for {' and '.join(IMAGES)}; got the profile {profile.name!r}.")
    epoch = TRAINING_IMAGES if profile.name == "imagenet" else profile.finetune_steps * profile.batch_size
    rows = [
        {
            "model": counterpart(setting.model),
            "measurements": 1,
            "fine-tunings": int(setting.steps > 0),
            "evaluated": IMAGES[profile.name],
            "trained": epoch * profile.recipe.epochs if setting.steps else 0,
        }
        for setting in reproduction.whole(profile)
    ]
    return pd.DataFrame(rows).groupby("model", sort=False).sum()


def hours(profile: Profile, machine: Machine | None = None) -> pd.DataFrame:
    """Hours that the whole grid of tables 1, 3 and 4 takes, by model: evaluation and fine-tuning.

    Args:
        profile: "imagenette" or "imagenet".
        machine: estimated from MACs; None: from the images a second that were measured.
    """
    measured = throughput()["rows"].set_index(["model", "work"]).images_a_second
    rows = {}
    for model, needed in work(profile).iterrows():
        if machine:
            speed = machine.peak * machine.share / whole(TIMM_NAMES[model], 224).macs
            evaluation, training = speed, speed / BACKWARD
        else:
            evaluation, training = measured[(model, "evaluation")], measured[(model, "fine-tuning")]
        rows[model] = {
            "evaluation": needed.evaluated / evaluation / 3600,
            "fine-tuning": needed.trained / training / 3600,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def memory(batch: int) -> pd.DataFrame:
    """Bytes that evaluation and fine-tuning take with batches of so many images, by model; measured and extended.

    Raises:
        ValueError: a batch below 1.
    """
    if batch < 1:
        raise ValueError(f"A batch has 1 image or more; got {batch!r}.")
    rows = throughput()["rows"]
    return by_model(rows.assign(bytes=rows.bytes_beside + batch * rows.bytes_an_image), "bytes")


def by_model(rows: pd.DataFrame, values: str) -> pd.DataFrame:
    """A column of `throughput`'s rows with a row a model, in the paper's order, and a column a kind of work."""
    return rows.pivot(index="model", columns="work", values=values).reindex(rows.model.unique())
