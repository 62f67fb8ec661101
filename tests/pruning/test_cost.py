import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

import swinprune_lite as sp
from swinprune_lite.paper.counts import remaining
from swinprune_lite.paper.numbers import LITE_COUNTERPARTS, TIMM_NAMES, paper_table

TABLE1 = paper_table("table1_pruned_swin").set_index(["model", "nominal_ratio_pct"])


def architecture(name):
    with torch.device("meta"):
        return timm.create_model(name)


@pytest.mark.parametrize("name", TIMM_NAMES)
def test_dense_counts_equal_the_papers_printed_digits(name):
    model = architecture(TIMM_NAMES[name])
    cost = sp.cost(model, masks={})
    printed = TABLE1.loc[(name, 0)]
    assert f"{cost.params / 1e6:.1f}" == f"{printed.params_m:.1f}"
    assert f"{cost.macs / 1e9:.1f}" == f"{printed.flops_g:.1f}"
    assert cost.params == cost.nonzero_params == sum(parameter.numel() for parameter in model.parameters())


def test_removed_parameters_of_all_nine_rows():
    off_by_one = []
    for row in remaining([0.15, 0.35, 0.55]):
        printed = TABLE1.loc[(row["model"], round(100 * row["ratio"]))]
        assert f"{100 * (1 - row['params'] / row['dense']):.1f}" == f"{printed.params_drop_pct:.1f}"
        assert abs(row["params"] / 1e6 - printed.params_m) < 0.1
        if f"{row['params'] / 1e6:.1f}" != f"{printed.params_m:.1f}":
            off_by_one.append((row["model"], row["ratio"]))
    assert sorted(off_by_one) == [("Swin-B", 0.35), ("Swin-T", 0.55)]


def linear_macs(model, shape):
    """By another way than `cost`: fvcore on a trace of a real forward pass, attention's products included."""
    counter = FlopCountAnalysis(model, torch.zeros(1, *shape))
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # fvcore counts norms and pooling too; the paper and timm do not
    return sum(count for op, count in counter.by_operator().items() if op in ("linear", "conv", "matmul", "einsum"))


@pytest.mark.parametrize("name", [*TIMM_NAMES.values(), "deit_tiny_patch16_224", "swinv2_tiny_window8_256"])
def test_macs_agree_with_fvcore(name):
    timm.layers.set_fused_attn(False)  # fvcore sees attention's products only when they are written out
    try:
        model = timm.create_model(name).eval()
    finally:
        timm.layers.set_fused_attn(True)
    shape = model.pretrained_cfg["input_size"]
    assert sp.cost(model).macs == pytest.approx(linear_macs(model, shape), rel=1e-3)


def test_lite_models_relate_as_the_papers_do():
    lite = [sp.cost(sp.create_lite(name)) for name in LITE_COUNTERPARTS]
    paper = [sp.cost(architecture(TIMM_NAMES[name]), masks={}) for name in LITE_COUNTERPARTS.values()]
    for costs in (lite, paper):
        assert costs == sorted(costs)
        assert [cost.macs for cost in costs] == sorted(cost.macs for cost in costs)


def test_nonzero_macs_by_hand(small_swin):
    """A mask on one layer takes its zeros times its tokens away, and nothing of attention's own products."""
    name = "layers.2.blocks.1.mlp.fc1.weight"
    mask = torch.ones_like(small_swin.get_parameter(name), dtype=torch.bool)
    mask[:3] = False
    cost = sp.cost(small_swin, {name: mask})
    tokens = 14 * 14
    assert cost.macs - cost.nonzero_macs == 3 * mask.shape[1] * tokens
    everything = {
        name: torch.zeros_like(small_swin.get_parameter(name), dtype=torch.bool) for name in sp.prunable(small_swin)
    }
    attention = small_swin.layers[0].blocks[0].attn
    assert sp.cost(small_swin, everything).nonzero_macs > attention.window_area**2 * attention.dim


def test_without_masks_the_zeros_that_stand_are_counted(small_swin):
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.3)
    expected = sp.cost(model, masks)
    sp.apply_masks(model, masks)
    assert sp.cost(model) == expected


def test_input_size(small_swin):
    assert sp.cost(small_swin, input_size=224) == sp.cost(small_swin, input_size=(3, 224, 224)) == sp.cost(small_swin)
    with pytest.raises(ValueError, match=r"does not take an image of .* \(3, 100, 100\)"):
        sp.cost(small_swin, input_size=100)
    with pytest.raises(ValueError, match="input_size must be a side"):
        sp.cost(small_swin, input_size=(1, 2, 3, 4))
    with pytest.raises(ValueError, match="give input_size"):
        sp.cost(nn.Linear(3, 3))
