"""The most memory that a program had, as the system counted it for whoever waited for it."""

import resource
import sys
from typing import Final

_UNIT: Final = 1 if sys.platform == "darwin" else 1024

_TOLERANCE: Final = 2 * 1024 * 1024
"""Bytes by which the system's count of the same memory may differ from one moment to the next."""


def own_peak() -> int:
    """Bytes that this process had at the most. Read after a start: what was started took over no more."""
    return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(used: resource.struct_rusage) -> int:
    """Bytes of the largest of those whom this tells of."""
    return used.ru_maxrss * _UNIT


def peak_beyond(used: resource.struct_rusage, inherited: int) -> int:
    """Bytes of the largest process of a program; 0 where that can't be told from who started it.

    A process that becomes another program keeps the figure that it had before, which is that of the process
    it was forked from.

    Args:
        inherited: `own_peak` of the process that started it, then.
    """
    peak = peak_of(used)
    return peak if peak > inherited + _TOLERANCE else 0
