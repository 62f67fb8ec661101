"""One device or many: the Accelerator of a command, under `accelerate launch` or alone."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from swinprune_lite.training.surroundings import own_accelerator

HOURS = 12  # that processes wait for each other, of which the main one writes


@contextmanager
def accelerated(device: str) -> Iterator[Accelerator]:
    """Accelerate's state for this process: as its launcher has it, else one process on the device.

    Args:
        device: of `options.device`; under a launcher "cpu" keeps its processes on CPUs, and "cuda" gives each its GPU.
    """
    if not any(name.startswith("ACCELERATE_") or name == "LOCAL_RANK" for name in os.environ):
        with own_accelerator(torch.device(device)) as accelerator:
            yield accelerator
        return
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=HOURS))
    accelerator = Accelerator(cpu=device == "cpu", kwargs_handlers=[patience])
    yield accelerator
    accelerator.wait_for_everyone()
    accelerator.end_training()


@contextmanager
def unheard() -> Iterator[None]:
    """Ctrl-C waits until this is over; threads that begin meanwhile, and processes that these begin, never hear it.

    A terminal sends it to all processes of a command, and only the first is to answer, and to end the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
