"""Past the lite models: the paper's experiments on a real pretrained transformer, and which orders carry over to it."""

import math
from collections.abc import Mapping

import pandas as pd
import torch
from torch import nn

from swinprune_lite.files import RESULTS
from swinprune_lite.kept import kept
from swinprune_lite.measurements import frames
from swinprune_lite.measurements.evidence import Evidence
from swinprune_lite.measurements.profile import replicates
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import question
from swinprune_lite.models.probe import NAME
from swinprune_lite.paper import bound, layerwise, tables
from swinprune_lite.paper.arithmetic import NUMBER
from swinprune_lite.paper.numbers import TABLE1_RATIOS, TABLE3_RATIOS, paper_claims
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.studies import repair
from swinprune_lite.studies.profiles import PROFILES

PROFILE = PROFILES["pretrained"]
HALF = max(TABLE3_RATIOS)
OTHERS = tuple(method for method in PROFILE.methods if method not in ("dimap", "random"))
"""That look at magnitudes, and that DIMAP is compared with."""


def whole() -> list[Setting]:
    """Every method at table 3's ratios in one shot, random masks in every replicate; the highest ratios first."""
    found = replicates(PROFILE, NAME, "dense", 0.0)
    for ratio in sorted(TABLE3_RATIOS, reverse=True):
        for method in PROFILE.methods:
            found += replicates(PROFILE, NAME, method, ratio)
    return found


def dated(evidence: Evidence) -> tuple[str, str]:
    """Days on which the first and the last of `whole` were measured, as "2026-11-26".

    Args:
        evidence: of `PROFILE`.
    """
    records = evidence.store.records
    days = [records[question(PROFILE, setting)]["provenance"]["date"][:10] for setting in whole()]
    return min(days), max(days)


def results(evidence: Evidence) -> pd.DataFrame:
    """Table 3 on it, for every method.

    Args:
        evidence: of `PROFILE`.

    Returns:
        As `frames.stored`.
    """
    return frames.stored(evidence, [NAME], PROFILE.methods, TABLE3_RATIOS)


def against_dimap(evidence: Evidence) -> pd.DataFrame:
    """DIMAP minus each other method at table 3's ratios.

    Args:
        evidence: of `PROFILE`.

    Returns:
        Text cells as of `tables.gain_table`: by ratio, a column a method.
    """
    methods = [method for method in PROFILE.methods if method != "dimap"]
    columns = [
        tables.gain_table(frames.gains(evidence, [NAME], "dimap", method, TABLE3_RATIOS))[NAME].rename(method)
        for method in methods
    ]
    return pd.concat(columns, axis=1)


CARRIES, TURNS, HERE, THERE, NEITHER = VERDICTS = (
    "carries over",
    "turns round",
    "shows on the pretrained model alone",
    "shows on the lite model alone",
    "shows on neither",
)
"""What becomes of an order that a lite model gives, where an order is what lies outside its 95 % interval."""

SAME_SHARE, SAME_LOSS = "same share removed", "about the same loss"


def verdict(first: tuple[float, float], second: tuple[float, float]) -> str:
    """Of two differences, each with half its 95 % interval: of the pretrained model, and of a lite model.

    Args:
        first: points and half their interval, pretrained.
        second: the same, lite.
    """
    clear, also = (abs(points) > half for points, half in (first, second))
    if clear and also:
        return CARRIES if (first[0] > 0) == (second[0] > 0) else TURNS
    return HERE if clear else THERE if also else NEITHER


def alike(evidence: Evidence, losses: Mapping[float, float]) -> float:
    """The ratio at which DIMAP costs another model about as many points as it costs the pretrained one at `HALF`.

    Args:
        evidence: of `PROFILE`.
        losses: of the other model, ratio -> points that DIMAP takes there.
    """
    lost = evidence.drop(NAME, "dimap", HALF)[0]
    return min(losses, key=lambda ratio: abs(losses[ratio] - lost))


