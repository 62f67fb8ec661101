"""The report's data from the results store: what was measured on the lite models, small ones that teach."""

import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import nn

from swinprune_lite.acceleration.structured import structured_masks
from swinprune_lite.anatomy.modules import PRUNED_MODULES, blocks, mapped
from swinprune_lite.clock.runtimes import recorded
from swinprune_lite.data import pairs
from swinprune_lite.data.pairs import GARMENTS, PAIR_NAMES
from swinprune_lite.files import SHIPPED
from swinprune_lite.measurements.intervals import interval, mean_accuracy, paired_difference, spread
from swinprune_lite.measurements.measure import COMPACT
from swinprune_lite.measurements.profile import Profile, replicates
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.lite import INPUT_SIZE, LIKE_THE_PAPERS, lite_card, load_lite
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.pruning.methods import METHODS
from swinprune_lite.report.by_class import recall_changes, recalls
from swinprune_lite.report.page import finished
from swinprune_lite.report.shape import cut_point, dense_point, place_of, series_of, set_timing
from swinprune_lite.studies import acceleration, finetuned, repair, structured
from swinprune_lite.studies.profiles import PROFILES

RATIOS = (0.15, 0.35, 0.55, 0.7, 0.8, 0.9, 0.95)
"""Of the prunable weights, those of the paper's tables 1 and the higher ones."""
RUN = PROFILES["lite"]
MODELS = (*LIKE_THE_PAPERS, finetuned.FULL)
"""The sizes of the paper, and the one that is full."""
COUNT = len(GARMENTS) ** 2
FLOAT32 = "float32"
TIMED, HALF = "swin_lite_tiny", 0.5
"""The size that was timed, of which alone smaller matrices are shown; and the share of the MACs at which masks were."""
COMPARED = ("dimap", "uniform")
Asked = tuple[Profile, Setting]


def lite_data(store: Store | None = None) -> dict:
    """What `page_data` makes of records, made from the results store, of every lite model.

    Accuracies are means over the sets of weights of which they are stored, on the images that nearly all were evaluated
    on, the first `repair.IMAGES`;
    counts and stages are of the first set. Speed was measured on one size alone, memory and calibration on none.

    Args:
        store: None: the one that ships.

    Raises:
        LookupError: a measurement is not in the store.
    """
    store = store or Store()
    sources = [{"file": "results/*.jsonl", "command": "store", "date": None, "versions": None}]
    return finished([_group(model, store) for model in MODELS], sources)


def _group(name: str, store: Store) -> dict:
    dense = {seed: _found(store, repair.PROFILE, repair.setting(name, seed)) for seed in RUN.training_seeds(name)}
    first = min(repair.reported(name)) if name not in LIKE_THE_PAPERS else 0
    card = lite_card(name, first)
    verdicts = _verdicts(list(dense.values()))
    group = {
        "name": name,
        "architecture": "SwinTransformer",
        "lite": True,
        "sha256": card["sha256"],
        "image_size": list(INPUT_SIZE),
        "classes": list(PAIR_NAMES),
        "places": [],
        "series": [],
        "dense": dense_point(
            **dict(zip(("parameters", "macs"), _counts(name))),
            file_bytes=(SHIPPED / f"{name}_seed{first}.safetensors").stat().st_size,
            recalls=recalls(verdicts, _classes(), COUNT),
            **_accuracies(list(dense.values())),
        ),
    }
    for (method, cut, rule, epochs), ratio, asked in _cases(name):
        about = dict(structured=cut, repair=rule, calibration=None, epochs=epochs, steps=asked[0][1].steps or None)
        points = series_of(group, method=method, **about)
        points.append(_point(store, asked, [dense[one.training_seed] for _, one in asked], ratio))
    if name == TIMED:
        _add_tuned_compact(group, name)
        half = [acceleration.one_shot(case) for case in acceleration.cases()]
        half = [case for case in half if (case.model, case.method, case.ratio) == (name, "dimap", HALF)]
        asked = [(repair.PROFILE, case) for case in half]
        point = _point(store, asked, [dense[one.training_seed] for _, one in asked], HALF)
        left = [sum(row[key] for row in point["stages"]) for key in ("kept", "weights")]
        timed = point | {"ratio": 1 - left[0] / left[1], "of": "weights"}
        series_of(group, method="dimap", structured=False, repair=False, calibration=None, epochs=0).append(timed)
        _add_times(group, timed)
    for series in group["series"]:
        series["points"].sort(key=lambda point: -point["macs"])
    return group


