"""How a confined program without a network reaches the gateway: a listening socket that changes sides.

Inside, an opener listens on the loopback that only the program has, sends that socket out over the door, and
becomes the program. Outside, whoever holds the other end of the door accepts connections on it.
"""

import array
import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shiftwork.sandbox.confinement import DOOR_FD, DOOR_PORT

_BACKLOG: Final = 128

# The modules that `signal`, `socket` and `os` are made of: importing those would take longer than all else.
# What comes before the program's own words: the user to become, if any, the soft and hard limit on open
# files that the program gets, if not before, and the folder to start in.
_STUB: Final = f"""\
import _signal, _socket, posix, sys
_, user, files, folder, *argv = sys.argv
if user:
    user = int(user)
    posix.setgroups([])
    posix.setresgid(user, user, user)
    posix.setresuid(user, user, user)
for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
    _signal.signal(number, _signal.SIG_DFL)
if files:
    import resource
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
listener.bind(("127.0.0.1", {DOOR_PORT}))
listener.listen({_BACKLOG})
door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, {DOOR_FD})
rights = listener.fileno().to_bytes(4, sys.byteorder)
door.sendmsg([b"L"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
door.close()
listener.close()
if files:
    limits = [min(int(number), highest) for number in files.split(",")]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[0], limits[1]))
try:
    posix.chdir(folder)
    posix.putenv(b"PWD", folder.encode("utf-8", "surrogateescape"))  # as a shell's `cd` would
except OSError as error:
    sys.stderr.write(f"{{folder}}: {{error.strerror}}\\n")
    sys.exit(126)
try:
    posix.execv(argv[0], argv)
except OSError as error:
    sys.stderr.write(f"{{argv[0]}}: {{error.strerror}}\\n")
    sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
"""


def open_door() -> tuple[socket.socket, socket.socket]:
    """Our end, for `receive_listener`, and the program's, for `Launch.door`, which the caller closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(0)
    return ours, theirs


def through_door(
    python: str,
    argv: Sequence[str],
    *,
    folder: Path,
    user: int | None = None,
    files: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """The opener in front of a program.

    Args:
        python: an interpreter that is visible inside.
        argv: the program, by absolute path, and its arguments.
        folder: where the program starts.
        user: the user and group number that the opener takes before all else, for which it has to be root.
        files: see `Limits.files_after_sending`.
    """
    words = ("" if user is None else str(user), ",".join(map(str, files or ())), str(folder))
    return (python, "-I", "-S", "-c", _STUB, *words, *argv)


async def receive_listener(door: socket.socket, *, timeout: float = 30.0) -> socket.socket:
    """The socket on which a program's connections arrive, as soon as its opener runs; the caller closes it.

    What comes is looked at: only one that listens on the loopback's `DOOR_PORT` is taken.

    Args:
        door: our end of the door, not blocking; it stays the caller's.
        timeout: seconds to wait at most.

    Raises:
        ConnectionError: the program ended before, or something else was sent.
        TimeoutError: nothing came.
    """
    async with asyncio.timeout(timeout):
        await _readable(door)
    return _take(door)


async def _readable(door: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(door, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(door)


def _take(door: socket.socket) -> socket.socket:
    size = socket.CMSG_SPACE(array.array("i").itemsize)
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    data, ancillary, _, _ = door.recvmsg(1, size, flags)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if not data or len(fds) != 1:
        raise ConnectionError("The program ended before it could be given its network.")
    listener = socket.socket(fileno=fds[0])
    listener.settimeout(0)
    if not _is_ours(listener):
        listener.close()
        raise ConnectionError("The program sent something else than its listening socket.")
    return listener


def _is_ours(listener: socket.socket) -> bool:
    return (
        listener.family == socket.AF_INET
        and listener.type == socket.SOCK_STREAM
        and listener.getsockname() == ("127.0.0.1", DOOR_PORT)
        and bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )
