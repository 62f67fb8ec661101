import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinprune_lite.measurements.intervals import (
    accuracy,
    interval,
    matched_difference,
    paired_difference,
    recalls,
    score_interval,
    spread,
)


def test_interval_of_one_half():
    assert interval(50, 10_000) == pytest.approx(0.98)
    assert math.isclose(interval(100, 5), 0)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_spread_is_students_t(values):
    quantiles = {2: 12.7062, 3: 4.3027, 4: 3.1824, 5: 2.7764, 6: 2.5706}
    expected = quantiles[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values))
    assert spread(values) == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_spread_of_one_value_of_a_few_and_of_many():
    assert math.isnan(spread([3.0]))
    assert spread([0.0, 2.0]) == pytest.approx(12.706)  # deviation 2^(1/2), over 2^(1/2)
    assert spread([0.0, 1.0, 2.0]) == pytest.approx(4.303 / 3**0.5)
    assert spread([*range(10)]) == pytest.approx(2.262 * (55 / 6) ** 0.5 / 10**0.5)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=60))
def test_paired_difference_of_one_replicate_counts_the_discordant_images(pairs):
    first, second = (torch.tensor(side) for side in zip(*pairs))
    difference, half = paired_difference([first], [second])
    images, wins = len(pairs), int((first & ~second).sum())
    losses = int((~first & second).sum())
    assert difference == pytest.approx(100 * (wins - losses) / images)
    variance = (wins + losses - (wins - losses) ** 2 / images) / (images - 1)  # McNemar's, unbiased
    assert half == pytest.approx(100 * 1.96 * math.sqrt(max(variance, 0) / images), abs=1e-6)


def test_paired_difference_cuts_to_the_common_images_and_joins_the_spreads():
    long, short = torch.ones(10, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    assert paired_difference([long], [short]) == (100.0, 0.0)
    difference, half = paired_difference([long, long], [short, long])
    assert difference == 50
    assert half == pytest.approx(spread([100.0, 0.0]))


def test_intervals_of_nothing_and_of_what_is_no_accuracy():
    assert interval(0, 5) == interval(100, 5) == 0
    assert math.isnan(interval(50, 0))
    for percent, images in ((101, 5), (-1, 5), (math.nan, 5), (50, -1)):
        with pytest.raises(ValueError, match=r"An accuracy is in \[0, 100\] percent, of 0 or more images"):
            interval(percent, images)
    with pytest.raises(ValueError, match="The values must all be finite numbers; got"):
        spread([1.0, math.nan])


def test_paired_differences_need_replicates_on_both_sides():
    one = torch.ones(4, dtype=torch.bool)
    for first, second in (([], []), ([one], [one, one])):
        with pytest.raises(ValueError, match="Give as many replicates on both sides, one or more"):
            paired_difference(first, second)
    difference, half = paired_difference([one[:1]], [~one[:1]])
    assert difference == 100
    assert math.isnan(half)


@given(st.integers(1, 200).flatmap(lambda images: st.tuples(st.integers(0, images), st.just(images))))
def test_score_interval_is_where_the_normal_test_does_not_reject(case):
    right, images = case
    for end in score_interval(right, images):
        share = end / 100
        deviation = np.sqrt(share * (1 - share) / images)
        assert abs(right / images - share) == pytest.approx(1.959964 * deviation, abs=1e-6)
    low, high = score_interval(right, images)
    assert 0 <= low <= 100 * right / images <= high <= 100
    assert high - low > 0


def test_shares_of_nothing_are_refused():
    for right, images in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="Of 1 image or more, 0 to all are right"):
            score_interval(right, images)
    assert accuracy(torch.zeros(0, dtype=torch.bool)) is None
    assert accuracy(torch.tensor([True, False]))["percent"] == 50


def test_recall_is_counted_class_by_class():
    own = torch.tensor([7, 2, 7, 7, 2, 5])
    right = torch.tensor([True, False, False, True, False, True])
    found = recalls(right, own)
    assert found.images.to_dict() == {2: 2, 5: 1, 7: 3}
    assert found.percent.to_dict() == pytest.approx({2: 0, 5: 100, 7: 200 / 3})
    assert (found.low[7], found.high[7]) == score_interval(2, 3)
    assert found.half[2] == pytest.approx(score_interval(0, 2)[1] / 2)


def test_a_matched_difference_of_few_images_is_never_sure():
    right = torch.tensor([True, True, False])
    points, half = matched_difference(right, right)
    assert (points, half > 30) == (0, True)
    many = torch.arange(10_000) % 3 == 0
    other = torch.arange(10_000) % 5 == 0
    assert matched_difference(many, other) == pytest.approx(paired_difference([many], [other]), abs=0.01)
    first, second = torch.tensor([True, True, True, False]), torch.tensor([False, False, True, True])
    found = matched_difference(first, second)
    assert found[0] == 25
    assert found[1] == pytest.approx(100 * 1.96 * np.sqrt((2.5 + 1.5) - (2.5 - 1.5) ** 2 / 6) / 6)
