"""A fine-tuning of any model by the paper's recipe: what is trained on what, and what is kept of it."""

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from accelerate import Accelerator

from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.data.folders import require_counts
from swinprune_lite.jobs.images import Data, config_of
from swinprune_lite.measurements.intervals import accuracy, share
from swinprune_lite.measurements.profile import Profile, replicate
from swinprune_lite.measurements.setting import Measurement
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.pretrained import own_arguments
from swinprune_lite.pruning.cost import cost
from swinprune_lite.pruning.holding import apply_masks
from swinprune_lite.pruning.masks import check_asked, digest, make_masks, nonzero_masks
from swinprune_lite.shell import options
from swinprune_lite.shell.keeping import keep
from swinprune_lite.shell.named import Loaded
from swinprune_lite.shell.output import Output
from swinprune_lite.shell.pruned import told_of_dense
from swinprune_lite.shell.records import described, file_made
from swinprune_lite.studies.profiles import SWIN_BATCH, get_profile
from swinprune_lite.training.evaluate import Answers, answers
from swinprune_lite.training.memory import advise_on_memory
from swinprune_lite.training.recipe import PAPER_RECIPE, Recipe
from swinprune_lite.training.runs import BEST, LATEST, tune
from swinprune_lite.types import Batches, Masks

BATCH, RATIO, METHOD = 128, 0.55, "dimap"
SMALLER = "This model was made smaller and has no zeros, so there is nothing to hold."
WHOLE = "Nothing in this model is pruned, so nothing is held at zero; --ratio prunes it first."


