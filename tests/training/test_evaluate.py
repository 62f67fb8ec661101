import copy
import math
import random
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.utils.data import DataLoader

import swinprune_lite as sp
from swinprune_lite.training import evaluate as evaluation
from swinprune_lite.training.evaluate import MARGIN, Mixed, _ranks, answers, verdicts
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe


class Fixed(nn.Module):
    """Gives the logits that it was made with, whatever the image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits.expand(len(images), -1)


def batches(classes):
    return [(torch.zeros(len(part), 1, 2, 2), part) for part in torch.tensor(classes).split(3)]


def test_top1_and_top5_by_hand():
    model = Fixed(torch.tensor([5.0, 4, 3, 2, 1, 0, -1]))
    assert sp.evaluate(model, batches([0, 0, 4, 4, 5, 6, 1, 2])) == (25.0, 75.0, 8)
    assert model.training


def test_equals_topk_on_random_logits():
    logits, classes = torch.randn(500, 40), torch.randint(0, 40, (500,))
    ranks, doubtful = _ranks(logits, classes)
    assert torch.equal(ranks < 5, (logits.topk(5).indices == classes[:, None]).any(1))
    assert torch.equal(ranks == 0, logits.argmax(1) == classes)
    assert doubtful.float().mean() < 0.02


def test_equal_logits_rank_by_class_and_do_not_all_count_as_right():
    assert sp.evaluate(Fixed(torch.zeros(10)), batches(range(10)))[:2] == (10.0, 50.0)


def test_near_ties_are_settled_in_float64():
    class Rounding(Fixed):
        def forward(self, images):
            logits = super().forward(images)
            return logits if logits.dtype == torch.float64 else logits.flip(1)  # float32 errs

    model = Rounding(torch.tensor([1.0, 1 - 1e-6, 0, 0, 0, 1 - 1e-6, 1.000001]))
    assert sp.evaluate(model, batches([6])).top1 == 100


def test_a_model_in_float64_gives_the_same():
    model = sp.load_lite("swin_lite_tiny")
    sp.apply_masks(model, sp.make_masks(model, 0.8))
    assert sp.evaluate(model, sp.lite_data("smoke")) == sp.evaluate(model.double(), sp.lite_data("smoke"))


def test_bad_input():
    with pytest.raises(ValueError, match="no images"):
        sp.evaluate(Fixed(torch.zeros(10)), [])
    with pytest.raises(ValueError, match="not finite"):
        sp.evaluate(Fixed(torch.full((6,), float("nan"))), batches([1]))
    with pytest.raises(ValueError, match="nothing to fine-tune on"):
        finetune(Fixed(torch.zeros(6)), [], Recipe())
    with pytest.raises(FloatingPointError, match="The loss is nan at step 0"):
        finetune(Fixed(torch.full((6,), float("nan"))), batches([1]), Recipe())


def test_finetuning_mends_a_damaged_model_holds_its_masks_and_repeats():
    tuned = []
    for _ in range(2):
        model = sp.load_lite("swin_lite_tiny")
        masks = sp.make_masks(model, 0.9)
        sp.apply_masks(model, masks)
        train = [batch for batch, _ in zip(sp.lite_data("train", 32), range(6))]
        losses = finetune(model, train, Recipe(lr=5e-4))
        assert len(losses) == 6
        assert losses[-1] < losses[0]
        assert not model.training
        assert next(model.parameters()).dtype == torch.float32
        assert all((model.get_parameter(name)[~mask] == 0).all() for name, mask in masks.items())
        tuned.append(model.state_dict())
    assert all(torch.equal(tuned[0][key], tuned[1][key]) for key in tuned[0])


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_fewer_than_five_classes_have_a_top1_alone(classes):
    found = sp.evaluate(Fixed(-torch.arange(float(classes))), batches([0, 1, 0, 1]))
    assert (found.top1, found.images) == (50, 4)
    assert math.isnan(found.top5) if classes < 5 else found.top5 == 100
    top1, top5 = verdicts(Fixed(-torch.arange(float(classes))), batches([0, 1, 0, 1]))
    assert (top1.tolist(), len(top5)) == ([True, False, True, False], 0 if classes < 5 else 4)


IMAGES = torch.zeros(2, 1, 2, 2)
SEVEN = torch.arange(7.0)
BAD_BATCHES = [
    (SEVEN, [(IMAGES, torch.tensor([1, 7]))], "Class 7 is none of the model's: it gives 7 logits, for classes 0 to 6"),
    (SEVEN, [(IMAGES, torch.tensor([1, -100]))], "Class -100 is none of the model's"),
    (SEVEN, [IMAGES], r"pair of two tensors.*; got a tensor \(2, 1, 2, 2\) of float32.*as \[\(images, classes\)\]"),
    (SEVEN, [(IMAGES,)], r"pair of two tensors.*; got a tuple of a tensor"),
    (SEVEN, [(IMAGES, [1, 2])], "got a tuple of .*a list"),
    (SEVEN, [{"images": IMAGES}], "got a dict"),
    (SEVEN, [(IMAGES, torch.tensor([1.0, 2.0]))], r"whole numbers \(B,\).*got a tensor \(2,\) of float32"),
    (SEVEN, [(IMAGES, torch.tensor([[1], [2]]))], r"whole numbers \(B,\).*got a tensor \(2, 1\) of int64"),
    (SEVEN, [(IMAGES, torch.tensor([True, False]))], "of bool"),
    (SEVEN, [(IMAGES, torch.tensor([1]))], "one class an image"),
    (SEVEN[:1], [(IMAGES, torch.tensor([0, 0]))], r"tells 1 class\(es\) apart"),
    (SEVEN[:0], [(IMAGES, torch.tensor([0, 0]))], r"tells 0 class\(es\) apart"),
    (SEVEN[None], [(IMAGES, torch.tensor([0, 0]))], r"must give logits \(B, classes\).* gave a tensor \(1, "),
]  # fmt: skip


@pytest.mark.parametrize(("logits", "data", "said"), BAD_BATCHES)
def test_batches_and_logits_that_do_not_go_together_are_one_sentence(logits, data, said):
    model = Odd(logits) if logits.ndim > 1 else Fixed(logits)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=said):
        sp.evaluate(model, data)
    with pytest.raises(ValueError, match=said):
        finetune(model, data, Recipe())
    with pytest.raises(ValueError, match=said):
        finetune(model, Drawn(data), Recipe())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training


class Odd(Fixed):
    def forward(self, images):
        return self.logits[:, None].expand(1, len(images), 7)


class Drawn:
    """Batches that cannot be looked at ahead."""

    def __init__(self, data, length=None):
        self.data, self.length = data, length or len(data)

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.data)


def test_classes_may_be_of_any_whole_type_and_empty_batches_hold_nothing():
    model = Fixed(torch.arange(7.0))
    for kind in (torch.uint8, torch.int16, torch.int32):
        data = [(IMAGES, torch.tensor([6, 0], dtype=kind)), (IMAGES[:0], torch.tensor([], dtype=kind))]
        assert sp.evaluate(model, data) == (50, 50, 2)
        assert finetune(copy.deepcopy(model), data[:1], Recipe()) == finetune(copy.deepcopy(model), *LONG)
    with pytest.raises(ValueError, match="A batch holds no images"):
        finetune(model, data, Recipe())


LONG = [(IMAGES, torch.tensor([6, 0]))], Recipe()


def test_what_else_cannot_be_evaluated_or_trained():
    with pytest.raises(TypeError, match="an iterable of pairs of images and classes; got a NoneType"):
        sp.evaluate(Fixed(SEVEN), None)
    with pytest.raises(TypeError, match="have a length .* a generator has none"):
        finetune(Fixed(SEVEN), (batch for batch in LONG[0]), Recipe())
    for use in (sp.evaluate, lambda model, data: finetune(model, data, Recipe())):
        with pytest.raises(ValueError, match="Identity has no parameters"):
            use(nn.Identity(), LONG[0])
        with pytest.raises(ValueError, match="on the meta device"):
            use(Fixed(SEVEN).to("meta"), LONG[0])
    with pytest.raises(ValueError, match="All weights of the model are frozen"):
        finetune(Fixed(SEVEN).requires_grad_(False), *LONG)
    with pytest.raises(ValueError, match="of several types, bfloat16, float32"):
        finetune(nn.Sequential(Fixed(SEVEN), Fixed(SEVEN).bfloat16()), *LONG)
    with pytest.raises(ValueError, match="seed must be a whole number; got 0.5"):
        finetune(Fixed(SEVEN), *LONG, seed=0.5)
    with pytest.raises(ValueError, match="Epoch 1 ended after 0 of 1 batches"):
        finetune(Fixed(SEVEN), Drawn(iter(LONG[0]), 1), Recipe(epochs=2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "nothing to fine-tune on"), ({"epochs": -1}, "epochs must be a whole number, 1 or more"),
        ({"epochs": 1.5}, "epochs must"), ({"lr": 0}, "lr must be a number above 0; got 0"), ({"lr": -1e-3}, "lr must"),
        ({"lr": math.nan}, "lr must"), ({"lr": math.inf}, "lr must"), ({"lr": "1e-3"}, "lr must be .* got '1e-3'"),
        ({"min_lr": 1.0}, "min_lr must be a number 0 or more, and at most its lr, 0.0001; got 1.0"),
        ({"warm_up_lr": -1}, "warm_up_lr must"), ({"warm_up": 1.1}, "warm_up must be .* at most 1; got 1.1"),
        ({"warm_up": -0.1}, "warm_up must"), ({"weight_decay": -1}, "weight_decay must"),
        ({"label_smoothing": 1.5}, "label_smoothing must"), ({"clip_norm": 0}, "clip_norm must be a number above 0"),
        ({"mixup": -0.8}, "mixup must"), ({"cutmix": math.inf}, "cutmix must"), ({"mixup": None}, "mixup must"),
        ({"precision": "float32"}, "precision must be torch.float64.* got 'float32'"),
        ({"precision": torch.int64}, "precision must"),
    ],
)  # fmt: skip
def test_a_recipe_that_means_nothing_is_refused_before_anything_else(changes, said):
    model = Fixed(SEVEN)
    with pytest.raises(ValueError, match=said):
        finetune(model, LONG[0], replace(Recipe(), **changes))
    assert torch.equal(model.logits, SEVEN)


def test_a_recipe_at_the_ends_of_its_ranges_is_none_of_them():
    for changes in ({"warm_up": 0}, {"warm_up": 1}, {"min_lr": 1e-4, "warm_up_lr": 1e-4}, {"clip_norm": math.inf},
                    {"label_smoothing": 1}, {"weight_decay": 0}):  # fmt: skip
        assert len(finetune(Fixed(SEVEN), LONG[0], replace(Recipe(), **changes))) == 1


def test_mixing_needs_even_batches_of_classes_and_leaves_them_alone():
    mixed = Recipe(epochs=2, mixup=0.8, cutmix=1.0)
    data = [(torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 2, 3])) for _ in range(2)]
    kept = copy.deepcopy(data)
    losses = finetune(Fixed(SEVEN.clone()), data, mixed)
    assert all(torch.equal(a, b) for mine, theirs in zip(data, kept) for a, b in zip(mine, theirs))
    assert losses == finetune(Fixed(SEVEN.clone()), data, mixed)
    odd = (torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2]))
    everything = [(image, label) for images, labels in [*data, odd] for image, label in zip(images, labels)]
    model, seen = Fixed(SEVEN.clone()), []
    for batches in ([*data, odd], DataLoader(everything, 4), DataLoader(everything, 3)):
        with pytest.raises(ValueError, match="must hold an even number of images; one holds 3"):
            finetune(model, batches, mixed, lambda done, total: seen.append(done))
    assert not seen
    assert len(finetune(model, DataLoader(everything, 4, drop_last=True), mixed)) == 4
    with pytest.raises(ValueError, match="Mixup and cutmix need classes"):
        finetune(model, [(IMAGES, torch.full((2, 7), 1 / 7))], mixed)
    with pytest.raises(ValueError, match="probabilities of 6 classes and the model gives 7 logits"):
        finetune(model, [(IMAGES, torch.full((2, 6), 1 / 6))], Recipe())


def test_a_model_that_was_refused_or_failed_is_as_it_was_to_the_bit():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 6))
    model[2].eval()  # as some freeze a part
    before = copy.deepcopy(model.state_dict())
    data = [(torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 2, 9]))]
    nans = [(torch.full((4, 1, 2, 2), math.nan), torch.tensor([0, 1, 2, 3]))]
    for precision in (torch.bfloat16, torch.float64):
        with pytest.raises(ValueError, match="Class 9"):
            finetune(model, Drawn(data), Recipe(precision=precision))
        with pytest.raises(FloatingPointError, match="The loss is nan at step 0"):
            finetune(model, Drawn(nans), Recipe(precision=precision))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False, True]
    sp.evaluate(model, [(data[0][0], torch.tensor([0, 1, 2, 3]))])
    assert [module.training for module in model] == [True, True, False, True]


def outcome():
    """A fine-tuning and the ranks after it, of a model with dropout and on batches that are mixed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Dropout(), nn.Linear(32, 6))
    data = [(torch.randn(8, 1, 8, 8), torch.arange(8) % 6) for _ in range(3)]
    losses = finetune(model, data, Recipe(epochs=2, lr=1e-2, mixup=0.8, precision=torch.float32))
    return losses, answers(model, data).rank.tolist()


