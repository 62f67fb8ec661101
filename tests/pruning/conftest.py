"""Models whose masks are held."""

import pytest
import torch.distributed as dist
from held import second_swin
from torch.distributed.device_mesh import init_device_mesh

import swinprune_lite as sp


@pytest.fixture
def pruned():
    model = sp.create_lite("swin_lite_tiny")
    masks = sp.make_masks(model, 0.5)
    return model, masks


@pytest.fixture
def second():
    return second_swin()


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()
