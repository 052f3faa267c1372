"""Whether one more agent may begin, and what is used meanwhile."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from shiftwork.errors import NotFound
from shiftwork.resources.gpu import Gpus, find_gpus
from shiftwork.resources.limits import ResourceLimits
from shiftwork.resources.machine import Machine
from shiftwork.resources.trees import Trees
from shiftwork.resources.usage import ResourceUsage, Room

_MB = 1_000_000

SETTLING = 5.0
"""Seconds for which an agent that began counts as if it were still to take all the memory it may: what it
takes in the end is only seen when it has it."""

log = logging.getLogger("shiftwork.resources")


class Place:
    """What an agent was let in by. `began` is in monotonic seconds: infinity until it did."""

    def __init__(self) -> None:
        self.began = math.inf

    def begin(self) -> None:
        """Its agent begins now."""
        self.began = time.monotonic()


class ResourceManager:
    """Lets agents begin as long as there is room for them. Threads and event loops may share one.

    Args:
        limits: of each agent, and of their number.
        machine: what they run on; None: this one.
        gpus: finds what GPUs there are, when somebody first asks for their memory.
    """

    def __init__(
        self,
        limits: ResourceLimits | None = None,
        *,
        machine: Machine | None = None,
        gpus: Callable[[], Gpus | None] = find_gpus,
    ) -> None:
        self.limits = limits or ResourceLimits()
        self._machine = machine or Machine()
        self._find_gpus = gpus
        self._gpus: Gpus | None = None
        self._looked_for_gpus = False
        self._trees = Trees()
        self._places: set[Place] = set()
        self._acquired: deque[Place] = deque()
        # Garbage collection, which may come at any moment, can give back what was forgotten.
        self._lock = threading.RLock()

    @property
    def active_agents(self) -> int:
        """How many began, or have a place, and were not released."""
        return len(self._places)

    async def acquire(self) -> bool:
        """Let an agent begin, if that exceeds no limit; never waits. Whoever gets True must `release`."""
        with self._lock:
            place, _ = self.admit()
            if place is not None:
                place.begin()
                self._acquired.append(place)
            return place is not None

    async def release(self) -> None:
        """Tell that an agent ended. One release too many changes nothing; the log has a warning."""
        with self._lock:
            if self._acquired:
                self.leave(self._acquired.popleft())
            else:
                log.warning("an agent was released that had not been let begin")

    def admit(self, *, anyway: bool = False, though_busy: bool = False) -> tuple["Place | None", str]:
        """As `acquire`, for an agent that begins later: its place, or a sentence on why there is none.

        Whoever gets a place must `leave` it, and may tell it when its agent begins.

        Args:
            anyway: whatever the limits say.
            though_busy: whatever that on the processors says: who shares them is slower, and no more.
        """
        with self._lock:
            usage = self.get_usage()
            usage = replace(usage, active_agents=usage.active_agents + 1)
            within, why_not = self.check_limits(replace(usage, cpu_percent=0) if though_busy else usage)
            if not within and not anyway:
                return None, why_not
            place = Place()
            self._places.add(place)
            return place, ""

    def leave(self, place: "Place") -> None:
        """Give a place back; harmless if it was."""
        with self._lock:
            self._places.discard(place)

    def get_usage(self, pid: int | None = None) -> ResourceUsage:
        """What is used now: of the machine; or by one agent, which is this process and all its descendants.

        CPU is counted since the last call for the same (for a first one, see `Machine.cpu_percent`; of an
        agent, it says 0). Nothing is waited for.

        Raises:
            NotFound: there is no such process.
        """
        with self._lock:
            return self._usage_of_machine() if pid is None else self._usage_of_agent(pid)

    def check_limits(self, usage: ResourceUsage) -> tuple[bool, str]:
        """Whether usage is within the limits, and the sentence that says which one is violated, if any.

        Of the machine, that there is room for an agent that uses all it may; of one agent, that it does not
        use more. What is not known violates nothing.
        """
        violation = self._violation(usage)
        return not violation, violation

    def _violation(self, usage: ResourceUsage) -> str:
        limits, room = self.limits, usage.room
        if usage.active_agents > limits.max_concurrent_agents:
            return (
                f"The limit max_concurrent_agents of {limits.max_concurrent_agents} is violated: "
                f"it would be {usage.active_agents} agents at once."
            )
        free = None if room is None else room.memory_mb
        if memory := _excess(usage.memory_mb, free, limits.max_memory_mb):
            return f"The limit max_memory_mb of {_plain(limits.max_memory_mb)} is violated: {memory}."
        if usage.cpu_percent is not None and usage.cpu_percent > limits.max_cpu_percent:
            return (
                f"The limit max_cpu_percent of {_plain(limits.max_cpu_percent)} is violated: "
                f"{usage.cpu_percent:.0f} percent of the processors' time is used."
            )
        most = limits.max_gpu_memory_mb
        free = None if room is None else room.gpu_memory_mb
        if most is not None and (gpu := _excess(usage.gpu_memory_mb, free, most)):
            return f"The limit max_gpu_memory_mb of {_plain(most)} is violated: {gpu} on GPUs."
        return ""

    def _usage_of_machine(self) -> ResourceUsage:
        memory = self._machine.memory()
        gpu = found.memory() if (found := self._gpus_once()) else None
        return ResourceUsage(
            memory_mb=memory.used / _MB,
            memory_percent=100 * memory.used / memory.total if memory.total else 100.0,
            cpu_percent=self._machine.cpu_percent(),
            active_agents=self.active_agents,
            gpu_memory_mb=None if gpu is None else gpu.used_mb,
            room=Room(
                memory_mb=max(0.0, memory.available / _MB - self._promised()),
                gpu_memory_mb=None if gpu is None else gpu.free_mb,
            ),
        )

    def _promised(self) -> float:
        """Millions of bytes that agents who just began, or have not begun yet, may still take."""
        since = time.monotonic() - SETTLING
        return self.limits.max_memory_mb * sum(place.began > since for place in self._places)

    def _usage_of_agent(self, pid: int) -> ResourceUsage:
        tree = self._trees.usage(pid, self.limits.max_memory_mb * _MB)
        if tree is None:
            raise NotFound(f"There is no process {pid}: it ended, or never was.")
        total = self._machine.memory().total
        found = self._gpus_once()
        return ResourceUsage(
            memory_mb=tree.memory / _MB,
            memory_percent=100 * tree.memory / total if total else 100.0,
            cpu_percent=min(100.0, 100 * tree.cpus / self._machine.cpus()),
            active_agents=self.active_agents,
            gpu_memory_mb=found.used_by(tree.pids) if found else None,
        )

    def _gpus_once(self) -> Gpus | None:
        if not self._looked_for_gpus:
            self._gpus, self._looked_for_gpus = self._find_gpus(), True
        return self._gpus


def _excess(used: float | None, free: float | None, most: float) -> str:
    """What is wrong with so many MB, free ones if they are known, where one agent may use so many."""
    if free is not None:
        return f"no more than {free:.0f} MB are free" if free < most else ""
    return f"{used:.0f} MB are used" if used is not None and used > most else ""


def _plain(limit: float) -> str:
    """As people write it, without a power of ten."""
    return f"{round(limit, 1):.12g}"