def set_onednn(on):
    assert torch.backends.mkldnn.enabled is not on
    torch.backends.mkldnn.enabled = on


def settings():
    """What a process may have been set to: how, and how it is put back."""
    grad = torch.set_grad_enabled
    return {
        "bf16": (lambda: Accelerator(cpu=True, mixed_precision="bf16"), lambda: None),
        "accumulation": (lambda: Accelerator(cpu=True, gradient_accumulation_steps=3), lambda: None),
        "float64": (lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(torch.float32)),
        "meta": (lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)),
        "no gradients": (lambda: grad(False), lambda: grad(True)),
        "medium": (lambda: torch.set_float32_matmul_precision("medium"),
                   lambda: torch.set_float32_matmul_precision("highest")),
        "seed": (lambda: torch.manual_seed(9), lambda: None),
        "no oneDNN": (lambda: set_onednn(False), lambda: set_onednn(True)),
        "no denormals": (lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)),
    }  # fmt: skip


@pytest.fixture
def accelerate_untouched():
    for state in (PartialState, AcceleratorState, GradientState):  # what another test left
        state._shared_state.clear()
    yield
    for state in (PartialState, AcceleratorState, GradientState):
        state._shared_state.clear()


@pytest.mark.parametrize("name", settings())
def test_what_the_process_was_set_to_has_no_part_in_a_result(name, accelerate_untouched):
    usual = outcome()
    change, back = settings()[name]
    change()
    try:
        if name in ("float64", "meta"):  # which the data and the model of `outcome` would follow too
            kept = torch.get_default_dtype(), torch.get_default_device()
            torch.set_default_dtype(torch.float32), torch.set_default_device("cpu")
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Dropout(), nn.Linear(32, 6))
            data = [(torch.randn(8, 1, 8, 8), torch.arange(8) % 6) for _ in range(3)]
            torch.set_default_dtype(kept[0]), torch.set_default_device(kept[1])
            losses = finetune(model, data, Recipe(epochs=2, lr=1e-2, mixup=0.8, precision=torch.float32))
            found = losses, answers(model, data).rank.tolist()
            assert (torch.get_default_dtype(), torch.get_default_device()) == kept
        else:
            found = outcome()
    finally:
        back()
    assert found == usual


