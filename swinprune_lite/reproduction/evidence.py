"""What the store says, by method and ratio: accuracies and paired differences, with how far chance moves them."""

from dataclasses import dataclass, field
from math import hypot

from swinprune_lite.reproduction.grid import FEWER_IMAGES, replicate, replicates
from swinprune_lite.reproduction.intervals import interval, paired_difference, spread
from swinprune_lite.reproduction.measure import Measurement, Setting
from swinprune_lite.reproduction.profiles import Profile, get_profile
from swinprune_lite.reproduction.store import Store


@dataclass(frozen=True)
class Evidence:
    """The measurements of a profile (of "lite", unless said otherwise), from a store.

    Attributes:
        profile: whose weights, images and recipe the measurements belong to.
        store: where they are.
    """

    profile: Profile = field(default_factory=lambda: get_profile("lite"))
    store: Store = field(default_factory=Store)

    def measurements(self, model: str, method: str, ratio: float, steps: int = 0) -> list[Measurement]:
        """All replicates, the first on all images.

        Raises:
            LookupError: one of them is not in the store.
        """
        return [self._get(setting) for setting in replicates(self.profile, model, method, ratio, steps)]

    def accuracy(
        self, model: str, method: str, ratio: float, steps: int = 0, kind: str = "top1"
    ) -> tuple[float, float, int]:
        """Mean accuracy over the replicates in percent, half its 95 % interval in points, and their number.

        All on the first `FEWER_IMAGES` images, which every replicate was evaluated on. The half width
        joins the spread over replicates (Student's t), where there are several, and that over images.
        """
        found = [
            getattr(measurement, kind)[:FEWER_IMAGES] for measurement in self.measurements(model, method, ratio, steps)
        ]
        values = [100 * correct.double().mean().item() for correct in found]
        mean = sum(values) / len(values)
        over_seeds = spread(values) if len(values) > 1 else 0.0
        return mean, hypot(over_seeds, interval(mean, len(found[0]))), len(values)

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
        whole, pruned = ([getattr(self._get(setting), kind) for setting in part] for part in (before, after))
        return paired_difference(whole, pruned)

    def _get(self, setting: Setting) -> Measurement:
        found = self.store.find(self.profile, setting)
        if found is None:
            raise LookupError(
                f"{setting} is not in {self.store.folder} for these weights, images and this code; "
                "run 'make reproduce'."
            )
        return found
