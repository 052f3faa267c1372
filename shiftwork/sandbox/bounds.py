"""The limits that a confined program gets from what comes before it, for the kernel or for a shell."""

import math
import os
import platform
import resource
import sys
from typing import Final

from shiftwork.runner.limits import BLOCK, Limits
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.first import Limit

_TASKS_PER_PROCESS: Final = 32
"""Threads count as processes to the kernel; the supervisor counts processes, and comes a moment later."""

_OWN_COUNT_SINCE: Final = (5, 14)
"""The Linux that counts a user's processes in each user namespace by itself."""


def confined_rlimits(limits: Limits, confinement: Confinement, *, sends: bool) -> tuple[Limit, ...]:
    """For the kernel, in whole blocks as by a shell; `sends`: see `Limits.files_after_sending`."""
    found = limits.rlimits_before_sending(sends=sends)
    if sizes := found.get(resource.RLIMIT_FSIZE):
        soft, hard = (math.ceil(size / BLOCK) * BLOCK for size in sizes)
        found[resource.RLIMIT_FSIZE] = (soft, hard)
    most = _most_tasks(limits, confinement)
    if sys.platform == "linux" and most is not None:
        found[resource.RLIMIT_NPROC] = (most, most)
    return tuple((number, soft, hard) for number, (soft, hard) in found.items())


def confined_ulimits(limits: Limits, confinement: Confinement, *, sends: bool) -> str:
    """As a shell's commands."""
    shell = limits.ulimits(sends=sends)
    most = _most_tasks(limits, confinement)
    # What dash and what bash call it.
    return shell if most is None else f"{shell}; ulimit -p {most} || ulimit -u {most}"


def _most_tasks(limits: Limits, confinement: Confinement) -> int | None:
    """A fork bomb is bounded by the kernel where it counts this program's processes alone."""
    counts = _counts_alone() if os.geteuid() else confinement.user not in (None, 0)
    if limits.processes is None or not counts:
        return None
    return max(_TASKS_PER_PROCESS * limits.processes, 256)


def _counts_alone() -> bool:
    numbers = platform.release().split(".")[:2]
    return all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) >= _OWN_COUNT_SINCE
