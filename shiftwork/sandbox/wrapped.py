"""A program inside a wrapper, which the lease leads and whose end is that of all inside."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence

from shiftwork.runner.reaper import Reaper
from shiftwork.runner.spawn import spawn
from shiftwork.sandbox.base import FEEDS, MARKER, Launch
from shiftwork.sandbox.proc import set_tag
from shiftwork.sandbox.sweep import kill_all

PROBED = 7
"""An exit status that no failing wrapper would yield by accident."""

_LOG = logging.getLogger("shiftwork.sandbox")
_AFTER_LEASE = 1.0
"""Seconds in which all inside ends once its lease is closed, if whoever reads that was left alone."""


class Wrapped:
    """See `Held`.

    Args:
        argv: the wrapper and its arguments.
        launch: what it starts.
        env: the wrapper's own environment, where it gives the program's to that in another way.
        inherited: further descriptors for the wrapper, see `spawn`.

    Raises:
        OSError: the wrapper can't be started, or not be watched; nothing of it lives then.
    """

    own_processes = 2
    """The first process inside, and the guardian that reads the lease."""

    cpu_before = 0.0

    def __init__(
        self,
        argv: Sequence[str],
        launch: Launch,
        *,
        env: Mapping[str, str] | None = None,
        inherited: Mapping[int, int] | None = None,
    ) -> None:
        env = {**(launch.env if env is None else env), MARKER: launch.marker}
        streams = (launch.stdin, launch.stdout, launch.stderr)
        self._lasts = launch.lease
        self._fed = time.monotonic()
        self.pid, self._lease = spawn(
            argv, env, streams=streams, lock_fd=launch.lock, inherited=inherited, lease=launch.lease
        )
        self.root = self.pid
        set_tag(self.pid, launch.marker)
        self._marker = launch.marker
        try:
            self._reaper = Reaper(self.pid, self._has_lapsed)
        except OSError:
            self._lease.close()
            kill_all(launch.marker)
            os.waitpid(self.pid, 0)
            raise
        self.ended = self._reaper.ended
        self._feeding = self._feed_later()
        self._lapsed = False
        self._ending: asyncio.Task[None] | None = None
        """Of what a lapse was noted for; then that alone counts, however long ago the last feeding was."""
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started.set_result(None)

    def send(self, number: signal.Signals) -> None:
        """See `Held.send`."""
        self._lease.send(number)

    def end(self) -> None:
        """See `Held.end`."""
        self._feeding.cancel()
        self._lease.close()

    async def end_from_outside(self) -> None:
        """See `Held.end_from_outside`."""
        await asyncio.to_thread(kill_all, self._marker)

    def end_blocking(self) -> None:
        """See `Held.end_blocking`."""
        self._lease.close()
        kill_all(self._marker)
        while not self._reaper.poll():
            time.sleep(0.005)

    def close(self) -> None:
        """See `Held.close`."""
        self.end()
        if self._ending is not None:
            self._ending.cancel()
        self._reaper.close()

    def _feed_later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._lasts / FEEDS, self._feed)

    def _feed(self) -> None:
        """Renew the lease; one that has lapsed is over, even if nobody inside has come to notice."""
        if self.ended.done():
            return
        if self._is_late():
            self._lapsed = True
            self._lease.close()
            self._ending = asyncio.ensure_future(self._end_lapsed())
        else:
            self._fed = time.monotonic()
            self._lease.feed()
            self._feeding = self._feed_later()

    async def _end_lapsed(self) -> None:
        """A program that is our own user may have stopped or killed whoever reads the lease inside."""
        await asyncio.wait({self.ended}, timeout=_AFTER_LEASE)
        if self.ended.done():
            return
        try:
            await self.end_from_outside()
        except TimeoutError as error:
            self._lapsed = False  # It goes on, so it ends by something else one day.
            _LOG.warning("a program whose lease lapsed goes on: %s", error)

    def _is_late(self) -> bool:
        """Whether we did not run for its length. Who reads it inside counts from a later moment than we."""
        return time.monotonic() - self._fed >= self._lasts

    def _has_lapsed(self) -> bool:
        """Whether what was killed just now was killed for that; its end may be seen before we feed it."""
        return self._is_late() if self._ending is None else self._lapsed


def probe(argv: Sequence[str], timeout: float = 60.0) -> bool:
    """Whether a wrapper yields the status `PROBED` of the program in it, within so many seconds."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid, lease = spawn(argv, {**os.environ, MARKER: "0"}, streams=(None, null, null))
    except OSError:
        return False
    finally:
        os.close(null)
    deadline = time.monotonic() + timeout
    try:
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        lease.close()
    if not ended[0]:  # A sandbox that hangs must not hang whoever asks for one.
        os.kill(pid, signal.SIGKILL)
        ended = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(ended[1]) == PROBED
