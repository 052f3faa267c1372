"""What one agent uses: its process and all that descend from it."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from shiftwork.runner.tree import Seen, exact_memory, look_at, table, tree_of
from shiftwork.sandbox.proc import LINUX, with_descendants

_REMEMBERED = 1000
"""Trees of which the last look is known, at most."""


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """`memory` in bytes; `cpus` is how many processors were kept busy, on average since the last look."""

    memory: int
    cpus: float
    pids: Collection[int]


class Trees:
    """Looks at process trees, and knows when it last did."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, float]] = {}

    def usage(self, pid: int, exact_above: float) -> TreeUsage | None:
        """Of the tree below a process, that included; None if it is gone.

        The first look at a tree says nothing of its CPU time, which is 0.

        Args:
            exact_above: bytes, from which on what its processes share is counted once, which takes longer.
        """
        alive = [one for one in _tree(pid) if one.state != "Z"]
        if not alive:
            self._last.pop(pid, None)
            return None
        memory = sum(one.memory for one in alive)
        if memory > exact_above:
            memory = exact_memory(alive)
        cpu = sum(one.cpu + one.waited_for for one in alive)
        return TreeUsage(memory, self._cpus(pid, cpu), [one.pid for one in alive])

    def _cpus(self, pid: int, cpu: float) -> float:
        now = time.monotonic()
        at, before = self._last.get(pid, (now, cpu))
        if len(self._last) > _REMEMBERED:  # Of most, nobody asks any more.
            self._last.clear()
        self._last[pid] = (now, cpu)
        return max(0.0, cpu - before) / (now - at) if now > at else 0.0


def _tree(pid: int) -> list[Seen]:
    if not LINUX:
        processes = table()
        return [processes[one.pid] for one in tree_of(pid, pid, processes)]
    found = (look_at(one) for one in with_descendants([pid]))
    return [one for one in found if one is not None]
