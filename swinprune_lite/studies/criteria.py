"""Past the paper: what data is worth. Criteria with and without it, at the same ratio, by how many images they see."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd
import torch
from torch import nn

from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.intervals import interval
from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.pruning.methods import METHODS, Method
from swinprune_lite.repairing.sparsegpt import SPARSE_GPT
from swinprune_lite.studies.repair import (
    CHOICE,
    CHOSEN_ON,
    IMAGES,
    PROFILE,
    REFIT,
    RULE,
    accuracy,
    gain,
    reported,
    setting,
)
from swinprune_lite.types import InputMoments, Masks

DATA_FREE = ("relative_energy", "magnitude")
WITH_DATA = ("wanda", "taylor", "fisher", "obs", "activation_energy", SPARSE_GPT)
GROUPINGS = ("by_layer", "by_module", "whole_model")
CALIBRATION = (8, 32, 128, 512)  # real images
USUAL = 128  # of a choice, and where one number has to do
RATIO, LOWER = 0.8, 0.7
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
FULL, OTHER = CHOSEN_ON
MODELS = {"lite": CHOSEN_ON}
"""What the chapter itself prunes, by the name of a profile that has other models of its own."""

CHOSEN = {
    "relative_energy": "whole_model",
    "magnitude": "whole_model",
    "wanda": "by_layer",
    "taylor": "whole_model",
    "fisher": "whole_model",
    "obs": "by_layer",
    "activation_energy": "whole_model",
    SPARSE_GPT: "by_layer",
}
"""Of each criterion the grouping that `choice` puts first."""

REPAIRED = ("activation_energy", "fisher")
"""The two criteria with data that `choice` puts first, by their best grouping; they are repaired too."""


def method(criterion: str, grouping: str | None = None) -> str:
    """The name in a setting of a criterion with a grouping, None: the chosen one; of `METHODS` where it has one there.

    Within a layer equation 10 orders as the magnitude does, and on activations as Wanda does: by layer they are one.
    """
    if criterion == SPARSE_GPT:
        return SPARSE_GPT
    grouping = grouping or CHOSEN[criterion]
    if grouping == "by_layer":
        criterion = {"relative_energy": "magnitude", "activation_energy": "wanda"}.get(criterion, criterion)
    parts = Method(criterion, grouping, "same_share")
    return next((name for name, known in METHODS.items() if known == parts), "/".join(parts))


def asked(criterion: str, grouping: str | None = None, images: int = USUAL, repaired: bool = False, **more) -> dict:
    """What `repair.setting` takes: a criterion that sees so many images, if it wants any; the repair sees none.

    Args:
        criterion: of `DATA_FREE` or `WITH_DATA`.
        grouping: None: the chosen one.
        images: real ones; a criterion without data sees none.
        repaired: whether the weights that stay are repaired, from drawn images.
        more: in place of what follows from the others, such as the ratio.
    """
    calibration = images if criterion in WITH_DATA else 0
    found = {"method": method(criterion, grouping), "ratio": RATIO, "calibration": calibration}
    return found | ({"repair": RULE} if repaired else {}) | more


def in_repair(images: int) -> dict:
    """What `repair.setting` takes: equation 10 without data, and so many images for the repair alone; 0: drawn ones."""
    return asked("relative_energy", repaired=True, calibration=images) | ({"repair": REFIT} if images else {})


def at_alpha(alpha: float) -> dict:
    """What `repair.setting` takes: equation 10 on activations to the power of alpha; 0: without data."""
    edges = {0.0: "relative_energy", 1.0: "activation_energy"}
    name = method(edges.get(alpha, f"between({alpha})"), CHOSEN["activation_energy"])
    return {"method": name, "ratio": RATIO, "calibration": USUAL if alpha else 0}


def combinations() -> list[tuple[str, str]]:
    """Every criterion with every grouping that it is compared in."""
    pairs = [(criterion, grouping) for criterion in (*DATA_FREE, *WITH_DATA) for grouping in GROUPINGS]
    return [pair for pair in pairs if pair[0] != SPARSE_GPT or pair[1] == "by_layer"]


def choosing() -> list[Setting]:
    """What is compared on held-out training pairs, all of them, with seed 0."""
    found = [Setting(model) for model in CHOSEN_ON]
    return list(dict.fromkeys(found + [_held(model, *pair) for model in CHOSEN_ON for pair in combinations()]))


def _held(model: str, criterion: str, grouping: str) -> Setting:
    return replace(setting(model, 0, **asked(criterion, grouping)), images=0)


def cases(model: str) -> list[dict]:
    """What is reported of a model: of the full one everything, of the other what its usual number of images gives."""
    found = [{}, *ways(model).values(), *(case for pair in comparisons().values() for case in pair)]
    if model == FULL:
        found += [asked(criterion, ratio=LOWER) for criterion in CHOSEN] + [at_alpha(alpha) for alpha in ALPHAS]
    return found


def grid() -> list[Setting]:
    """What is measured on test pairs."""
    found = [setting(model, seed, **case) for model in CHOSEN_ON for seed in reported(model) for case in cases(model)]
    return list(dict.fromkeys(found))


def quick() -> list[Setting]:
    """Settings of the full model that take a second or two to measure anew."""
    return [each for each in grid() if each.model == FULL and each.calibration <= CALIBRATION[1]]


def whole() -> list[tuple[Profile, Setting]]:
    """What the store holds for the chapter."""
    return [(CHOICE, each) for each in choosing()] + [(PROFILE, each) for each in grid()]


def choice(evidence: Evidence) -> pd.DataFrame:
    """Every criterion with every grouping on held-out training pairs, seed 0, from the usual number of images.

    Args:
        evidence: of `CHOICE`.

    Returns:
        By criterion and grouping: top-1 (percent) of each model of `CHOSEN_ON`, their mean, and "±", half the mean's
        95 % interval over images. The first of equal means is the chosen one.
    """
    rows = {}
    for pair in combinations():
        found = [evidence.measurement(_held(model, *pair)).top1.double() for model in CHOSEN_ON]
        values = [100 * correct.mean().item() for correct in found]
        halves = [interval(value, len(correct)) for value, correct in zip(values, found)]
        rows[pair] = [*values, sum(values) / len(values), sum(half**2 for half in halves) ** 0.5 / len(halves)]
    index = pd.MultiIndex.from_tuples(rows, names=["criterion", "grouping"])
    return pd.DataFrame(list(rows.values()), index, [*CHOSEN_ON, "mean", "±"])


WAY = ["criterion", "where", "repaired", "images"]


def ways(model: str = FULL) -> dict[tuple, dict]:
    """What is shown of a model at `RATIO`, and what `repair.setting` takes of it; all that is only cut comes first.

    Returns:
        By criterion, where (what real images go into: "choice", "repair" or, with 0 images, ""), repaired and images.
    """
    counts = CALIBRATION if model == FULL else (USUAL,)
    found = {}
    for repaired, names in ((False, WITH_DATA), (True, REPAIRED)):
        found |= {(name, "", repaired, 0): asked(name, repaired=repaired) for name in DATA_FREE}
        found |= {
            (name, "choice", repaired, images): asked(name, images=images, repaired=repaired)
            for name in names
            for images in counts
        }
    return found | {("relative_energy", "repair", True, images): in_repair(images) for images in counts}


def curves(evidence: Evidence) -> pd.DataFrame:
    """Accuracy of the full model by the number of real images.

    Args:
        evidence: of `PROFILE`.

    Returns:
        A row a way: `WAY`, top1 (mean over seeds, percent), half (of its 95 % interval, points).
    """
    rows = [(*way, *accuracy(evidence, FULL, **case)) for way, case in ways().items()]
    return pd.DataFrame(rows, columns=[*WAY, "top1", "half"])


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """`curves` to read: a row a way, a column a number of real images, "top-1 ± half" in percent."""
    texts = [f"{row.top1:.1f} ± {row.half:.1f}" for row in rows.itertuples()]
    found = pd.Series(texts, _to_read(rows.itertuples(index=False))).unstack(fill_value="", sort=False)
    return found.rename_axis(columns="")


def by_training(evidence: Evidence) -> pd.DataFrame:
    """Top-1 (percent) of the other model's trainings one by one, in one shot from the usual number of images."""
    columns = {
        f"seed {seed}": [_percent(evidence, OTHER, seed, case) for case in ways(OTHER).values()]
        for seed in reported(OTHER)
    }
    return pd.DataFrame(columns, _to_read(ways(OTHER))).droplevel("images")