@dataclass(frozen=True)
class Asked:
    """What is asked of a fine-tuning.

    Attributes:
        model: of `options.load`, or of the profile.
        data: folder with train and val, or "lite"; None: the profile's own.
        profile: of `PROFILES`; None: none, the model is any.
        ratio: share of the prunable weights that is removed first; None: of a profile 0.55, else nothing is.
        method: of `METHODS`; None: "dimap".
        epochs: passes over the images.
        lr: highest learning rate; None: the paper's, scaled with the batch.
        batch_size: images a step, of all processes; None: the profile's own, else 128.
        seed: of what is drawn.
        arch, img_size: of `options.load`.
        steps: at most so many an epoch; None: of a profile its own number, else all images.
        images: that top-1 is measured on, the first so many; None: all.
    """

    model: str
    data: str | None = None
    profile: str | None = None
    ratio: float | None = None
    method: str | None = None
    epochs: int = PAPER_RECIPE.epochs
    lr: float | None = None
    batch_size: int | None = None
    seed: int = 0
    arch: str | None = None
    img_size: str | None = None
    steps: int | None = None
    images: int | None = None


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        loaded: the model, not changed yet.
        masks: that are held; {} for none.
        pruned: what a file of it says of how it was pruned; {} of a dense model.
        train: images to learn from, given the number of processes.
        test: images that accuracy is measured on.
        recipe: how.
        batch_size: images a step, of all processes.
        seed: of what is drawn.
        about: what is run on what, which a folder belongs to.
        profile: whose store keeps the result; None: none does.
    """

    loaded: Loaded
    masks: Masks
    pruned: dict
    train: Callable[[int], Iterable]
    test: Batches
    recipe: Recipe
    batch_size: int
    seed: int
    about: dict
    profile: Profile | None = None

    @property
    def name(self) -> str:
        """Of its folder, where none is given."""
        cut = f"_{self.about['method']}_{self.about['ratio']:g}" if self.about["ratio"] is not None else ""
        start = f"{self.profile.name}_" if self.profile else ""
        return f"{start}{Path(self.loaded.name).name.replace(':', '_')}{cut}_seed{self.seed}"

    @property
    def unheld(self) -> str:
        """Why no zeros are held; "" where masks hold them."""
        return "" if self.masks else SMALLER if self.pruned else WHOLE

    def check_teacher(self, teacher: Loaded | None) -> None:
        """Raise ValueError unless the teacher takes the same images and tells the same number of classes apart."""
        if teacher is None:
            return
        mine, theirs = (
            f"{own.num_classes} classes apart in images {own.input_size} of mean {own.mean} and deviation {own.std}"
            for own in map(config_of, (self.loaded, teacher))
        )
        if mine != theirs:
            raise ValueError(
                f"The teacher {teacher.name} tells {theirs}; {self.loaded.name} tells {mine}. They must agree."
            )


def job_of(asked: Asked, device: str = "cpu", processes: int = 1) -> Job:
    """What is asked, checked before anything is computed.

    Args:
        asked: what.
        device: "cpu" or "cuda", where a profile evaluates its dense model.
        processes: that share each batch.

    Raises:
        FileNotFoundError: images that are not there.
        ValueError: something that is unknown, missing or does not fit, in one sentence.
    """
    require_counts(batch_size=asked.batch_size)
    if asked.ratio is not None or asked.profile:
        check_asked(RATIO if asked.ratio is None else asked.ratio, asked.method or METHOD)
    found = _of_profile(asked, device) if asked.profile else _of_data(asked)
    if found.batch_size % (2 * processes):
        raise ValueError(
            f"A batch of {found.batch_size} images cannot be shared by {processes} process(es) in equal, even parts; "
            f"give a --batch-size that {2 * processes} divides."
        )
    return found


def _of_data(asked: Asked) -> Job:
    """Any model on a folder, or on the pairs that ship."""
    if asked.data is None:
        raise ValueError('Give --data, a folder with train and val or "lite", the pairs that ship; or a --profile.')
    if asked.method and asked.ratio is None:
        raise ValueError("--method is how --ratio prunes; give both, or neither for a model that is pruned.")
    loaded = options.load(asked.model, asked.arch, asked.img_size)
    batch_size, ratio, seed = BATCH if asked.batch_size is None else asked.batch_size, asked.ratio, asked.seed
    recipe, method = _recipe(batch_size, asked), asked.method or METHOD
    images = Data(loaded, asked.data, batch_size)
    images.train(seed)  # compares the splits
    test = images.test(images=asked.images)
    network, pruned = loaded.model, dict(loaded.pruned or {})
    if ratio is not None:
        if loaded.masks or pruned:
            raise ValueError(f"{asked.model} is pruned already; leave --ratio out, or give the dense model.")
        masks, pruned = make_masks(network, ratio, method, seed), _said(loaded, ratio, method)
    else:
        masks = loaded.masks or {name: kept for name, kept in nonzero_masks(network).items() if not kept.all()}
    about = {
        "model": loaded.sha256, "ratio": ratio, "method": None if ratio is None else method,
        "masks": digest(masks) if masks else None, "seed": seed, "batch_size": batch_size, "epochs": recipe.epochs,
        "lr": recipe.lr, "image_size": list(loaded.image_size), "steps": asked.steps, "tested": asked.images,
        **images.digests("val", training=True),
    }  # fmt: skip
    train = partial(images.train, seed, steps=asked.steps)
    return Job(loaded, masks, pruned, train, test, recipe, batch_size, seed, about)


def _of_profile(asked: Asked, device: str) -> Job:
    """A dense model of a notebook's profile, pruned; the notebooks find the result where they look for it."""
    if asked.arch or asked.img_size:
        raise ValueError("A --profile has models by name, in their own size; leave --arch and --img-size out.")
    if asked.steps or asked.images:
        raise ValueError("A --profile has its own number of steps and images; leave --steps and --images out.")
    ratio, method, seed = RATIO if asked.ratio is None else asked.ratio, asked.method or METHOD, asked.seed
    if asked.profile == "smoke":
        raise ValueError("The smoke profile is for tests; give lite, imagenette, imagenet or folder.")
    run = get_profile(asked.profile, [asked.model], seed, asked.data, asked.batch_size)
    name, recipe = run.models[0], _recipe(run.batch_size, asked)
    if not run.shipped:
        run = replace(run, source=replace(run.source, device=device))
    test = run.test_batches()  # images that are not there are better missed now than after days
    digests = run.digests(name, 0, training=True)
    steps = None if run.finetunes_in_notebooks else run.finetune_steps

    def train(processes: int) -> Iterable:
        return run.training_batches(seed, steps and steps * processes, processes)

    train(1)
    network = run.load(name)
    known = getattr(network, "pretrained_cfg", None) or {}
    loaded = Loaded(
        network, name, known.get("architecture") or name, digests["weights"], image_shape(network)[1:],
        network.num_classes, own_arguments(name),
    )  # fmt: skip
    about = {"profile": run.name, "model": name, "method": method, "ratio": ratio, "seed": seed} | digests
    said = _said(loaded, ratio, method)
    masks = make_masks(network, ratio, method, seed)
    return Job(loaded, masks, said, train, test, recipe, run.batch_size, seed, about, run)


