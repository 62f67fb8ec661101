"""What the chapters on time, and on acceleration beyond the paper, state."""

import recompute as again
from recompute import MODELS, span

from statements.statement import RATIOS, about, count
from swinprune_lite.acceleration.structured import HEADS_SHARE
from swinprune_lite.clock import runtimes
from swinprune_lite.data.pairs import lite_data
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import TABLE1_RATIOS
from swinprune_lite.studies import acceleration as accuracy

BEYOND = "beyond_acceleration"

beyond = about(BEYOND)


def hidden_unit(stage: int) -> int:
    """MACs of a hidden unit of Swin-T: a row and a column, at every position of its stage."""
    swin = counts.build(counts.TIMM_NAMES["Swin-T"])
    return 2 * swin.layers[stage - 1].blocks[0].mlp.fc1.in_features * (56 // 2 ** (stage - 1)) ** 2


def targets() -> list:
    rows = again.times()["speedups"].query("runtime != 'torch.compile'")
    goals = runtimes.targets(rows, {1: 0.90, 8: 0.95})
    short = goals[goals.reached & (goals.low / goals.theory < goals.batch.map({1: 0.90, 8: 0.95}))]
    places = set(zip(short.model, short.runtime, short.batch))
    return [
        int(goals.reached.sum()),
        len(goals),
        len(short),
        places == {("Swin-T", "eager", 1), ("Swin-S", "eager", 1)},
    ]


def of_theory(batch: int) -> list[float]:
    return span(again.speed("compact", batch=batch).share)


def mean_losses() -> list[float]:
    return [again.losses(model=model).mean() for model in MODELS]


def swin_t_shares() -> list[float]:
    rows = again.times()["shares"].query("model == 'Swin-T' and way == 'dense' and group == 'attention'")
    return [rows.MACs.item(), rows.time.item()]


BEYOND_STATEMENTS = [
    beyond(
        "At half of the MACs of Swin-T, S and B it has {} to {} of the promised speed-up with eight images at"
        " a time on a CPU, and {} to {} with one, in eager mode and in ONNX Runtime (Swin-T compiled, too).",
        lambda: [
            *of_theory(8),
            *of_theory(1),
            all(again.speed("compact").theory.sub(2).abs() < 0.05),
            set(again.speed("compact", runtime="torch.compile").model) == {"Swin-T"},
        ],
    ),
    beyond(
        "they leave a smaller dense model", lambda: [all(removed < 1 for removed in accuracy.results().params_left)]
    ),
    beyond(
        "the lite models lose {} to {} points in the mean over seeds, tiny {} ± {}, small {} ± {} and base {} ± {}.",
        lambda: [*span(mean_losses()), *(x for model in MODELS for x in again.with_spread(again.losses(model=model)))],
    ),
    beyond("passes through a product of {} matrices", count(2)),
    beyond("of stage 1 of Swin-T takes {} MACs, one of stage 4 takes {}", lambda: [hidden_unit(1), hidden_unit(4)]),
    beyond("Hidden units and heads are the {} modules here", count(2)),
    beyond("{} of every {} neighbouring weights", count(2, 4)),
    beyond("heads lose {} times the share that hidden units lose", count(HEADS_SHARE)),
    beyond(
        "fine-tuned for {} passes over the {} shipped training pairs",
        lambda: [accuracy.RECIPE.epochs, lite_data("train").images],
    ),
    beyond("Accuracies are of {} test images", lambda: [accuracy.results().images.unique().item()]),
    beyond("{} differences on lite tiny", count(2)),
    beyond("with one and with {} images", lambda: [again.speed("compact").batch.max()]),
    beyond("one image at a time (above) and {} (below)", lambda: [again.speed("compact").batch.max()]),
    beyond(
        "What the targets were: {} % of theory with one image, {} % with {}",
        lambda: [90, 95, 8, "{1: 0.90, 8: 0.95}" in again.code(BEYOND)],
    ),
    beyond("dense, eager, {} images", count(8)),
    beyond("between its {} linear layers", count(2)),
    beyond("Attention takes {} percent of the MACs and {} percent of the time", swin_t_shares),
    beyond("Times are of a {} images in eager mode", lambda: [again.times()["lite"].batch.unique().item()]),
    beyond(
        "masks and blocks lost {}, 2:4 lost {} %. Bars: 95 % over",
        lambda: [
            1 - accuracy.results().query("way == 'masks'").macs_left.mean(),
            100 - 100 * accuracy.results().query("way == '2:4'").macs_left.mean(),
        ],
    ),
    beyond(
        "Half of the MACs can leave with whole heads and hidden units, chosen without an image. In one shot "
        "that costs a lite model {} to {} points, and differs from one training to the next. After {} passes "
        "with the dense model as teacher it costs {} to {} points in the mean over seeds. "
        "Single trainings lie on both sides of a point: {} to {}.",
        lambda: [
            *span(again.compact_losses().one.xs(("compact", "dense"), level=("way", "teacher"))),
            accuracy.RECIPE.epochs,
            *span(mean_losses()),
            *span(again.compact_losses().tuned.xs(("compact", "dense"), level=("way", "teacher"))),
        ],
    ),
    beyond(
        "and of 2:4, which removes fewer MACs, overlap: {} ± {}, {} ± {} and {} ± {} points. No order is "
        "claimed. Blocks lose {} ± {} and {} ± {}.",
        lambda: [
            number
            for way in ("compact", "masks", "2:4", "blocks 16", "blocks 32")
            for number in again.with_spread(again.losses(way))
        ],
    ),
    beyond(
        "Labels alone, without the teacher, lose {} ± {} points more than with it, training by training. With"
        " the teacher, whole groups lose {} ± {} more than single weights, which is inside the interval.",
        lambda: [
            *again.with_spread(again.losses(teacher="labels") - again.losses()),
            *again.with_spread(again.losses() - again.losses("masks")),
        ],
    ),
    beyond(
        "On a CPU only the compact model is faster. On Swin-T zeros in place and 2:4 run at {} to {} times "
        "the dense model's speed, torch's sparse blocks at {} to {} times.",
        lambda: [
            *span(again.speed("masked 2:4", "Swin-T").speedup),
            *span(again.speed("blocks", "Swin-T").speedup),
            again.speed("compact").low.min() > 1.5,
            again.speed("masked 2:4 blocks").speedup.max() < 1.03,
        ],
    ),
    beyond(
        "The compact models reach {} of {} targets by their medians. In {} of these, Swin-T and Swin-S in "
        "eager mode with one image, the lower quartile is below the target.",
        targets,
    ),
    beyond(
        "half of the MACs give {} times the speed, not twice",
        lambda: [again.times()["lite"].query("way == 'compact' and removed == 0.5").speedup.item()],
    ),
    beyond(
        "The pruned file has {} to {} of the size of the information bound",
        lambda: span(again.column(BEYOND, "beyond-27", "save_pruned / bound")),
    ),
    beyond("where all groups of a layer are nearly alike", lambda: [True]),
]

FIGURE4 = "figure4_acceleration"

figure4 = about(FIGURE4)


FIGURE4_STATEMENTS = [
    figure4(
        "On a CPU not at all: dense kernels multiply zeros as fast as anything else. torch's sparse layout is"
        " slower than dense at every ratio up to 80 %, and about as fast at 95 %.",
        lambda: [
            abs(again.masked_speed() - 1).max() < 0.02,
            min(again.slower()[ratio] for ratio in (*TABLE1_RATIOS, 0.8)) > 1.3,
            abs(again.slower()[0.95] - 1) < 0.05,
        ],
    ),
    figure4("What other patterns and smaller matrices give", lambda: [True]),  # where it stands
    figure4("Below the horizontal line at {}", count(1)),
    figure4(
        "the sparse layout takes {} to {} times as long as dense at the paper's ratios ({}, {} and {} %), {} "
        "times at 80 %, and {} times at 95 %. The run above",
        lambda: [
            *span([again.slower()[ratio] for ratio in TABLE1_RATIOS]),
            *RATIOS,
            again.slower()[0.8],
            again.slower()[0.95],
        ],
    ),
    figure4("This agrees with what the paper says of GPUs", lambda: [abs(again.masked_speed() - 1).max() < 0.02]),
    figure4(
        "Removing {} % of the prunable weights of Swin-T saves {} % of its MACs if every layer loses the same"
        " share. DIMAP saves {} %.",
        lambda: [55, *(again.printed(FIGURE4, "figure4-11", f"{method}:")[0] for method in ("uniform", "dimap"))],
    ),
]

STATEMENTS = [*BEYOND_STATEMENTS, *FIGURE4_STATEMENTS]
