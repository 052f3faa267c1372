"""Killing what bears a marker on Linux, also what forks and ends faster than a process table can be read."""

import contextlib
import os
import signal
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from shiftwork.sandbox.proc import children, is_zombie, marker_of, tag_of

_LONGEST_CHASE = 500
"""Looks at what was born since the last one, before the whole table is looked at again."""


class Hunt:
    """Looks for the processes of one marker, and kills each as soon as it is seen.

    Args:
        marker: in the environment that a process was started with.
        tag: of the marker, if it has one; all that descends from a tagged process has it.
        spare: these are left alone, but not their descendants.
    """

    def __init__(self, marker: str, tag: int | None, spare: AbstractSet[int]) -> None:
        self._marker = marker
        self._tag = tag
        self._spare = spare

    def look(self) -> tuple[set[int], bool]:
        """What was found alive, and whether none can have been missed that was born or ended meanwhile."""
        newest = _newest()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are wanted
        tagged = [pid for pid in pids if self._tag is not None and tag_of(pid) == self._tag]
        found = self._kill(tagged)
        born, sure = self._chase(newest)
        found |= born
        if not found:  # Reading environments takes longer; what is tagged would run away meanwhile.
            found = self._kill(pid for pid in pids if tag_of(pid) is None and self._is_marked(pid))
        return found, sure

    def _chase(self, newest: int) -> tuple[set[int], bool]:
        """Kill what is born after this process, until nothing is born for a moment."""
        found: set[int] = set()
        sure = True
        for _ in range(_LONGEST_CHASE):
            last, newest = newest, _newest()
            if newest == last:
                return found, sure
            sure = sure and newest > last
            for pid in range(last + 1, newest + 1):
                if self._bears(pid):
                    found |= self._kill([pid])
                elif is_zombie(pid):
                    sure = False  # Whoever it was is gone, and may have left a child.
        return found, False

    def _bears(self, pid: int) -> bool:
        tag = tag_of(pid)
        return tag == self._tag if tag is not None else self._is_marked(pid)

    def _is_marked(self, pid: int) -> bool:
        return marker_of(pid) == self._marker

    def _kill(self, pids: Iterable[int]) -> set[int]:
        """Kill these and their descendants; those that lived. A stopped parent replaces no child."""
        found: dict[int, bool] = {}
        for pid in pids:
            waiting = [pid]
            while waiting:
                one = waiting.pop()
                if one not in found:
                    found[one] = one not in self._spare and not is_zombie(one)
                    if found[one]:
                        _signal(one, signal.SIGSTOP)
                    waiting += children(one)
        living = {pid for pid, lives in found.items() if lives}
        for pid in living:
            _signal(pid, signal.SIGKILL)
        return living


def _newest() -> int:
    """The process, or thread, that was born last; 0 where the system does not tell."""
    try:
        with open("/proc/loadavg", "rb") as file:  # noqa: PTH123 - no pathlib here
            return int(file.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
