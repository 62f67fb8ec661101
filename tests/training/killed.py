"""Run by test_finetune.py: the command of fine-tuning, killed in its N-th step, or amid writing its N-th state.

python tests/training/killed.py step|state N ARGUMENTS
"""

import os
import runpy
import signal
import sys
from pathlib import Path

import torch

_, what, number, *arguments = sys.argv
left = int(number)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_in(real, before_that=lambda *arguments: None):
    def call(*arguments, **more):
        global left
        left -= 1
        if left == 0:
            before_that(*arguments)
            kill()
        return real(*arguments, **more)

    return call


if what == "step":
    torch.optim.AdamW.step = killed_in(torch.optim.AdamW.step)
else:
    torch.save = killed_in(torch.save, lambda state, path: Path(path).write_bytes(b"half a state"))
sys.argv = ["swinprune", "finetune", *arguments]
runpy.run_module("swinprune_lite", run_name="__main__")
