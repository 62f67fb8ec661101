"""What a pruned checkpoint of the authors' says of the method: sparsity, thresholds, cost, and which way it was cut.

A checkpoint is in the naming of Swin's original repository; timm's own conversion brings it into timm's.
Nothing that may be in the file is run.
"""

import pickle
import re
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import nn

from swinprune_lite.cost import cost
from swinprune_lite.importance import check_weight, importance
from swinprune_lite.reproduction.layers import layers
from swinprune_lite.reproduction.paper import paper_table
from swinprune_lite.reproduction.verdicts import compare

ARCHITECTURES = {
    (96, (2, 2, 6, 2)): "Swin-T",
    (96, (2, 2, 18, 2)): "Swin-S",
    (128, (2, 2, 18, 2)): "Swin-B",
}  # fmt: skip
"""The paper's models by embedding dimension and depths."""

IMAGE_SIZE = 224
LOW = 1e-3  # quantile of a layer's survivors that stands for where it was cut: fine-tuning moves the very lowest most
FITS = {"score": 1.5, "magnitude": 1.25, "sparsity": 1.01}
"""Largest ratio between the layers of a group that still counts as one common value."""
SHARP = 0.01  # of the median survivor: a layer that was not cut by magnitude has its `LOW` quantile well below


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, as they are named there.

    Args:
        path: of torch.save (weights alone, or under "model" or "state_dict") or of safetensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that would run code, or one without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give a checkpoint (.pth or .safetensors).")
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            # Training checkpoints of Swin's code hold its settings too; a dictionary stands in for their class.
            with torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode"), Namespace]):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(r"(?:GLOBAL|global|class|function)\s+`?([\w.]+)", str(error))
        raise ValueError(
            f"{path} was not opened: it is damaged, or holds more than weights and settings"
            f"{f' ({reason[1]})' if reason else ''}, which could run code. Give a file that holds weights alone."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no whole checkpoint ({' '.join(str(error).split())[:120]}).") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    weights = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)} if found else {}
    if not any(key.endswith("attn.qkv.weight") for key in weights):
        raise ValueError(
            f"{path} holds no weights of a Swin: nothing in it is named layers.0.blocks.0.attn.qkv.weight."
        )
    return weights


def load(path: str | Path) -> tuple[str, nn.Module]:
    """The model in a checkpoint, and which of the paper's it is ("" if none).

    The architecture is read off the weights' shapes; images are 224 × 224.

    Raises:
        FileNotFoundError, ValueError: as `read`; weights that are missing, left over, of other shapes, or not finite.
    """
    weights = read(path)
    try:
        shape = _shape(weights)
        model = SwinTransformer(img_size=IMAGE_SIZE, **shape).eval()
        missing, left_over = model.load_state_dict(checkpoint_filter_fn(dict(weights), model), strict=False)
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is no Swin that timm knows ({type(error).__name__}: {reason}).") from error
    if missing or left_over:
        said = [f"{what} {', '.join(keys[:3])}" for what, keys in (("lacks", missing), ("has also", left_over)) if keys]
        raise ValueError(f"{path} is not a whole Swin in the naming of its repository or timm's: it {'; '.join(said)}.")
    for name, parameter in model.named_parameters():
        check_weight(f"{name} in {path}", parameter)
    return ARCHITECTURES.get((shape["embed_dim"], shape["depths"]), ""), model


def _shape(weights: dict[str, torch.Tensor]) -> dict:
    """Arguments of timm's SwinTransformer, from the shapes of the weights."""
    embed_dim, in_chans, patch_size, _ = weights["patch_embed.proj.weight"].shape
    blocks = [re.match(r"layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.weight$", key) for key in weights]
    places = [(int(block[1]), int(block[2])) for block in blocks if block]
    depths = tuple(1 + max(block for stage, block in places if stage == s) for s in range(1 + max(places)[0]))
    tables = [weights[f"layers.{s}.blocks.0.attn.relative_position_bias_table"].shape for s in range(len(depths))]
    head = next(weights[key] for key in ("head.weight", "head.fc.weight") if key in weights)
    return {
        "patch_size": patch_size,
        "in_chans": in_chans,
        "num_classes": len(head),
        "embed_dim": embed_dim,
        "depths": depths,
        "num_heads": tuple(heads for _, heads in tables),
        "window_size": (round(tables[0][0] ** 0.5) + 1) // 2,
    }


def layer_table(model: nn.Module) -> pd.DataFrame:
    """Every prunable layer, by what is left of it.

    Equation 10's score of a survivor depends on the layer's weights at least as large, which all survived:
    it is what it was before pruning, unless the weights were fine-tuned since. Then all here is approximate.

    Returns:
        Indexed as `layers`, with weights (their number), zeros, sparsity (zeros / weights), score and
        magnitude (the survivors' `LOW` quantile; NaN if nothing was removed), threshold (their lowest score) and
        sharp (whether the smallest survivors lie well above zero, as after a cut by magnitude).
    """
    table, rows = layers(model), []
    for name in table.name:
        weight = model.get_parameter(name).detach().flatten()
        kept = weight != 0
        zeros, survivors = int((~kept).sum()), weight[kept].abs()
        row = {"weights": len(weight), "zeros": zeros, "sparsity": zeros / len(weight)}
        if zeros and len(survivors):
            scores = importance(weight)[kept]
            at = max(1, round(LOW * len(survivors)))
            low = survivors.kthvalue(at).values
            row |= {
                "score": scores.kthvalue(at).values.item(),
                "magnitude": low.item(),
                "threshold": scores.min().item(),
                "sharp": bool(low > SHARP * survivors.median()),
            }
        rows.append(row)
    columns = ["weights", "zeros", "sparsity", "score", "magnitude", "threshold", "sharp"]
    return table.join(pd.DataFrame(rows, index=table.index, columns=columns).astype({"zeros": int}))


def module_table(table: pd.DataFrame) -> pd.DataFrame:
    """Every module: weights, sparsity, the nominal ratio of table 1 nearest to it, threshold.

    Args:
        table: of `layer_table`.

    Returns:
        Indexed by module; "exact" says whether exactly round(nominal · weights) are gone; threshold is the
        lowest score of equation 10 that survived.
    """
    groups = table.groupby("module", sort=False)
    found = groups[["weights", "zeros"]].sum().assign(threshold=groups.threshold.min())
    found["sparsity"] = found.zeros / found.weights
    found["nominal"] = found.sparsity.map(nominal)
    found["exact"] = found.zeros == [round(r * n) for r, n in zip(found.nominal, found.weights)]
    return found[["weights", "zeros", "sparsity", "nominal", "exact", "threshold"]]


def nominal(sparsity: float) -> float:
    """The ratio of table 1 (0, 0.15, 0.35, 0.55) that is nearest to a share of zeros."""
    ratios = paper_table("table1_pruned_swin").nominal_ratio_pct.unique() / 100
    return min(ratios, key=lambda ratio: abs(ratio - sparsity))


def hypotheses(table: pd.DataFrame) -> pd.DataFrame:
    """Which way of choosing weights the masks look like.

    The removed weights' values are gone, so no mask can be checked weight by weight. But a threshold that
    layers share leaves its trace: each layer's lowest survivors lie just above it. So for every method the
    quantity that its layers must share (the score of equation 10, the magnitude, or the sparsity) is compared
    across the layers of its group. With one common threshold the largest is the smallest within a few percent;
    what differs by more than `FITS` was not cut so. Survivors that moved by 5 % each still pass, see the tests;
    methods that are not among these (random masks, ERK) pass none.

    Args:
        table: of `layer_table`.

    Returns:
        Indexed by method: shares (the quantity), within (its group), spread (largest / smallest, in the worst
        group), fits. LAMP is a DIMAP whose modules have the same threshold, and a global threshold is the same
        for every module: where the narrower one fits, so does the wider.
    """
    cut = table[table.zeros > 0]
    whole = pd.Series("the model", index=cut.index)
    kinds = {
        "dimap": ("score", "a module", cut.module),
        "lamp": ("score", "the model", whole),
        "module-magnitude": ("magnitude", "a module", cut.module),
        "global": ("magnitude", "the model", whole),
        "uniform": ("sparsity", "the model", whole),
    }
    rows = {}
    for method, (quantity, within, group) in kinds.items():
        values = cut.groupby(group)[quantity]
        spread = (values.max() / values.min()).max() if len(cut) else float("nan")
        fits = len(cut) == len(table) and bool(cut.sharp.all()) and spread <= FITS[quantity]
        rows[method] = {"shares": quantity, "within": within, "spread": spread, "fits": fits}
    return pd.DataFrame.from_dict(rows, orient="index")


def verdict(table: pd.DataFrame) -> str:
    """In words: the narrowest of `hypotheses` that fits, or why there is none."""
    if not table.zeros.sum():
        return "dense: nothing was removed"
    if (table.zeros == 0).any():
        return f"none: {int((table.zeros == 0).sum())} of {len(table)} layers are whole"
    if not table.sharp.all():
        return "none: in some layers the smallest survivors reach down to zero, so they were not cut by magnitude"
    fits = hypotheses(table).fits
    names = [method for method in ("uniform", "global", "lamp", "module-magnitude", "dimap") if fits[method]]
    return names[0] if names else "none: no method's layers share what they must"


def against_table1(name: str, model: nn.Module, table: pd.DataFrame) -> pd.DataFrame:
    """Parameters and MACs that are left, beside the row of table 1 with the nearest nominal ratio.

    Args:
        name: the paper's model, or "" if it is none.
        model: of `load`.
        table: of `layer_table`.

    Returns:
        Rows "parameters (M)", "MACs (G)"; columns found, removed % and, for the paper's models, paper, paper
        removed %, verdict (by the ledger's rule).
    """
    left = cost(model)
    found = pd.DataFrame({
        "found": [left.nonzero_params / 1e6, left.nonzero_macs / 1e9],
        "removed %": [100 * (1 - left.nonzero_params / left.params), 100 * (1 - left.nonzero_macs / left.macs)],
    }, index=["parameters (M)", "MACs (G)"])  # fmt: skip
    if not name:
        return found
    printed = paper_table("table1_pruned_swin", as_printed=True).set_index(["model", "nominal_ratio_pct"])
    printed = printed.loc[(name, f"{100 * nominal(table.zeros.sum() / table.weights.sum()):.0f}")]
    found["paper"] = [printed.params_m, printed.flops_g]
    found["paper removed %"] = [printed.params_drop_pct, printed.flops_drop_pct]
    found["verdict"] = [compare(text, ours)[0] for text, ours in zip(found.paper, found.found)]
    return found
