"""Drawn surfaces: the same on every machine, defects of the size that was asked for, and one sentence for the rest."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from swinprune_lite.data.surfaces import KINDS, LARGEST, ON, SIDE, TEXTURES, Drawn, draw_surface, seen_by

KINDS_ON = [(kind, texture) for kind in KINDS[1:] for texture in ON.get(kind, TEXTURES)]


def test_the_pixels_of_a_few_seeds_are_these_on_any_processor():
    found = hashlib.sha256()
    for seed, (kind, texture) in enumerate(KINDS_ON):
        found.update(draw_surface(seed, texture, kind, 12.5))
    assert found.hexdigest()[:16] == "78352f17ba2c8ce6"


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 2**40), some.sampled_from(KINDS_ON), some.floats(1, LARGEST))
def test_a_defect_is_as_large_as_asked_and_nothing_else_changes(seed, pair, size):
    kind, texture = pair
    found = draw_surface(seed, texture, kind, size).astype(int)
    changed = np.argwhere(found != draw_surface(seed, texture))
    if size >= 3:
        assert len(changed)
    if len(changed):
        across = np.ptp(changed, axis=0) + 1  # a pixel that is touched counts whole
        thread = 4 if kind == "missing thread" else 0
        assert max(across) <= max(size + 2, thread)
        if kind in ("pit", "missing thread") and size >= 8:
            assert max(across) >= size - 4


def test_a_scratch_is_straight_and_as_long_and_thick_as_it_says():
    for seed in range(5):
        change = draw_surface(seed, TEXTURES[1], "scratch", 20).astype(int) - draw_surface(seed, TEXTURES[1])
        rows, columns = np.nonzero(change)
        weights = change[rows, columns] / change.max()
        spread = np.linalg.svd(np.stack([rows, columns]) - [[rows.mean()], [columns.mean()]], compute_uv=False)
        assert weights.sum() == pytest.approx(20 * 1.25, rel=0.1)  # length times thickness
        assert spread[1] / np.sqrt(len(rows)) < 0.9  # and straight


def test_cameras_average_and_models_repeat():
    pixels = np.stack([draw_surface(seed, TEXTURES[seed % 3]) for seed in range(3)])
    half = seen_by(pixels, 32, 64)
    blocks = pixels.reshape(3, 32, 2, 32, 2).astype(float).mean((2, 4))
    assert np.array_equal(half[:, ::2, ::2], np.floor(blocks + 0.5).astype(np.uint8))
    assert np.array_equal(half[:, ::2, ::2], half[:, 1::2, 1::2])
    assert np.array_equal(seen_by(pixels, SIDE, SIDE), pixels)
    for camera, side, said in ((48, 64, "must divide the 64"), (32, 48, "multiple of the camera's, 32"), (0, 32, "0")):
        with pytest.raises(ValueError, match=said):
            seen_by(pixels, camera, side)
    with pytest.raises(ValueError, match=r"Surfaces must be uint8 \(images, 64, 64\); got float64"):
        seen_by(pixels / 255, 64, 64)


def test_directions_prefer_none_and_numbers_are_pcg64s_raw_ones():
    drawn = Drawn(5)
    angles = np.array([np.arctan2(*drawn.vector(1000)) for _ in range(4000)])
    counts, _ = np.histogram(angles, 8, (-np.pi, np.pi))
    assert abs(counts - 500).max() < 110
    assert np.array_equal(Drawn(3).bytes(2, 8).ravel(), np.random.PCG64(3).random_raw(2).view(np.uint8))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, "brushed metal", "pit", LARGEST + 1), "size must be a number from 1 to 62 pixels, so that it fits"),
        ((0, "brushed metal", "pit", 0.5), "got 0.5"),
        ((0, "brushed metal", "pit", float("nan")), "got nan"),
        ((0, "brushed metal", "pit", True), "got True"),
        ((0, "brushed metal", "pit"), "got 0"),
        ((0, "brushed metal", "clean", 3), "A clean surface has no defect, so its size is 0; got 3"),
        ((0, "woven fabric", "crack", 3), "A crack does not occur on woven fabric; choose one of brushed metal, cast"),
        ((0, "cast grain", "missing thread", 3), "choose one of woven fabric"),
        ((0, "marble"), "Unknown texture 'marble'; choose one of brushed metal"),
        ((0, "cast grain", "rust", 3), "Unknown kind 'rust'; choose one of clean"),
        ((-1, "cast grain"), "seed must be a whole number, 0 or more; got -1"),
        ((1.5, "cast grain"), "got 1.5"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        draw_surface(*arguments)