def test_contexts_around_a_call_have_no_part_in_it(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    usual = outcome()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert outcome() == usual
        assert torch.is_autocast_enabled("cpu")
    with torch.no_grad():
        assert outcome() == usual
    torch.set_float32_matmul_precision("medium")
    outcome()
    assert torch.get_float32_matmul_precision() == "medium"
    torch.set_float32_matmul_precision("highest")
    assert torch.backends.cudnn.allow_tf32


def test_batches_drawn_under_inference_mode_can_be_learned_from():
    usual = finetune(Fixed(SEVEN.clone()), *LONG)
    with torch.inference_mode():
        data = [(images + 0, classes + 0) for images, classes in LONG[0]]
        made = Fixed(SEVEN.clone())
    with torch.inference_mode():
        model = copy.deepcopy(Fixed(SEVEN))
        with pytest.raises(ValueError, match="made under torch.inference_mode"):
            finetune(model, *LONG)
    assert finetune(Fixed(SEVEN.clone()), data, Recipe()) == usual
    with pytest.raises(ValueError, match="made under torch.inference_mode"):
        finetune(made, *LONG)


def test_an_environment_that_a_launcher_left_has_no_part_in_it(monkeypatch):
    usual = outcome()
    for name, value in (("ACCELERATE_MIXED_PRECISION", "bf16"), ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4"),
                        ("LOCAL_RANK", "1"), ("RANK", "1"), ("WORLD_SIZE", "2")):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert outcome() == usual


def test_the_reader_s_own_accelerator_and_generators_are_left_alone(accelerate_untouched):
    mine = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    states = [copy.copy(state._shared_state) for state in (PartialState, AcceleratorState, GradientState)]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    finetune(Fixed(SEVEN.clone()), *LONG)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    assert (mine.mixed_precision, mine.gradient_accumulation_steps, mine.device.type) == ("bf16", 3, "cpu")
    assert [state._shared_state for state in (PartialState, AcceleratorState, GradientState)] == states
    with pytest.raises(FloatingPointError):
        finetune(Fixed(torch.full((7,), float("nan"))), *LONG)
    assert [state._shared_state for state in (PartialState, AcceleratorState, GradientState)] == states


def test_an_accelerator_that_is_given_is_used_and_leaves_the_model_s_forward_alone(accelerate_untouched):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 6))
    data = [(torch.randn(8, 1, 8, 8), torch.arange(8) % 6)]
    alone = finetune(copy.deepcopy(model), data, Recipe(precision=torch.float32))
    mine = Accelerator(cpu=True, mixed_precision="bf16")
    assert finetune(model, data, Recipe(precision=torch.float32), accelerator=mine) != alone
    with pytest.raises(FloatingPointError):
        finetune(model, [(data[0][0] * math.nan, data[0][1])], Recipe(precision=torch.float32), accelerator=mine)
    assert model(data[0][0]).dtype == torch.float32
    assert "forward" not in vars(model)