def orders(evidence: Evidence, lite: Evidence, full: Evidence) -> pd.DataFrame:
    """DIMAP minus each of `OTHERS` on the pretrained model at `HALF`, and on the lite models.

    Args:
        evidence: of `PROFILE`.
        lite: of the lite profile.
        full: of `repair.PROFILE`, which has the lite model that is full, at fewer ratios and by fewer methods.

    Returns:
        A row a comparison (`SAME_SHARE`, `SAME_LOSS`), lite model and method: ratio, lite_gain and lite_half of the
        lite model, gain and half of the pretrained one (points), and the verdict, of `VERDICTS`.
    """
    ratios, model = {*TABLE1_RATIOS, *TABLE3_RATIOS, *lite.profile.high_ratios}, repair.CHOSEN_ON[0]
    lost = {each: {ratio: lite.drop(each, "dimap", ratio)[0] for ratio in ratios} for each in lite.profile.models}
    rows = [
        (compared, each, method, ratio, *lite.gain(each, "dimap", method, ratio))
        for compared in (SAME_SHARE, SAME_LOSS)
        for each in lite.profile.models
        for ratio in [HALF if compared == SAME_SHARE else alike(evidence, lost[each])]
        for method in OTHERS
    ]

    def ahead(ratio: float, of: dict) -> tuple[float, float]:
        return repair.gain(full, model, {"method": "dimap", "ratio": ratio}, of)

    ratio = alike(evidence, {ratio: -ahead(ratio, {})[0] for ratio in repair.RATIOS})
    for method in repair.METHODS[1:]:
        rows.append((SAME_LOSS, model, method, ratio, *ahead(ratio, {"method": method, "ratio": ratio})))
    found = pd.DataFrame(rows, columns=["compared", "model", "method", "ratio", "lite_gain", "lite_half"])
    here = {method: evidence.gain(NAME, "dimap", method, HALF) for method in OTHERS}
    found["gain"], found["half"] = zip(*(here[method] for method in found.method))
    pairs = zip(found.gain, found.half, found.lite_gain, found.lite_half)
    return found.assign(verdict=[verdict((gain, half), (points, its)) for gain, half, points, its in pairs])


def carried(found: pd.DataFrame) -> pd.DataFrame:
    """How many orders have which verdict.

    Args:
        found: of `orders`.

    Returns:
        By verdict, a column a comparison: numbers of orders.
    """
    counted = pd.crosstab(found.verdict, found.compared)
    return counted.reindex(VERDICTS, fill_value=0)[[SAME_SHARE, SAME_LOSS]].rename_axis(columns=None)


LAYERS = RESULTS / "pretrained_layers.json"
BELOW, KEPT, MASKED, REMOVED = 0.3, 0.45, 0.5, 0.5
"""Shares removed: by figure 2's threshold of QKV and PRJ, in figures 5 and 6, and of a layer in the equations' part."""

WEIGHTS, DISTORTED = 250, 4
"""Single weights that are removed, and garments on which the change of the logits is measured."""

_TABLES = {
    "histograms": {"block": float, "layer": str, "left": float, "percent": float},
    "layers": {"name": str, "module": str, "layer": str, "stage": float, "block": float, "below_pct": float,
               "kept_pct": float},
    "lowest": {"module": str, "score": float},
    "masks": {"part": str, "rows": float, "columns": float, "kept %": float, "whole rows removed": float,
              "whole columns removed": float, "row spread": float, "column spread": float},
    "by_layer": {"name": str, "module": str, "bound": float, "change": float},
    "by_weight": {"module": str, "score": float, "magnitude": float, "change": float},
}  # fmt: skip


def layer_by_layer(model: nn.Module, images: torch.Tensor) -> dict[str, object]:
    """What figures 2, 5 and 6 and the equations' last part say of a model.

    Args:
        model: the network.
        images: (B, C, H, W), for the change of the logits.

    Returns:
        "threshold" (of figure 2, a number), and the data frames "histograms", "layers" (below_pct: share under the
        threshold; kept_pct: figure 5's), "lowest" (kept scores), "masks" (figure 6), "by_layer" and "by_weight" (of
        `bound.layer_distortions` and `bound.weight_distortions`).
    """
    threshold = layerwise.threshold_removing(model, BELOW, ("QKV", "PRJ"), blocks=2)
    masks = make_masks(model, KEPT)
    lowest = layerwise.thresholds(model, masks)
    block = layerwise.first_block(model, make_masks(model, MASKED))
    return {
        "threshold": threshold,
        "histograms": layerwise.histograms(model, threshold),
        "layers": layerwise.kept_shares(model, masks).assign(below_pct=layerwise.shares_below(model, threshold)),
        "lowest": pd.DataFrame({"module": list(lowest), "score": list(lowest.values())}),
        "masks": layerwise.mask_table(block).rename_axis("part").reset_index(),
        "by_layer": bound.layer_distortions(model, REMOVED, images),
        "by_weight": bound.weight_distortions(model, WEIGHTS, images),
    }


