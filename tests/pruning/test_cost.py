import pytest
import timm
import torch
import torchvision
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

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


FAMILIES = [
    "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_224", "vit_tiny_patch16_224",
    "deit_tiny_patch16_224", "beit_base_patch16_224", "eva02_tiny_patch14_224",
    "convnext_atto", "test_coatnet", "poolformer_s12", "focalnet_tiny_srf", "test_maxvit", "maxvit_rmlp_nano_rw_256",
    "vit_small_r26_s32_224", "xcit_nano_12_p16_224", "mobilevit_xs", "tiny_vit_5m_224", "pit_ti_224", "hiera_tiny_224",
    "nest_tiny", "davit_tiny", "gcvit_xxtiny", "caformer_s18", "vit_base_patch16_siglip_224", "efficientformer_l1",
]  # fmt: skip


def family(name):
    if name in FAMILIES:
        return architecture(name)
    with torch.device("meta"):
        return torchvision.models.get_model(name).eval()


def products_of(model, shape):
    """By another way than `cost`: torch's counter, by module and kind of product. The MACs of all modules, and of
    those layers that the paper's module map names, called or not: what lies in an attention or MLP, but for
    attention's own products (of two stacks of matrices) and for layers that are not in the map."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval().requires_grad_(False)(torch.empty(1, *shape, device="meta"))
    counts = {
        path.partition(".")[2]: sum(count for op, count in ops.items() if "bmm" not in str(op)) // 2
        for path, ops in counter.get_flop_counts().items()
    }
    names = set(sp.prunable(model))
    blocks = {name.rsplit(".", 2)[0] for name in names}
    blocks = {block for block in blocks if not any(block.startswith(f"{other}.") for other in blocks)}
    layers = {path for path, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
    others = {
        path for path in layers if f"{path}.weight" not in names and any(path.startswith(f"{b}.") for b in blocks)
    }
    prunable = sum(counts.get(path, 0) for path in blocks) - sum(counts.get(path, 0) for path in others)
    return counter.get_total_flops() // 2, prunable


@pytest.mark.parametrize("name", [*FAMILIES, "swin_t", "swin_v2_t"])
def test_counts_agree_with_torchs_own_counter_in_every_family(name):
    model = family(name)
    shape = model.pretrained_cfg["input_size"] if name in FAMILIES else (3, 224, 224)
    nothing = {
        name: torch.zeros(model.get_parameter(name).shape, dtype=torch.bool, device="cpu")
        for name in sp.prunable(model)
    }
    macs, prunable = products_of(model, shape)
    cost = sp.cost(model, nothing, None if name in FAMILIES else 224)
    assert cost.macs == macs
    assert cost.macs - cost.nonzero_macs == prunable > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, "mixed", "int8"])
def test_counts_do_not_depend_on_the_type(dtype):
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.3)
    expected = sp.cost(model, masks)
    if dtype == "mixed":
        model.bfloat16().patch_embed.float()
        model.layers[1].half()
        model.layers[2].double()
    elif dtype == "int8":
        for block in model.layers[1].blocks:
            block.mlp.fc1.weight = nn.Parameter(torch.ones(256, 64, dtype=torch.int8), requires_grad=False)
    else:
        model.to(dtype)
    assert sp.cost(model, masks) == expected


def test_meta_models_and_other_default_devices():
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.3)
    expected = sp.cost(model, masks)
    with torch.device("meta"):
        assert sp.cost(model, masks) == expected
        assert sp.cost(model).nonzero_macs == expected.macs
    model.to("meta")
    assert sp.cost(model, masks) == expected
    with pytest.raises(ValueError, match=r"qkv\.weight is on the meta device, where no zeros can be counted"):
        sp.cost(model)
    with pytest.raises(ValueError, match=r"mask of .*qkv\.weight is on the meta device"):
        sp.cost(model, {name: mask.to("meta") for name, mask in masks.items()})


def test_input_size(small_swin):
    assert sp.cost(small_swin, input_size=224) == sp.cost(small_swin, input_size=(3, 224, 224)) == sp.cost(small_swin)
    with pytest.raises(ValueError, match=r"does not take an image of .* \(3, 100, 100\)"):
        sp.cost(small_swin, input_size=100)
    with pytest.raises(ValueError, match="input_size must be a side"):
        sp.cost(small_swin, input_size=(1, 2, 3, 4))
    with pytest.raises(ValueError, match="give input_size"):
        sp.cost(nn.Linear(3, 3))
