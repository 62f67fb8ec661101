"""Counters of energy, in a folder laid out as Linux's powercap."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from swinprune_lite.clock import energy
from swinprune_lite.clock.energy import Counter, Meter

TOP = 262_143_328_850  # microjoules, as Intel's processors have it


def zone(folder, path, name, value, top=TOP):
    (folder / path).mkdir()
    for file, content in (("name", name), ("energy_uj", value), ("max_energy_range_uj", top)):
        (folder / path / file).write_text(f"{content}\n")
    return folder / path / "energy_uj"


@pytest.fixture
def powercap(tmp_path):
    """Two packages, one with cores and memory; a platform that holds all, and the second way to the first package."""
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 3_000_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 1_000_000, 65_532_610_987)
    zone(tmp_path, "intel-rapl:1", "package-1", TOP - 1_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def test_packages_and_their_memory_are_summed_once_and_a_counter_begins_again(powercap):
    meter = Meter.of("cpu", powercap)
    assert [counter.name for counter in meter.counters] == ["package-0", "dram", "package-1"]
    before = meter.read()
    assert before == [5.0, 1.0, (TOP - 1_000_000) / 1e6]
    (powercap / "intel-rapl:0" / "energy_uj").write_text("7500000")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("90000000")
    (powercap / "intel-rapl:0:1" / "energy_uj").write_text("1250000")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("3000000")  # beyond its range, from zero on
    assert meter.joules(before, meter.read()) == pytest.approx(2.5 + 0.25 + 4.0)
    assert meter.missing == ""


@given(some.integers(0, 999), some.integers(0, 999))
def test_what_a_counter_of_any_range_says_is_what_was_used(start, used):
    value = [start]
    meter = Meter([Counter("one", lambda: float(value[0]), 1000.0)])
    before = meter.read()
    value[0] = (start + used) % 1000
    assert meter.joules(before, meter.read()) == used


def test_no_counter_is_said_with_its_reason(tmp_path, powercap, monkeypatch):
    nothing = Meter.of("cpu", tmp_path / "none")
    assert (nothing.read(), nothing.joules([], [])) == ([], None)
    assert nothing.missing == f"this processor has no counter of energy under {tmp_path / 'none'}"
    (powercap / "intel-rapl:1" / "energy_uj").write_text("")
    broken = Meter.of("cpu", powercap)
    assert broken.counters == []
    assert "intel-rapl:1/energy_uj cannot be read" in broken.missing
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Meter.of("cuda").missing == energy.NVML_MISSING


def test_a_gpu_counts_millijoules(monkeypatch):
    asked, counted = [], iter([1000, 1000, 3500])
    fake = SimpleNamespace(
        NVMLError=OSError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=asked.append,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counted),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(energy.torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(energy.torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="abc"))
    monkeypatch.setattr(energy.torch.cuda, "get_device_name", lambda: "a card")
    meter = Meter.of("cuda")
    assert (asked, meter.counters[0].name) == ([b"GPU-abc"], "a card")
    assert meter.joules(meter.read(), meter.read()) == 2.5
