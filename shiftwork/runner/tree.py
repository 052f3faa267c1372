"""Watching the process trees of all agents of a loop: what they use, and whether they still do anything."""

import asyncio
import os
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Held
from shiftwork.sandbox.proc import LINUX, is_dead

_SHORTEST = 0.1
"""Seconds between two looks, at least."""

_SHARE, _LONGEST = 0.03, 1.0
"""How much of one core looking may take; but limits are looked at after so many seconds at the latest."""

_IDLE_SHARE = 0.001
"""What a program that waits may use of one core: timers tick in all of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One process now; `cpu` and `waited_for` (its ended children's) in seconds, `memory` in bytes.

    `state` is Z for what is dead, T for what is stopped, else R.
    """

    pid: int
    parent: int
    state: str
    cpu: float
    waited_for: float
    memory: int


@dataclass
class Watch:
    """One agent that is watched.

    Attributes:
        pid, root: see `Held`.
        limits: of the tree.
        stall_timeout: seconds without output and CPU time after which it counts as stalled, or None.
        output: bytes it printed so far, or None while nobody reads them.
        own_processes, cpu_before: see `Held`.
        breach: done with a sentence as soon as a limit is breached.
        on_stall: is given a sentence as soon as it does nothing any more, and None when it does again.
        cpu_seconds, peak_memory: of the whole tree so far, as far as seen.
        looked_at: whether it was, at least once.
    """

    pid: int
    root: int
    limits: Limits
    stall_timeout: float | None
    output: Callable[[], int | None]
    own_processes: int
    breach: "asyncio.Future[str]"
    on_stall: Callable[[str | None], None]
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    looked_at: bool = False
    cpu_before: float = 0.0
    _seen: dict[int, float] = field(default_factory=dict)
    _active: tuple[float, float, int] = (0.0, 0.0, 0)
    """When it last did something (monotonic seconds), its CPU time and its output then."""
    _stalled: bool = False

    @property
    def interval(self) -> float:
        """Seconds between two looks that suffice for it."""
        if self.limits.on_tree or self.stall_timeout is None:
            return _SHORTEST
        return max(_SHORTEST, self.stall_timeout / 8)

    def look(self, tree: list[Seen], now: float) -> None:
        """Judge its tree of this moment."""
        self.looked_at = True
        alive = [process for process in tree if process.state != "Z"]
        for process in tree:
            self._seen[process.pid] = max(process.cpu, self._seen.get(process.pid, 0.0))
        whole = sum(process.cpu + process.waited_for for process in tree)
        self.cpu_seconds = max(self.cpu_seconds, whole, sum(self._seen.values()))
        memory = sum(process.memory for process in alive)
        self.peak_memory = max(self.peak_memory, memory)
        limit = self.limits.memory_mb
        if limit is not None and memory > limit * 1_000_000:
            memory = exact_memory(alive)
        sentence = self.limits.breach_of_tree(
            cpu_seconds=self.cpu_seconds, memory=memory, processes=len(alive) - self.own_processes
        )
        if sentence and not self.breach.done():
            self.breach.set_result(sentence)
        if self.stall_timeout is not None:
            self._look_for_life(alive, now, self.stall_timeout)

    def _look_for_life(self, alive: list[Seen], now: float, timeout: float) -> None:
        since, cpu, length = self._active
        output = self.output()
        paused = output is None or self._is_stopped(alive)
        working = self.cpu_seconds - cpu > _IDLE_SHARE * timeout
        if not since or paused or working or output != length:
            self._active = (now, self.cpu_seconds, output or 0)
            if self._stalled:
                self._stalled = False
                self.on_stall(None)
        elif now - since >= timeout and not self._stalled:
            self._stalled = True
            self.on_stall(f"It printed nothing and used no CPU for {timeout:g} seconds.")

    def _is_stopped(self, alive: list[Seen]) -> bool:
        """Whether all of its own processes are; those of the sandbox go on."""
        stopped = sum(process.state == "T" for process in alive)
        return stopped > 0 and len(alive) - stopped <= self.own_processes


