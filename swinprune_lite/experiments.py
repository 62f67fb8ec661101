"""What the notebooks measure, one row a result. Rows are yielded as they are ready, so that a caller can show progress."""

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
from swinprune_lite.paper import TIMM_NAMES
from swinprune_lite.profiles import Profile


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
                row |= {f"tuned_{key}": value for key, value in evaluate(model, profile.test_batches())._asdict().items()}
            yield row


def table1_parameters(ratios: Sequence[float]) -> Iterator[dict]:
    """Remaining parameters of the paper's three Swins under DIMAP; counts do not depend on the weights.

    Yields:
        model (the paper's name), ratio, params, dense.
    """
    for name, architecture in TIMM_NAMES.items():
        model = timm.create_model(architecture)
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
        counts = {module: sum(sizes[parameter] for parameter in names) / 1e6 for module, names in modules(model).items()}
        total = sum(sizes.values()) / 1e6
        rows[name] = counts | {"all": total, "prunable %": 100 * (total - counts["AUX-M"]) / total}
    return pd.DataFrame.from_dict(rows, orient="index")
