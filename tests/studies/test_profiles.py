"""Profiles: one function to models and batches, the right images for the right classes, and what is refused."""

import json
from dataclasses import replace

import pytest
import timm
import torch
from forked import begun
from safetensors.torch import save_file
from stubs import make_folder, make_hub, make_imagenet, make_imagenette
from timm.data import ImageNetInfo
from torch import nn

from swinprune_lite.measurements import frames, live
from swinprune_lite.measurements.setting import Measurement, Setting
from swinprune_lite.measurements.store import Store
from swinprune_lite.models.pretrained import PAPER_MODELS, config
from swinprune_lite.sources import pretrained_source
from swinprune_lite.studies import reproduction
from swinprune_lite.studies.profiles import PROFILES, as_list, evidence_for, get_profile
from swinprune_lite.training.evaluate import evaluate
from swinprune_lite.training.memory import advise_on_memory

TINY = PAPER_MODELS[0]
VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


class Constant(nn.Module):
    """Prefers one class whatever the image."""

    def __init__(self, preferred):
        super().__init__()
        self.logits = nn.Parameter(-torch.arange(1000.0).sub(preferred).abs())

    def forward(self, images):
        assert images.shape[1:] == (3, 224, 224)
        return self.logits.expand(len(images), -1)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path))
    for cached in ("_imagenette", "_imagenet", "_weights_digest"):
        getattr(pretrained_source, cached).cache_clear()
    return tmp_path


def test_each_profile_says_what_a_run_is():
    assert set(PROFILES) == {"smoke", "lite", "pretrained", "imagenette", "imagenet", "folder"}
    assert get_profile("lite").models == ("swin_lite_tiny", "swin_lite_small", "swin_lite_base")
    assert get_profile("smoke", ["swin_lite_base"], 3).models == ("swin_lite_base",)
    assert get_profile("imagenette").models == get_profile("imagenet").models == PAPER_MODELS
    # the paper's base is not what timm gives without a tag
    assert get_profile("imagenet", ["swin_base_patch4_window7_224"]).models == (PAPER_MODELS[2],)
    assert get_profile("imagenet").source.dense_top1[TINY] == 81.16
    smoke = PROFILES["smoke"]
    assert len(smoke.training_batches(seed=3, steps=smoke.finetune_steps)) == smoke.finetune_steps


