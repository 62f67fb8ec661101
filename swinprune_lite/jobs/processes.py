"""One device or many: the Accelerator of a command, under `accelerate launch` or alone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import resource_tracker

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
    """Ctrl-C, and a request to end, wait until this is over; processes that begin meanwhile never hear Ctrl-C.

    A terminal sends it to all processes of a command, and only the first is to answer, and to end the others.
    """
    waiting: list[int] = []
    mine = threading.current_thread() is threading.main_thread()
    asked = (signal.SIGINT, signal.SIGTERM) if mine else ()
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in asked}
    resource_tracker.ensure_running()  # where it begins later, it lets the signal through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # threads and processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting[:1]:
            signal.raise_signal(number)
