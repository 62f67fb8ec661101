"""What is said on any page, and what the pages of book/ and the README state."""

import inspect

import recompute as again
import timm
import typer
from recompute import MAGNITUDES, MODELS, B, S, T, span

import swinprune_lite as sp
from statements.measured import (
    GLOBAL_AHEAD,
    base_behind,
    by_chance,
    global_stars,
    magnitudes_lose,
    mixed_where,
    paper_lead,
    uniform_at_half,
)
from statements.statement import SEEDS, Statement, count
from swinprune_lite.clock import runtimes
from swinprune_lite.data.pairs import FashionPairs, lite_data
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.shell.output import INTERRUPTED, NOT_DONE
from swinprune_lite.sources.pretrained_source import TOLERANCE
from swinprune_lite.studies import estimate, profiles
from swinprune_lite.training.recipe import PAPER_RECIPE

NAMES = [  # what there are so many of, wherever it is said
    Statement("*", "{} training seeds", count(SEEDS[0], SEEDS == [3, 3, 3])),
    Statement("*", "{} trainings", count(SEEDS[0])),
    Statement("*", "{} seeds", count(SEEDS[0])),
    Statement("*", "{} lite models", count(len(MODELS))),
    Statement("*", "{} small Swins", count(len(MODELS))),
    Statement("*", "all {} models", count(len(MODELS))),
    Statement("*", "ratio before and after fine-tuning, {} models", count(len(MODELS))),
    Statement("*", "{} Swins, in {} runtimes", lambda: [len(counts.TIMM_NAMES), len(runtimes.RUNTIMES)]),
    Statement("*", "{} methods that look at magnitudes", count(len(MAGNITUDES))),
    Statement("*", "all {} test images", lambda: [lite_data("test").images]),
    Statement("*", "on the first {}", lambda: [profiles.PROFILES["lite"].common_images]),
]

INDEX, LITE, REAL, COMMANDS = "index", "lite", "real", "commands"


def recipe(name: str) -> float:
    return getattr(PAPER_RECIPE, name)


def shapes(model: str, counterpart: str) -> Statement:
    kept = sp.LITE_MODELS[model]
    return Statement(LITE, "| {} | {}, {}, {}, {} | " + f"{counterpart} |", count(kept["embed_dim"], *kept["depths"]))


def times_smaller(what: str, counted: str, unit: float) -> list[float]:
    (ours,) = again.ours(f"table1.01.Swin-B-dense.{counted}")
    lite = [getattr(again.evidence().measurements(model, "dense", 0.0)[0], what) for model in MODELS]
    return span([unit * ours / each for each in lite])


def training_minutes() -> list[float]:
    return span([sp.lite_card(T, seed)["seconds_of_last_run"] / 60 for seed in sp.lite_seeds(T)])


def teaching() -> list:
    source = (again.ROOT / "data_scripts/train_lite.py").read_text()
    return [
        *[source.count('("swin_lite_tiny", ')] * 2,
        max(again.cards(S)) < min(again.cards(T)),
        max(again.cards(S)) < min(again.cards(B)) < min(again.cards(T)) < max(again.cards(B)),
        max(again.cards(B)) < sum(again.cards(T)) / len(again.cards(T)),
    ]