def test_the_imagenet_recipe_is_the_paper_s_with_swin_s_scaling():
    recipe = get_profile("imagenet").recipe
    assert (recipe.epochs, recipe.lr) == (30, 2e-5 * 1024 / 512)
    smaller = get_profile("imagenet", batch_size=256)
    assert smaller.recipe.lr == pytest.approx(2e-5 * 256 / 512)
    assert (smaller.batch_size, smaller.finetune_steps) == (256, 1_281_167 // 256)
    assert get_profile("imagenette", batch_size=16).recipe == PROFILES["imagenette"].recipe


def test_imagenette_s_images_meet_their_classes_among_the_thousand(home):
    make_imagenette(home)
    run = get_profile("imagenette")
    assert run.test_batches().images == 10
    assert run.test_batches(4).images == 4
    names = ImageNetInfo().label_names()
    assert evaluate(Constant(names.index("n02102040")), run.test_batches()).top1 == 10  # English springer, one in ten
    assert evaluate(Constant(1), run.test_batches()).top1 == 0
    assert run.describe().startswith(f"Profile imagenette: {', '.join(PAPER_MODELS)}.\nReal pretrained weights")


def test_imagenette_may_lie_elsewhere_and_a_missing_class_stops(home):
    root = make_imagenette(home / "elsewhere")
    assert get_profile("imagenette", data=root).test_batches().images == 10
    assert get_profile("imagenette", data=root.parent).test_batches().images == 10
    with pytest.raises(FileNotFoundError, match=r"no Imagenette in .*leave `data` out, so that it is fetched"):
        get_profile("imagenette", data=root / "val").test_batches()
    pretrained_source._imagenette.cache_clear()
    for image in (root / "val" / "n01440764").iterdir():
        image.unlink()
    with pytest.raises(ValueError, match="not a whole Imagenette: the class folder val/n01440764 holds no image"):
        get_profile("imagenette", data=root).test_batches()


def test_imagenet_needs_all_its_classes(home):
    with pytest.raises(FileNotFoundError, match=r"val images are not in .*swinprune fetch imagenet"):
        get_profile("imagenet").test_batches()
    make_imagenet(home / "imagenet")
    assert get_profile("imagenet").test_batches().images == 1000
    pretrained_source._imagenet.cache_clear()
    (home / "imagenet" / "val" / "n01440764").rename(home / "gone")
    with pytest.raises(ValueError, match="has 999 classes and ImageNet-1k 1000"):
        get_profile("imagenet").test_batches()


def test_a_dense_model_that_is_not_the_paper_s_is_not_pruned(home, monkeypatch):
    make_imagenet(home / "imagenet")
    monkeypatch.setattr(pretrained_source, "_loaded", lambda name: Constant(0))
    image = home / "imagenet/val/n01440764/n01440764_0.JPEG"
    monkeypatch.setattr(pretrained_source, "weights_file", lambda name: image)
    run = get_profile("imagenet", [TINY])
    with pytest.raises(ValueError, match=r"not pruned, has a top-1 of 0\.10 % .*the paper prints 81\.16 %.*crop"):
        run.load(TINY)
    assert len(json.loads((home / "results/imagenet/dense_top1.json").read_text())) == 1
    near = replace(run, source=replace(run.source, dense_top1={TINY: 0.2}))
    monkeypatch.setattr(pretrained_source, "evaluate", None)  # known by now
    assert isinstance(near.load(TINY), Constant)
    for content in ("{", "[]", '{"a": "80"}'):
        (home / "results/imagenet/dense_top1.json").write_text(content)
        with pytest.raises(ValueError, match=r"dense_top1\.json is damaged .*; remove it, so that .* measured again"):
            near.load(TINY)


def test_a_folder_of_one_s_own(home, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    make_folder(home / "own", ["cat", "dog"], 2)
    with pytest.raises(ValueError, match="has 2 classes and vit_tiny_patch16_224 tells 1000 apart"):
        get_profile("folder", [VIT], data=home / "own").test_batches()
    make_folder(home / "ids", ["n01440764", "n02102040"], 2)
    run = get_profile("folder", [VIT], data=home / "ids")
    assert {int(label) for _, labels in run.test_batches() for label in labels} == {0, 217}
    with pytest.raises(FileNotFoundError, match="has no train folder, so there is nothing to fine-tune on"):
        run.training_batches(0, 1)
    other = get_profile("folder", [VIT], data=make_imagenette(home))
    assert other.training_batches(0, 1).batch_size == other.batch_size
    assert run.results != other.results


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["imaginary"],
            "Unknown profile 'imaginary'; choose one of smoke, lite, pretrained, imagenette, imagenet, fol",
        ),
        (["lite", ["swin_lite_huge"]], "Unknown lite model 'swin_lite_huge'"),
        (["lite", None, 0, "somewhere"], "has its own images"),
        (["pretrained", None, 0, "somewhere"], "has its own images"),
        (
            ["pretrained", ["swin_lite_tiny"]],
            "Unknown model 'swin_lite_tiny'; .* dinov2_vits14",
        ),
        (["pretrained", None, 0, None, 64], "has a fixed batch size"),
        (["lite", None, 0, None, 64], "has a fixed batch size"),
        (["folder"], "needs `models`"),
        (["imagenette", None, 0, None, 7], "even number of images, 2 or more; got 7"),
        (["imagenette", [TINY, "swin_base_patch4_window12_384.ms_in1k"]], "must take the same images"),
        (["imagenette", ["swin_huge"]], "timm has no model 'swin_huge'"),
    ],
)
def test_bad_input(arguments, said):
    with pytest.raises(ValueError, match=said):
        get_profile(*arguments)


def test_what_is_asked_for_is_measured_once_and_kept(home, monkeypatch, capsys):
    make_imagenette(home)
    measured = []

    def measure(profile, setting):
        measured.append(setting)
        right = torch.ones(profile.test_batches().images, dtype=torch.bool)
        return Measurement(right, right, 1, 1)

    monkeypatch.setattr("swinprune_lite.measurements.evidence.measure", measure)
    image = next((home / "imagenette2-320/val").rglob("*.JPEG"))
    monkeypatch.setattr(pretrained_source, "weights_file", lambda name: image)
    run = get_profile("imagenette", [TINY])
    for _ in range(2):
        table = frames.stored(evidence_for(run), run.models, run.methods, [0.5])
        assert len(table) == 5
        assert set(table.top1) == {100.0}
    assert len(measured) == 5
    assert "50% removed by dimap: top-1 100.00 %" in capsys.readouterr().err
    assert {path.name for path in (home / "results/imagenette").glob("*.jsonl")} == {f"{TINY}.jsonl"}
    assert reproduction.live_one_shot(run) == reproduction.live_finetuned(run) == []
    assert live.compare_with_store(run, [], evidence_for(run).store).empty
    # other images: nothing of it is shown
    (home / "imagenette2-320/val/n01440764/more.JPEG").write_bytes(b"1")
    evidence_for(run).measurements(TINY, "dimap", 0.5)
    assert len(measured) == 6


def test_what_takes_days_is_not_begun_in_a_notebook(home, monkeypatch):
    make_imagenet(home / "imagenet")
    make_folder(home / "imagenet/train", ImageNetInfo().label_names(), 1, (8, 8))
    monkeypatch.setattr(pretrained_source, "weights_file", lambda name: next((home / "imagenet/val").rglob("*.JPEG")))
    run = get_profile("imagenet", [TINY])
    with pytest.raises(LookupError, match=r"launch -m swinprune_lite finetune swin_tiny.* --ratio 0\.55"):
        evidence_for(run).measurements(TINY, "dimap", 0.55, run.finetune_steps)