def _cases(name: str) -> Iterator[tuple[tuple[str, bool, bool, int], float, list[Asked]]]:
    """(method, structured, repair, epochs of fine-tuning), ratio, and what is stored of it: one setting a seed."""
    like = name in LIKE_THE_PAPERS
    for method in COMPARED:
        for ratio in RATIOS if like else repair.ratios(name):
            if like:
                asked = replicates(RUN, name, method, ratio)
            else:
                asked = [repair.setting(name, seed, method, ratio) for seed in repair.reported(name)]
            yield (method, False, False, 0), ratio, [(repair.PROFILE, each) for each in asked]
    for ratio in repair.ratios(name):
        asked = [repair.setting(name, seed, "dimap", ratio, repair=repair.RULE) for seed in repair.reported(name)]
        yield ("dimap", False, True, 0), ratio, [(repair.PROFILE, each) for each in asked]
    if like:
        for ratio in RATIOS:
            asked = replicates(RUN, name, "dimap", ratio, RUN.finetune_steps)
            yield ("dimap", False, False, RUN.recipe.epochs), ratio, [(RUN, each) for each in asked]
    else:
        for ratio in sorted({ratio for model, ratio, _ in finetuned.CASES if model == name}):
            asked = [
                (run, each)
                for run, each in finetuned.reports()
                if (each.model, each.ratio, each.repair, run.recipe.epochs) == (name, ratio, "", 1)
            ]
            yield ("dimap", False, False, 1), ratio, asked
    for rule, more in ((False, {}), (True, structured.REPAIR)) if name == TIMED else ():
        for ratio in structured.RATIOS:
            asked = [structured.case(name, seed, COMPACT, ratio, **more) for seed in structured.SEEDS[name]]
            yield (COMPACT, True, rule, 0), ratio, [(repair.PROFILE, each) for each in asked]


def _point(store: Store, asked: list[Asked], dense: list[Measurement], ratio: float) -> dict:
    found = [_found(store, *each) for each in asked]
    verdicts, before = _verdicts(found), _verdicts(dense)
    points, half = paired_difference(list(verdicts), list(before))
    setting = asked[0][1]
    return cut_point(
        ratio=ratio,
        of=setting.budget,
        parameters=found[0].params,
        macs=found[0].macs,
        stages=_stages(setting.model, setting.training_seed, setting.method, ratio, setting.budget),
        against=_accuracies(dense)["top1"],
        difference={"points": points, "half": half, "paired": True},
        recalls=recalls(verdicts, _classes(), COUNT),
        class_differences=recall_changes(verdicts, before, _classes(), COUNT),
        **_accuracies(found),
    )


def _found(store: Store, profile: Profile, setting: Setting) -> Measurement:
    found = store.find(profile, setting)
    if found is None:
        raise LookupError(f"{setting} is not in {store.folder}; in the repository 'make reproduce' computes it.")
    return found


def _verdicts(found: list[Measurement]) -> torch.Tensor:
    """Bool (sets, images)."""
    return torch.stack([each.top1[: repair.IMAGES] for each in found])


def _accuracies(found: list[Measurement]) -> dict:
    told = {
        kind: dict(zip(("percent", "half"), mean_accuracy([getattr(each, kind)[: repair.IMAGES] for each in found])))
        for kind in ("top1", "top5")
    }
    return {**told, "images": repair.IMAGES, "sets": len(found)}


@cache
def _classes() -> torch.Tensor:
    data = pairs.lite_data("test")
    return 10 * data.labels[: repair.IMAGES] + data.labels[data.right[: repair.IMAGES]]


_model = cache(load_lite)


@cache
def _places(name: str) -> tuple[int, dict[str, int | float], dict[str, tuple[int, str]]]:
    """Of a lite model its MACs, and by prunable weight positions that it is applied to, and its stage and module."""
    model = _model(name)
    stages = blocks(model)
    found = {weight: (stages[at.block][0], at.kind.module) for weight, at in mapped(model).items()}
    return *macs_and_positions(model), found


def _counts(name: str) -> tuple[int, int]:
    """Parameters and MACs of the dense model; the store's leave out weights that happen to be 0."""
    model = _model(name)
    return sum(parameter.numel() for parameter in model.parameters()), _places(name)[0]


@cache
def _stages(name: str, seed: int, method: str, ratio: float, budget: str) -> list[dict]:
    model, (_, positions, places) = _model(name, seed), _places(name)
    removed = _removed(model, method, ratio, budget)
    rows: dict[tuple[int, str], dict] = {}
    for weight, (stage, module) in places.items():
        size = model.get_parameter(weight).numel()
        kept = size - removed.get(weight, 0)
        empty = {"stage": stage, "module": module, "weights": 0, "kept": 0, "macs": 0, "kept_macs": 0}
        row = rows.setdefault((stage, module), empty)
        row["weights"] += size
        row["kept"] += kept
        row["macs"] += round(size * positions[weight])
        row["kept_macs"] += round(kept * positions[weight])
    return [rows[key] for key in sorted(rows, key=lambda key: (key[0], PRUNED_MODULES.index(key[1])))]


