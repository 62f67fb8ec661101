"""Data unlike what a model was trained on: surfaces with defects, and when, where and how to prune for them."""

from dataclasses import replace

import pandas as pd
import torch

from swinprune_lite.data.surfaces import KINDS
from swinprune_lite.files import RESULTS
from swinprune_lite.kept import kept
from swinprune_lite.measurements.confidence import calibration_error, probabilities
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import mean_accuracy, paired_difference, spread
from swinprune_lite.measurements.measure import pruned
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.surfaces import ADAPTED, UNADAPTED, VIEWS
from swinprune_lite.sources.surface_sets import SHARES, SPLITS, TEST_SIZES, plan
from swinprune_lite.sources.surface_source import Surfaces
from swinprune_lite.studies.profiles import PROFILES
from swinprune_lite.studies.repair import RULE
from swinprune_lite.training.recipe import Recipe

BASE = "64"
"""The view that all questions but those of cameras and patches are asked in."""

SEEDS = (1, 2, 3, 4, 5)
"""Garments' weights that results are of; with those of seed 0 everything was chosen, on held-out surfaces."""

METHOD = "dimap"
RATIO, LOW = 0.8, 0.55
BATCH = 64
STEPS = 500  # of adapting
LIGHT = 60  # of light fine-tuning after it
RATES = (2e-3, 4e-3)  # of adapting, that were tried
LIGHT_RATES = (5e-4, 2e-3)
ADAPT = Recipe(lr=2e-3, warm_up=0.2, weight_decay=0.05)
TUNE = Recipe(lr=2e-3, warm_up=0.25, weight_decay=0.05)
LABELLED = (60, 300, SPLITS["train"])
CURVE = (4, 15, LIGHT)

COLUMNS = ("top1", "half", "lost", "lost_half")
CALIBRATION = RESULTS / "surface_calibration.json"


def profile(view: str = BASE, recipe: Recipe = TUNE, labelled: int = 0, split: str = "test") -> Profile:
    """Models of a view, with a recipe, so many labelled surfaces (0: all) and what accuracy is measured on."""
    names = (f"{ADAPTED}_{view}", f"{UNADAPTED}_{view}")
    source = Surfaces(split, labelled % SPLITS["train"])
    return replace(PROFILES["lite"], models=names, source=source, recipe=recipe, batch_size=BATCH, finetune_steps=LIGHT)


PROFILE = profile()


def adapted(seed: int, ratio: float = 0.0, view: str = BASE, **more) -> Setting:
    """The adapted model, dense or pruned after it was adapted."""
    method = more.pop("method", METHOD) if ratio else "dense"
    steps = more.get("steps", 0)
    return Setting(f"{ADAPTED}_{view}", method, ratio, seed, seed if steps or method == "random" else 0, **more)


def unadapted(seed: int, ratio: float = 0.0, steps: int = STEPS + LIGHT) -> Setting:
    """The garments' model, pruned before it is adapted with the masks held."""
    return Setting(f"{UNADAPTED}_{BASE}", METHOD if ratio else "dense", ratio, seed, seed, steps)


def choice() -> list[tuple[Profile, Setting]]:
    """What was chosen, on held-out surfaces with seed 0: the rate of light fine-tuning."""
    runs = (profile(recipe=replace(TUNE, lr=rate), split="held-out") for rate in LIGHT_RATES)
    return [(run, adapted(0, RATIO, steps=LIGHT)) for run in runs]


def orders() -> dict[str, dict]:
    """What the chapter calls an order of work -> what `adapted` takes; None: pruned first."""
    return {
        "adapt": {"ratio": 0.0},
        "adapt, prune": {},
        "adapt, prune, repair": {"repair": RULE},
        "adapt, prune, tune": {"steps": LIGHT},
        "adapt, prune, repair, tune": {"repair": RULE, "steps": LIGHT},
        "prune, adapt": None,
    }


def ordered(name: str, seed: int, ratio: float = RATIO) -> Setting:
    """An order of work, of `orders`, with one seed."""
    more = orders()[name]
    return unadapted(seed, ratio) if more is None else adapted(seed, **{"ratio": ratio, **more})