def _to_read(found: Iterable[tuple]) -> pd.MultiIndex:
    data = {"": "none", "choice": "in the choice", "repair": "in the repair"}
    words = [("repaired" if way[2] else "cut", data[way[1]], way[0], way[3]) for way in found]
    return pd.MultiIndex.from_tuples(words, names=["", "real images", "criterion", "images"])


def _percent(evidence: Evidence, model: str, seed: int, case: dict) -> float:
    return 100 * evidence.measurement(setting(model, seed, **case)).top1[:IMAGES].double().mean().item()


def by_alpha(evidence: Evidence) -> pd.DataFrame:
    """Accuracy of the full model by alpha, from the usual number of images: alpha, top1 (percent), half (points)."""
    rows = [(alpha, *accuracy(evidence, FULL, **at_alpha(alpha))) for alpha in ALPHAS]
    return pd.DataFrame(rows, columns=["alpha", "top1", "half"])


def by_ratio(evidence: Evidence) -> pd.DataFrame:
    """Every criterion by its chosen grouping, cut, of the full model: top-1 and "±", percent, by ratio."""
    ratios = (LOWER, RATIO)
    rows = [[each for ratio in ratios for each in accuracy(evidence, FULL, **asked(criterion, ratio=ratio))]
            for criterion in CHOSEN]  # fmt: skip
    columns = pd.MultiIndex.from_product([[f"{ratio:.0%}" for ratio in ratios], ["top-1", "±"]])
    return pd.DataFrame(rows, pd.Index(CHOSEN, name="criterion"), columns)