PAGE_STATEMENTS = [
    Statement("README", "each of the paper's {} numbers and claims", lambda: [len(again.ledger())]),
    Statement(
        COMMANDS,
        "The exit code is {} when it is done, {} when it could not be done, {} when the line could "
        "not be read, and {} when it was",
        lambda: [0, NOT_DONE, typer.BadParameter("").exit_code, INTERRUPTED],
    ),
    Statement(
        INDEX,
        "Of the {} undecided rows, {} are accuracies",
        lambda: [again.verdicts("not decided here"), again.undecided_accuracies()],
    ),
    Statement(INDEX, "Ours are of {} kinds", count(4)),
    Statement(
        INDEX,
        "DIMAP takes {} % of the prunable weights at a cost of at most {} points in the mean",
        lambda: [50, max(again.lost(model, "dimap", 0.5)["drop"] for model in MODELS)],
    ),
    Statement(
        INDEX,
        "Of the paper's numbers that need no accuracy of ours, counts and arithmetic, {} agree and {} do not",
        lambda: [
            again.verdicts("reproduced to the digit") + again.verdicts("within tolerance"),
            again.verdicts("contradicted"),
        ],
    ),
    Statement(
        INDEX,
        "{} % of the prunable weights can go at a cost of at most {} points in the mean",
        lambda: [50, magnitudes_lose()],
    ),
    Statement(
        INDEX,
        "Beyond, whether DIMAP or uniform pruning is ahead mostly changes from one training of a model to the next. In "
        "all {} trainings DIMAP is behind on tiny at {} % and on base at {} and {} %; on base at {} %, by {} ± {} "
        "points, that is outside the interval, as {} of {} such differences would be by chance.",
        lambda: [
            3,
            80,
            70,
            80,
            70,
            *base_behind(),
            *reversed(by_chance()),
            mixed_where(),
            *(max(again.apart(*where)) < 0 for where in [(T, 0.8), (B, 0.7), (B, 0.8)]),
        ],
    ),
    Statement(
        INDEX,
        "One plain magnitude threshold for the whole model is ahead of DIMAP on small at {} and {} % and on base at {} "
        "and {} %, and behind on tiny at {} %. The paper's lead of {} to {} points at {} % does not show",
        lambda: [*GLOBAL_AHEAD, *paper_lead(), 50, global_stars()],
    ),
    *(shapes(*each) for each in zip(MODELS, counts.TIMM_NAMES)),
    Statement(
        LITE,
        "with {}, {}, {} and {} heads",
        lambda: [stage.blocks[0].attn.num_heads for stage in again.evidence().profile.load(T).layers],
    ),
    Statement(LITE, "{} garments of Fashion-MNIST", count(2)),
    Statement(
        LITE,
        "class = {} · left + right. A {} classes give top-5 accuracy a meaning that {} would not.",
        lambda: [10, 100, 10],
    ),
    Statement(
        LITE,
        "Each of the {} test garments is a left half once",
        lambda: [lite_data("test").images, isinstance(lite_data("test"), FashionPairs)],
    ),
    Statement(
        LITE,
        "every pass over the {} training garments; {} of these come with the repository",
        lambda: [60_000, lite_data("train").images, "60,000" in sp.lite_card(T)["data"]["name"]],
    ),
    Statement(
        LITE,
        "mean prediction of {} tiny models as a teacher, the same {} for all trainings of base, so that its intervals "
        "say nothing of other teachers. Even so every training of small stays below every one of tiny, and those of "
        "base lie at the lower end of tiny's or below",
        teaching,
    ),
    Statement(LITE, "So read the {} as {} architectures to prune", lambda: [len(MODELS)] * 2),
    Statement(
        LITE,
        "A Swin-B has {} to {} times their parameters and {} to {} times their MACs",
        lambda: [*times_smaller("params", "params_m", 1e6), *times_smaller("macs", "flops_g", 1e9)],
    ),
    Statement(
        LITE,
        "at {} % uniform pruning leaves them {} to {} % top-1, and the paper's models {} to {} %",
        lambda: [50, *uniform_at_half()[1], *uniform_at_half()[0]],
    ),
    Statement(LITE, "The second took {} to {} minutes", training_minutes),
    Statement(
        REAL,
        "| {} test images, shipped | {} steps |",
        lambda: [profiles.PROFILES["smoke"].test_batches().images, profiles.PROFILES["smoke"].finetune_steps],
    ),
    Statement(REAL, "{} validation images of {} ImageNet classes", lambda: [estimate.IMAGES["imagenette"], 10]),
    Statement(
        REAL,
        "ImageNet-1k's {} validation images | the paper's {} epochs",
        lambda: [estimate.IMAGES["imagenet"], recipe("epochs")],
    ),
    Statement(
        REAL,
        "(bicubic, {} of the side); in the profile as in Swin's own code ({})",
        lambda: [timm.get_pretrained_cfg("swin_base_patch4_window7_224.ms_in1k").crop_pct, profiles.SWIN_CROP],
    ),
    Statement(REAL, "chooses among a {} classes; the {} folders", lambda: [1000, 10]),
    Statement(REAL, "Fine-tuning on {} classes teaches a model that only these {} occur", lambda: [10, 10]),
    Statement(
        REAL,
        "weights ({} GB) and images ({} GB)",
        lambda: [4 * sum(again.table1(model, "dense").params_m for model in counts.TIMM_NAMES) / 1000, 0.3],
    ),
    Statement(REAL, "must reach the paper's top-1 within {} points", lambda: [TOLERANCE]),
    Statement(
        REAL,
        "The paper's recipe is {} epochs of ImageNet, {} of them warm-up, AdamW from {} up to {} and down to "
        "{} for a batch of {} (scaled with the batch, as Swin's code does), weight decay {},",
        lambda: [
            recipe("epochs"),
            recipe("epochs") * recipe("warm_up"),
            recipe("warm_up_lr"),
            recipe("lr"),
            recipe("min_lr"),
            profiles.SWIN_BATCH,
            recipe("weight_decay"),
        ],
    ),
    Statement(
        REAL,
        "label smoothing {}, gradients clipped at {}, mixup {} and CutMix {}; but stochastic depth is timm's {},",
        lambda: [
            *map(recipe, ("label_smoothing", "clip_norm", "mixup", "cutmix")),
            inspect.signature(timm.models.SwinTransformer).parameters["drop_path_rate"].default,
        ],
    ),
    Statement(
        REAL,
        "The authors publish {} pruned checkpoints",
        lambda: [len(paper_table("table1_pruned_swin").query("variant != 'dense'"))],
    ),
    Statement(REAL, "| {} classes and ImageNet-1k {} |", lambda: [999, 1000]),  # an example of a message
    Statement(
        "rerun", "runs in seconds (lite tiny, {} images)", lambda: [profiles.PROFILES["smoke"].test_batches().images]
    ),
]

STATEMENTS = [*NAMES, *PAGE_STATEMENTS]
