"""The process between a warden and one agent, below which all that descends from the agent stays.

What an agent leaves behind becomes its keeper's child, so that nobody has to guess whose it is, and a keeper
without children is the proof that nothing of its agent lives. It is forked from the warden: one thread, and
nothing to import. It takes no order but a TERM, on which it ends everything, as on the end of its warden.
Forking takes longer than all else, so one without children serves the next agent.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import struct
from dataclasses import dataclass
from functools import cache
from typing import Final, NoReturn

from shiftwork.sandbox.agents import start
from shiftwork.sandbox.proc import LINUX, children
from shiftwork.sandbox.wire import Channel, Message

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
        code, cpu_seconds, peak_memory: see `Agent`; at its start, the seconds are those of what the keeper
            kept before, which the system goes on counting as the keeper's.
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
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_at_parents_end(number: signal.Signals) -> None:
    """Be sent this signal when the parent ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    """Loaded before anything is forked."""
    return ctypes.CDLL(None)


def fork_keeper(reports: int) -> tuple[int, Channel]:
    """Start a keeper; its pid, and where it takes the request for an agent, one after the other's end.

    It ends with that connection, once its agent has.

    Args:
        reports: the write end of the pipe in which it tells.
    """
    parent = os.getpid()
    ours, theirs = socket.socketpair()
    with theirs:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)  # or an order could come too early
        try:
            pid = os.fork()
            if pid == 0:
                _keep(theirs, reports, parent)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid, Channel(ours)


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


def _keep(connection: socket.socket, reports: int, parent: int) -> NoReturn:
    """The whole life of a keeper, which never returns into the warden that it was forked from."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        _close_all_but({connection.fileno(), reports})
        if LINUX:
            be_subreaper()
            signal_at_parents_end(signal.SIGTERM)
        if os.getppid() == parent:
            with contextlib.suppress(EOFError):
                _serve(Channel(connection), reports)
            status = 0
    finally:
        os._exit(status)


def _serve(channel: Channel, reports: int) -> NoReturn:
    """Keep one agent after the other; raises `EOFError` when there are to be no more."""
    while True:
        select.select([channel], [], [])
        for request in channel.receive():
            _Keeper(request, [channel.fds.popleft() for _ in range(request["fds"])], reports).keep()


class _Keeper:
    """Of one agent, from its start to its end."""

    def __init__(self, request: Message, fds: list[int], reports: int) -> None:
        self._reports = reports
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._before = used.ru_utime + used.ru_stime
        self._agent = start(request, fds)

    def keep(self) -> None:
        agent = self._agent
        if agent.pid is not None:
            Report(agent.number, agent.pid, cpu_seconds=self._before).write(self._reports)
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
