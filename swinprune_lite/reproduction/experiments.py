"""What the notebooks measure, one row a result, yielded as it is ready so that a caller can show progress."""

from collections.abc import Iterator, Sequence

import pandas as pd
import timm
import torch

from swinprune_lite.cost import cost
from swinprune_lite.evaluate import evaluate
from swinprune_lite.finetune import finetune
from swinprune_lite.holding import apply_masks, remove_masks
from swinprune_lite.masks import make_masks
from swinprune_lite.modules import modules
from swinprune_lite.reproduction.paper import TIMM_NAMES
from swinprune_lite.reproduction.profiles import Profile
from swinprune_lite.reproduction.tables import interval


def one_shot(profile: Profile, ratios: Sequence[float], methods: Sequence[str]) -> Iterator[dict]:
    """Accuracy after pruning once, without fine-tuning (table 3).

    Yields:
        model, method, ratio, top1, top5 (percent), images; first of each model the dense one, with
        method "dense" and ratio 0.
    """
    for name in profile.models:
        for method, ratio in [("dense", 0.0), *((method, ratio) for ratio in ratios for method in methods)]:
            model = profile.load(name)
            if method != "dense":
                apply_masks(model, make_masks(model, ratio, method))
            accuracy = evaluate(model, profile.test_batches())
            yield {"model": name, "method": method, "ratio": ratio, **accuracy._asdict()}


def pruned_and_finetuned(profile: Profile, ratios: Sequence[float]) -> Iterator[dict]:
    """Accuracy and cost of the dense model and of DIMAP at each ratio, before and after fine-tuning (table 1).

    Yields:
        model, ratio (0: dense), top1, top5 (percent) before fine-tuning, tuned_top1, tuned_top5 after
        it (absent for the dense model), params, macs (not pruned away).
    """
    training = profile.training_batches()
    for name in profile.models:
        for ratio in [0.0, *ratios]:
            model = profile.load(name)
            masks = make_masks(model, ratio, "dimap")
            apply_masks(model, masks)
            spent = cost(model, masks)
            row = {"model": name, "ratio": ratio, "params": spent.nonzero_params, "macs": spent.nonzero_macs}
            row |= evaluate(model, profile.test_batches())._asdict()
            if ratio:
                finetune(model, training, profile.recipe)
                remove_masks(model)
                row |= {
                    f"tuned_{key}": value for key, value in evaluate(model, profile.test_batches())._asdict().items()
                }
            yield row


def table1_parameters(ratios: Sequence[float]) -> Iterator[dict]:
    """Remaining parameters of the paper's three Swins under DIMAP; counts do not depend on the weights.

    Yields:
        model (the paper's name), ratio, params, dense.
    """
    for name, architecture in TIMM_NAMES.items():
        with torch.device("meta"):
            model = timm.create_model(architecture)
        model.to_empty(device="cpu")
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        for ratio in ratios:
            spent = cost(model, make_masks(model, ratio, "dimap"))
            yield {"model": name, "ratio": ratio, "params": spent.nonzero_params, "dense": spent.params}


def module_shares(models: Sequence[str]) -> pd.DataFrame:
    """Parameters (millions) of each module and the prunable share (percent) of the paper's Swins; no weights needed.

    Args:
        models: names in `TIMM_NAMES`.
    """
    rows = {}
    for name in models:
        with torch.device("meta"):
            model = timm.create_model(TIMM_NAMES[name])
        sizes = {parameter: tensor.numel() for parameter, tensor in model.named_parameters()}
        counts = {
            module: sum(sizes[parameter] for parameter in names) / 1e6 for module, names in modules(model).items()
        }
        total = sum(sizes.values()) / 1e6
        rows[name] = counts | {"all": total, "prunable %": 100 * (total - counts["AUX-M"]) / total}
    return pd.DataFrame.from_dict(rows, orient="index")


def clear_differences(results: pd.DataFrame) -> pd.DataFrame:
    """DIMAP minus uniform in points, by ratio and model, and the same table with what its sign can be trusted for.

    Args:
        results: rows of `one_shot` with methods "uniform" and "dimap".

    Returns:
        Text cells such as "+3.10 *"; the star marks a difference wider than the sum of both 95 % intervals.
    """
    pruned = results[results.method != "dense"].copy()
    pruned["half"] = [interval(top1, images) for top1, images in zip(pruned.top1, pruned.images)]
    wide = pruned.pivot(index="ratio", columns=["method", "model"], values=["top1", "half"])
    difference = wide["top1"]["dimap"] - wide["top1"]["uniform"]
    clear = difference.abs() > wide["half"]["dimap"] + wide["half"]["uniform"]
    text = difference.map("{:+.2f}".format) + clear.map({True: " *", False: ""}.get)
    text.index = [f"{100 * ratio:g} %" for ratio in text.index]
    return text[list(results.model.unique())].rename_axis(index="ratio", columns=None)
