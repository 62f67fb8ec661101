"""What criteria cost: counts of bytes against counts by hand, and times that are times."""

import pytest
import torch
from torch import nn

import swinprune_lite as sp
from swinprune_lite.clock import calibrating
from swinprune_lite.types import Gradients, InputMoments


def test_bytes_of_statistics():
    moments = InputMoments(torch.zeros(3).double(), torch.zeros(3, 3).double(), 7)
    assert calibrating.statistic_bytes(moments) == 8 * (3 + 9)
    assert calibrating.statistic_bytes(Gradients(torch.zeros(2, 3), torch.zeros(2, 3).double(), 7)) == (4 + 8) * 6
    assert calibrating.statistic_bytes(torch.zeros(5)) == 20


def test_bytes_kept_for_a_gradient_are_the_inputs_of_what_needs_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False))
    batch = torch.zeros(3, 1, 2, 3), torch.zeros(3, dtype=torch.long)
    assert calibrating.saved_bytes(model, batch) == 4 * (6 + 5)  # the image, and what the ReLU gives, once
    assert calibrating.saved_bytes(model.requires_grad_(False), batch) == 0


def test_costs_of_criteria():
    model = sp.create_lite("swin_lite_micro")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [(torch.randn(2, 1, 32, 64), torch.tensor([3, 4]))]
    found = calibrating.costs(model, batches, ["relative_energy", "wanda", "fisher", "sparsegpt"], 0.5)
    assert list(found.wants) == ["", "input moments", "gradients", "input moments"]
    weights = [model.get_parameter(name) for name in sp.prunable(model)]
    assert found["statistics (MB)"]["fisher"] == pytest.approx(16e-6 * sum(weight.numel() for weight in weights))
    columns = [weight.shape[1] for weight in weights]
    assert found["statistics (MB)"]["wanda"] == pytest.approx(8e-6 * sum(size + size**2 for size in columns))
    assert found["statistics (MB)"]["relative_energy"] == 0
    assert list(found.index[found["backward (MB)"] > 0]) == ["fisher"]
    assert (
        found["gather (s)"]["wanda"] == found["gather (s)"]["sparsegpt"] > 0 == found["gather (s)"]["relative_energy"]
    )
    assert (found["masks (s)"] > 0).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
