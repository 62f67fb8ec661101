"""`swinprune finetune`: train a pruned model with its zeros held, on one CPU or many GPUs."""

from pathlib import Path
from typing import Annotated

import typer

from swinprune_lite.shell import options
from swinprune_lite.shell.output import Output


def finetune(
    context: typer.Context,
    model: options.Model,
    data: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help='With train and val, a folder a class; or "lite": the pairs that ship.'),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Half of them warm-up.")] = 30,
    lr: Annotated[
        float | None,
        typer.Option(help="Highest learning rate.", show_default="the paper's, 2e-5 for 512 images a step"),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Learn what it says, such as the dense model, not the labels.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step, all processes together.", show_default="128")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="At most so many an epoch, for a trial.", min=1)] = None,
    images: Annotated[int | None, typer.Option(help="That top-1 is measured on, the first so many.", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on with what OUTPUT holds.")] = True,
    ratio: Annotated[float | None, typer.Option(help="Prune MODEL first, of so large a share of its weights.")] = None,
    method: Annotated[
        str | None, typer.Option(help="By which --ratio prunes: dimap, lamp, ...", show_default="dimap")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Images and recipe of the notebooks: lite, imagenette, imagenet or folder; see the book."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Of the outcome; else one under runs/.")
    ] = None,
    arch: options.Arch = None,
    teacher_arch: Annotated[str | None, typer.Option(metavar="NAME", help="As --arch, of --teacher.")] = None,
    img_size: options.ImageSize = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fine-tune MODEL by the paper's recipe. The zeros of a pruned model stay zeros.

    `accelerate launch -m swinprune_lite finetune ...` shares the batches among processes; OUTPUT must be a folder that
    all of them see. After a kill the same command goes on from the last whole epoch, to the same losses. OUTPUT gets
    latest.safetensors and best.safetensors (by top-1 on val), which every command that has a MODEL takes, record.json,
    losses.csv, epochs.json (top-1 before and after every epoch), and run.json and state.pt, which it goes on by.

    Examples:

    - `swinprune finetune swin_lite_micro --ratio 0.5 --data lite --epochs 2 --steps 3 --batch-size 20 --images 200`
    - `swinprune finetune swin_lite_micro:1 --ratio 0.8 --teacher swin_lite_micro:1 --data lite --epochs 1 --steps 3`
    """
    from swinprune_lite.jobs.processes import accelerated
    from swinprune_lite.jobs.tuning import Asked, job_of, run_job
    from swinprune_lite.shell import records
    from swinprune_lite.training.runs import RECORD, STATE, run_folder

    where = options.device(device)
    with accelerated(where) as accelerator:
        said = Output(json and accelerator.is_main_process, quiet or not accelerator.is_main_process)
        asked = Asked(model, data, profile, ratio, method, epochs, lr, batch_size, seed, arch, img_size, steps,
                      images)  # fmt: skip
        job = job_of(asked, where, accelerator.num_processes)
        guide = options.load(teacher, teacher_arch, img_size) if teacher else None
        job.check_teacher(guide)
        about = job.about | {"teacher": guide and guide.sha256, "precision": accelerator.mixed_precision}
        folder = output or Path("runs/finetuned") / job.name
        if not resume and (folder / STATE).exists():
            raise ValueError(f"{folder} holds a run already; leave --no-resume out, or give another --output.")
        described = records.described(job.loaded)
        with run_folder(folder, about, accelerator):
            results = run_job(job, guide, folder, accelerator, said)
            if accelerator.is_main_process:
                record = records.record("finetune", context.params, results, described, accelerator.device.type)
                records.write(folder / RECORD, record)
                before, after = (results["top1"][when]["percent"] for when in ("before", "after"))
                said.show(
                    f"{model}: top-1 {before:.2f} % before, {after:.2f} % after, loss {results['losses']['first']:.4f} "
                    f"to {results['losses']['last']:.4f}; in {folder}"
                )
                said.record(record)