def run_job(job: Job, teacher: Loaded | None, folder: Path, accelerator: Accelerator, said: Output) -> dict:
    """Train, evaluate, keep; what the record says of it.

    Args:
        job: of `job_of`; its model is changed.
        teacher: whose answers are learned; None: the classes are.
        folder: of `run_folder`.
        accelerator: of all processes.
        said: shows how far it is.
    """
    started = time.perf_counter()
    network, own = job.loaded.model, next(job.loaded.model.parameters()).dtype
    plain = copy.deepcopy(network).cpu()  # without hooks; what is kept goes through it
    if job.masks:
        apply_masks(network, job.masks)
    else:
        said.note(job.unheld)
    network.to(accelerator.device)
    told = teacher.model.to(accelerator.device) if teacher else None
    epochs = job.recipe.epochs + (job.pruned.get("finetuned") or {}).get("epochs", 0)
    pruned = job.pruned | {"finetuned": {"epochs": epochs, "before_sha256": job.loaded.sha256}}

    def save(path: Path) -> None:
        plain.load_state_dict(network.state_dict())
        loaded, dtype = job.loaded, str(own).removeprefix("torch.")
        keep(plain, path, loaded.architecture, loaded.arguments, loaded.image_size, pruned, job.masks or None, dtype)

    def found() -> Answers:
        with advise_on_memory(getattr(job.test, "batch_size", job.batch_size)):
            return answers(network, job.test, accelerator)

    batches = job.train(accelerator.num_processes)
    steps = job.recipe.epochs * (len(batches) // accelerator.num_processes)
    with said.progress("fine-tuning", steps) as bar, advise_on_memory(job.batch_size):
        tuned = tune(
            network, batches, job.recipe, folder, lambda: accuracy(found().top1)["percent"], save, accelerator,
            lambda done, total: bar.reach(done), job.seed, told,
        )  # fmt: skip
    if job.profile and not job.profile.shipped and job.recipe == job.profile.recipe and teacher is None:
        last = found()
        if accelerator.is_main_process:
            _to_the_notebooks(job, last, started)
    count = job.test.images

    def top1(percent: float) -> dict:
        return share(round(percent * count / 100), count)

    return {
        "epochs": job.recipe.epochs,
        "losses": {"first": tuned.losses[0], "last": tuned.losses[-1]},
        "top1": {"before": top1(tuned.top1[0]), "after": top1(tuned.top1[-1])},
        "images": count,
        "best": {"epoch": tuned.best, "top1": top1(tuned.top1[tuned.best]), **file_made(folder / BEST)},
        "output": file_made(folder / LATEST),
        "batch_size": job.batch_size,
        "processes": accelerator.num_processes,
        "recipe": {key: str(value) for key, value in asdict(job.recipe).items()},
        "digests": job.about,
    }


def _to_the_notebooks(job: Job, found: Answers, started: float) -> None:
    """Keep the measurement where the profile's notebooks look for it."""
    run, about = job.profile, job.about
    left = cost(job.loaded.model.cpu())
    setting = replicate(run, run.models[0], run.seed, about["method"], about["ratio"], run.finetune_steps)
    seconds = time.perf_counter() - started
    Store(run.results).add(run, setting, Measurement(
        found.top1, found.top5, left.nonzero_params, left.nonzero_macs, digest(job.masks), seconds
    ))  # fmt: skip


def _recipe(batch_size: int, asked: Asked) -> Recipe:
    recipe = replace(PAPER_RECIPE.scaled(batch_size / SWIN_BATCH), epochs=asked.epochs)
    if asked.lr is not None:
        recipe = replace(recipe.scaled(max(0.0, asked.lr) / recipe.lr), lr=asked.lr)
    recipe.check()
    return recipe


def _said(loaded: Loaded, ratio: float, method: str) -> dict:
    """What `swinprune prune` would say of these masks."""
    return {
        "of": loaded.name, "method": method, "structured": False, "repair": False, "asked": {"ratio": ratio},
        "calibration": None, "ratio": ratio, **told_of_dense(described(loaded)),
    }  # fmt: skip
