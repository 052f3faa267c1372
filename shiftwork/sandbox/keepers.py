"""What a warden knows of its agents' keepers, and those that wait for the next agent."""

import contextlib
import os
import resource
import sys
from dataclasses import dataclass
from typing import Final

from shiftwork.sandbox.keeper import fork_keeper
from shiftwork.sandbox.wire import Channel, Message

_MOST_IDLE: Final = 8
"""Keepers without an agent that are kept for the next one."""

_LIMITS: Final = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))


@dataclass(slots=True)
class Keeper:
    """A keeper's process, and where it takes its requests."""

    pid: int
    channel: Channel


@dataclass(slots=True)
class Kept:
    """One agent, seen from the warden.

    Attributes:
        keeper: its keeper; None once that was waited for.
        lock: a descriptor that is open as long as the agent is not reported.
        lease: seconds that it may live while nothing comes from the worker.
        lapsed: whether it was ended for that.
        deadline: when its keeper is to be killed for being slow (monotonic seconds); None: never.
        started: whether its first process was told of.
        cpu_before: seconds of CPU time that its keeper had waited for when it started.
        cpu_seconds: used as far as its keeper, which is gone, waited for it.
    """

    number: int
    marker: str
    lease: float
    keeper: Keeper | None = None
    lock: int | None = None
    lapsed: bool = False
    deadline: float | None = None
    started: bool = False
    cpu_before: float = 0.0
    cpu_seconds: float = 0.0

    def close(self) -> None:
        """Free its lock: nothing of it lives."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


class IdleKeepers:
    """Gives each agent a keeper, and takes those back that have served.

    Args:
        reports: the write end of the pipe in which they tell.
    """

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._idle: list[Keeper] = []

    def hand_over(self, request: Message, fds: list[int]) -> Keeper:
        """Have a keeper start an agent: an idle one if nobody killed or changed it; raises `OSError`."""
        while self._idle:
            keeper = self._idle.pop()
            if not _is_like_us(keeper.pid):
                keeper.channel.close()
                continue
            with contextlib.suppress(ConnectionError):
                return _give(keeper, request, fds)
        return _give(Keeper(*fork_keeper(self._reports)), request, fds)

    def take(self, keeper: Keeper, *, again: bool) -> None:
        """One has served; `again`: it may keep another agent. Else it ends."""
        if again and len(self._idle) < _MOST_IDLE:
            self._idle.append(keeper)
        else:
            keeper.channel.close()


def _give(keeper: Keeper, request: Message, fds: list[int]) -> Keeper:
    """Have it start an agent; one that can't be told ends."""
    try:
        keeper.channel.send(request, fds)
    except OSError:
        keeper.channel.close()
        raise
    return keeper


def _is_like_us(pid: int) -> bool:
    """Whether a process forked from this one has our limits and priority, which its agents inherit.

    An agent that is not confined may have changed those of its keeper.
    """
    if sys.platform != "linux":
        return True
    try:
        return _inherited_from(pid) == _inherited_from(0)
    except OSError:  # It is gone.
        return False


def _inherited_from(pid: int) -> tuple[object, ...]:
    if sys.platform != "linux":
        return ()
    limits = [resource.prlimit(pid, number) for number in _LIMITS]
    priority = os.getpriority(os.PRIO_PROCESS, pid)
    return (limits, priority, os.sched_getscheduler(pid), os.sched_getaffinity(pid))
