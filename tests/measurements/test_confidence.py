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


@pytest.mark.parametrize("bins", range(1, 31))
def test_a_bin_holds_its_upper_end_alone(bins):
    """Probabilities at the bins' very ends, as the definition compares them; the product with `bins` may round up."""
    numbers = range(-(-bins // 2), bins + 1)
    told = torch.tensor([[number / bins, 1 - number / bins] for number in numbers], dtype=torch.float64)
    alone = calibration_error(told, torch.zeros(len(told), dtype=torch.long), bins)
    assert alone == pytest.approx(sum(1 - number / bins for number in numbers) / len(told), abs=1e-12)
    wrong = torch.arange(len(told)) % 2  # were two of these in one bin, they would partly make up for one another
    apart = sum(abs(number / bins - (1 - odd)) for number, odd in zip(numbers, wrong.tolist()))
    assert calibration_error(told, wrong, bins) == pytest.approx(apart / len(told), abs=1e-12)


def test_one_class_and_equal_probabilities():
    assert calibration_error(torch.ones(3, 1), torch.zeros(3).long()) == 0
    assert calibration_error(torch.full((4, 2), 0.5), torch.tensor([0, 0, 1, 1])) == 0  # the first is told


def test_nothing_to_count_is_refused():
    for told, classes, bins in ((torch.ones(0, 2), torch.ones(0), 5), (torch.ones(2, 2), torch.ones(1), 5)):
        with pytest.raises(ValueError, match="Give one class for each image, one image and one bin or more; got"):
            calibration_error(told, classes, bins)
    with pytest.raises(ValueError, match="0 bins"):
        calibration_error(torch.ones(1, 2), torch.ones(1), 0)
    even, first = torch.full((2, 2), 0.5), torch.zeros(2).long()
    for told, classes, bins in (
        (even, first[:, None], 5), (even[:, 0], first, 5), (even[None], first[:1], 5), (even[:, :0], first, 5),
        (even, first, 1.5), (even, first, True), (even, first, float("nan")), (even, first, "3"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="Give one class for each image, one image and one bin or more; got"):
            calibration_error(told, classes, bins)
    for told in (even * torch.nan, even * 2, torch.tensor([[1.5, -0.5]] * 2), torch.tensor([[100, -100]] * 2)):
        with pytest.raises(ValueError, match="^Each image's probabilities must be 0 or more and have the sum 1"):
            calibration_error(told, first)


def test_what_is_no_classifier_or_no_image_of_its_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images, classes = torch.randn(2, 1, 2, 2), torch.tensor([0, 2])
    for network, batch, said in (
        (model, (images, classes + 1), "Class 3 is none of the model's"),
        (model, (images[..., :1], classes), r"^Sequential does not run on images of shape \(2, 1, 2, 1\) \(mat1"),
        (model, (images * torch.inf, classes), "logits are not finite; check its weights and images"),
        (nn.Identity(), (images, classes), r"must give logits \(B, classes\)"),
        (nn.Flatten(2), (images, classes), r"must give logits \(B, classes\)"),
    ):
        with pytest.raises(ValueError, match=said):
            probabilities(network, [batch])
    for nothing in ([], [(images[:0], classes[:0])]):
        with pytest.raises(ValueError, match="no images to be sure of"):
            probabilities(model, nothing)


def test_probabilities_are_the_softmax_in_the_order_of_the_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).train()
    images, classes = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 1, 0])
    told, own = probabilities(model, zip(images.split(2), classes.split(2)))
    assert told.dtype == torch.float64
    assert torch.allclose(told, model(images).double().softmax(1))
    assert torch.equal(own, classes)
    assert model.training
