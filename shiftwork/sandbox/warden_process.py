"""Starting and ending the process of a warden, from the worker's side."""

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from shiftwork.sandbox.proc import MARKER
from shiftwork.sandbox.wire import Channel

_MODULE = "shiftwork.sandbox.warden"
_KEEPERS_LONGEST = 3.0
"""Seconds that the keepers of a killed warden have to end what they hold."""

_LONGEST = 10.0
"""Seconds that a warden has to end all that it holds, before it is killed."""


def start_warden(theirs: socket.socket) -> int:
    """Start the program with this descriptor; call it from any thread."""
    env = {name: value for name, value in os.environ.items() if name != MARKER}
    fd = 3  # dup2 onto itself would leave it closed at exec, so the source is moved out of the way
    with contextlib.ExitStack() as after:
        source = os.dup(theirs.fileno()) if theirs.fileno() == fd else theirs.fileno()
        if source != theirs.fileno():
            after.callback(os.close, source)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        after.callback(os.close, null)
        program = (sys.executable, "-P", "-m", _MODULE, str(fd), str(os.getpid()))
        dup2 = os.POSIX_SPAWN_DUP2
        actions = [(dup2, null, 0), (dup2, null, 1), (dup2, source, fd)]
        return os.posix_spawn(program[0], program, env, file_actions=actions, setsid=True, setsigmask=())


def end_warden(channel: Channel, pid: int, owner: int) -> None:
    """Close the connection, and wait for the process that ends with it; it has to hurry."""
    if os.getpid() != owner:  # a forked process closes its copy alone
        channel.close()
        return
    channel.hang_up()
    channel.close()
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + _LONGEST
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def await_keeper(pid: int) -> None:
    """Wait for the end of a keeper whose warden is dead, for some seconds at most; it goes on if stopped."""
    deadline = time.monotonic() + _KEEPERS_LONGEST
    while time.monotonic() < deadline and _is_keeper(pid):
        with contextlib.suppress(OSError):  # It ended just now.
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.005)


def _is_keeper(pid: int) -> bool:
    """Whether this process, was forked from a warden; false where there is no `/proc`."""
    try:
        return _MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
