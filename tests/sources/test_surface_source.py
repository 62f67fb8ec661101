"""Sets of surfaces and the models that see them: what they hold, what an outsider can draw more, what is refused."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

import swinprune_lite as sp
from swinprune_lite.data.surfaces import KINDS, SIDE
from swinprune_lite.models import surfaces as models
from swinprune_lite.sources import surface_sets as sets
from swinprune_lite.sources.surface_source import Surfaces


def test_a_sample_is_drawn_again_to_the_digest_of_record():
    found = sets.surface_set("held-out")
    assert len(found.classes) == sets.SPLITS["held-out"]
    again = sets.draw_set(list(sets.plan("held-out"))[40:60])
    assert np.array_equal(again.pixels, found.pixels[40:60])
    assert found.digest == sets.digest_of_record("held-out")
    assert len({sets.digest_of_record(split) for split in sets.SPLITS}) == 3


def test_the_line_has_rare_classes_and_a_test_as_many_of_each_class_and_size():
    planned = list(sets.plan("train"))
    counts = Counter(each.kind for each in planned)
    assert {kind: counts[kind] / len(planned) for kind in KINDS} == pytest.approx(sets.SHARES)
    first = Counter(each.kind for each in planned[:60])
    assert all(abs(first[kind] - 60 * share) < 1 for kind, share in sets.SHARES.items())
    sizes = Counter(each.size for each in planned if each.size)
    assert set(sizes) == set(range(2, 31))
    assert sizes[2] > 1.4 * sizes[4] > 2 * sizes[16]
    for split in ("held-out", "test"):
        found = Counter((each.kind, each.size) for each in sets.plan(split) if each.size)
        assert len(found) == 5 * len(sets.TEST_SIZES)
        assert len(set(found.values())) == 1
    seeds = [each.seed for split in sets.SPLITS for each in sets.plan(split)]
    assert len(set(seeds)) == len(seeds)


def test_a_size_outside_the_shipped_range_is_drawn_and_evaluated():
    drawn = sets.draw_set([sets.Surface(seed, "cast grain", "pit", 45.5) for seed in range(4)])
    assert drawn.sizes.tolist() == [45.5] * 4
    name = f"{models.ADAPTED}_32"
    found = sp.evaluate(models.load_surface_model(name, 1), sets.surface_batches(drawn, models.view_of(name)))
    assert found.images == 4
    with pytest.raises(ValueError, match="size must be a number from 1 to 62 pixels"):
        sets.draw_set([sets.Surface(0, "cast grain", "pit", 63)])
    with pytest.raises(ValueError, match="There is nothing to draw"):
        sets.draw_set([])
    one_by_one = sets.draw_set(sets.Surface(seed, "cast grain", "pit", 45.5) for seed in range(4))
    assert one_by_one.digest == drawn.digest
    with pytest.raises(ValueError, match="Unknown split 'smoke'"):
        next(sets.plan("smoke"))


def test_an_altered_card_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sets, "CARD", tmp_path / "surfaces.json")
    sets.surface_set.cache_clear()
    with pytest.raises(FileNotFoundError, match="surfaces.json is missing; restore it"):
        sets.surface_set("held-out")
    for text, said in (
        ("{}", "has no digest of 'held-out'"),
        ('{"sha256": {"held-out": "0"}}', "do not have the dige"),
    ):
        sets.CARD.write_text(text)
        with pytest.raises(ValueError, match=said):
            sets.surface_set("held-out")
    sets.surface_set.cache_clear()


def test_a_folder_of_one_s_own_is_read_and_others_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        sets.read_surfaces(tmp_path / "none")
    with pytest.raises(ValueError, match="has no folders of classes, and surfaces have clean, scratch"):
        sets.read_surfaces(tmp_path)
    drawn = sets.draw_set([sets.Surface(1, "cast grain", "clean", 0), sets.Surface(2, "cast grain", "pit", 9)])
    for kind, pixels in zip(("clean", "pit"), drawn.pixels):
        (tmp_path / kind).mkdir()
        Image.fromarray(pixels).save(tmp_path / kind / "1.png")
    read = sets.read_surfaces(tmp_path)
    assert np.array_equal(read.pixels, drawn.pixels)
    assert read.classes.tolist() == drawn.classes.tolist()
    assert read.sizes[0] == 0
    assert math.isnan(read.sizes[1])
    (tmp_path / "pit" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"2\.png is not a whole image of 8 bits a channel \(cannot identify"):
        sets.read_surfaces(tmp_path)
    (tmp_path / "pit" / "2.png").unlink()
    for number_type, scale in ((np.uint16, 257), (np.int32, 257), (np.float32, 1 / 255)):  # Pillow clips these to 255
        deep = (drawn.pixels[0].astype(float) * scale).astype(number_type)
        Image.fromarray(deep).save(tmp_path / "pit" / "2.tiff")
        with pytest.raises(ValueError, match=r"2\.tiff is not .* 8 bits a channel \(its pixels, .*, would be clipped"):
            sets.read_surfaces(tmp_path)
    (tmp_path / "pit" / "2.tiff").unlink()
    Image.new("RGB", (SIDE, 32)).save(tmp_path / "pit" / "2.png")
    with pytest.raises(ValueError, match="has 64 × 32 pixels, and surfaces have 64 × 64"):
        sets.read_surfaces(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="has the classes cat, clean, pit, and surfaces have clean, scratch.*so.$"):
        sets.read_surfaces(tmp_path)


@pytest.mark.parametrize("side", [0, 48, 96, 33, 64.0, True, None, -32])
def test_a_side_that_the_windows_do_not_divide_is_refused(side):
    with pytest.raises(ValueError, match=r"Windows of 4 × 4 patches .* so its side must be 32, 64, 128 .*got"):
        models.from_garments(side)


def test_garments_weights_at_another_size_keep_every_matrix_and_have_a_head_of_zeros():
    garments, found = sp.load_lite(models.ORIGIN, 1), models.from_garments(64, 1)
    for name in sp.prunable(garments):
        assert torch.equal(found.get_parameter(name), garments.get_parameter(name))
    assert not found(torch.randn(1, 1, 64, 64)).any()
    assert {tuple(block.attn.window_size) for layer in found.layers for block in layer.blocks} == {(4, 4), (2, 2)}
    with pytest.raises(ValueError, match="No checkpoint of swin_lite_micro with seed 99"):
        models.from_garments(64, 99)


def test_batches_of_training_hold_all_classes_alike_and_repeat(request):
    source, names = Surfaces(labelled=60), (f"{models.UNADAPTED}_32",)
    batches = source.training_batches(names, 90, 3, 4)
    first, again = list(batches), list(source.training_batches(names, 90, 3, 4))
    assert all(torch.equal(a, b) for one, other in zip(first, again) for a, b in zip(one, other))
    counts = torch.cat([classes for _, classes in first]).bincount()
    assert len(batches) == len(first) == 4
    assert counts.min() > 35
    batches.set_epoch(1)
    assert not torch.equal(next(iter(batches))[1], first[0][1])
    mirrored = first[0][0].flatten(1).sort(1).values
    known = source.calibration_batches(names, 60)
    whole = torch.cat([images for images, _ in known]).flatten(1).sort(1).values
    assert all((row == whole).all(1).any() for row in mirrored[:20])  # flipped and turned, nothing else
    assert source.digests(names, names[0], 0, True)["labelled"] == "60"


def test_unknown_models_and_mixed_views_are_refused():
    source = Surfaces()
    with pytest.raises(ValueError, match="Unknown surface model 'swin_lite_micro'; choose one of swin_surfaces_64"):
        source.resolve(["swin_lite_micro"])
    with pytest.raises(ValueError, match="see surfaces differently"):
        source.resolve([f"{models.ADAPTED}_32", f"{models.ADAPTED}_64"])
    with pytest.raises(ValueError, match=r"with seed 99 is shipped; shipped seeds: \["):
        source.load(f"{models.ADAPTED}_32", 99)
    with pytest.raises(ValueError, match="a number of surfaces from 1 to 1920; got 3000"):
        source.test_batches([f"{models.ADAPTED}_32"], 3000)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "3"])
def test_counts_that_are_none_are_refused(number):
    source, names = Surfaces(split="held-out"), [f"{models.ADAPTED}_32"]
    for use in (source.test_batches, source.calibration_batches):
        with pytest.raises(ValueError, match=rf"^Give a number of surfaces from 1 to \d+; got {number!r}\.$"):
            use(names, number)
    for name, asked in (("batch_size", (number, 0, 1)), ("steps", (10, 0, number))):
        with pytest.raises(ValueError, match=rf"^{name} must be a whole number, 1 or more; got {number!r}\.$"):
            source.training_batches(names, *asked)


@pytest.mark.parametrize("seed", [True, 1.0, "1", 99, None])
@pytest.mark.parametrize("name", [f"{models.ADAPTED}_32", f"{models.UNADAPTED}_32"])
def test_a_seed_that_is_none_of_theirs_is_refused(name, seed):
    with pytest.raises(ValueError, match=rf"^No checkpoint of {name} with seed {seed!r} is shipped; shipped seeds: "):
        models.load_surface_model(name, seed)
    with pytest.raises(ValueError, match=r"^No checkpoint of swin_lite_micro with seed"):
        sp.load_lite(models.ORIGIN, seed)
