"""Energy by the counters that processors and GPUs keep themselves: RAPL under Linux's powercap, and NVIDIA's NVML.

RAPL counts whole processor packages, and their memory where it is counted apart: what other programs do meanwhile is in
it. Its counters begin again at zero after some kilojoules. NVML counts a whole GPU since its driver was loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
NVML_MISSING = "the package nvidia-ml-py, which reads a GPU's counter, is not installed"


@dataclass(frozen=True)
class Counter:
    """One counter of energy.

    Attributes:
        name: what it counts, such as "package-0".
        read: its value now, in joules.
        range: joules at which it begins again at zero; 0: it does not.
    """

    name: str
    read: Callable[[], float]
    range: float = 0.0


class Meter:
    """Counters that are read together.

    Attributes:
        counters: that are read; empty where there are none.
        missing: why there are none, in words; "" where there are some.
    """

    def __init__(self, counters: list[Counter], missing: str = "") -> None:
        self.counters, self.missing = counters, "" if counters else missing

    @classmethod
    def of(cls, device: str = "cpu", folder: Path = POWERCAP) -> "Meter":
        """The meter of what arithmetic on "cpu" or "cuda" is done on.

        Args:
            device: "cpu", or "cuda" for torch's current GPU.
            folder: where Linux lists the processor's counters.
        """
        return cls(*(_nvml() if device == "cuda" else _rapl(Path(folder))))

    def read(self) -> list[float]:
        """Every counter now, in joules."""
        return [counter.read() for counter in self.counters]

    def joules(self, before: list[float], after: list[float]) -> float | None:
        """Energy between two readings, in joules; None without counters.

        A counter that stands lower than before began again once meanwhile. Read more often than it takes to do so: at a
        hundred watts that is some twenty minutes.
        """
        if not self.counters:
            return None
        gone = zip(self.counters, before, after, strict=True)
        return sum(end - start + (counter.range if end < start else 0.0) for counter, start, end in gone)


def _rapl(folder: Path) -> tuple[list[Counter], str]:
    """The packages, and the memory inside them; cores and graphics are in the packages, and a psys holds these."""
    found, unreadable = [], []
    for zone in sorted(folder.glob("*/energy_uj")):
        try:
            name = (zone.parent / "name").read_text().strip()
            if not name.startswith(("package", "dram")) or "mmio" in zone.parent.name:  # a second way to the same
                continue
            counter = Counter(name, lambda zone=zone: int(zone.read_text()) / 1e6, _range(zone))
            counter.read()
            found.append(counter)
        except (OSError, ValueError) as error:
            unreadable.append(f"{zone} cannot be read ({getattr(error, 'strerror', None) or error})")
    if unreadable:
        return [], f"{unreadable[0]}; Linux lets only the administrator read it, who can allow it to others"
    return found, f"this processor has no counter of energy under {folder}"


def _range(zone: Path) -> float:
    return int(zone.with_name("max_energy_range_uj").read_text()) / 1e6


def _nvml() -> tuple[list[Counter], str]:
    try:
        import pynvml
    except ImportError:
        return [], NVML_MISSING
    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode())
        counter = Counter(
            torch.cuda.get_device_name(), lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        )
        counter.read()
    except (pynvml.NVMLError, RuntimeError, AssertionError) as error:
        return [], f"the GPU does not tell its energy ({error})"
    return [counter], ""
