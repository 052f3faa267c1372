"""Waiting for the end of a child process that asyncio did not start."""

import asyncio
import os
import signal
from collections.abc import Callable

from shiftwork.sandbox.base import Ended
from shiftwork.sandbox.memory import own_peak, peak_beyond

_POLL = 0.02
"""Seconds between two looks where there are no pidfds (macOS)."""


_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


class Reaper:
    """Collects one child's status; `ended` is done as soon as the child has ended.

    A child that a signal ended kept none of a wrapper's promises.

    Args:
        pid: of the child, which this process has just started.
        lapsed: tells once it has ended whether its lease was over; what was killed then was killed for that.

    Raises:
        OSError: the system can't watch one more; the child is the caller's to end.
    """

    def __init__(self, pid: int, lapsed: Callable[[], bool] = lambda: False) -> None:
        self._pid = pid
        self._inherited = own_peak()
        self._lapsed = lapsed
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self._pidfd: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        if hasattr(os, "pidfd_open"):
            pidfd = os.pidfd_open(pid)
            try:
                self._loop.add_reader(pidfd, self.poll)
            except OSError:
                os.close(pidfd)
                raise
            self._pidfd = pidfd
        else:
            self._timer = self._loop.call_later(_POLL, self._poll_again)

    def poll(self) -> bool:
        """Collect the status if it is there; whether the child has ended."""
        if self.ended.done():
            return True
        try:
            pid, status, used = os.wait4(self._pid, os.WNOHANG)
        except ChildProcessError as error:  # Something else in this process waits for any child: a bug.
            self.close()
            self.ended.set_exception(error)
            return True
        if pid == 0:
            return False
        self.close()
        code = os.waitstatus_to_exitcode(status)
        cpu_seconds = used.ru_utime + used.ru_stime
        peak, lapsed = peak_beyond(used, self._inherited), code in _KILLED and self._lapsed()
        self.ended.set_result(Ended(code, cpu_seconds, peak, sound=code >= 0, lapsed=lapsed))
        return True

    def close(self) -> None:
        """Stop looking."""
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._timer is not None:
            self._timer.cancel()

    def _poll_again(self) -> None:
        if not self.poll():
            self._timer = self._loop.call_later(_POLL, self._poll_again)
