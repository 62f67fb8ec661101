"""Images of nothing."""

import hashlib

import numpy as np
import pytest
import torch

from swinprune_lite.calibration.drawn import (
    LARGEST,
    LEAVES,
    SMALLEST,
    coloured_noise,
    dead_leaves,
    drawn_kinds,
    lone_disks,
)


def test_they_are_standardised_and_depend_on_the_seed_alone():
    found = dead_leaves(6, (3, 24, 40), 1)
    assert found.shape == (6, 3, 24, 40)
    assert found.dtype == torch.float64
    assert abs(found.mean()) < 1e-12
    assert abs(found.std(correction=0) - 1) < 1e-12
    assert torch.equal(found, dead_leaves(6, (3, 24, 40), 1))
    assert not torch.equal(found, dead_leaves(6, (3, 24, 40), 2))
    ranks = np.unique(found.numpy(), return_inverse=True)[1].astype("<i4")  # which no processor's rounding changes
    assert hashlib.sha256(ranks.tobytes()).hexdigest()[:16] == "71573fa8a9ce54db"


def test_leaves_lie_on_one_another_and_radii_have_the_density_they_should():
    """P(radius > r) = (r^-2 - R^-2) / (r0^-2 - R^-2) for the density r^-3 from r0 to R."""
    found = dead_leaves(1, (1, 64, 64), 3)
    assert 5 < len(found.unique()) <= LEAVES + 1  # plain shades; some leaves are hidden
    uniform = np.random.default_rng(0).random(100_000)
    share = (SMALLEST / LARGEST) ** 2
    radii = SMALLEST / np.sqrt(share + (1 - share) * uniform)
    assert SMALLEST <= radii.min() < radii.max() <= LARGEST
    for radius in (0.07, 0.1, 0.2, 0.4):
        expected = (radius**-2 - LARGEST**-2) / (SMALLEST**-2 - LARGEST**-2)
        assert abs((radii > radius).mean() - expected) < 0.005


@pytest.mark.parametrize("power", [0, 1, 2])
def test_noise_has_the_colour_it_should(power):
    """log amplitude against log frequency has the slope -power."""
    found = coloured_noise(40, (1, 64, 64), power, 1)
    amplitude = np.abs(np.fft.rfft2(found.numpy())).mean((0, 1))
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64))
    inside = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(amplitude[inside]), 1)[0]
    assert abs(slope + power) < 0.02


def test_every_kind_is_standardised_and_each_is_another():
    kinds = drawn_kinds(4, (3, 16, 24), 1)
    for name, found in kinds.items():
        assert found.shape == (4, 3, 16, 24)
        assert abs(found.mean()) < 1e-12
        assert abs(found.std(correction=0) - 1) < 1e-12
        assert torch.equal(found, drawn_kinds(4, (3, 16, 24), 1)[name])
        assert not torch.equal(found, drawn_kinds(4, (3, 16, 24), 2)[name])
    assert not any(torch.allclose(a, b) for a in kinds.values() for b in kinds.values() if a is not b)
    assert (kinds["grey leaves"][:, 0] == kinds["grey leaves"][:, 2]).all()


def test_a_disk_is_alone_on_a_dark_ground():
    found = lone_disks(5, (1, 32, 48), 2)
    for image in found:
        ground, disk = image.unique()
        assert ground == found.min() < disk
        assert 0.02 < (image == disk).double().mean() < 0.5


@pytest.mark.parametrize("images", [0, -1, 1.5, True])
def test_a_number_of_images_that_is_none_is_refused(images):
    for draw in (dead_leaves, lone_disks, drawn_kinds, lambda *asked: coloured_noise(*asked, 1)):
        with pytest.raises(ValueError, match="images must be a whole number of 1 or more; got"):
            draw(images, (1, 8, 8))
