"""The parent process of `ProcessGroup`: `python -m shiftwork.sandbox.warden CWD PROGRAM [ARGUMENT …]`."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

from shiftwork.sandbox.base import LEASE_FD, MARKER
from shiftwork.sandbox.sweep import kill_all, processes_of

_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the program, obey the lease, and leave only when nothing of it is left."""
    cwd, *argv = arguments
    _adopt_orphans()
    marker = os.environ[MARKER]
    child_ended = _wakeup_fd()
    if _lease_lost():
        return 137
    try:
        agent = subprocess.Popen(argv, cwd=cwd, process_group=0)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the agent's own error output
        return 127
    status = _watch(agent.pid, child_ended, marker)
    kill_all(marker, spare={os.getpid()})
    # The status was collected by `_watch`; Popen must not warn that it never saw it.
    agent.returncode = status
    return status


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wakeup_fd() -> int:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reading


def _lease_lost() -> bool:
    ready, _, _ = select.select([LEASE_FD], [], [], 0)
    return bool(ready) and not _pass_on(None)


def _watch(agent: int, child_ended: int, marker: str) -> int:
    """Wait for the agent's end or the lease's; the status in the shell's convention."""
    while True:
        ready, _, _ = select.select([LEASE_FD, child_ended], [], [])
        if child_ended in ready:
            os.read(child_ended, 4096)
            for pid, status in _ended_children():
                if pid == agent:
                    return _shell_status(status)
        if LEASE_FD in ready and not _pass_on(marker):
            return 128 + signal.SIGKILL


def _pass_on(marker: str | None) -> bool:
    """Send the signals that the lease names; false at its end. Without a marker nobody is there to hear."""
    lines = os.read(LEASE_FD, 4096).split()
    for name in lines if marker else ():
        number = signal.Signals[f"SIG{name.decode()}"]
        for process in processes_of(marker or "", spare={os.getpid()}):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
    return bool(lines)


def _ended_children() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _shell_status(wait_status: int) -> int:
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: nothing may keep the last process of a sandbox from ending.
    os._exit(main(sys.argv[1:]))
