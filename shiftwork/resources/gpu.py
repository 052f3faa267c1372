"""Memory of NVIDIA GPUs, asked of their driver (NVML), where there is one.

The bindings are an optional extra, `shiftwork[gpu]`. Without them, without the driver, or without a GPU there
is simply no figure.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_MB = 1_000_000

log = logging.getLogger("shiftwork.resources")


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """In millions of bytes: used on all GPUs together, and free on the one that has most."""

    used_mb: float
    free_mb: float


class Gpus:
    """The GPUs of this machine; see `find_gpus`.

    Args:
        nvml: the bindings, after `nvmlInit`.
        devices: handles, at least one.
    """

    def __init__(self, nvml: Any, devices: Collection[Any]) -> None:
        self._nvml = nvml
        self._devices = devices
        self._lost = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._devices)

    def memory(self) -> GpuMemory | None:
        """Of all of them; None while the driver does not answer, which the log says once."""
        try:
            found = [self._nvml.nvmlDeviceGetMemoryInfo(device) for device in self._devices]
        except self._nvml.NVMLError as error:
            self._silent(error)
            return None
        self._lost = False
        return GpuMemory(sum(one.used for one in found) / _MB, max(one.free for one in found) / _MB)

    def used_by(self, pids: Iterable[int]) -> float | None:
        """What these processes hold on all of them, in millions of bytes.

        None where the driver does not tell it by process. A driver that numbers processes otherwise than this
        container does tells of none of ours.
        """
        wanted, total = frozenset(pids), 0
        try:
            for device in self._devices:
                held = self._held(device)
                if any(held[pid] is None for pid in wanted & held.keys()):
                    return None
                total += sum(held[pid] or 0 for pid in wanted & held.keys())
        except self._nvml.NVMLError as error:
            log.debug("the memory that processes hold on GPUs is not known: %s", error)
            return None
        return total / _MB

    def _held(self, device: Any) -> dict[int, int | None]:
        """Bytes by process; one that computes and draws is listed twice with the same sum."""
        nvml = self._nvml
        listed = nvml.nvmlDeviceGetGraphicsRunningProcesses(device)
        listed += nvml.nvmlDeviceGetComputeRunningProcesses(device)
        return {one.pid: one.usedGpuMemory for one in listed}

    def _silent(self, error: Exception) -> None:
        if not self._lost:
            self._lost = True
            log.warning("the driver does not tell the memory of GPUs any more: %s", error)


def find_gpus(bindings: str = "pynvml") -> Gpus | None:
    """The GPUs of this machine; None where there are none, no driver, or no bindings.

    Args:
        bindings: the module of `nvidia-ml-py`.
    """
    try:
        nvml = import_module(bindings)
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
        devices = [nvml.nvmlDeviceGetHandleByIndex(at) for at in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        log.debug("no GPU is looked at: %s", error)
        return None
    return Gpus(nvml, devices) if devices else None
