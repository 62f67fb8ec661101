import pytest
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.training.evaluate import _ranks
from swinprune_lite.training.finetune import Recipe, finetune


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
    with pytest.raises(ValueError, match="at least five classes; the model has 4"):
        sp.evaluate(Fixed(torch.zeros(4)), batches([1]))
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