class Sampler:
    """One look at the process table for all watched agents of a loop, while there are any."""

    def __init__(self) -> None:
        self._watches: list[Watch] = []
        self._timer: asyncio.TimerHandle | None = None
        self._cost = 0.0

    def add(self, watch: Watch) -> None:
        """Begin to watch."""
        self._watches.append(watch)
        self._plan()

    def remove(self, watch: Watch) -> None:
        """Stop watching; without watches nothing runs."""
        self._watches = [one for one in self._watches if one is not watch]
        if not self._watches:
            self._cost = 0.0
            self._cancel()

    def _plan(self) -> None:
        """Look again in time; a look that is planned for an earlier moment stays."""
        wanted = min(watch.interval for watch in self._watches)
        fresh = not all(watch.looked_at for watch in self._watches)
        loop = asyncio.get_running_loop()
        at = loop.time() + delay_of_look(wanted, self._cost, fresh=fresh)
        if self._timer is None or self._timer.when() > at:
            self._cancel()
            self._timer = loop.call_at(at, self._look)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        started = time.thread_time()
        processes = table()
        now = time.monotonic()
        for watch in self._watches:
            watch.look(tree_of(watch.pid, watch.root, processes, watch.cpu_before), now)
        self._cost = time.thread_time() - started
        if self._watches:
            self._plan()


def delay_of_look(interval: float, cost: float, *, fresh: bool) -> float:
    """Seconds until the process table is to be looked at again.

    Args:
        interval: that would do.
        cost: seconds of CPU time that the last look took.
        fresh: there is a program that nobody looked at yet: it may be a fork bomb, whatever a look costs.
    """
    return _SHORTEST if fresh else max(interval, min(cost / _SHARE, _LONGEST))


_SAMPLERS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Sampler]" = weakref.WeakKeyDictionary()
# One per event loop, because its timer belongs to that; runs share nothing else through which to find it.


def shared_sampler() -> Sampler:
    """The sampler of the running event loop."""
    return _SAMPLERS.setdefault(asyncio.get_running_loop(), Sampler())


def tree_of(pid: int, root: int, processes: dict[int, Seen], cpu_before: float = 0.0) -> list[Seen]:
    """All of these that descend from the root of one program, whatever they say of themselves.

    The root itself, a sandbox's, counts as dead, and uses nothing but what it waited for since it had waited
    for `cpu_before` seconds. Without the process that leads the tree there is none: the root may serve
    another program already.
    """
    if root not in processes or pid not in processes:
        return []
    below: dict[int, list[int]] = {}
    for process in processes.values():
        below.setdefault(process.parent, []).append(process.pid)
    waited_for = max(0.0, processes[root].waited_for - cpu_before)
    found = {root: replace(processes[root], state="Z", cpu=0.0, waited_for=waited_for, memory=0)}
    waiting = below.get(root, [])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = processes[one]
            waiting += below.get(one, [])
    return list(found.values())


def pids_of(held: Held) -> Callable[[], list[int]]:
    """What tells the processes of a held program whenever it is asked; none until it is started."""

    def now() -> list[int]:
        if held.pid is None or held.root is None:
            return []
        return [one.pid for one in tree_of(held.pid, held.root, table())]

    return now


def table() -> dict[int, Seen]:
    """Every process of this machine, by pid."""
    if not LINUX:
        return _portable_table()
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted, and quickly
        if name.isdigit() and (seen := look_at(int(name))) is not None:
            found[seen.pid] = seen
    return found


def look_at(pid: int) -> Seen | None:
    """One process of this machine; None if it is gone (Linux)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no pathlib here
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    tick = os.sysconf("SC_CLK_TCK")
    return Seen(
        pid,
        int(words[1]),
        "Z" if is_dead(words) else "T" if words[0] in b"Tt" else "R",
        (int(words[11]) + int(words[12])) / tick,
        (int(words[13]) + int(words[14])) / tick,
        int(words[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _portable_table() -> dict[int, Seen]:
    states = {psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_STOPPED: "T"}
    found = {}
    for process in psutil.process_iter(["ppid", "status", "cpu_times", "memory_info"]):
        about = process.info
        times, memory = about["cpu_times"], about["memory_info"]
        found[process.pid] = Seen(
            process.pid,
            about["ppid"] or 0,
            states.get(about["status"], "R"),
            times.user + times.system if times else 0.0,
            0.0,
            memory.rss if memory else 0,
        )
    return found


def exact_memory(processes: list[Seen]) -> int:
    """Bytes, with what several share counted once; costly, so only where the plain sum is too much."""
    total = 0
    for process in processes:
        try:
            with Path(f"/proc/{process.pid}/smaps_rollup").open("rb") as file:
                share = next(line for line in file if line.startswith(b"Pss:"))
                total += int(share.split()[1]) * 1024
        except (OSError, StopIteration):  # another user's, just ended, or not Linux
            total += process.memory
    return total
