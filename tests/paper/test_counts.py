import pandas as pd
import pytest
import timm

import swinprune_lite as sp
from swinprune_lite.paper import counts
from swinprune_lite.paper.numbers import paper_table


@pytest.mark.parametrize(("name", "size"), [("resnet18", 224), ("vgg11", 224), ("swin_tiny_patch4_window7_224", 224)])
def test_parts_add_up_to_the_whole(name, size):
    table = counts.parts(name, size)
    whole = sp.cost(timm.create_model(name), {}, size)
    assert table.params.sum() == whole.params
    assert table.macs.sum() == whole.macs


def test_parts_of_swin_base_by_hand():
    table = counts.parts("swin_base_patch4_window7_224", 224)
    blocks = [(dim, depth) for dim, depth in zip((128, 256, 512, 1024), (2, 2, 18, 2))]
    assert table.params["mlp"] == sum(depth * (8 * dim**2 + 5 * dim) for dim, depth in blocks)
    assert table.params["qkv"] == sum(depth * (3 * dim**2 + 3 * dim) for dim, depth in blocks)
    assert table.params["table"] == sum(depth * 13**2 * dim // 32 for dim, depth in blocks)
    tokens = [(56 // 2**stage) ** 2 for stage in range(4)]
    assert table.macs["qkv"] == sum(n * depth * 3 * dim**2 for n, (dim, depth) in zip(tokens, blocks))
    assert table.macs["product"] == sum(n * depth * 2 * 49 * dim for n, (dim, depth) in zip(tokens, blocks))


def test_figure1_against_the_papers_convolutional_shares():
    counted = counts.figure1(counts.ALL_OF_ATTENTION).set_index(["model", "component"])
    printed = paper_table("fig1_component_shares").set_index(["model", "component"])
    for model in ("VGG-16", "Inception-v3", "ResNet-50"):
        assert (
            round(counted.loc[(model, "conv"), "params_share_pct"], 1)
            == printed.loc[(model, "conv"), "params_share_pct"]
        )
    assert counted.groupby("model").params_share_pct.sum().round(9).eq(100).all()


def test_the_nearest_rule_is_found_where_one_fits():
    table = counts.parts(*counts.FIGURE1["Swin-B"][:2])
    share = counts.shares(table, {"qkv": "att", "proj": "att", "merge": "none"}).loc["att"]
    best = counts.nearest_rules(share.params, share.macs, 1).iloc[0]
    assert best["off by"] == pytest.approx(0, abs=1e-9)
    assert (best["attention"], best["left out"]) == ("qkv, proj", "merge")


@pytest.mark.parametrize("ratio", [0.15, 0.55])
def test_remaining_equals_what_the_masks_leave(ratio):
    rows = pd.DataFrame(counts.remaining([ratio])).set_index("model")
    model = timm.create_model("swin_tiny_patch4_window7_224")
    for method, column in (("dimap", None), ("uniform", "alike_macs")):
        left = sp.cost(model, sp.make_masks(model, ratio, method))
        assert abs(left.nonzero_params - rows.loc["Swin-T", "params"]) <= 24  # rounded a layer, not a module
        assert rows.loc["Swin-T", "least_macs"] <= left.nonzero_macs <= rows.loc["Swin-T", "most_macs"]
        if column:
            assert left.nonzero_macs == pytest.approx(rows.loc["Swin-T", column], rel=1e-4)


def test_table2_flags_only_mobilevit():
    printed = paper_table("table2a_vit_variants")
    ours = counts.table2(printed)
    known = ours.dropna().index
    off = (ours.params_m[known].astype(float) / printed.params_m[known] - 1).abs() > 0.015
    assert list(printed.method[known][off]) == ["MobileViTv2"]
    assert ours.loc[2, "timm"] == "deit_small_patch16_224"
