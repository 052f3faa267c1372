"""What every sandbox promises, so that the supervisor needs to know none of them."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.proc import MARKER

__all__ = ["FEEDS", "LEASE", "LEASE_FD", "LOCK_FD", "MARKER", "Ended", "Held", "Launch", "Sandbox"]

LEASE = 60.0
"""Seconds that a program may live without a sign of life from the event loop that started it: longer than
any pause of one that is well, and not so long that an agent of a stopped worker does much."""

FEEDS = 3
"""How often a sign of life is given in the length of a lease."""

LEASE_FD = 3
"""The lease, a socket, in a wrapped process. A line on it, with a signal's number, sends that signal to
every process inside, and `0`, which is none, is a sign of life. Its end of file, which the death of its
writer brings too, kills them all; so does a silence of the lease's length."""

LOCK_FD = 4
"""A socket in which the locked file lies until the wrapped process ends; the file itself nobody has there."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One program to start in a sandbox.

    Attributes:
        argv: the program, by absolute path, and its arguments.
        cwd: the absolute folder it starts in.
        env: its whole environment, but for the marker.
        marker: 32 hexadecimal digits that no other run has.
        stdin, stdout, stderr: descriptors for the program; they stay the caller's. Without `stdin` it reads
            nothing.
        lock: the descriptor of a locked file, to be kept open while any process of the program lives.
        limits: what each process of it may use, as far as the system can limit that.
        confinement: what it may touch; None: whatever this process may.
        door: the descriptor of a connected unix socket, for `Network.DOOR`: over it the program's side sends
            the listening socket at `DOOR_PORT` of its own loopback, once, before the program starts.
        lease: seconds that it may live while the event loop that starts it does not run.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    marker: str
    stdout: int
    stderr: int
    stdin: int | None = None
    lock: int | None = None
    limits: Limits = field(default_factory=Limits)
    confinement: Confinement | None = None
    door: int | None = None
    lease: float = LEASE


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit status; negative codes are signals, as in `subprocess`.
        cpu_seconds: what it and the descendants that it waited for used.
        peak_memory: bytes of its largest process, if that had more than the process that started it; else 0,
            because the two can't be told apart.
        sound: the sandbox kept its promise; else whatever bears the marker is to be swept.
        lapsed: it was killed because its lease lapsed: we did not run for so long. That says nothing of it.
    """

    code: int
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    sound: bool = True
    lapsed: bool = False


class Held(Protocol):
    """A started program and all that descends from it.

    Attributes:
        pid: of the process that leads its tree; None until `started`.
        root: of the sandbox's process below which all of it is, and nothing else; None until `started`.
        started: done when the pid is known, or it is known that there will be none.
        ended: done when the program has ended and nothing of it lives.
        own_processes: how many processes below the root are the sandbox's, not the program's.
        cpu_before: seconds of CPU time that the root had waited for before: what other programs used.
    """

    started: "asyncio.Future[None]"
    ended: "asyncio.Future[Ended]"
    own_processes: int
    cpu_before: float

    @property
    def pid(self) -> int | None: ...

    @property
    def root(self) -> int | None: ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of it."""

    def end(self) -> None:
        """Kill every process of it, at once."""

    async def end_from_outside(self) -> None:
        """Kill every process of it although the sandbox does not answer; raises `TimeoutError`."""

    def end_blocking(self) -> None:
        """As `end`, and wait for it without an event loop, for one that is closing."""

    def close(self) -> None:
        """Give back what is held; ends what still lives."""


class Sandbox(Protocol):
    """How the processes of one agent are kept together, so that none of them outlives it.

    Attributes:
        level: the name under which a run records what held it.
        moves_binds: whether a bind's target may differ from its source.
        own_network: whether a program has a loopback of its own; then `Network.DOOR` works.
    """

    moves_binds: bool
    own_network: bool

    @property
    def level(self) -> str: ...

    def works(self) -> bool:
        """Whether a program can really be run in it on this machine."""

    def start(self, launch: Launch) -> Held:
        """Start a program from a running event loop; whatever happens to this process, it ends with it.

        It also ends when that loop, or all of this process, does not run for longer than the lease.

        Raises:
            OSError: it can't be started, or no descriptor is left.
        """
