"""The distance of features: a definition by hand, its two fixed points, and models without features."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from swinprune_lite.measurements.features import feature_distance, features
from swinprune_lite.pruning.holding import apply_masks
from swinprune_lite.pruning.masks import make_masks

BATCHES = [
    (torch.randn(count, 2, 4, 4, generator=torch.Generator().manual_seed(count)), torch.zeros(count, dtype=torch.int64))
    for count in (3, 2)
]


class Linear(nn.Module):
    """Features are a linear map of the pixels."""

    def __init__(self, factor=1.0, shift=0.0, width=5):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.map = nn.Parameter(factor * torch.randn(32, width, generator=generator))
        self.shift = shift

    def forward_features(self, images):
        return images.flatten(1) @ self.map + self.shift

    def forward_head(self, found, pre_logits=False):
        return found if pre_logits else found.sum(1)


def by_hand(model, dense):
    own, theirs = (
        [found for images, _ in BATCHES for found in each.forward_features(images).detach().double().numpy()]
        for each in (model, dense)
    )
    middle = np.mean(theirs, axis=0)
    moved = sum(np.sum((f - f0) ** 2) for f, f0 in zip(own, theirs))
    return moved / sum(np.sum((f0 - middle) ** 2) for f0 in theirs)


def test_it_is_the_definition():
    assert feature_distance(Linear(0.7, 0.1), Linear(), BATCHES) == pytest.approx(by_hand(Linear(0.7, 0.1), Linear()))


def test_nothing_moved_is_0_and_the_mean_feature_everywhere_is_1():
    middle = features(Linear(), BATCHES).mean(0)
    assert feature_distance(Linear(), Linear(), BATCHES) == 0
    assert feature_distance(Linear(0.0, middle.float()), Linear(), BATCHES) == pytest.approx(1, abs=1e-6)


def test_features_are_what_timm_s_head_gets_and_the_model_is_left_as_it_was(small_swin):
    vit = timm.create_model("test_vit", num_classes=3).train()
    for model in (small_swin, vit):
        was = model.training
        images = torch.randn(2, 3, *model.patch_embed.img_size)
        found = features(model, [(images, torch.zeros(2, dtype=torch.int64))])
        assert model.training is was
        model.eval()
        with torch.inference_mode():
            head = model.get_classifier()
            assert torch.allclose(head(found.float()), model(images), atol=1e-5)
        model.train(was)


def test_masks_count(small_swin):
    vit = timm.create_model("test_vit").eval()
    pruned = timm.create_model("test_vit").eval()
    pruned.load_state_dict(vit.state_dict())
    batches = [(torch.randn(3, 3, *vit.patch_embed.img_size), torch.zeros(3, dtype=torch.int64))]
    assert feature_distance(pruned, vit, batches) == 0
    apply_masks(pruned, make_masks(pruned, 0.5))
    assert feature_distance(pruned, vit, batches) > 0.01


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="dense features are the same for all images"):
        feature_distance(Linear(), Linear(0.0), BATCHES)
    with pytest.raises(ValueError, match=r"must be of one shape; got \(5, 4\) and \(5, 5\)"):
        feature_distance(Linear(width=4), Linear(), BATCHES)
    with pytest.raises(ValueError, match="no images"):
        features(Linear(), [])
    with pytest.raises(ValueError, match=r"finite numbers \(images, width\); Linear's are not"):
        features(Linear(float("nan")), BATCHES)
    with pytest.raises(TypeError, match="Sequential has no forward_features and forward_head"):
        features(nn.Sequential(nn.Flatten()), BATCHES)
