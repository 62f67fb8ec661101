"""The drawn figures of the primers show the numbers that they are given, and are narrow enough for a phone."""

import json
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from swinprune_lite import figures

matplotlib.use("agg")
WEIGHT = np.array([[2, -1, 3], [0.5, 4, -2]])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_each_is_narrow_and_its_letters_are_not_small():
    stages = pd.DataFrame({"rows": [8, 4, 2], "columns": [16, 8, 4], "channels": [32, 64, 128], "blocks": [2, 2, 6]})
    tuned = pd.DataFrame(
        [(0.5, state, 80.0, 1.0) for state in ("whole", "one shot")], columns=["ratio", "state", "top1", "half"]
    )
    drawn = [
        figures.patches_and_windows(np.zeros((32, 64)), (4, 4), (4, 4)),
        figures.shifted_windows(8, 16, (4, 4), (2, 2), (3, 5)),
        figures.stages(stages),
        figures.multiply_accumulates(WEIGHT, np.array([1, 2, 0.5]), 0),
        figures.mask_of(WEIGHT, WEIGHT > 0),
        figures.shot_and_tuning(tuned),
        figures.zeros_or_smaller(WEIGHT > 0, [0]),
        figures.scores_by_layer({"A": [1, 0.2]}, 0.5),
    ]  # fmt: skip
    for figure in drawn:
        assert figure.get_figwidth() <= 5
        shown = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in shown) >= 9


def test_a_mac_is_written_out():
    said = texts(figures.multiply_accumulates(WEIGHT, np.array([1, 2, 0.5]), 0))
    assert "2 · 1 − 1 · 2 + 3 · 0.5 = 1.5" in said
    assert said.count("7.5") == 1


def test_a_mask_times_weights_is_zero_where_the_mask_is():
    *_, product = figures.mask_of(WEIGHT, WEIGHT > 0).axes
    assert [text.get_text() for text in product.texts] == ["2.00", "0", "3.00", "0.50", "4.00", "0"]


def test_zeros_cost_what_the_whole_matrix_does():
    kept = np.eye(4, 6, dtype=bool)
    zeros, smaller = [axes.get_title() for axes in figures.zeros_or_smaller(kept, [0, 2]).axes]
    assert zeros == "zeros: 4 weights left,\n24 products at each position"
    assert smaller == "a smaller matrix: 12 weights left,\n12 products at each position"


def test_a_marked_token_sees_its_window_in_both_blocks():
    plain, shifted = figures.shifted_windows(8, 16, (4, 4), (2, 2), (3, 5)).axes
    frames = [[patch for patch in axes.patches if not patch.get_fill()] for axes in (plain, shifted)]
    assert [(frame.get_xy(), frame.get_width(), frame.get_height()) for (frame,) in frames] == [
        ((4, 0), 4, 4),
        ((2, 2), 4, 4),
    ]


def test_the_explorer_says_what_a_threshold_takes_and_needs_no_network():
    generator = torch.Generator().manual_seed(0)
    layers = {"quiet <1>": 0.1 * torch.randn(50, generator=generator), "loud": torch.randn(40, 10, generator=generator)}
    page = figures.threshold_explorer(layers)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|src=|@import", page)
    assert "quiet &lt;1&gt;" in page
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    by_magnitude, by_score = data["views"]
    assert by_magnitude["lost"][0][25] > 99 > 80 > by_score["lost"][0][25]  # scale alone, which the score does not see
    rows = re.findall(r'<tr><th scope="row">(\d+) %</th>(.*?)</tr>', page)
    assert [int(share) for share, _ in rows] == [*range(0, 100, 10)]
    assert re.findall(r"<td>(\d+) %</td>", rows[5][1])[1] == f"{by_magnitude['lost'][1][25]:.0f}"
    with pytest.raises(ValueError, match="shows two layers; got 1"):
        figures.threshold_explorer({"one": torch.ones(3)})