def masks_made() -> dict[str, dict]:
    """Whose weights the masks are made from -> what `adapted` takes."""
    return {
        "its own": {},
        "the garments model's": {"masks_from": f"{UNADAPTED}_{BASE}"},
        "nobody's (random)": {"method": "random"},
    }


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for the chapter."""
    run, found = profile(), choice()
    plain = profile(recipe=ADAPT)
    for seed in SEEDS:
        for name in orders():
            one = ordered(name, seed)
            found.append((plain if one.model.startswith(UNADAPTED) else run, one))
        for ratio in (LOW, RATIO):
            found += [(run, adapted(seed, ratio, **more)) for more in masks_made().values()]
        found += [(run, adapted(seed, RATIO, steps=LIGHT, **more)) for more in masks_made().values()]
        for labelled in LABELLED:
            found += [(profile(labelled=labelled), adapted(seed, RATIO, steps=steps)) for steps in CURVE]
    for view in VIEWS:
        found += [(profile(view), each) for each in seen(view)]
    return list(dict.fromkeys(found))


def seen(view: str) -> list[Setting]:
    """In a view: dense, cut and repaired."""
    return [adapted(seed, view=view, **more) for seed in SEEDS for more in states().values()]


def correct(store: Store, run: Profile, setting: Setting) -> torch.Tensor:
    """Which test surfaces were right, bool (images,); LookupError if that is not in the store."""
    return Evidence(run, store).measurement(setting).top1


def all_seeds(store: Store, name: str, ratio: float = RATIO) -> list[torch.Tensor]:
    """Of an order of work, see `orders`: which test surfaces were right, of every seed."""
    asked = [ordered(name, seed, ratio) for seed in SEEDS]
    return [correct(store, profile(recipe=ADAPT if one.model.startswith(UNADAPTED) else TUNE), one) for one in asked]


def order(store: Store) -> pd.DataFrame:
    """Prune before or after adapting.

    Returns:
        By order of work: steps (of training after the garments'), top1 and half (mean recall of the classes, percent),
        lost and lost_half (points below the dense adapted model).
    """
    dense, rows = all_seeds(store, "adapt"), {}
    for name in orders():
        found = all_seeds(store, name)
        tuned = name.endswith("tune") or name.startswith("prune")
        figures = (*mean_accuracy(found), *paired_difference(dense, found))
        rows[name] = dict(zip(("steps", *COLUMNS), (STEPS + LIGHT * tuned, *figures)))
    return pd.DataFrame.from_dict(rows, orient="index")


def transfer(store: Store) -> pd.DataFrame:
    """Masks that were made from other weights, on the adapted model.

    Returns:
        A row a ratio, number of steps and `masks_made`: top1, half, and behind, behind_half (points below its own).
    """
    run, rows = profile(), []
    for ratio, steps in ((LOW, 0), (RATIO, 0), (RATIO, LIGHT)):
        found = {
            name: [correct(store, run, adapted(seed, ratio, steps=steps, **more)) for seed in SEEDS]
            for name, more in masks_made().items()
        }
        own = found["its own"]
        rows += [
            (ratio, steps, name, *mean_accuracy(each), *paired_difference(own, each)) for name, each in found.items()
        ]
    return pd.DataFrame(rows, columns=["ratio", "steps", "masks", *COLUMNS[:2], "behind", "behind_half"])


def curves(store: Store) -> pd.DataFrame:
    """Light fine-tuning after pruning.

    Returns:
        A row a number of labelled surfaces and of steps: top1, half, and lost, lost_half against the dense model.
    """
    dense, rows = all_seeds(store, "adapt"), []
    for labelled in LABELLED:
        for steps in (0, *CURVE):
            run = profile(labelled=labelled if steps else 0)
            found = [correct(store, run, adapted(seed, RATIO, steps=steps)) for seed in SEEDS]
            rows.append((labelled, steps, *mean_accuracy(found), *paired_difference(dense, found)))
    return pd.DataFrame(rows, columns=["labelled", "steps", *COLUMNS])


def states() -> dict[str, dict]:
    """How a model of any view is looked at -> what `adapted` takes."""
    cut = {f"{100 * ratio:.0f} % cut": {"ratio": ratio} for ratio in (LOW, RATIO)}
    return {"dense": {}} | cut | {f"{100 * RATIO:.0f} % repaired": {"ratio": RATIO, "repair": RULE}}


def by_size(store: Store) -> pd.DataFrame:
    """Recall of defects by their size, in every view, and of clean surfaces.

    Returns:
        A row a view, state and size (pixels of the finest camera; 0: clean): recall and half, percent.
    """
    planned, rows = list(plan("test")), []
    places = {size: torch.tensor([each.size == size for each in planned]) for size in (0, *TEST_SIZES)}
    for view in VIEWS:
        for state, more in states().items():
            found = [correct(store, profile(view), adapted(seed, view=view, **more)) for seed in SEEDS]
            rows += [
                (view, state, size, *mean_accuracy([each[place] for each in found])) for size, place in places.items()
            ]
    return pd.DataFrame(rows, columns=["view", "state", "size", "recall", "half"])


def views_apart(store: Store, first: str, second: str, low: int, high: int) -> tuple[float, float]:
    """Dense recall of defects from `low` to `high` pixels in one view minus another's: points, half its interval."""
    place = torch.tensor([low <= each.size <= high for each in plan("test")])
    sides = (
        [correct(store, profile(view), adapted(seed, view=view))[place] for seed in SEEDS] for view in (first, second)
    )
    return paired_difference(*sides)


def by_class(store: Store, name: str = "adapt, prune", ratio: float = LOW) -> pd.DataFrame:
    """Which classes pay: recall of the dense model, and of an order of work.

    Returns:
        By class, and "on the line" (weighted by `SHARES`, the intervals over seeds alone): dense, dense_half, after,
        after_half (percent), lost, lost_half (points).
    """
    kinds = [each.kind for each in plan("test")]
    sides, rows = [all_seeds(store, one, ratio) for one in ("adapt", name)], {}
    for kind in KINDS:
        place = torch.tensor([each == kind for each in kinds])
        before, after = ([each[place] for each in side] for side in sides)
        rows[kind] = (*mean_accuracy(before), *mean_accuracy(after), *paired_difference(before, after))
    share = torch.tensor([SHARES[each] / kinds.count(each) for each in kinds], dtype=torch.float64)
    tops = [[100 * float((each.double() * share).sum()) for each in side] for side in sides]
    tops.append([first - second for first, second in zip(*tops)])
    rows["on the line"] = tuple(figure for each in tops for figure in (sum(each) / len(each), spread(each)))
    columns = ["dense", "dense_half", "after", "after_half", "lost", "lost_half"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def calibration() -> pd.DataFrame:
    """How sure the models of the base view are, as kept.

    Returns:
        A row a state and seed, in percent: error (expected calibration error), sure (mean of the largest probability),
        right (of all surfaces) and missed (of the defects, those called clean).

    Raises:
        LookupError: nothing was measured.
        ValueError: a file that is damaged or was altered.
    """
    columns = {"state": str, "seed": float, "error": float, "sure": float, "right": float, "missed": float}
    advice = "in the repository 'python data_scripts/surface_calibration.py' measures it"
    return kept(CALIBRATION, {"rows": columns}, advice)["rows"]


def calibration_of(state: str, seed: int) -> dict[str, float]:
    """A row of `calibration`, measured now."""
    run = profile()
    model, _ = pruned(run, adapted(seed, **states()[state]))
    told, classes = probabilities(model, run.test_batches())
    sure, best = told.max(1)
    defects = classes != KINDS.index("clean")
    shares = (sure.mean(), (best == classes).double().mean(), (best[defects] == KINDS.index("clean")).double().mean())
    found = dict(zip(("sure", "right", "missed"), (100 * float(share) for share in shares)))
    return {"state": state, "seed": seed, "error": 100 * calibration_error(told, classes), **found}
