"""Running one program to its end: streamed, bounded, and with nothing left of it afterwards."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from enum import Enum, auto
from typing import Any

from shiftwork.runner.capture import LineQueue, StreamCapture
from shiftwork.runner.disk import held_before, watch_disk, writable_folders
from shiftwork.runner.feed import Feed
from shiftwork.runner.leftovers import RunLock
from shiftwork.runner.limits import AFTER_BREACH, LAST_WORDS
from shiftwork.runner.pipes import Pipes
from shiftwork.runner.program import find_program, start_program
from shiftwork.runner.spec import OnLine, ProcessResult, ProcessSpec, StopSignal
from shiftwork.runner.tree import Watch, pids_of, shared_sampler
from shiftwork.sandbox.base import Held, Launch, Sandbox
from shiftwork.sandbox.sweep import kill_all

__all__ = ["ProcessResult", "ProcessSpec", "StopSignal", "find_program", "run"]

_FIRST = asyncio.FIRST_COMPLETED
_AFTER_LEASE = 1.0
"""Seconds a sandbox has to end once its lease is closed, before it is killed from outside."""

_AFTER_EXIT = 2.0
"""Seconds a stream may stay silent after the end of its process, before it counts as held by a stranger."""


async def run(
    spec: ProcessSpec,
    *,
    sandbox: Sandbox,
    on_line: OnLine | None = None,
    stop: StopSignal | None = None,
    on_start: Callable[[Held], None] | None = None,
) -> ProcessResult:
    """Run a program and return how it ended; however this function is left, no process of it lives.

    At the timeout, at `stop`, and when the calling task is cancelled, every process of it is asked to end
    (TERM), and killed after the grace time (at once on a second cancellation).

    Args:
        spec: what to run.
        sandbox: what holds its processes together.
        on_line: is given its output by the line; an exception in it ends the program and is raised here.
        stop: ends the program when set.
        on_start: is given the running program once its pid is known, to signal it.

    Raises:
        InvalidInput: the program or its folder is missing, or can't be given this; nothing was started.
        Conflict: another run holds the lock file, or the system refuses it; nothing was started.
    """
    argv = (find_program(spec), *spec.argv[1:])
    marker = uuid.uuid4().hex
    before = await held_before(spec.confinement, spec.limits)
    with ExitStack() as cleanup:
        lock = None
        if spec.lock_file is not None:
            lock = RunLock(spec.lock_file, marker)
            cleanup.callback(lock.close)
        pipes = cleanup.enter_context(Pipes(reads=bool(spec.stdin), sealed=spec.sealed_output))
        launch = Launch(
            argv=argv,
            cwd=spec.cwd.absolute(),
            env=spec.env,
            marker=marker,
            stdin=pipes.theirs[0],
            stdout=pipes.theirs[1],
            stderr=pipes.theirs[2],
            lock=lock.fd if lock else None,
            limits=spec.limits,
            confinement=spec.confinement,
            door=spec.door,
            lease=spec.lease,
        )
        held = await start_program(sandbox, launch)
        process = _Process(spec, held, pipes, marker, on_line, disk_before=before)
        pipes.started()
        try:
            return await process.supervise(stop, on_start)
        finally:
            if lock is not None and process.gone:
                lock.clear()


class _Cause(Enum):
    ENDED = auto()
    STOPPED = auto()
    TIMED_OUT = auto()
    BREACHED = auto()
    STALLED = auto()
    FAILED = auto()


class _Process:
    """One started program. Invariant: `supervise` leaves nothing alive and no descriptor open."""

    def __init__(
        self,
        spec: ProcessSpec,
        held: Held,
        pipes: Pipes,
        marker: str,
        on_line: OnLine | None,
        *,
        disk_before: int,
    ) -> None:
        self.gone = False
        self._spec = spec
        self._held = held
        self._marker = marker
        self._disk_before = disk_before
        self._started = time.monotonic()
        self._asked_to_end: float | None = None
        self._hurry = asyncio.get_running_loop().create_future()
        self._breach: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stalled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watch: Watch | None = None
        self._queue = LineQueue(on_line) if on_line else None
        self._stdout = StreamCapture("stdout", spec, self._queue)
        self._stderr = StreamCapture("stderr", spec, self._queue)
        self._stdin_pipe, *self._pipes = pipes.ours()
        self._feed = Feed(spec.stdin)
        self._tasks: list[asyncio.Task[Any]] = []

    async def supervise(
        self, stop: StopSignal | None, on_start: Callable[[Held], None] | None
    ) -> ProcessResult:
        """Wait for the end, by itself or by our hand."""
        try:
            await self._connect()
            await self._begin(on_start)
            delivery = self._task(self._queue.deliver()) if self._queue else None
            stopping = self._task(stop.wait()) if stop else None
            cause = await self._first(delivery, stopping)
            if cause is not _Cause.ENDED:
                await self._end(AFTER_BREACH if cause is _Cause.BREACHED else self._spec.grace)
            await self._sweep_if_broken()
            duration = time.monotonic() - self._started
            await self._drain(delivery)
            return self._result(cause, duration)
        finally:
            await self._leave()

    def _task(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: self._stdout, self._pipes[0])
        await loop.connect_read_pipe(lambda: self._stderr, self._pipes[1])
        if self._stdin_pipe is not None:
            await loop.connect_write_pipe(lambda: self._feed, self._stdin_pipe)
            self._feed.start()

    async def _begin(self, on_start: Callable[[Held], None] | None) -> None:
        """Tell of the start, and begin to watch, if anybody wants that."""
        limits, confinement = self._spec.limits, self._spec.confinement
        if limits.disk_mb is not None and confinement is not None:
            folders, pids = writable_folders(confinement), pids_of(self._held)
            self._task(watch_disk(folders, self._disk_before, limits.disk_mb, self._breach, pids))
        if on_start is None and not limits.on_tree and self._spec.stall_timeout is None:
            return
        await asyncio.wait({self._held.started})
        if self._held.pid is None or self._held.root is None:
            return
        if on_start is not None:
            on_start(self._held)
        self._watch = Watch(
            pid=self._held.pid,
            root=self._held.root,
            limits=self._spec.limits,
            stall_timeout=self._spec.stall_timeout,
            output=self._output,
            own_processes=self._held.own_processes,
            cpu_before=self._held.cpu_before,
            breach=self._breach,
            on_stall=self._notice_stall,
        )
        shared_sampler().add(self._watch)

    def _notice_stall(self, sentence: str | None) -> None:
        if sentence is not None and not self._stalled.done():
            self._stalled.set_result(sentence)

    def _output(self) -> int | None:
        """Bytes that came, or None while we ourselves keep the program waiting."""
        paused = self._stdout.paused or self._stderr.paused
        return None if paused else self._stdout.length + self._stderr.length

    async def _first(self, delivery: asyncio.Task[Any] | None, stopping: asyncio.Task[Any] | None) -> _Cause:
        """What happens first. That all output ended says nothing: the program may have closed it."""
        futures = (self._held.ended, delivery, stopping, self._breach, self._stalled)
        waiting: set[asyncio.Future[Any]] = {future for future in futures if future}
        deadline = None if self._spec.timeout is None else self._started + self._spec.timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await asyncio.wait(waiting, timeout=left, return_when=_FIRST)
            if self._breach.done():
                return _Cause.BREACHED
            if self._held.ended.done():
                return _Cause.ENDED
            if self._stalled.done():
                return _Cause.STALLED
            if delivery in waiting and delivery.done():
                if delivery.exception() is not None:
                    return _Cause.FAILED
                waiting.discard(delivery)
            elif stopping is not None and stopping.done():
                return _Cause.STOPPED
            elif deadline is not None and time.monotonic() >= deadline:
                return _Cause.TIMED_OUT

    async def _end(self, longest: float) -> None:
        """TERM, grace (at most so many seconds), the lease, and if even that does not help, from outside."""
        self._asked_to_end = self._asked_to_end or time.monotonic()
        self._held.send(signal.SIGTERM)
        grace = max(0.0, self._asked_to_end + min(longest, self._spec.grace) - time.monotonic())
        await asyncio.wait({self._held.ended, self._hurry}, timeout=grace, return_when=_FIRST)
        self._held.end()
        await asyncio.wait({self._held.ended}, timeout=_AFTER_LEASE)
        if not self._held.ended.done():
            await self._held.end_from_outside()
            await self._held.ended

    async def _sweep_if_broken(self) -> None:
        """A wrapper that was itself killed kept no promise about those inside."""
        if not self._held.ended.result().sound:
            await asyncio.to_thread(kill_all, self._marker)
        self.gone = True

    async def _drain(self, delivery: asyncio.Task[Any] | None) -> None:
        """Read and deliver the rest; raises what `on_line` raised."""
        for stream in (self._stdout, self._stderr):
            length = -1
            while not stream.closed.done() and (stream.paused or stream.length > length):
                length = stream.length
                await asyncio.wait({stream.closed}, timeout=_AFTER_EXIT)
            stream.close()
        await (delivery or asyncio.sleep(0))

    def _result(self, cause: _Cause, duration: float) -> ProcessResult:
        ended, stderr = self._held.ended.result(), self._stderr.result()
        status = ended.code if ended.code >= 0 else 128 - ended.code
        told = {_Cause.BREACHED: self._breach, _Cause.STALLED: self._stalled}.get(cause)
        watch, breach = self._watch, told.result() if told else None
        cpu_seconds = max(ended.cpu_seconds, watch.cpu_seconds if watch else 0.0)
        if cause is _Cause.ENDED and not ended.lapsed:
            breach = self._spec.limits.breach_by_end(status, stderr.tail[-LAST_WORDS:], cpu_seconds)
        return ProcessResult(
            exit_status=status,
            signal=status - 128 if status - 128 in set(signal.Signals) else None,
            timed_out=cause is _Cause.TIMED_OUT,
            stopped=cause is _Cause.STOPPED,
            duration=duration,
            stdout=self._stdout.result(),
            stderr=stderr,
            breach=breach,
            stalled=cause is _Cause.STALLED,
            lapsed=ended.lapsed,
            cpu_seconds=cpu_seconds,
            peak_memory_bytes=max(ended.peak_memory, watch.peak_memory if watch else 0),
        )

    async def _leave(self) -> None:
        """End what still runs, in spite of cancellations, and close everything."""
        try:
            if not self.gone:
                await self._end_in_spite_of_cancellation()
        finally:
            for task in self._tasks:
                task.cancel()
            for stream in (self._stdout, self._stderr):
                stream.close()
            self._feed.close()
            self._held.close()
            if self._watch is not None:
                shared_sampler().remove(self._watch)
            for future in (self._hurry, self._breach, self._stalled):
                future.cancel()
            await asyncio.gather(*self._tasks, asyncio.sleep(0), return_exceptions=True)
            for pipe in (*self._pipes, self._stdin_pipe):
                if pipe is not None:
                    pipe.close()

    async def _end_in_spite_of_cancellation(self) -> None:
        ending = asyncio.create_task(self._end_and_sweep())
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                if not self._hurry.done():
                    self._hurry.set_result(None)
        if ending.cancelled():  # The event loop is closing: nothing but blocking is left.
            self._held.end_blocking()
            self.gone = True
        else:
            ending.result()

    async def _end_and_sweep(self) -> None:
        await self._end(self._spec.grace)
        await self._sweep_if_broken()
