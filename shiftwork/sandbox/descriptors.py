"""Sending descriptors over a socket, also while other processes of our user have many under way.

The kernel counts the descriptors that all processes of a user sent and nobody received, and lets none send
more once they are beyond its own soft limit on open ones. Programs that are our own user get a hard limit far
below ours (see `Limits.rlimits`), so that what they have under way alone never keeps us from sending.
"""

import array
import contextlib
import errno
import resource
import socket
from collections.abc import Iterator, Sequence


def send(sock: socket.socket, data: bytes | memoryview, fds: Sequence[int], flags: int = 0) -> int:
    """Send bytes with these descriptors, if any; how many bytes went.

    Raises:
        OSError: see `socket.sendmsg`; `ETOOMANYREFS` if too many are under way for our hard limit, too.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        return sock.sendmsg((data,), rights, flags)
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
    with _highest_soft_limit():
        return sock.sendmsg((data,), rights, flags)


@contextlib.contextmanager
def _highest_soft_limit() -> Iterator[None]:
    """For a moment alone: programs that are started get the soft limit, and some can't do with a high one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
