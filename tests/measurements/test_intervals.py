import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinprune_lite.measurements.intervals import interval, paired_difference, spread


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
