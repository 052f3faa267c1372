"""Running `python` agents as tasks, in interpreters that wait for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shiftwork.agents.python.job import PythonJob, usual_limits
from shiftwork.agents.python.nursery import CONFIG, Interpreter, Kind, Nursery, reaches_hosts
from shiftwork.agents.python.outcome import Ending, PythonOutcome, is_little, judge
from shiftwork.agents.python.places import Places
from shiftwork.agents.python.progress import OnProgress, heard
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput
from shiftwork.gateway import Gateway, GatewaySession, Policy
from shiftwork.runner.failures import ExecutionError
from shiftwork.runner.limits import AFTER_BREACH, Limits
from shiftwork.runner.pool import AgentPool
from shiftwork.runner.shutdown import GracefulShutdown
from shiftwork.runner.spec import StopSignal
from shiftwork.sandbox.base import Sandbox

_MOST: Final = 1_000
"""Interpreters of the usual kind at once; how many jobs run at once is decided by whoever has them run."""

_SLACK: Final = 16_384
"""Bytes beyond what is kept that are redacted with it, so that no half of a secret stays at the cut."""

_TRIES: Final = 3
"""Interpreters that are offered a job; those that died or hang do not take it."""


class PythonRunner:
    """Runs agents' code, each run in a process and a sandbox of its own, which serve no other.

    Some interpreters wait, confined already, for jobs of the usual kind; jobs of other kinds (other limits
    from the start on, another profile) start one. Before `start`, and after `close`, all of them do.
    Belongs to the event loop in which it is first used.

    Args:
        sandbox: what holds and confines them.
        folder: where their folders lie while they run, on a local disk.
        limits, options: the usual kind; None: `usual_limits`, and the profile `strict`.
        warm: how many interpreters wait.
        gateway: the way to the hosts that a job's sandbox lists.
        redact: takes secrets out of what is kept of their output.
        grace: seconds from TERM to KILL when one's time is over.
        patience: seconds in which an interpreter has to get ready, and to begin with a job that it is given.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        *,
        limits: Limits | None = None,
        options: SandboxOptions | None = None,
        warm: int = 2,
        gateway: Gateway | None = None,
        redact: Callable[[bytes], bytes] | None = None,
        grace: float = 2.0,
        patience: float = 10.0,
    ) -> None:
        self._sandbox = sandbox
        self._gateway = gateway
        self._redact = redact or bytes
        self._grace = grace
        self._patience = patience
        self._usual = Kind.of(limits or usual_limits(), options or SandboxOptions())
        self._nursery = Nursery(sandbox, Places(folder, sandbox), self._usual, patience)
        self._pool = AgentPool(warm, _MOST, CONFIG, runner=self._nursery, timeout=grace)
        self._started = self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many interpreters wait for a job."""
        return self._pool.idle

    async def start(self, *, wait: bool = True) -> None:
        """Start the first interpreters.

        Args:
            wait: return when they wait; else they are started meanwhile, again and again if need be.

        Raises:
            AgentError: they can't be started.
        """
        self._closed = False
        await self._pool.start(wait=wait)
        self._started = True

    async def close(self) -> None:
        """End them all, also those with a job, which then counts as cancelled; remove their folders."""
        self._started, self._closed = False, True
        await self._pool.close()
        await self._nursery.close()

    async def run(
        self, job: PythonJob, *, stop: StopSignal | None = None, on_progress: OnProgress | None = None
    ) -> PythonOutcome:
        """Run an agent's code to its end; however this is left, no process of it lives.

        Args:
            stop: ends it when set, which counts as cancelled.
            on_progress: is told how far it is, at most once a second, if its code tells that.

        Raises:
            InvalidInput: its parameters or its handoff can't be given to it; nothing was run.
            AgentError: there is no interpreter for it, and nothing was run; or its lease lapsed, because this
                process did not run for so long. Trying again may help.
        """
        told = job.told()
        for _ in range(_TRIES):
            async with self._interpreter(job) as (one, pre_started):
                if not await one.begin(told, job.max_output_bytes + _SLACK, self._patience):
                    continue
                async with heard(one.place.outbox, one.process.ended, on_progress):
                    ending = await self._follow(one, job, stop)
                return await self._judged(ending, one, job, pre_started=pre_started)
        raise ExecutionError(
            f"None of {_TRIES} interpreters of Python agents began with its job in {self._patience:g} s; try "
            "again on a machine that is less busy."
        )

    async def _judged(
        self, ending: Ending, one: Interpreter, job: PythonJob, *, pre_started: bool
    ) -> PythonOutcome:
        judged = partial(
            judge,
            ending,
            one.stdout,
            one.stderr,
            one.place.outbox,
            most=job.max_output_bytes,
            pre_started=pre_started,
            redact=self._redact,
        )
        if is_little(one.stdout, one.stderr, one.place.outbox):
            return judged()
        return await asyncio.to_thread(judged)

    @asynccontextmanager
    async def _interpreter(self, job: PythonJob) -> AsyncIterator[tuple[Interpreter, bool]]:
        """One for this job alone, and whether it had waited for it; on leaving nothing of it lives."""
        async with self._way_out(job.sandbox) as way_out:
            kind = Kind.of(job.limits, job.sandbox, job.folder)
            if self._started and kind == self._usual and way_out is None:
                waited = self._pool.idle > 0
                handle = await self._pool.acquire()
                one = self._nursery.of(handle)
                try:
                    yield one, waited
                finally:
                    try:
                        await self._nursery.end(one)
                    finally:
                        await self._pool.release(handle, reuse=False)
            else:
                one = await self._nursery.start(kind, way_out)
                try:
                    yield one, False
                finally:
                    await self._nursery.end(one)

    @asynccontextmanager
    async def _way_out(self, sandbox: SandboxOptions) -> AsyncIterator[GatewaySession | None]:
        """The gateway, if the profile says so."""
        if not reaches_hosts(sandbox):
            yield None
            return
        if self._gateway is None:
            raise InvalidInput("A Python agent with hosts in its sandbox needs a worker with a gateway.")
        policy = Policy(hosts=sandbox.hosts, label="python agent")
        async with self._gateway.open(policy, door=self._sandbox.own_network) as session:
            yield session

    async def _follow(self, one: Interpreter, job: PythonJob, stop: StopSignal | None) -> Ending:
        """Wait for its end, by itself or by our hand; raises `Timeout` if its lease lapsed."""
        process, handle = one.process, one.handle
        process.watch(job.limits)
        kind, sentence = await self._cause(one, job, stop)
        if kind is not None:
            grace = AFTER_BREACH if kind is TaskErrorKind.LIMIT else self._grace
            await GracefulShutdown(min(grace, self._grace)).shutdown(handle)
        ended = await handle.wait()
        duration = time.monotonic() - one.began_at
        await one.read_all()
        if process.lapsed:
            handle.raise_for_status()
        if self._closed and kind is None:
            kind, sentence = TaskErrorKind.CANCELLED, "The run was cancelled, because its worker ends."
        elif kind is None and (breach := process.breach_by_end(ended.code)):
            kind, sentence = TaskErrorKind.LIMIT, breach
        return Ending(ended, duration, process.usage, kind, sentence)

    async def _cause(
        self, one: Interpreter, job: PythonJob, stop: StopSignal | None
    ) -> tuple[TaskErrorKind | None, str]:
        """Why it is to be ended, with a sentence; None if it ended by itself."""
        process = one.process
        stopping = asyncio.ensure_future(stop.wait()) if stop is not None else None
        waiting = {future for future in (process.ended, process.breach, stopping) if future is not None}
        left = max(0.0, one.began_at + job.timeout - time.monotonic())
        try:
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if stopping is not None:
                stopping.cancel()
        if process.breach.done():
            return TaskErrorKind.LIMIT, process.breach.result()
        if process.ended.done():
            return None, ""
        if stop is not None and stop.is_set():
            return TaskErrorKind.CANCELLED, "The run was cancelled."
        return TaskErrorKind.TIMEOUT, f"It was ended after {job.timeout:g} s, because its time was over."
