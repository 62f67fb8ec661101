"""The quiz of session 1: a Swin, what pruning is, the score by hand."""

import io
from functools import cache

import timm
import torch

import swinprune_lite as sp
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.measurements.store import Store
from swinprune_lite.paper import layerwise
from swinprune_lite.pruning import groupings, importance, selection
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.types import Masks
from teaching.quiz import Question, claims, number

MODEL, HALF = "swin_lite_tiny", 0.5
SWIN, PRUNING, SCORE = "notebooks/idea_swin", "notebooks/idea_pruning", "notebooks/idea_score_by_hand"
MODULES, KEPT = "notebooks/figure3_modules", "notebooks/figure5_keep_ratios"


@cache
def _model() -> torch.nn.Module:
    return sp.load_lite(MODEL)


@cache
def _masks() -> Masks:
    return sp.make_masks(_model(), HALF)


def questions(_: Store) -> list[Question]:
    """All of session 1, from the library alone."""
    return [
        _tokens(),
        _next_stage(),
        _by_hand(),
        _scaled(),
        _one_threshold(),
        _rivals(),
        _never(),
        _late(),
        _saved(),
        _stored(),
    ]


def _tokens() -> Question:
    with torch.device("meta"):
        swin = timm.create_model("swin_tiny_patch4_window7_224")
    side, patch = swin.patch_embed.img_size[0], swin.patch_embed.patch_size[0]
    window = swin.layers[0].blocks[0].window_size[0]
    return number(
        f"An image of {side} × {side} pixels in patches of {patch} × {patch}. How many tokens has the first stage?",
        SWIN,
        f"{swin.patch_embed.num_patches:,}",
        f"{side // patch} patches fit each side, and each patch is one token.",
        [
            (f"{side**2:,}", "That many pixels there are; a token is a whole patch."),
            (f"{side // patch}", "That is one side of the grid of patches, not the grid."),
            (f"{window**2}", f"That is one window of {window} × {window} tokens, not the stage."),
        ],
    )


def _next_stage() -> Question:
    table, positions = layers(_model()), macs_and_positions(_model())[1]
    table = table[table.layer == "FC1"].drop_duplicates("stage")
    first, second = table.name.iloc[:2]
    sizes = [_model().get_parameter(name).numel() for name in (first, second)]
    weights = sizes[1] / sizes[0]
    macs = weights * positions[second] / positions[first]

    def choice(of_weights: float, of_macs: float, why: str) -> tuple[str, bool, str]:
        says = {1: "as many", 2: "twice as many", 4: "four times as many", 0.25: "a quarter of the"}
        return (f"{says[of_weights]} weights, {says[of_macs]} MACs".capitalize().replace("macs", "MACs"),
                (of_weights, of_macs) == (weights, macs), why)  # fmt: skip

    return claims(
        "From one stage of a Swin to the next, what has the same kind of matrix?",
        SWIN,
        choice(4, 1, "Both sides of the matrix double, and a quarter of the tokens is left to apply it to."),
        choice(2, 2, "The channels double, and a matrix has channels on both sides."),
        choice(4, 4, "So it would be with as many tokens; merging leaves a quarter of them."),
        choice(1, 0.25, "The tokens are a quarter, but the matrix grows."),
    )


def _by_hand() -> Question:
    layer = torch.tensor([4.0, 2.0, 1.0])
    score, energy = sp.importance(layer)[1].item(), layer.square()
    return number(
        "A layer has the weights 4, 2 and 1. What does equation 10 give the 2?",
        SCORE,
        f"{score:.2f}",
        "Its energy is 4, and that of the weights down to it, itself included, 16 + 4.",
        [
            (f"{(energy[1] / energy.sum()).item():.2f}", "The weights below it do not count, only those down to it."),
            (f"{(layer[1] / layer.sum()).item():.2f}", "Energy is the square; this divides magnitudes."),
            (f"{(energy[1] / energy[0]).item():.2f}", "The weight itself counts in the denominator."),
        ],
    )


def _scaled() -> Question:
    layer = torch.tensor([4.0, 2.0, 1.0])
    factors = sp.importance(10 * layer) / sp.importance(layer)

    def choice(says: str, factor: float, why: str) -> tuple[str, bool, str]:
        return says, torch.allclose(factors, torch.full_like(factors, factor)), why

    return claims(
        "All weights of one layer are multiplied by ten. What do their scores do?",
        SCORE,
        choice("They stay", 1, "A score is a quotient of squares within one layer: the factor cancels."),
        choice("They grow ten times", 10, "Magnitudes do; the score divides by the layer's own energy."),
        choice("They grow a hundred times", 100, "Energies do, above and below the line."),
        choice("They shrink to a tenth", 0.1, "Nothing in the quotient falls with scale."),
    )


