"""Other architectures of published size: where their weights and MACs lie, and what DIMAP's rule makes of that.

Weights are random: what is said of shares holds for trained ones too, what is said of masks does not.
"""

from functools import cache

import pandas as pd
import timm
import torch

from swinprune_lite.anatomy.modules import PRUNED_MODULES, blocks, mapped, modules
from swinprune_lite.pruning.cost import macs_and_positions
from swinprune_lite.pruning.masks import make_masks

PUBLISHED = {
    "Swin": "swin_tiny_patch4_window7_224",
    "Swin V2": "swinv2_tiny_window8_256",
    "PVT v2": "pvt_v2_b0",
    "Twins": "twins_svt_small",
    "CoaT": "coat_tiny",
    "CoAtNet": "coatnet_nano_rw_224",
    "MaxViT": "maxvit_rmlp_pico_rw_256",
    "MViT v2": "mvitv2_tiny",
    "Hiera": "hiera_tiny_224",
    "NesT": "nest_tiny",
    "TinyViT": "tiny_vit_5m_224",
    "LeViT": "levit_128s",
    "EfficientFormer": "efficientformer_l1",
    "XCiT": "xcit_nano_12_p16_224",
    "DeiT": "deit_tiny_patch16_224",
    "DINOv2": "vit_small_patch14_dinov2",
}
"""Family -> timm's smallest of it; the last three have no hierarchy."""
HIERARCHICAL = tuple(PUBLISHED)[:-3]
DRAWN = ("Swin", "PVT v2", "CoaT", "MaxViT", "XCiT", "TinyViT", "LeViT", "DeiT")
"""Those whose weights are drawn for masks: few enough that a reader need not wait."""
COLUMNS = (*PRUNED_MODULES, "AUX-M", "products")


@cache
def table(family: str) -> pd.DataFrame:
    """Every parameter of a family's published model, on shapes alone.

    Args:
        family: of `PUBLISHED`.

    Returns:
        Indexed by parameter name: module, stage (from 1; 0 outside the blocks that have prunable weights), weights,
        and MACs for one image of the model's own size. One row more, "products", has what no weight takes part in:
        query by key, and attention by value.
    """
    with torch.device("meta"):
        model = timm.create_model(PUBLISHED[family], num_classes=1000)
    total, positions = macs_and_positions(model)
    numbers, places = blocks(model), mapped(model)
    rows = {}
    for module, names in modules(model).items():
        for name in names:
            weights = model.get_parameter(name).numel()
            stage = numbers[places[name].block][0] if name in places else 0
            rows[name] = (module, stage, weights, positions.get(name, 0) * weights)
    rows["products"] = ("products", 0, 0, total - sum(row[-1] for row in rows.values()))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["module", "stage", "weights", "macs"])


def shares(of: str) -> pd.DataFrame:
    """Percent of each family's weights or MACs by module.

    Args:
        of: "weights", or "macs", of which some are products that no weight takes part in.

    Returns:
        A row a family of `PUBLISHED`, a column a module.
    """
    sums = {family: table(family).groupby("module")[of].sum() for family in PUBLISHED}
    found = pd.DataFrame(sums).T.reindex(columns=COLUMNS[: 4 if of == "weights" else 5])
    return 100 * found.div(found.sum(axis=1), axis=0)


def by_stage(of: str) -> pd.DataFrame:
    """Percent of each hierarchical family's prunable weights, or of their MACs, by stage.

    Args:
        of: "weights" or "macs".

    Returns:
        A row a family of `HIERARCHICAL`, a column a stage; 0 where a stage has no such weights, nan where it is not.
    """
    sums = {family: table(family).query("stage > 0").groupby("stage")[of].sum() for family in HIERARCHICAL}
    found = pd.DataFrame(sums).T.sort_index(axis=1)
    found = found.fillna(0).where(found.bfill(axis=1).notna())
    return _numbered(100 * found.div(found.sum(axis=1), axis=0))


@cache
def drawn(family: str, ratio: float, seed: int = 0, method: str = "dimap") -> pd.DataFrame:
    """The prunable layers of a family's published model, and how much masks keep of each on random weights.

    Args:
        family: of `PUBLISHED`.
        ratio: share of the prunable weights to remove.
        seed: that the weights are drawn from, by timm's own rule for the family.
        method: of `METHODS`.

    Returns:
        The rows of `table` for these layers, with the weights that are kept.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        masks = make_masks(timm.create_model(PUBLISHED[family], num_classes=1000), ratio, method)
    return table(family).loc[list(masks)].assign(kept=[int(mask.sum()) for mask in masks.values()])


def kept(family: str, ratio: float) -> pd.DataFrame:
    """Percent of the weights that DIMAP's masks keep of a family with random weights, by module and stage."""
    sums = drawn(family, ratio).groupby(["module", "stage"])[["weights", "kept"]].sum().unstack()
    return _numbered((100 * sums["kept"] / sums["weights"]).reindex(PRUNED_MODULES))


def kept_by_stage(ratio: float) -> pd.DataFrame:
    """Percent of the prunable weights that DIMAP's masks keep, by stage, on random weights.

    Args:
        ratio: share of the prunable weights to remove.

    Returns:
        A row a family of `DRAWN`, a column a stage, and the percent of the whole network's MACs that are left.
    """
    rows = {}
    for family in DRAWN:
        found = drawn(family, ratio)
        sums, total = found.groupby("stage")[["weights", "kept"]].sum(), table(family).macs.sum()
        gone = (found.macs * (1 - found.kept / found.weights)).sum()
        rows[family] = dict(100 * sums.kept / sums.weights) | {"MACs left": 100 * (1 - gone / total)}
    stages = sorted({stage for row in rows.values() for stage in row if stage != "MACs left"})
    return _numbered(pd.DataFrame(rows).T[[*stages, "MACs left"]])


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={stage: f"stage {stage}" for stage in frame if isinstance(stage, int)})
