"""What several tests share.

pytest-xdist reads this file before it starts the workers, so nothing that takes its time is imported at its top.
"""

import os
import signal

import pytest


def pytest_collection_finish(session):
    """Notebooks that nbval runs are forked too: see `forked`."""
    import forked
    from jupyter_client.provisioning import local_provisioner

    local_provisioner.launch_kernel = forked.launch_kernel


@pytest.fixture(autouse=True)
def _seeded():
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def small_swin():
    """A Swin with random weights that any test may read but not change."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model(
        "swin_tiny_patch4_window7_224", embed_dim=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), num_classes=7
    ).eval()


@pytest.fixture
def ctrl_c():
    """SIGINT raises KeyboardInterrupt, also where the tests run in a shell's background, whose jobs ignore it."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, ours)


@pytest.fixture
def server(monkeypatch):
    """See `outside.serve`."""
    from outside import serve

    from swinprune_lite.data import fetch

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "_WAIT", 0.01)
    with serve() as state:
        yield state


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, where one is installed."""
    from playwright.sync_api import sync_playwright
    from printing import installed, launched

    if not (path := installed()):
        pytest.skip("no Chromium is installed; .ci/run installs it")
    with sync_playwright() as playwright:
        yield launched(playwright, path)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """DINOv2's, see `outside.the_wheel`."""
    from outside import the_wheel

    own = tmp_path_factory.getbasetemp()
    return the_wheel(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)  # of all workers