def test_a_checkpoint_that_cannot_be_written_or_is_another_model_s_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "state.pt", tmp_path):
        with pytest.raises(OSError, match="cannot be written .*; give a place where files may be made"):
            finetune(Fixed(SEVEN), *LONG, checkpoint=place)
    finetune(Fixed(SEVEN.clone()), *LONG, checkpoint=str(tmp_path / "state.pt"))
    other = Fixed(torch.arange(8.0))
    with pytest.raises(ValueError, match="belongs to another model, with other weights"):
        finetune(other, *LONG, checkpoint=tmp_path / "state.pt")
    assert torch.equal(other.logits, torch.arange(8.0))


@pytest.mark.parametrize("seed", range(40))
def test_doubtful_images_by_hand(seed):
    """Steps of half a margin, so that ties, near ties and orders at the first and the fifth place all occur."""
    drawn = torch.Generator().manual_seed(seed)
    near = torch.randint(-4, 5, (6, 9), generator=drawn).double() * MARGIN * 50
    logits = torch.cat([near, torch.tensor([[100.0], [-100.0], [40.0], [100.0], [7.0], [100.0]])], 1)
    classes = torch.randint(0, 9, (6,), generator=drawn)
    rank, doubtful = _ranks(logits, classes)
    for row, own, place, unsure in zip(logits.tolist(), classes.tolist(), rank.tolist(), doubtful.tolist()):
        others = [(value, number) for number, value in enumerate(row) if number != own]
        margin = MARGIN * max(map(abs, row))
        best = sum(value > row[own] + margin for value, _ in others)
        worst = sum(value >= row[own] - margin for value, _ in others)
        assert unsure == any(best < k <= worst for k in (1, 5))
        assert place == sum(value > row[own] or (value == row[own] and number < own) for value, number in others)


