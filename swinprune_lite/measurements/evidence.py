"""Accuracies and paired differences by method and ratio, with how far chance moves them.

Those of the lite models come from the store that ships; those of pretrained models are measured when they
are asked for, once, and kept in a store of the reader's own.
"""

import sys
from dataclasses import dataclass, field

from swinprune_lite.measurements.intervals import mean_accuracy, paired_difference
from swinprune_lite.measurements.measure import measure
from swinprune_lite.measurements.profile import Profile, replicate, replicates
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.training.memory import advise_on_memory


@dataclass(frozen=True)
class Evidence:
    """The measurements of a profile, from a store.

    Attributes:
        profile: whose weights, images and recipe the measurements belong to.
        store: where they are.
        measures: whether what is not in the store is measured and kept there.
    """

    profile: Profile
    store: Store = field(default_factory=Store)
    measures: bool = False

    def measurements(self, model: str, method: str, ratio: float, steps: int = 0) -> list[Measurement]:
        """All replicates, the first on all images.

        Raises:
            LookupError: one of them is not in the store.
        """
        return [self.measurement(setting) for setting in replicates(self.profile, model, method, ratio, steps)]

    def accuracy(
        self, model: str, method: str, ratio: float, steps: int = 0, kind: str = "top1"
    ) -> tuple[float, float, int]:
        """Mean accuracy over the replicates in percent, half its 95 % interval in points, and their number.

        All on the profile's `common_images`, which every replicate was evaluated on. The half width
        joins the spread over replicates (Student's t), where there are several, and that over images.
        """
        found = [
            getattr(measurement, kind)[: self.profile.common_images]
            for measurement in self.measurements(model, method, ratio, steps)
        ]
        return *mean_accuracy(found), len(found)

    def gain(self, model: str, first: str, second: str, ratio: float, steps: int = 0) -> tuple[float, float]:
        """Top-1 of one method minus another's at the same ratio, in points, and half its 95 % interval."""
        ours, theirs = (self.measurements(model, method, ratio, steps) for method in (first, second))
        if min(len(ours), len(theirs)) == 1:  # on one side nothing depends on the seed
            ours, theirs = (side * max(len(ours), len(theirs)) if len(side) == 1 else side for side in (ours, theirs))
        return paired_difference([found.top1 for found in ours], [found.top1 for found in theirs])

    def drop(self, model: str, method: str, ratio: float, steps: int = 0, kind: str = "top1") -> tuple[float, float]:
        """Accuracy of the dense model minus the pruned one's, in points, and half its 95 % interval."""
        after = replicates(self.profile, model, method, ratio, steps)
        before = [replicate(self.profile, model, setting.training_seed, "dense", 0.0) for setting in after]
        whole, pruned = ([getattr(self.measurement(setting), kind) for setting in part] for part in (before, after))
        return paired_difference(whole, pruned)

    def measurement(self, setting: Setting) -> Measurement:
        """One measurement, from the store or, if this measures, made now and kept.

        Raises:
            LookupError: it is not in the store.
        """
        found = self.store.find(self.profile, setting)
        if found is not None:
            return found
        if not self.measures:
            raise LookupError(
                f"{setting} is not in {self.store.folder} for this recipe and these weights and images; in the "
                "repository 'make reproduce' computes what the studies ask for, and `measure` anything else."
            )
        if setting.steps and not self.profile.finetunes_in_notebooks:
            raise LookupError(
                f"{setting.model} at {setting.ratio:.0%} by {setting.method} was not fine-tuned yet, which takes days: "
                f"'accelerate launch -m swinprune_lite finetune {setting.model} --profile {self.profile.name} "
                f"--method {setting.method} --ratio {setting.ratio} --batch-size {self.profile.batch_size}' (and "
                "--data, if the notebook has it), then run this notebook again; or set `models` and `ratios` to what "
                "is there. Table 3 needs no fine-tuning."
            )
        with advise_on_memory(self.profile.batch_size if setting.steps else self.profile.source.batch_size):
            found = measure(self.profile, setting)
        self.store.add(self.profile, setting, found)
        top1 = 100 * found.top1.double().mean()
        print(f"{_words(setting)}: top-1 {top1:.2f} %, {found.seconds:.0f} s", file=sys.stderr)
        return found


def _words(setting: Setting) -> str:
    if setting.method == "dense":
        return f"{setting.model}, dense"
    tuned = ", fine-tuned" if setting.steps else ""
    return f"{setting.model}, {setting.ratio:.0%} removed by {setting.method}{tuned}"