def comparisons() -> dict[str, tuple[dict, dict]]:
    """What the chapter compares, first minus second, in words: what `repair.setting` takes of both."""
    plain, repaired = (asked("relative_energy", repaired=repaired) for repaired in (False, True))
    chosen = asked("activation_energy")
    return {
        "activations in the choice, cut": (chosen, plain),
        "activations in the choice, repaired": (asked("activation_energy", repaired=True), repaired),
        "gradients (fisher) in the choice, cut": (asked("fisher"), plain),
        "gradients (fisher) in the choice, repaired": (asked("fisher", repaired=True), repaired),
        "real images in the repair": (in_repair(USUAL), repaired),
        "the repair, without data": (repaired, plain),
        "the repair, without data, against activations in the choice, cut": (repaired, chosen),
        "the repair, without data, against SparseGPT": (repaired, asked(SPARSE_GPT)),
        "the magnitude, repaired without data, against SparseGPT": (
            asked("magnitude", repaired=True),
            asked(SPARSE_GPT),
        ),
        "Wanda against the magnitude, by layer": (asked("wanda"), asked("magnitude", "by_layer")),
        "the OBS score against the magnitude, by layer": (asked("obs"), asked("magnitude", "by_layer")),
        "SparseGPT against the OBS score": (asked(SPARSE_GPT), asked("obs")),
    }


def worth(evidence: Evidence) -> pd.DataFrame:
    """`comparisons`, first minus second in points.

    Args:
        evidence: of `PROFILE`.

    Returns:
        By what is compared: of the full model the mean over trainings and "±", half its 95 % interval, paired training
        by training and image by image; of the other, of which there are few, every training by itself.
    """
    found = {}
    for what, (first, second) in comparisons().items():
        row = dict(zip([(FULL, "mean"), (FULL, "±")], gain(evidence, FULL, first, second)))
        for seed in reported(OTHER):
            one, other = (_percent(evidence, OTHER, seed, case) for case in (first, second))
            row[OTHER, f"seed {seed}"] = one - other
        found[what] = row
    return pd.DataFrame.from_dict(found, orient="index")


def bounds(model: nn.Module, masks: Masks, moments: Mapping[str, InputMoments]) -> pd.DataFrame:
    """How far each layer's output moves when it is cut, against what equation 10 on activations bounds it by.

    Args:
        model: dense.
        masks: parameter name -> bool tensor of its shape.
        moments: of what each of these layers reads.

    Returns:
        By layer: change, E|(W - V) x|^2, V what is left of the weight W; energy, the sum over removed weights of
        w^2 E[x^2]; c, the largest eigenvalue of the inputs' second moments, each divided by the root of both its
        inputs' own (inputs that are always 0 left out); bound, c times the energy; and "change / energy".
    """
    rows = {}
    for name, mask in masks.items():
        removed = model.get_parameter(name).detach().double().masked_fill(mask, 0)
        second, norms = moments[name].second, moments[name].norms
        change = float(((removed @ second) * removed).sum())
        energy = float((removed * norms).square().sum())
        seen = norms > 0
        c = float(torch.linalg.eigvalsh((second / torch.outer(norms, norms))[seen][:, seen])[-1])
        rows[name] = {"change": change, "energy": energy, "c": c, "bound": c * energy}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="layer")
    return found.assign(**{"change / energy": found.change / found.energy})
