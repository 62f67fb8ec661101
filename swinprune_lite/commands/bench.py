"""`swinprune bench`: time, memory, size and energy of a model, in turns with another."""

from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output

RUNTIMES = {"eager": "eager", "compile": "torch.compile", "onnx": "ONNX Runtime"}
"""Word on the command line -> `clock.runtimes`'s."""


def bench(
    context: typer.Context,
    model: options.Model,
    against: options.Against = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Of the processor.", show_default="torch's own number")] = None,
    runtime: Annotated[str, typer.Option(help=f"With commas between: {', '.join(RUNTIMES)}.")] = "eager",
    precision: Annotated[
        str, typer.Option(help="With commas between: float32, bfloat16, float16; onnx takes float32 alone.")
    ] = "float32",
    warm_up: Annotated[int, typer.Option(help="Passes of each before any is timed.")] = 5,
    repeats: Annotated[int, typer.Option(help="Timed passes of each, in turns.")] = 31,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Keep the record in a file.")
    ] = None,
    arch: options.Arch = None,
    against_arch: options.AgainstArch = None,
    img_size: options.ImageSize = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Time MODEL, and with --against both in turns, so that a busy moment meets them alike.

    A pass is one batch of noise. Shown are the median and the 95th percentile of a pass, images a second, the memory at
    its peak, the file's size, and joules an image where the machine counts them (the whole processor or GPU, whatever
    else it does). The speed-up is the median over the turns with its quartiles, beside the theory: what the removed
    MACs would save if each took the same time.

    Examples:

    - `swinprune bench swin_lite_micro --batch-size 8 --repeats 5 --warm-up 1`
    - `swinprune bench swin_lite_micro:1 --against swin_lite_micro --precision float32,bfloat16 --output times.json`
    """
    import torch

    from swinprune_lite.clock.benching import bench as measured
    from swinprune_lite.clock.benching import check_asked, machine
    from swinprune_lite.clock.energy import Meter
    from swinprune_lite.shell import records
    from swinprune_lite.shell.named import file_of
    from swinprune_lite.training.memory import advise_on_memory

    said, where = Output(json, quiet), options.device(device)
    if output:
        records.claim(output, "bench")
    if unknown := [word for word in words(runtime) if word not in RUNTIMES]:
        raise ValueError(f"Unknown --runtime {unknown[0]!r}; choose of {', '.join(RUNTIMES)}.")
    runtimes = [RUNTIMES[word] for word in words(runtime)]
    asked = [(model, arch), (against, against_arch)][: 2 if against else 1]
    loaded = [options.load(name, architecture, img_size) for name, architecture in asked]
    described = [records.described(each) for each in loaded]
    names = [model, *([against] if against != model else [f"{against} (again)"])][: len(loaded)]
    models = {name: each.model.to(where) for name, each in zip(names, loaded)}
    limits = (batch_size, runtimes, words(precision), repeats, warm_up, threads)
    check_asked(models, *limits)
    meter = Meter.of(where.partition(":")[0])
    with said.progress("timing", len(runtimes) * len(words(precision))) as bar, advise_on_memory(batch_size):
        found = measured(models, *limits, meter=meter, progress=lambda done, total: bar.reach(done))
    if not meter.counters:
        said.note(f"Energy was not measured: {meter.missing}.")
    about, sizes = (
        dict(zip(names, described)),
        {name: file_of(each.name).stat().st_size for name, each in zip(names, loaded)},
    )
    results = {
        "machine": machine(where.partition(":")[0]),
        "threads": threads or torch.get_num_threads(),
        "batch_size": batch_size,
        "repeats": repeats,
        "warm_up": warm_up,
        "energy": meter.missing or ", ".join(counter.name for counter in meter.counters),
        "rows": [
            row | {"sha256": about[row["model"]]["sha256"], "file_bytes": sizes[row["model"]]}
            for row in found.rows.to_dict("records")
        ],
        "ratios": [
            {"runtime": row["runtime"], "precision": row["precision"], "theory": row["theory"],
             "speedup": {"ratio": row["ratio"], "low": row["low"], "high": row["high"]}}
            for row in found.ratios.to_dict("records")
        ],
        "against": about[names[1]] if against else None,
    }  # fmt: skip
    record = records.record("bench", context.params, results, described[0], where.partition(":")[0])
    if output:
        records.write(output, record)
    _show(said, results)
    said.record(record)


def words(text: str) -> list[str]:
    """Words with commas between them, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _show(said: Output, results: dict) -> None:
    from rich.table import Table

    title = f"{results['machine']}; {results['threads']} thread(s), {results['batch_size']} image(s) at a time"
    table = Table("model", "runtime", "p50", "p95", "images/s", "peak memory", "file", "energy", title=title)
    for row in results["rows"]:
        memory, joules = row["peak_memory_bytes"], row["joules_per_image"]
        table.add_row(
            row["model"], f"{row['runtime']}, {row['precision']}", f"{row['p50_ms']:.2f} ms", f"{row['p95_ms']:.2f} ms",
            f"{row['images_per_second']:.1f}", "" if memory is None else f"{memory / 1e6:.1f} MB",
            f"{row['file_bytes'] / 1e6:.2f} MB", "" if joules is None else f"{joules:.3g} J",
        )  # fmt: skip
    said.show(table)
    for row in results["ratios"]:
        gain = row["speedup"]
        said.show(
            f"{row['runtime']}, {row['precision']}: {gain['ratio']:.2f} times as fast (quartiles {gain['low']:.2f} to "
            f"{gain['high']:.2f}); by MACs it would be {row['theory']:.2f}."
        )