def _removed(model: nn.Module, method: str, ratio: float, budget: str) -> dict[str, int]:
    """Weights that go, by parameter. Where each layer is a group of its own, the budget says it without any masks."""
    if method == COMPACT:
        masks = structured_masks(model, ratio)
    else:
        _, grouping, share_out = METHODS[method].parts()
        groups = grouping(model)
        if budget == "weights" and all(len(group) == 1 for group in groups):
            return dict(zip((name for (name,) in groups), share_out(model, groups, ratio)))
        masks = make_masks(model, ratio, method, of=budget)
    return {name: mask.numel() - int(mask.sum()) for name, mask in masks.items()}


def _add_tuned_compact(group: dict, name: str) -> None:
    """Fine-tuned compact models, of which accuracies alone are kept, not verdicts on single images."""
    rows = [
        row
        for case, row in acceleration.finetuned().items()
        if (case.model, case.method, case.teacher) == (name, COMPACT, "dense")
    ]
    untuned = series_of(group, method=COMPACT, structured=True, repair=False, calibration=None, epochs=0)
    for ratio in sorted({row["removed"] for row in rows}):
        those = [row for row in rows if row["removed"] == ratio]
        first, images, epochs = those[0], those[0]["images"], int(those[0]["recipe"]["epochs"])
        tuned, before = ([row[key] for row in those] for key in ("tuned_top1", "dense_top1"))
        same = next((point for point in untuned if point["ratio"] == ratio), None)
        counts = {key: same[key] for key in ("parameters", "macs", "stages")} if same else {
            "parameters": round(first["params_left"] * group["dense"]["parameters"]),
            "macs": round(first["macs_left"] * group["dense"]["macs"]),
            "stages": _stages(name, first["seed"], COMPACT, ratio, "macs"),
        }  # fmt: skip
        series_of(group, method=COMPACT, structured=True, repair=False, calibration=None, epochs=epochs).append(
            cut_point(
                ratio=ratio,
                of="macs",
                **counts,
                images=images,
                sets=len(those),
                top1=_mean(tuned, images),
                against=_mean(before, images),
                difference=_change(tuned, before, images),
            )
        )


def _mean(values: list[float], images: int) -> dict:
    mean = sum(values) / len(values)
    over_sets = spread(values) if len(values) > 1 else 0.0
    return {"percent": mean, "half": math.hypot(over_sets, interval(mean, images))}


def _change(after: list[float], before: list[float], images: int) -> dict:
    """After minus before. Which images were right is not kept, so over images the half width is two samples'."""
    means = [_mean(values, images)["percent"] for values in (after, before)]
    changes = [late - early for late, early in zip(after, before)]
    over_sets = spread(changes) if len(changes) > 1 else 0.0
    half = math.hypot(over_sets, *(interval(mean, images) for mean in means))
    return {"points": means[0] - means[1], "half": half, "paired": False}


def _add_times(group: dict, half: dict) -> None:
    """Of the one size that was timed: compact models, whatever numbers they hold, and masks at half of the MACs."""
    kept = recorded()
    for row in kept["lite"].to_dict("records"):
        place = dict(machine=kept["device"], threads=kept["threads"], batch_size=int(row["batch"]),
                     runtime=row["runtime"], precision=FLOAT32)  # fmt: skip
        timed = {
            "masks": [half],
            "compact": [point for series in group["series"] if series["method"] == COMPACT
                        for point in series["points"] if point["ratio"] == row["removed"]],
        }.get(row["way"], [])  # fmt: skip
        for point in timed:
            number = place_of(group, **place)
            set_timing(group["dense"], number, _timing(row["dense ms"], row["batch"]))
            speedup = {"ratio": row["speedup"], "low": row["low"], "high": row["high"]}
            more = {"speedup": speedup, "theory": row["theory"]}
            set_timing(point, number, _timing(row["ms"], row["batch"]) | more)


def _timing(milliseconds: float, batch: float) -> dict:
    """The kept milliseconds are medians of a batch."""
    return {
        "p50_ms": milliseconds,
        "p95_ms": None,
        "images_per_second": 1000 * batch / milliseconds,
        "peak_memory_bytes": None,
        "joules_per_image": None,
    }
