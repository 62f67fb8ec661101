"""Figures: one style for all, axes that say what they show with units, and a Pareto front that is one."""

import hypothesis.strategies as st
import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from matplotlib import pyplot as plt

import swinprune_lite as sp
from swinprune_lite import figures
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.figures.style import LAYER_STYLES, MODULE_COLOURS
from swinprune_lite.paper import layerwise

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return sp.load_lite("swin_lite_tiny")


points = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12)


@given(points)
def test_pareto_front_against_all_pairs(rows):
    table = pd.DataFrame(rows, columns=["cost", "top1_pct"])
    front = figures.pareto_front(table, "cost")
    beaten = [
        any(a <= cost and b >= top1 and (a, b) != (cost, top1) for a, b in rows) for cost, top1 in rows
    ]  # fmt: skip
    wanted = {row for row, lost in zip(rows, beaten) if not lost}
    assert set(front.itertuples(index=False, name=None)) == wanted
    assert len(front) == len(wanted)


def test_every_method_module_and_layer_has_a_style():
    assert set(figures.METHOD_STYLES) == set(sp.METHODS)
    looks = [(style["color"], style["marker"], style["linestyle"]) for style in figures.METHOD_STYLES.values()]
    assert len(set(looks)) == len(looks)
    assert set(MODULE_COLOURS) == set(sp.modules(sp.create_lite("swin_lite_tiny")))
    assert list(LAYER_STYLES) == ["QKV", "PRJ", "FC1", "FC2"]


def test_axes_say_what_they_show(model):
    masks = sp.make_masks(model, 0.5)
    kept = layerwise.kept_shares(model, masks)
    drawn = [
        figures.keep_ratios(kept),
        figures.weight_histograms(model, 0.03),
        figures.heat_map(layers(model), kept.kept_pct, "kept (%)"),
        figures.module_map(model, "swin_lite_tiny"),
        figures.masks(layerwise.first_block(model, masks)),
    ]
    for figure in drawn:
        assert figure.get_figwidth() <= 7
        said = [axes.get_xlabel() for axes in figure.axes] + [axes.get_ylabel() for axes in figure.axes]
        assert any("%" in text or "million" in text or "block" in text or text == "input" for text in said)
    heights = [patch.get_height() for patch in drawn[0].axes[0].patches]
    np.testing.assert_allclose(sorted(heights), sorted(kept.kept_pct))
