"""Processes that start with torch and timm imported, which takes longer than most of what tests ask of them.

Each is forked from a server that has imported these and done nothing else: nothing that a test did is in it, and
nothing of this package, so that a module of it that someone forgot to import is missed.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import Popen

import pandas
from jupyter_client import launcher

IMPORTED = [
    "torch", "timm", "accelerate", "torch.distributed", "pandas", "matplotlib.pyplot", "seaborn", "scipy.stats",
    "typer", "rich.progress", "tqdm", "ipykernel.kernelapp", "ipykernel.ipkernel",
]  # fmt: skip
_AT_FIRST = dict(os.environ)
_OF_THE_SERVER = _AT_FIRST | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as a kernel sets it


class Forked:
    """A process as `subprocess.Popen` is one, so far as tests and Jupyter need it."""

    stdin = stdout = stderr = None

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: str | Path | None = None
    ) -> None:
        """Begin to run a script with its arguments, or after "-m" a module.

        What libraries read of the environment when they are imported is that of the tests.
        """
        self.written = tempfile.NamedTemporaryFile()  # noqa: SIM115 what it says, until this is dropped
        environment = dict(os.environ if env is None else env)
        self.process = begun(_become, [str(part) for part in command], environment, cwd, self.written.name)
        self.pid = self.process.pid
        while self.poll() is None and not self._leads_a_group():  # else a signal to its group would be to ours
            time.sleep(0.001)

    def _leads_a_group(self) -> bool:
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:  # ended just now
            return False

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def said(self) -> str:
        """What it has written to its output and its error output so far."""
        return Path(self.written.name).read_text()


def begun(target: Callable, *arguments) -> BaseProcess:
    """A process that runs a function. The server begins in the environment of the tests, whatever a test has set."""
    forks, now = multiprocessing.get_context("forkserver"), dict(os.environ)
    forks.set_forkserver_preload(IMPORTED)
    os.environ.clear()
    os.environ.update(_OF_THE_SERVER)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(now)
    process = forks.Process(target=target, args=arguments)
    process.start()
    return process


def launch_kernel(command: list[str], env: dict[str, str] | None = None, **asked) -> Forked | Popen:
    """Jupyter's own, but forked; not where huggingface_hub must read other variables when it is imported.

    No kernel keeps a history: all would write to one database, and one that finds it locked says so in its output.
    """
    command = [*command, "--HistoryManager.enabled=False"]
    if any(env.get(name) != _AT_FIRST.get(name) for name in env or {} if name.startswith("HF_")):
        return launcher.launch_kernel(command, env=env, **asked)
    return Forked(command[command.index("-m") :], env, asked.get("cwd"))


def _become(command: list[str], environment: dict[str, str], folder: str | None, output: str) -> None:
    os.setsid()
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder or ".")
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if "ipykernel_launcher" in command:
        pandas.options.display.max_columns = 20  # its own value in a notebook; it looked when it was imported
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


def _end_with_the_tests() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
