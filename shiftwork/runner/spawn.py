"""Starting a wrapped process: its file descriptors, its session, its first instruction."""

import contextlib
import errno
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from shiftwork.sandbox import descriptors
from shiftwork.sandbox.base import LEASE, LEASE_FD, LOCK_FD

# Python ignores SIGPIPE and SIGXFSZ; whoever started us may ignore more. A new program starts with defaults.
_DEFAULT_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGXCPU,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)

_FIRST_HIGH = 64
"""From this number on, no descriptor has a meaning for a wrapped program."""


class Lease:
    """Our end of the socket that keeps a sandbox alive; when it is closed, everything inside ends.

    So it does when the socket has been silent for the lease's length: the kernel measures that for whoever
    reads it, by an option that nobody inside can change without a descriptor of it.

    The kernel closes it when this process dies, however it dies. A pipe could be opened anew, both ends of
    it, by whoever may look at a process that has it (`/proc/PID/fd`); a socket can't.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd: int | None = fd

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process inside."""
        self._write(int(number))

    def feed(self) -> None:
        """Let it last for its length from now on."""
        self._write(0)

    def _write(self, number: int) -> None:
        if self._fd is not None:
            # A broken one: nobody is inside any more. A full one: whoever should read has been stopped.
            with contextlib.suppress(ConnectionError, BlockingIOError):
                os.write(self._fd, f"{number}\n".encode())

    def close(self) -> None:
        """End everything inside, at once."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    streams: tuple[int | None, int, int],
    lock_fd: int | None = None,
    inherited: Mapping[int, int] | None = None,
    lease: float = LEASE,
) -> tuple[int, Lease]:
    """Start a wrapped program in a session of its own, with the descriptors that wrappers expect.

    Call it from the main thread: on Linux the parent-death signal follows the thread that started a process.

    Args:
        argv: the program, by absolute path, and its arguments.
        env: the whole environment.
        streams: its standard input (None: it reads nothing), output and error; they stay the caller's.
        lock_fd: a locked file, to be kept open while the program has `LOCK_FD`.
        inherited: further descriptors, by the number that they have in the program, which is below 64 or the
            one they have here; they stay the caller's.
        lease: seconds for which the lease lasts once it was fed.

    Returns:
        Its process id and our end of its lease.

    Raises:
        OSError: it can't be started, or no descriptor is left; nothing is left open then.
    """
    with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as always:
        ends = socket.socketpair()
        _lapse_after(ends[1], lease)
        ours, reading = (end.detach() for end in ends)
        on_failure.callback(os.close, ours)
        always.callback(os.close, reading)
        wanted: dict[int, int] = {LEASE_FD: reading, **(inherited or {})}
        for target, fd in enumerate(streams):
            wanted[target] = _nothing(always) if fd is None else fd
        if lock_fd is not None:
            wanted[LOCK_FD] = _out_of_sight(lock_fd, always)
        theirs = {
            target: _high(fd, always) if fd != target and fd in wanted else fd
            for target, fd in wanted.items()
        }
        pid = _posix_spawn(argv, env, theirs)
        on_failure.pop_all()
    return pid, Lease(ours)


def _lapse_after(reading: socket.socket, seconds: float) -> None:
    """Have a read fail after half of the time: whoever reads tries twice (see `namespace.INIT`)."""
    whole, micro = divmod(max(1, int(seconds / 2 * 1_000_000)), 1_000_000)  # 0 would be for ever
    reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", whole, micro))


def _nothing(always: contextlib.ExitStack) -> int:
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    always.callback(os.close, fd)
    return fd


def _out_of_sight(fd: int, always: contextlib.ExitStack) -> int:
    """A socket that keeps a file open: it lies in there, sent and never received.

    Nobody can open the file by it; its own descriptor any process of the same user could, through `/proc`.
    That is what is left where the kernel lets nothing more be sent: a program starts all the same, and the
    lock is held as long.
    """
    sending, keeping = socket.socketpair()
    try:
        with sending:
            descriptors.send(sending, b"L", (fd,))
    except OSError as error:
        keeping.close()
        if error.errno != errno.ETOOMANYREFS:
            raise
        return fd
    number = keeping.detach()
    always.callback(os.close, number)
    return number


def _high(fd: int, always: contextlib.ExitStack) -> int:
    """The same out of the way of the numbers under which the child gets others."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_HIGH)
    always.callback(os.close, high)
    return high


def _posix_spawn(argv: Sequence[str], env: Mapping[str, str], fds: Mapping[int, int]) -> int:
    # Onto itself, too: then it is no longer closed by exec.
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in fds.items()]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd not in fds]
    return os.posix_spawn(
        argv[0],
        tuple(argv),
        env,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )


def _inheritable() -> list[int]:
    """Descriptors that others left open for whatever we start; none of their business."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are wanted, not paths
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