def claims(found: Mapping[str, object]) -> pd.DataFrame:
    """What the paper says of its figures 2, 5 and 6, which are of Swins, asked of another model.

    Args:
        found: of `layer_by_layer` or `layers_kept`.

    Returns:
        By the ledger's identifier: claim (the paper's words), lite (the ledger's verdict on lite models), found (what
        was seen, in words), "held if" (the claim's direction, as the ledger asks for it) and holds (whether it does).
        Queries and keys are denser where they are so by more than half a rough 95 % interval, as in the ledger.
    """
    layers, masks, kept_pct = found["layers"], found["masks"], found["layers"].kept_pct
    lowest = found["lowest"].score
    early = layers[layers.block <= 2]
    mlps = early.below_pct[early.module == "MLP-M"]
    ranks = {
        module: rows.kept_pct.rank().corr(rows.index.to_series().rank())
        for module, rows in layers.groupby("module", sort=False)
    }
    attention, rest = kept_pct[[1, 2, 5, 6]].mean(), kept_pct[[3, 4, 7, 8]].mean()
    query, key, value = masks["kept %"][[f"QKV: {band}" for band in ("query", "key", "value")]]
    half = 1.96 * math.sqrt(2 * value * (100 - value) / (masks["rows"]["QKV: value"] * masks["columns"]["QKV: value"]))
    gone = int(masks["whole rows removed"]["FC1"])
    said = {claim["id"]: claim["claim"] for claim in paper_claims()}
    printed = [float(number) for number in NUMBER.findall(said["fig5-1"])]
    seen = {
        "fig2-1": (
            f"where {BELOW:.0%} of QKV and PRJ go, {mlps.min():.0f} to {mlps.max():.0f} % of FC1 and FC2 go",
            "more of FC1 and FC2 goes, in their mean",
            mlps.mean() > 100 * BELOW,
        ),
        "fig5-1": (
            ", ".join(f"{score:.1e}" for score in lowest),
            "the order is the same",
            [*lowest.rank()] == [*pd.Series(printed).rank()],
        ),
        "fig5-2": (
            "rank correlation with depth " + ", ".join(f"{module} {value:.2f}" for module, value in ranks.items()),
            "all are below 0",
            max(ranks.values()) < 0,
        ),
        "fig5-3": (f"{attention:.1f} % against {rest:.1f} %", "the first mean is higher", attention > rest),
        "fig5-4": (f"{kept_pct[4]:.1f} % against {kept_pct[8]:.1f} %", "the first is lower", kept_pct[4] < kept_pct[8]),
        "fig6-1": (
            f"query {query:.1f} %, key {key:.1f} %, value {value:.1f} % kept",
            f"both are denser by more than {half:.1f} points",
            min(query, key) - value > half,
        ),
        "fig6-2": (f"{gone} rows of FC1 removed whole", "there is one", gone > 0),
    }
    ledger = pd.read_csv(RESULTS / "ledger.csv", keep_default_na=False).set_index("id").verdict
    rows = {name: (said[name], ledger[name].partition(":")[0], *each) for name, each in seen.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["claim", "lite", "found", "held if", "holds"])


def layers_kept() -> dict[str, object]:
    """`layer_by_layer` of the pretrained model as it was measured once, with where and when.

    Raises:
        LookupError: nothing was measured.
        ValueError: a file that is damaged or was altered.
    """
    advice = "in the repository 'python data_scripts/pretrained_layers.py' measures it"
    found = kept(LAYERS, _TABLES, advice)
    found["layers"].index += 1  # as the paper counts them
    return found | {"masks": found["masks"].set_index("part")}