class Merging(nn.Linear):
    """Merged with an adapter in evaluation, as loralib's layers are: a step that float32 does not undo exactly."""

    merged = False

    def train(self, mode=True):
        if mode == self.merged:
            self.weight.data = self.weight.data + (-1 if mode else 1) * 0.1
            self.merged = not mode
        return super().train(mode)

    def forward(self, images):
        return super().forward(images) + (0 if self.merged else 0.1 * images.sum(1, keepdim=True))


@pytest.mark.parametrize("training", [True, False])
def test_adapters_are_merged_in_evaluation_and_come_apart_after_it(training):
    model = nn.Sequential(nn.Flatten(), Merging(12, 5))
    weight, data = model[1].weight.clone(), [(torch.randn(3, 3, 2, 2), torch.tensor([0, 1, 2]))] * 2
    model[1].training = training
    expected = model(data[0][0]).argsort(1).argsort(1)[torch.arange(3), data[0][1]] >= 4
    for _ in range(2):
        assert verdicts(model, data)[0].tolist() == expected.tolist() * 2
        assert torch.equal(model[1].weight, weight)
        assert (model.training, model[1].training, model[1].merged) == (True, training, False)
    model(data[0][0]).sum().backward()  # not weights that were made in inference mode
    finetune(model, data, Recipe(lr=1e-2, precision=torch.float32))
    assert (model[1].training, model[1].merged) == (training, not training)
    model.eval()
    trained = model[1].weight.clone()
    finetune(model, data, Recipe(lr=1e-2, precision=torch.float32))
    assert model[1].merged
    assert not torch.equal(model[1].weight, trained)


