"""Where a result comes from: one dictionary, which everything that is recorded carries."""

import platform
from datetime import UTC, datetime

import timm
import torch


def provenance(device: str = "cpu") -> dict[str, str]:
    """Versions of python, torch and timm, the device and the date.

    Args:
        device: "cpu", "cuda" or "cuda:1" and the like, what the arithmetic was done on.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "device": device_name(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_name(device: str) -> str:
    """What arithmetic on a device of torch is done on, in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread(s)"
