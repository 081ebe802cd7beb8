"""What NVML says of a GPU, with a driver made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from lmn_bench import nvml


class Driver:
    """Answers of one card; a question without an answer is refused as NVML does."""

    def __init__(self, **answers):
        self.answers = {"nvmlInit": None, "nvmlShutdown": None, **answers}

    def install(self, monkeypatch):
        questions = (name for name in dir(pynvml) if name.startswith(("nvmlDevice", "nvmlSystem")))
        for name in (*questions, "nvmlInit", "nvmlShutdown"):
            monkeypatch.setattr(pynvml, name, lambda *a, name=name: self.answer(name, *a))

    def answer(self, name, *arguments):
        if name not in self.answers:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        found = self.answers[name]
        return found(*arguments) if callable(found) else found


def counting(*values):
    """Answers with these values one after the other."""
    left = iter(values)
    return lambda *_: next(left)


@pytest.fixture
def clock(monkeypatch):
    """Time passes by 2 s between two readings."""
    monkeypatch.setattr(nvml.time, "monotonic", counting(10.0, 12.0))


def use(monkeypatch, **answers):
    Driver(nvmlDeviceGetHandleByUUID="handle", **answers).install(monkeypatch)
    with nvml.watch_gpu("GPU-1") as seen:
        return seen()


def test_there_are_no_gpus_without_a_driver(monkeypatch):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    Driver(nvmlInit=refuse).install(monkeypatch)
    assert nvml.read_gpus() == ()


def test_a_card_that_answers_nothing_is_still_listed(monkeypatch):
    Driver(nvmlDeviceGetCount=1, nvmlDeviceGetHandleByIndex="handle").install(monkeypatch)
    (gpu,) = nvml.read_gpus()
    assert (gpu.name, gpu.power_limit_w, gpu.throttle_reasons) == ("GPU 0", None, ())


def test_a_card_is_described_in_bytes_and_watts(monkeypatch):
    Driver(
        nvmlDeviceGetCount=1, nvmlDeviceGetHandleByIndex="handle", nvmlDeviceGetName=b"Imaginary",
        nvmlDeviceGetMemoryInfo=SimpleNamespace(total=2**34), nvmlSystemGetDriverVersion="1.2",
        nvmlDeviceGetEnforcedPowerLimit=700_000,
        nvmlDeviceGetComputeRunningProcesses=[SimpleNamespace(pid=1)],
        nvmlDeviceGetCurrentClocksThrottleReasons=0x4,
    ).install(monkeypatch)  # fmt: skip
    (gpu,) = nvml.read_gpus()
    assert (gpu.name, gpu.memory_bytes, gpu.driver) == ("Imaginary", 2**34, "1.2")
    assert (gpu.power_limit_w, gpu.other_processes) == (700.0, 1)
    assert gpu.throttle_reasons == ("software power cap",)


def test_power_is_energy_over_time(monkeypatch, clock):
    energy = counting(1_000_000, 1_600_000)  # mJ
    assert use(monkeypatch, nvmlDeviceGetTotalEnergyConsumption=energy).power_w == 300.0


def test_power_is_the_momentary_one_where_no_energy_is_counted(monkeypatch, clock):
    assert use(monkeypatch, nvmlDeviceGetPowerUsage=250_000).power_w == 250.0


@pytest.mark.parametrize(("held_back_ms", "reasons"), [(1, ()), (100, ("power limit",))])
def test_a_limit_counts_once_it_held_the_clock_back_for_long(
    monkeypatch, clock, held_back_ms, reasons
):
    totals = counting(7_000_000_000, 7_000_000_000 + held_back_ms * 1_000_000)

    def violation(_, policy):
        if policy != pynvml.NVML_PERF_POLICY_POWER:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(violationTime=totals())

    assert use(monkeypatch, nvmlDeviceGetViolationStatus=violation).throttle_reasons == reasons


def test_a_slowdown_at_the_end_is_named(monkeypatch, clock):
    bits = counting(0, 0x40)
    found = use(monkeypatch, nvmlDeviceGetCurrentClocksThrottleReasons=bits)
    assert found.throttle_reasons == ("hardware thermal slowdown",)


def test_a_card_unknown_to_nvml_tells_nothing(monkeypatch, clock):
    Driver().install(monkeypatch)
    with nvml.watch_gpu("GPU-1") as seen:
        assert seen() == nvml.GpuUse(None, ())