def own_precision(model):
    """Ways in which a model cannot be computed in float64."""

    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, images):
            return self.model(images.float())

    class Whole(Casting):
        def __deepcopy__(self, memo):
            raise TypeError("not to be copied")

    return {"quantised": quantize_dynamic(model, {nn.Linear}), "casting": Casting(), "whole": Whole()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantiz")
@pytest.mark.parametrize("name", ["compiled", "quantised", "casting", "whole"])
def test_a_model_that_cannot_be_computed_in_float64_is_judged_in_its_own_precision(name):
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 6))
    nn.init.zeros_(model[2].weight)
    model[2].bias.data = torch.tensor([0, 1e-6, 2e-6, 0, 0, 0])
    other = torch.compile(model, backend="eager") if name == "compiled" else own_precision(model)[name]
    data = [(torch.randn(3, 3, 2, 2), torch.tensor([0, 1, 2]))] * 2
    assert sp.evaluate(other, data) == sp.evaluate(model, data) == (pytest.approx(100 / 3), 100, 6)


class Tables(nn.Module):
    """Buffers of several types, one of them a running mean, and a frozen weight; a layer that nothing trains."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(12, 6), nn.BatchNorm1d(12)
        self.frozen = nn.Parameter(torch.randn(12), requires_grad=False)
        self.register_buffer("table", torch.randn(12))
        self.register_buffer("fine", torch.randn(12, dtype=torch.float64))
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("none", None)
        self.again = nn.Module()
        self.again.register_buffer("table", self.table)

    def forward(self, images):
        self.steps += 1
        images = self.norm(images.flatten(1)) * self.table + self.again.table + self.fine.to(images) + self.frozen
        return self.layer(images)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [None, 0, 1])
def test_buffers_come_back_in_their_types_and_change_only_if_a_step_changed_them(precision, bad):
    model, data = Tables(), [(torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])) for _ in range(2)]
    before, buffers = copy.deepcopy(model.state_dict()), dict(model.named_buffers())
    if bad is not None:
        data[bad][0][0] = math.nan
    with nullcontext() if bad is None else pytest.raises(FloatingPointError):
        finetune(model, Drawn(data), Recipe(lr=1e-2, precision=precision))
    after = model.state_dict()
    assert {name: value.dtype for name, value in after.items()} == {name: v.dtype for name, v in before.items()}
    assert all(buffers[name] is buffer for name, buffer in model.named_buffers())
    assert model.again.table is model.table
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    stepped = {"layer.weight", "layer.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    assert changed == (set() if bad == 0 else {*stepped, "steps", "norm.num_batches_tracked"})


def test_processes_share_the_batches_and_put_the_answers_in_order(monkeypatch):
    """Three processes one after the other: what each would gather is collected by hand."""
    model = sp.load_lite("swin_lite_micro")
    batches = [batch for batch, _ in zip(sp.lite_data("smoke", 20), range(7))]
    whole = answers(model, batches)
    parts, seen = [], []
    for index in range(3):
        monkeypatch.setattr(evaluation, "gather_object", lambda found: parts.extend(found) or found)
        answers(model, batches, SimpleNamespace(process_index=index, num_processes=3), seen.append)
    assert sorted(number for number, _ in parts) == list(range(7))
    assert seen == [20] * 7
    monkeypatch.setattr(evaluation, "gather_object", lambda found: parts)
    gathered = answers(model, batches, SimpleNamespace(process_index=0, num_processes=3))
    for ours, theirs in zip(gathered[:3], whole[:3]):
        assert torch.equal(ours, theirs)
    assert torch.equal(whole.top1, verdicts(model, batches)[0])
    assert torch.equal(whole.own, torch.cat([classes for _, classes in batches]))


def test_mixed_precision_is_half_until_it_is_in_doubt():
    model = sp.load_lite("swin_lite_micro")
    batches = list(sp.lite_data("smoke", 50))[:1]
    mixed = Mixed(model)(batches[0][0])
    assert mixed.dtype == torch.float32
    assert not torch.equal(mixed, model(batches[0][0]))
    assert torch.equal(Mixed(model.double())(batches[0][0].double()), model(batches[0][0].double()))
    assert (answers(Mixed(model.float()), batches).top1 == answers(model, batches).top1).float().mean() > 0.9
