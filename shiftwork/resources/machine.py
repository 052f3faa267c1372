"""Memory and processors as this process may use them: those of its container, where it is in one."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from shiftwork.resources.cgroup import Cgroups, CpuGroup
from shiftwork.resources.files import key_of, read

SHORTEST = 0.1
"""Seconds between two looks at the processors, at least: they count in hundredths of a second."""

_KIB = 1024
_IDLE = (3, 4)
"""Of the figures in a line of `/proc/stat`: idle, and waiting for a disk."""
_COUNTED = 8
"""Those after it, of guests, are in the ones before."""


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes: what there is, and how much of it can be had without swapping."""

    total: int
    available: int

    @property
    def used(self) -> int:
        """What can't be had."""
        return self.total - self.available


@dataclass(frozen=True, slots=True)
class _Look:
    """Processors at a moment: seconds in which they were busy, and in which they could have been."""

    at: float
    busy: float
    whole: float
    groups: Mapping[Path, CpuGroup]


class Machine:
    """What this process may use of its machine. Not for several threads at once.

    Args:
        root: where `/` is; another folder than that is for whoever looks at a copy.
        clock: seconds, of which only differences matter.
    """

    def __init__(self, root: Path = Path("/"), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._here = root == Path("/")
        self._cgroups = Cgroups(root)
        self._percent = 0.0
        self._last = self._look()

    def memory(self) -> Memory:
        """Of the machine, or of the group with the least."""
        about = read(f"{self._root}/proc/meminfo")
        total, available = key_of(about, b"MemTotal"), key_of(about, b"MemAvailable")
        if total is None or available is None:  # not Linux
            found = psutil.virtual_memory()
            total, available = found.total, found.available
        else:
            total, available = total * _KIB, available * _KIB
        for group in self._cgroups.memory():
            total, available = min(total, group.limit), min(available, group.free)
        return Memory(total, max(0, available))

    def cpus(self) -> float:
        """How many processors we may use; a part of one where a container gives less."""
        count = len(self._times()) or os.cpu_count() or 1
        return min(float(count), *(group.cpus for group in self._cgroups.cpu()), math.inf)

    def cpu_percent(self) -> float:
        """How busy our processors were since the last call, 0 to 100, whoever used them.

        The first call tells of the time since this object was made; one that comes within a tenth of a second
        of the last says the same again, and 0 if there was none. In a container with a quota, it is how much
        of that was used, if that is more.
        """
        if self._clock() - self._last.at >= SHORTEST:
            last, self._last = self._last, self._look()
            self._percent = _busy(last, self._last)
        return self._percent

    def _look(self) -> _Look:
        groups = {group.folder: group for group in self._cgroups.cpu()}
        busy, whole = _totals(self._times())
        return _Look(self._clock(), busy, whole, groups)

    def _times(self) -> list[list[int]]:
        """A line of figures for each processor that we may run on."""
        allowed = _allowed() if self._here else set()
        lines = read(f"{self._root}/proc/stat").splitlines()
        words = [line.split() for line in lines[1:] if line.startswith(b"cpu")]
        return [
            [int(word) for word in line[1 : 1 + _COUNTED]]
            for line in words
            if not allowed or int(line[0][3:]) in allowed
        ]


def _totals(times: list[list[int]]) -> tuple[float, float]:
    """The time of these processors that was used, and all of it."""
    if not times:  # not Linux
        found = psutil.cpu_times()
        return sum(found[:]) - found.idle, sum(found[:])
    whole = sum(map(sum, times))
    return whole - sum(one[place] for one in times for place in _IDLE), whole


def _busy(last: _Look, now: _Look) -> float:
    """Percent of what could be used between two looks, of whatever was used most."""
    whole = now.whole - last.whole
    shares = [(now.busy - last.busy) / whole if whole > 0 else 0.0]
    for folder, group in now.groups.items():
        if folder in last.groups:
            shares.append((group.used - last.groups[folder].used) / (group.cpus * (now.at - last.at)))
    return min(100.0, max(0.0, 100 * max(shares)))


def _allowed() -> set[int]:
    """The processors that this process may run on; empty where the system does not tell."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()