def _one_threshold() -> Question:
    rows = ([4.0, 2, 1], [0.4, 0.2, 0.1], [1.0, 1, 1])
    three = {", ".join(f"{weight:g}" for weight in row): torch.tensor(row) for row in rows}
    kept = selection.select(three, 4, importance.relative_energy)
    gone = {name: int((~mask).sum()) for name, mask in kept.items()}
    why = {
        "4, 2, 1": f"It loses {gone['4, 2, 1']}: its smaller weights carry little of the energy down to them.",
        "0.4, 0.2, 0.1": f"It loses {gone['0.4, 0.2, 0.1']}, as the same layer at ten times the scale does.",
        "1, 1, 1": f"It loses {gone['1, 1, 1']}: the last of three equals still scores a third.",
    }
    return claims(
        f"Of three layers, {' / '.join(three)}, four weights go, by one threshold on the score. Which layer loses"
        " none?",
        SCORE,
        *((name, gone[name] == 0, why[name]) for name in three),
        ("Each loses some", min(gone.values()) > 0, "One threshold owes no layer a share."),
    )


def _rivals() -> Question:
    groups = len(groupings.by_module(_model()))
    matrices = len(sp.prunable(_model()))
    return claims(
        "Whom does a weight compete with under DIMAP?",
        MODULES,
        ("All of its own module, over all stages", groups == 3, "QKV-M, PRJ-M and MLP-M have a threshold each."),
        ("The others of its layer", groups == matrices, "That is pruning by layer: every layer would lose one share."),
        ("All that may be pruned", groups == 1, "That is LAMP: the same score with the whole model as one group."),
        (
            "The others of its stage",
            groups == len(_model().layers),
            "Stages are mixed: that is how late ones lose more.",
        ),
    )


def _never() -> Question:
    cut = set(sp.prunable(_model()))

    def choice(says: str, name: str, why: str) -> tuple[str, bool, str]:
        _model().get_parameter(name)  # there is one
        return says, name not in cut, why

    block = "layers.0.blocks.0"
    return claims(
        "Which of these does DIMAP never prune?",
        MODULES,
        choice("The patch embedding", "patch_embed.proj.weight", "It belongs to AUX-M, the rest, and stays whole."),
        choice("Queries", f"{block}.attn.qkv.weight", "They belong to QKV-M."),
        choice("The matrix behind the attention", f"{block}.attn.proj.weight", "It is PRJ-M."),
        choice("The second matrix of an MLP", f"{block}.mlp.fc2.weight", "Both matrices of an MLP belong to MLP-M."),
    )


def _late() -> Question:
    kept = layerwise.kept_shares(_model(), _masks()).groupby("stage").kept_pct.mean()
    why = {stage: f"Its layers keep {share:.0f} % in the mean." for stage, share in kept.items()}
    why[kept.idxmin()] += " Its layers are the largest, and the last of n weights scores 1/n at most."
    return claims(
        f"In {MODEL} half of the prunable weights go by DIMAP. Which stage keeps the smallest share?",
        KEPT,
        *((f"Stage {stage}", stage == kept.idxmin(), why[stage]) for stage in kept.index),
    )


def _saved() -> Question:
    found = sp.cost(_model(), _masks())
    macs, params = (100 * (1 - left / whole) for left, whole in
                    ((found.nonzero_macs, found.macs), (found.nonzero_params, found.params)))  # fmt: skip
    return number(
        f"In {MODEL} half of the prunable weights go by DIMAP. What share of the MACs goes, counted on paper?",
        PRUNING,
        f"{macs:.0f} %",
        "It cuts late, where a weight is applied to fewer tokens; AUX-M and the products inside attention stay whole.",
        [
            (f"{100 * HALF:.0f} %", "So it would be if every weight did as much work and all of them could go."),
            (f"{params:.0f} %", "That is the share of the parameters."),
            ("0 %", "That is what a program for dense matrices saves; the question is for the count."),
        ],
    )


def _stored() -> Question:
    sizes = []
    for ratio in (0.0, 0.9):
        net = sp.load_lite("swin_lite_micro")
        sp.apply_masks(net, sp.make_masks(net, ratio))
        sp.remove_masks(net)
        torch.save(net.state_dict(), file := io.BytesIO())
        sizes.append(file.tell())
    ratio = sizes[1] / sizes[0]
    return claims(
        "90 % of the prunable weights are set to zero. How large is the file that torch writes?",
        PRUNING,
        ("As large as before", abs(ratio - 1) < 0.01, "A zero is stored like any number."),
        ("A tenth", abs(ratio - 0.1) < 0.05, "Only a format that leaves zeros out would come near to that."),
        (
            "Half: a mask comes with it",
            abs(ratio - 0.5) < 0.05,
            "The masks were removed; the zeros stay, at full size.",
        ),
    )