def _add(folder, number):
    profile = get_profile("smoke")
    right = torch.ones(200, dtype=torch.bool)
    store = Store(folder)
    for ratio in range(5):
        setting = Setting("swin_lite_tiny", "dimap", (10 * number + ratio) / 100)
        store.add(profile, setting, Measurement(right, right, 1, 1))


def test_two_notebooks_may_fill_one_store(tmp_path):
    for process in [begun(_add, tmp_path, number) for number in range(2)]:
        process.join()
    assert len(Store(tmp_path).records) == 10


def test_too_little_memory_suggests_a_batch_size():
    said = "Batches of 64 images do not fit into memory; try batch_size = 32"
    with pytest.raises(MemoryError, match=said), advise_on_memory(64):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
    with pytest.raises(MemoryError, match="take a smaller model"), advise_on_memory(2):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
    with pytest.raises(RuntimeError, match="something else"), advise_on_memory(64):
        raise RuntimeError("something else")


def test_the_grid_of_real_models_is_small():
    assert {setting.method for setting in reproduction.whole(get_profile("imagenette"))} == {
        "dense", "dimap", "lamp", "uniform", "module-magnitude",
    }  # fmt: skip
    assert {setting.training_seed for setting in reproduction.whole(get_profile("imagenette"))} == {0}


def test_weights_of_999_classes_are_refused(home, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    make_hub(home / "hub", [VIT])
    snapshot = next((home / "hub").rglob("model.safetensors"))
    snapshot.unlink()
    save_file(timm.create_model(VIT, num_classes=999).state_dict(), snapshot)
    make_imagenette(home)
    with pytest.raises(ValueError, match="does not hold the weights .*1000 classes"):
        get_profile("imagenette", [VIT]).load(VIT)
    assert config(VIT).num_classes == 1000


def test_splits_of_a_folder_are_compared_before_anything_is_used(home):
    make_folder(home / "own" / "train", ["Cat", "dog"], 2)
    make_folder(home / "own" / "val", ["cat", "dog"], 2)
    run = get_profile("folder", [VIT], data=home / "own")
    for use in (run.test_batches, lambda: run.training_batches(0, 1)):
        with pytest.raises(ValueError, match=r"only .*own/train has Cat and only .*own/val has cat"):
            use()
    make_folder(home / "ids" / "train", ["n01440764", "n02102040"], 2)
    make_folder(home / "ids" / "val", ["n02102040"], 2)
    run = get_profile("folder", [VIT], data=home / "ids")
    assert {int(label) for _, labels in run.test_batches() for label in labels} == {217}
    (home / "ids" / "val").rename(home / "ids" / "valid")
    with pytest.raises(FileNotFoundError, match=r"ids has no val folder, but train, valid; name the split"):
        run.test_batches()


def test_imagenet_s_folders_must_be_named_by_their_ids(home):
    make_imagenet(home / "imagenet")
    (home / "imagenet" / "val" / ".ipynb_checkpoints").mkdir()
    assert get_profile("imagenet").test_batches().images == 1000
    pretrained_source._imagenet.cache_clear()
    (home / "imagenet" / "val" / "n01440764").rename(home / "imagenet" / "val" / "tench")
    with pytest.raises(ValueError, match=r"has 1000 classes and ImageNet-1k 1000, in folders .*\(n01440764 is only"):
        get_profile("imagenet").test_batches()


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (["a", "b"], str, ["a", "b"]), (("a",), str, ["a"]), ("a", str, ["a"]), ('["a", "b"]', str, ["a", "b"]),
        ("['a', 'b']", str, ["a", "b"]), ("a, b", str, ["a", "b"]), (" a ", str, ["a"]), ("", str, []),
        ("local-dir:/a,b", str, ["local-dir:/a,b"]), ([0.5, 1], float, [0.5, 1.0]), ("[0.5, 0.8]", float, [0.5, 0.8]),
        ("0.5", float, [0.5]), (0.5, float, [0.5]), ("0.5,0.8", float, [0.5, 0.8]), (("0.5",), float, [0.5]),
    ],
)  # fmt: skip
def test_a_notebook_s_lists_may_come_as_text(value, kind, found):
    assert as_list(value, kind) == found


@pytest.mark.parametrize(("value", "kind"), [(3, str), ([1], str), ("[1]", str), ({"a": 1}, str), ("half", float),
                                             (None, float), ([None], float)])  # fmt: skip
def test_what_is_no_list_is_one_sentence(value, kind):
    with pytest.raises(ValueError, match="^A list of (names|numbers), such as .*, is needed; got "):
        as_list(value, kind)


def test_models_may_come_as_text():
    assert get_profile("lite", "swin_lite_tiny").models == ("swin_lite_tiny",)
    assert get_profile("lite", '["swin_lite_base", "swin_lite_tiny"]').models == ("swin_lite_base", "swin_lite_tiny")
    assert get_profile("imagenette", VIT).models == (VIT,)
    with pytest.raises(ValueError, match="Unknown lite model 'tiny'"):
        get_profile("lite", "tiny")
    with pytest.raises(ValueError, match="seed must be a whole number; got '3'"):
        get_profile("lite", seed="3")
