"""Figures: one style for all, axes that say what they show with units, and a Pareto front that is one."""

import hypothesis.strategies as st
import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from matplotlib import pyplot as plt
from matplotlib.text import Text

import swinprune_lite as sp
from swinprune_lite import figures
from swinprune_lite.anatomy.layers import layers
from swinprune_lite.figures.criteria import CRITERION_STYLES
from swinprune_lite.figures.style import LAYER_STYLES, MODULE_COLOURS, WIDTH, set_style
from swinprune_lite.paper import layerwise

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _styled():
    set_style()
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
        figures.weight_histograms(layerwise.histograms(model, 0.03), 0.03),
        figures.heat_map(layers(model), kept.kept_pct, "kept (%)"),
        figures.module_map(model, "swin_lite_tiny"),
        figures.masks(layerwise.first_block(model, masks)),
    ]
    for figure in drawn:
        assert figure.get_figwidth() <= WIDTH
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) * 358 / (72 * figure.get_figwidth()) >= 9  # pixels on a phone: it has 358 for a figure
        said = [axes.get_xlabel() for axes in figure.axes] + [axes.get_ylabel() for axes in figure.axes]
        assert any("%" in text or "million" in text or "block" in text or text == "input" for text in said)
    heights = [patch.get_height() for patch in drawn[0].axes[0].patches]
    np.testing.assert_allclose(sorted(heights), sorted(kept.kept_pct))


@pytest.mark.parametrize(("model", "titles"), [
    ("swin_lite_tiny", ["Lite-T (measured)", "Swin-T (the paper)"]),
    ("dinov2_vits14", ["DINOv2 ViT-S/14 (measured)"]),
])  # fmt: skip
def test_the_paper_stands_beside_a_model_that_it_has(model, titles):
    rows = [("dense", 0.0, 80.0), ("dimap", 0.38, 70.0), ("dimap", 0.5, 60.0)]
    results = pd.DataFrame(rows, columns=["method", "ratio", "top1_mean"]).assign(model=model, top1_half=1.0)
    found = figures.accuracy_against_ratio(results).axes
    assert [axes.get_title() for axes in found] == titles
    (line,) = [line for line in found[0].lines if line.get_label() == "DIMAP"]
    np.testing.assert_allclose(line.get_xydata(), [(38, 70), (50, 60)])


def test_leads_stand_where_their_tables_have_them():
    names = ["model", "ratio", "gain", "half", "method"]
    rows = [
        (model, ratio, 10 * ratio + number, 0.5, method)
        for model in ("swin_lite_tiny", "swin_lite_base")
        for number, method in enumerate(("uniform", "lamp"))
        for ratio in (0.5, 0.9)
    ]
    figure = figures.leads(pd.DataFrame(rows, columns=names))
    assert [axes.get_title() for axes in figure.axes] == ["Lite-T", "Lite-B"]
    for axes in figure.axes:
        for bars, number in zip(axes.containers, range(2)):
            (low, high), x = bars[2][0].get_segments()[1][:, 1], bars[0].get_xdata()
            assert bars[0].get_ydata() == pytest.approx([5 + number, 9 + number])
            assert (low, high) == pytest.approx((8.5 + number, 9.5 + number))
            assert [figure.axes[-1].get_xticklabels()[round(place)].get_text() for place in x] == ["50", "90"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["uniform", "LAMP"]


def test_what_data_is_worth_is_drawn_as_it_was_measured():
    assert len({(style["color"], style["linestyle"]) for style in CRITERION_STYLES.values()}) == len(CRITERION_STYLES)
    names = ["criterion", "where", "repaired", "images", "top1", "half"]
    rows = [("magnitude", "", repaired, 0, 50.0 + 10 * repaired, 1.0) for repaired in (False, True)]
    rows += [("fisher", "choice", False, images, 30.0 + images, 2.0) for images in (8, 32)]
    rows += [("relative_energy", "repair", True, images, 70.0, 2.0) for images in (8, 32)]
    cut, repaired = figures.accuracy_against_images(pd.DataFrame(rows, columns=names), 80.0).axes
    assert [axes.get_xlabel() for axes in (cut, repaired)] == ["real images"] * 2
    assert cut.get_ylabel() == "top-1 (%)"
    (fisher,) = [bar for bar in cut.containers if bar.get_label() == "Fisher"]
    np.testing.assert_allclose(fisher[0].get_xydata(), [(8, 38), (32, 62)])
    lines = {line.get_label(): line.get_ydata()[0] for axes in (cut, repaired) for line in axes.lines}
    assert (lines["dense"], lines["magnitude, no data"]) == (80, 60)
    (alone,) = repaired.containers
    assert alone.get_label() == CRITERION_STYLES["repair"]["label"]


def test_accuracy_against_alpha_has_a_bar_a_point():
    rows = pd.DataFrame({"alpha": [0.0, 0.5, 1.0], "top1": [60.0, 65.0, 70.0], "half": [1.0, 2.0, 3.0]})
    (axes,) = figures.accuracy_against_alpha(rows).axes
    (points,) = axes.containers
    np.testing.assert_allclose(points[0].get_xydata(), rows[["alpha", "top1"]])
    assert "no data (0)" in axes.get_xlabel()


def test_shares_of_modules_are_bars_that_reach_the_whole():
    weights = pd.DataFrame({"QKV-M": [20.0, 30.0], "AUX-M": [80.0, 70.0]}, index=["one", "other"])
    macs = weights.assign(products=[5.0, 1.0]).mul([0.95, 0.95, 1])
    figure = figures.shares_by_module(weights, macs)
    for axes, table in zip(figure.axes, (weights, macs)):
        bars = np.array([[bar.get_width() for bar in container] for container in axes.containers]).T
        np.testing.assert_allclose(bars, table.to_numpy())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "other"]
    assert figure.get_figwidth() <= WIDTH


def test_figures_of_surfaces_show_every_row():
    rows = pd.DataFrame({"value": [3.0, 5.0], "half": [1.0, 2.0]}, index=["first", "second"])
    drawn = figures.dots({"one": rows, "two": rows + 1}, "share (%)", reference=4)
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == ["first", "second"]
    assert drawn.axes[0].get_xlabel() == "share (%)"
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["one", "two"]
    values = [(view, state, size, 40.0, 3.0) for view in "ab" for state in ("dense", "cut") for size in (0, 2, 30)]
    found = pd.DataFrame(values, columns=["view", "state", "size", "recall", "half"])
    drawn = figures.recall_by_size(found, {"a": "near", "b": "far"})
    assert [axes.get_title() for axes in drawn.axes] == ["near", "far"]
    assert [len(line.lines[0].get_xdata()) for line in drawn.axes[0].containers] == [
        2,
        2,
    ]  # clean surfaces have no size
    values = [(labelled, steps, 50.0, 1.0) for labelled in (60, 2400) for steps in (0, 4, 60)]
    drawn = figures.recovery(pd.DataFrame(values, columns=["labelled", "steps", "top1", "half"]), 66.0)
    assert [text.get_text() for text in drawn.axes[0].get_xticklabels()] == ["0", "4", "60"]
    assert {text.get_text() for text in drawn.axes[0].legend_.texts} == {"dense", "60 labelled", "2,400 labelled"}
    drawn = figures.gallery({"pit": [np.zeros((4, 4), np.uint8)] * 2}, ["2 pixels", "9 pixels"])
    assert [axes.get_title() for axes in drawn.axes] == ["2 pixels", "9 pixels"]
    assert drawn.axes[0].get_ylabel() == "pit"
