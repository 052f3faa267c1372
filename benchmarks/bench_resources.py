"""What a usage check costs, beside psutil's figures for memory and CPU; both alternate in one run.

The goal is a check within a millisecond.
"""

import os
import statistics
import time
from collections.abc import Callable

import psutil

from shiftwork.resources import ResourceLimits, ResourceManager

ROUNDS = 2000


def peer() -> None:
    """What others ask: of the machine, without its container, its GPUs and its agents."""
    psutil.virtual_memory()
    psutil.cpu_percent(interval=None)


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Print the medians and their ratio."""
    manager = ResourceManager(ResourceLimits(max_cpu_percent=100))

    def let_one_begin() -> None:
        place, _ = manager.admit()
        if place is not None:
            manager.leave(place)

    calls: dict[str, Callable[[], object]] = {
        "usage of the machine": manager.get_usage,
        "usage of an agent": lambda: manager.get_usage(os.getpid()),
        "let one begin, and end": let_one_begin,
    }
    took: dict[str, list[float]] = {name: [] for name in ("psutil", *calls)}
    for _ in range(ROUNDS):
        took["psutil"].append(seconds(peer))
        for name, call in calls.items():
            took[name].append(seconds(call))
    base = statistics.median(took["psutil"])
    for name, times in took.items():
        median = statistics.median(times)
        print(f"{name:24} p50 {median * 1000:6.3f} ms  {median / base:5.2f} x psutil")


if __name__ == "__main__":
    main()
