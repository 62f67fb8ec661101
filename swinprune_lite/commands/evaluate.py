"""`swinprune evaluate`: how often a model is right, class by class, and how sure it is; also beside another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output

if TYPE_CHECKING:
    from swinprune_lite.jobs.images import Data
    from swinprune_lite.training.evaluate import Answers

WORST = 5  # classes that are shown; all are in the record


def evaluate(
    context: typer.Context,
    model: options.Model,
    data: options.Data,
    against: options.Against = None,
    split: options.Split = "val",
    class_map: options.ClassMap = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 64,
    images: Annotated[int | None, typer.Option(help="Only the first so many, which are a sample of all.")] = None,
    amp: Annotated[bool, typer.Option("--amp", help="In mixed precision.")] = False,
    crop_pct: Annotated[float | None, typer.Option(help="Side of the crop over the image's shorter side.")] = None,
    interpolation: Annotated[str | None, typer.Option(help="Of the resizing: bicubic, bilinear, ...")] = None,
    results_file: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="A row a model, as timm's; the record beside it.")
    ] = None,
    arch: options.Arch = None,
    against_arch: options.AgainstArch = None,
    img_size: options.ImageSize = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Count how often MODEL is right on images: top-1, top-5, every class, each with its 95 % interval.

    Also how far its confidence is from that (expected calibration error). With --against, both on the same images, and
    their difference with the interval of a paired comparison. `accelerate launch -m swinprune_lite evaluate ...` shares
    the images among several devices.

    Examples:

    - `swinprune evaluate swin_lite_micro --data lite --images 200`
    - `swinprune evaluate swin_lite_micro:1 --against swin_lite_micro --data lite --split smoke --results-file out.csv`
    """
    import pandas as pd

    from swinprune_lite.jobs.images import Data, read_class_map
    from swinprune_lite.jobs.processes import accelerated
    from swinprune_lite.shell import records
    from swinprune_lite.training.evaluate import Mixed, answers
    from swinprune_lite.training.memory import advise_on_memory

    where = options.device(device)
    if results_file:
        records.claim_table(results_file, "model,top1,", "evaluate")
    names = read_class_map(class_map) if class_map else None
    with accelerated(where) as accelerator:
        said = Output(json and accelerator.is_main_process, quiet or not accelerator.is_main_process)
        asked = [(model, arch)] + ([(against, against_arch)] if against else [])
        found, rows = [], []
        for name, architecture in asked:  # all is checked before anything is computed
            loaded = options.load(name, architecture, img_size)
            images_of = Data(loaded, data, batch_size, crop_pct, interpolation, names)
            found.append((loaded, images_of, images_of.test(split, images)))
        results: dict = {}
        for number, (loaded, images_of, test) in enumerate(found):
            network = loaded.model.to(accelerator.device)
            with (
                said.progress(f"evaluating {loaded.name}", -(-test.images // accelerator.num_processes)) as bar,
                advise_on_memory(batch_size),
            ):
                told = answers(Mixed(network) if amp else network, test, accelerator, bar.advance)
            network.to("cpu")
            about = records.described(loaded)
            mine = counted(told, images_of.class_names(test))
            rows.append(_row(about, mine, images_of))
            if number == 0:
                first, results, described = told, mine, about
                results["against"] = None
            else:
                results["against"] = {"model": about, **compared(first, results, told, mine)}
        if accelerator.is_main_process:
            record = records.record("evaluate", context.params, results, described, accelerator.device.type)
            if results_file:
                records.write_table(results_file, pd.DataFrame(rows), record)
            _show(said, model, against, results)
            said.record(record)


def counted(told: "Answers", names: dict[int, str]) -> dict:
    """What a record says of a model's answers.

    Args:
        told: of `answers`.
        names: of the classes, by their numbers.
    """
    from swinprune_lite.measurements.confidence import error_of_confidence
    from swinprune_lite.measurements.intervals import accuracy, recalls

    classes = [
        {"name": names[number], "images": int(row.pop("images")), "recall": row}
        for number, row in sorted(recalls(told.top1, told.own).to_dict("index").items())
    ]
    return {
        "images": len(told.own),
        "top1": accuracy(told.top1),
        "top5": accuracy(told.top5),
        "classes": classes,
        "calibration_error": 100 * error_of_confidence(told.sure, told.top1),
    }


def compared(ours: "Answers", mine: dict, theirs: "Answers", other: dict) -> dict:
    """What a record says of another model on the same images: its own counts, and this one's minus those, paired."""
    from swinprune_lite.measurements.intervals import matched_difference, paired_difference

    names = [each["name"] for each in mine["classes"]]
    if names != [each["name"] for each in other["classes"]]:
        order = {each["name"]: each for each in other["classes"]}
        other = other | {"classes": [order[name] for name in names]}
    numbers = ours.own.unique().tolist()
    classes = []
    for each, number in zip(other["classes"], numbers, strict=True):
        points, half = matched_difference(*(told.top1[ours.own == number] for told in (ours, theirs)))
        classes.append(each | {"difference": {"points": points, "half": half}})
    points, half = paired_difference([ours.top1], [theirs.top1])
    return other | {"difference": {"points": points, "half": half if half == half else None}, "classes": classes}


def _row(about: dict, mine: dict, images_of: "Data") -> dict:
    """As timm's validate.py writes it, with what is known here beside."""
    own = mine["top5"] or {"percent": None}
    crop, how = (None, None) if images_of.pairs else (images_of.transform.crop_pct, images_of.transform.interpolation)
    return {
        "model": about["name"],
        "top1": mine["top1"]["percent"],
        "top1_err": 100 - mine["top1"]["percent"],
        "top5": own["percent"],
        "top5_err": None if own["percent"] is None else 100 - own["percent"],
        "param_count": about["nonzero_parameters"] / 1e6,
        "img_size": "x".join(map(str, about["image_size"])),
        "crop_pct": crop,
        "interpolation": how,
        "images": mine["images"],
        "top1_low": mine["top1"]["low"],
        "top1_high": mine["top1"]["high"],
        "calibration_error": mine["calibration_error"],
    }


def _show(said: Output, model: str, against: str | None, results: dict) -> None:
    from rich.table import Table

    other = results["against"]
    table = Table("", model, *([against, "difference"] if other else []), title=f"On {results['images']:,} images")
    for title, key in (("top-1", "top1"), ("top-5", "top5")):
        if results[key]:
            more = [_words(other[key] or {})] if other else []
            gap = other["difference"] if other and key == "top1" else None
            gaps = [_points(gap, 2) if gap else ""] if other else []
            table.add_row(title, _words(results[key]), *more, *gaps)
    errors = [results["calibration_error"], *([other["calibration_error"]] if other else [])]
    table.add_row("calibration error", *(f"{error:.2f} %" for error in errors), *([""] if other else []))
    said.show(table)
    worst = sorted(results["classes"], key=lambda each: each["recall"]["percent"])[:WORST]
    title = f"The {len(worst)} of {len(results['classes'])} classes that it knows least"
    classes = Table("class", "images", "recall", *([against, "difference"] if other else []), title=title)
    theirs = {each["name"]: each for each in other["classes"]} if other else {}
    for each in worst:
        more = theirs.get(each["name"])
        gap = [_words(more["recall"]), _points(more["difference"], 1)] if more else []
        classes.add_row(each["name"], str(each["images"]), _words(each["recall"]), *gap)
    said.show(classes)


def _points(gap: dict, digits: int) -> str:
    half = "" if gap["half"] is None else f" ± {gap['half']:.{digits}f}"
    return f"{gap['points']:+.{digits}f}{half} points"


def _words(share: dict) -> str:
    return f"{share['percent']:.2f} % ({share['low']:.2f} to {share['high']:.2f})" if share else ""
