"""The process between a warden and one agent, below which all that descends from the agent stays.

What an agent leaves behind becomes its keeper's child, so that nobody has to guess whose it is, and a keeper
without children is the proof that nothing of its agent lives. It is forked from the warden: one thread, and
nothing to import. It takes no order but a TERM, on which it ends everything, as on the end of its warden.
"""

import contextlib
import ctypes
import os
import signal
import struct
from dataclasses import dataclass
from typing import Final, NoReturn

from shiftwork.sandbox.agents import start
from shiftwork.sandbox.proc import LINUX, children
from shiftwork.sandbox.wire import Message

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ORDERS: Final = {signal.SIGCHLD, signal.SIGTERM}
_PAUSE: Final = 0.005
"""Seconds between two looks at processes that were killed and have not ended."""

_REPORT: Final = struct.Struct("=QiidQ")


@dataclass(frozen=True, slots=True)
class Report:
    """What a keeper tells of its agent: that it runs, or that nothing of it lives.

    Attributes:
        number: of the agent.
        pid: of its first process; 0 once nothing lives.
        code, cpu_seconds, peak_memory: see `Agent`.
    """

    number: int
    pid: int
    code: int = 0
    cpu_seconds: float = 0.0
    peak_memory: int = 0

    def write(self, fd: int) -> None:
        """Into a pipe that many write to; nobody's report is torn apart."""
        fields = (self.number, self.pid, self.code, self.cpu_seconds, self.peak_memory)
        with contextlib.suppress(BrokenPipeError):  # The warden is gone, and will not be told.
            os.write(fd, _REPORT.pack(*fields))


def read_reports(fd: int) -> list[Report]:
    """What has arrived in a pipe that does not block."""
    try:
        data = os.read(fd, 512 * _REPORT.size)
    except BlockingIOError:
        return []
    return [Report(*fields) for fields in _REPORT.iter_unpack(data)]


def be_subreaper() -> None:
    """Adopt whatever loses its parent below this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_at_parents_end(number: signal.Signals) -> None:
    """Be sent this signal when the parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def fork_keeper(request: Message, fds: list[int], reports: int) -> int:
    """Start a keeper and, by it, an agent; its pid. See `agents.start` for the first two.

    Args:
        request: what to start.
        fds: they stay the caller's.
        reports: the write end of the pipe in which it tells.
    """
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)  # or an order could come too early
    try:
        pid = os.fork()
        if pid:
            return pid
        _keep(request, fds, reports, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_tree(pids: list[int]) -> None:
    """Kill these and all below them; each is stopped before its children are looked for, so it adds none."""
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        _signal(pid, signal.SIGSTOP)
        waiting += children(pid)
    for pid in found:
        _signal(pid, signal.SIGKILL)


def _keep(request: Message, fds: list[int], reports: int, parent: int) -> NoReturn:
    """The whole life of a keeper, which never returns into the warden that it was forked from."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        _close_all_but({*fds, reports})
        if LINUX:
            be_subreaper()
            signal_at_parents_end(signal.SIGTERM)
        if os.getppid() == parent:
            _Keeper(request, fds, reports).keep()
            status = 0
    finally:
        os._exit(status)


class _Keeper:
    def __init__(self, request: Message, fds: list[int], reports: int) -> None:
        self._reports = reports
        self._agent = start(request, fds)

    def keep(self) -> None:
        agent = self._agent
        if agent.pid is not None:
            Report(agent.number, agent.pid).write(self._reports)
        while agent.pid is not None and signal.sigwait(_ORDERS) != signal.SIGTERM:
            self._collect()
        while self._collect():
            self._kill()
            if LINUX:
                signal.sigtimedwait({signal.SIGCHLD}, _PAUSE)
        if not LINUX:
            _sweep(agent.marker)
        agent.close()  # before it is told, because the next run may want the lock
        Report(agent.number, 0, agent.code, agent.cpu_seconds, agent.peak_memory).write(self._reports)

    def _collect(self) -> bool:
        """Wait for all that ended; whether any child is left. Without one nothing below lives."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._agent.pid:
                self._agent.ended(status, used)
            else:
                self._agent.add(used)

    def _kill(self) -> None:
        if LINUX:
            kill_tree(children(os.getpid()))
        elif self._agent.pid is not None:
            _signal(self._agent.pid, signal.SIGKILL)


def _sweep(marker: str) -> None:
    """Where nothing can be adopted, the marker leads to what is left."""
    from shiftwork.sandbox.sweep import kill_all  # noqa: PLC0415 - only here is psutil needed

    with contextlib.suppress(TimeoutError):  # Stuck in the kernel, or another user's.
        kill_all(marker)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _close_all_but(kept: set[int]) -> None:
    """What belongs to the warden and to other agents, whose locks would be held as long as this lives."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are wanted, not paths
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                os.close(int(name))
