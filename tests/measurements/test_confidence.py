"""Calibration error against a count by hand and against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from swinprune_lite.measurements.confidence import calibration_error, probabilities


def test_of_a_handful_by_hand():
    told = torch.tensor([[0.9, 0.1], [0.92, 0.08], [0.45, 0.55], [0.4, 0.6]])
    classes = torch.tensor([0, 1, 1, 1])  # right, wrong, right, right
    assert calibration_error(told, classes, 2) == pytest.approx(abs(0.9 + 0.92 + 0.55 + 0.6 - 3) / 4)
    assert calibration_error(told, classes, 10) == pytest.approx((abs(0.9 - 1) + 0.92 + abs(0.55 + 0.6 - 2)) / 4)


@settings(max_examples=30, deadline=None)
@given(some.integers(1, 40), some.integers(2, 5), some.integers(1, 20), some.integers(0, 1000))
def test_is_what_bins_one_by_one_say(images, kinds, bins, seed):
    drawn = torch.Generator().manual_seed(seed)
    told = torch.rand(images, kinds, generator=drawn, dtype=torch.float64).mul(4).softmax(1)
    classes = torch.randint(kinds, (images,), generator=drawn)
    total = 0.0
    for number in range(bins):
        inside = [
            (row.max().item(), row.argmax() == own)
            for row, own in zip(told, classes)
            if number / bins < row.max().item() <= (number + 1) / bins
        ]
        total += abs(sum(sure for sure, _ in inside) - sum(int(right) for _, right in inside))
    assert calibration_error(told, classes, bins) == pytest.approx(total / images, abs=1e-9)


def test_nothing_to_count_is_refused():
    for told, classes, bins in ((torch.ones(0, 2), torch.ones(0), 5), (torch.ones(2, 2), torch.ones(1), 5)):
        with pytest.raises(ValueError, match="Give one class for each image, one image and one bin or more; got"):
            calibration_error(told, classes, bins)
    with pytest.raises(ValueError, match="0 bins"):
        calibration_error(torch.ones(1, 2), torch.ones(1), 0)
    with pytest.raises(ValueError, match="no images to be sure of"):
        probabilities(nn.Flatten(), [])


def test_probabilities_are_the_softmax_in_the_order_of_the_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).train()
    images, classes = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 1, 0])
    told, own = probabilities(model, zip(images.split(2), classes.split(2)))
    assert told.dtype == torch.float64
    assert torch.allclose(told, model(images).double().softmax(1))
    assert torch.equal(own, classes)
    assert model.training
