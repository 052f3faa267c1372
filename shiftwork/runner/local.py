"""The runner: agents as processes of this machine."""

import asyncio
import contextlib
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from shiftwork.runner.config import (
    AgentConfig,
    AgentInfo,
    AgentSignal,
    ProcessRunnerConfig,
)
from shiftwork.runner.failures import AgentError, ExecutionError, NotFound, SpawnFailed, Timeout
from shiftwork.runner.handle import AgentHandle
from shiftwork.runner.health import Health, Table
from shiftwork.runner.launch import Plan, plan
from shiftwork.runner.limits import AFTER_BREACH
from shiftwork.runner.metrics import GuardedMetrics, MetricsSink, NoMetrics
from shiftwork.runner.process import Process
from shiftwork.runner.shutdown import GracefulShutdown, uninterrupted
from shiftwork.runner.starting import Starter, shut_down

_REMEMBERED = 1000
"""How many ended agents are still listed."""

_BATCH = 10
_GRACE = 5.0
"""Seconds from TERM to KILL for an agent that broke a limit."""


class AgentRunner(Protocol):
    """What starts agents and looks after them."""

    async def spawn(self, config: AgentConfig) -> AgentHandle: ...

    async def list_agents(self) -> list[AgentInfo]: ...

    async def get_agent(self, agent_id: str) -> AgentInfo | None: ...

    async def signal(self, agent_id: str, number: AgentSignal) -> None: ...

    async def kill(self, agent_id: str) -> None: ...


class LocalProcessRunner:
    """Starts agents as processes of this machine, and looks after them.

    Belongs to the event loop in which it is first used. As a context manager it ends its agents on leaving;
    whatever happens to this process, they end with it.

    Args:
        config: how it treats them.
        metrics: where its figures go.
    """

    def __init__(
        self, config: ProcessRunnerConfig | None = None, *, metrics: MetricsSink | None = None
    ) -> None:
        self.config = config or ProcessRunnerConfig()
        self._metrics = GuardedMetrics(metrics or NoMetrics())
        self._starter = Starter(self.config.sandbox)
        self._left = False
        self._live: dict[str, tuple[AgentHandle, Process]] = {}
        self._ended: OrderedDict[str, AgentInfo] = OrderedDict()
        self._table = Table()
        self._health = Health(self._live.values, self.config.health_check_interval_secs)
        self._tasks: set[asyncio.Task[object]] = set()

    @classmethod
    def with_config(cls, config: ProcessRunnerConfig, *, metrics: MetricsSink | None = None) -> Self:
        """A runner that does as the config says."""
        return cls(config, metrics=metrics)

    async def __aenter__(self) -> Self:
        self._left = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        await self.shutdown_all(0.0 if kind else _GRACE)

    async def spawn(self, config: AgentConfig) -> AgentHandle:
        """Start an agent; it runs when this returns.

        Raises:
            SpawnFailed: its program is missing or can't be executed, as many agents live as may, or the
                runner is shut down.
            ProviderError: its backend can't be used like this.
            IoError: the system has no pipe or process left.
        """
        try:
            self._check_room(config)
            agent_id, planned = uuid.uuid4().hex, plan(config, self.config)
            process = await self._starter.start(
                config, agent_id, planned, lambda sentence: self._stalled(agent_id, sentence)
            )
        except AgentError:
            self._metrics.count("shiftwork_agents_failed_to_spawn_total")
            raise
        return self._adopt(config, agent_id, process, planned)

    async def spawn_many(self, configs: Sequence[AgentConfig], batch_size: int = _BATCH) -> list[AgentHandle]:
        """Start many agents, so many at a time; all of them, or none, even if this is cancelled.

        Raises:
            AgentError: one can't be started; those that were have been killed.
        """
        handles: dict[int, AgentHandle] = {}

        async def start(number: int) -> None:
            handles[number] = await self.spawn(configs[number])

        size = max(1, batch_size)
        try:
            for first in range(0, len(configs), size):
                batch = range(first, min(first + size, len(configs)))
                answers = await asyncio.gather(*map(start, batch), return_exceptions=True)
                _raise_first(answers)
        except BaseException:  # a cancellation, too
            await uninterrupted(asyncio.gather(*(handle.kill() for handle in handles.values())))
            raise
        return [handles[number] for number in range(len(configs))]

    async def list_agents(self) -> list[AgentInfo]:
        """Its agents: the last thousand that have ended, then those that live."""
        return [*self._ended.values(), *(handle.info() for handle, _ in self._live.values())]

    async def get_agent(self, agent_id: str) -> AgentInfo | None:
        """What is known of an agent; None if it is not one of these."""
        if agent_id in self._live:
            return self._live[agent_id][0].info()
        return self._ended.get(agent_id)

    async def signal(self, agent_id: str, number: AgentSignal) -> None:
        """Send a signal to every process of an agent; one that ends is harmless if it has ended.

        Raises:
            NotFound: there is no such agent.
            ExecutionError: it has ended, and can't be paused or resumed.
        """
        if agent_id in self._live:
            self._live[agent_id][0].signal(number)
        elif agent_id not in self._ended:
            raise NotFound(f"This runner has no agent {agent_id!r}; list_agents() knows all.", agent=agent_id)
        elif number in (AgentSignal.PAUSE, AgentSignal.RESUME):
            raise ExecutionError(
                f"Agent {agent_id!r} has ended; it can't be paused or resumed.", agent=agent_id
            )

    async def kill(self, agent_id: str) -> None:
        """End every process of an agent at once, and wait for that; raises `NotFound`."""
        await self.signal(agent_id, AgentSignal.KILL)
        if agent_id in self._live:
            await self._live[agent_id][0].wait()

    async def pause(self, agent_id: str) -> None:
        """Stop every process of an agent where it is; raises as `signal` does."""
        await self.signal(agent_id, AgentSignal.PAUSE)

    async def resume(self, agent_id: str) -> None:
        """Let a paused agent go on; raises as `signal` does."""
        await self.signal(agent_id, AgentSignal.RESUME)

    async def shutdown_all(self, timeout: float = _GRACE) -> None:
        """End all agents gracefully, at the same time; after `timeout` seconds none lives.

        Those that are being started are killed, and their `spawn` raises `SpawnFailed`.
        """
        shutdown = GracefulShutdown(timeout)
        starting = self._starter.take_back()
        await asyncio.gather(*(shutdown.shutdown(handle) for handle, _ in list(self._live.values())))
        if starting:
            await asyncio.wait(starting)
        await self._health.end()

    def _check_room(self, config: AgentConfig) -> None:
        if self._left:
            raise shut_down(config)
        most = self.config.max_concurrent_agents
        if most is not None and len(self._live) + len(self._starter) >= most:
            raise SpawnFailed(
                f"Agent {config.name!r} was not started: {most} of at most {most} agents live.",
                hint="Wait for one to end, or raise max_concurrent_agents.",
                limit="max_concurrent_agents",
            )

    def _adopt(self, config: AgentConfig, agent_id: str, process: Process, planned: Plan) -> AgentHandle:
        handle = AgentHandle(
            agent_id,
            config,
            process,
            reader=planned.reader,
            interrupt_first=planned.interrupt_first,
            metrics=self._metrics,
            look=lambda: process.look(self._table()),
        )
        self._live[agent_id] = (handle, process)
        handle.log("spawned", backend=config.model_backend, program=planned.program.argv[0], pid=handle.pid)
        self._metrics.count("shiftwork_agents_spawned_total", backend=config.model_backend)
        self._metrics.gauge("shiftwork_agents_running", len(self._live))
        if planned.stdin:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                process.stdin.put(planned.stdin)
                process.stdin.finish()
        self._watch(handle, process)
        return handle

    def _watch(self, handle: AgentHandle, process: Process) -> None:
        """What may happen to it while it lives."""
        timer = None
        if (seconds := self.config.wall_time) is not None:
            timer = asyncio.get_running_loop().call_later(seconds, self._overdue, handle, seconds)
        process.breach.add_done_callback(lambda done: self._breached(handle, done))
        process.ended.add_done_callback(lambda done: self._over(handle, process, done.result(), timer))
        if self.config.enable_health_checks:
            self._health.begin()

    def _overdue(self, handle: AgentHandle, seconds: float) -> None:
        sentence = f"Agent {handle.name!r} was ended: it lived longer than the wall_time of {seconds:g} s."
        self._end_for(handle, Timeout(sentence, seconds=seconds, limit="wall_time", agent=handle.id))

    def _breached(self, handle: AgentHandle, breach: "asyncio.Future[str]") -> None:
        if not breach.cancelled():
            self._end_for(handle, _breach_error(handle, breach.result()))

    def _end_for(self, handle: AgentHandle, error: Timeout | ExecutionError) -> None:
        handle.stop_for(error)
        handle.log("limit", limit=error.limit)
        self._metrics.count("shiftwork_agent_limits_breached_total", limit=error.limit)
        grace = _GRACE if isinstance(error, Timeout) else AFTER_BREACH
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(
            GracefulShutdown(grace).shutdown(handle)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stalled(self, agent_id: str, sentence: str | None) -> None:
        """Take in that an agent does nothing, or that it does something again."""
        if agent_id not in self._live:
            return
        handle, _ = self._live[agent_id]
        if sentence is None:
            handle.stalled_since = None
            handle.log("working")
            return
        seconds = self.config.stall_timeout or 0.0
        handle.stalled_since = datetime.now(UTC) - timedelta(seconds=seconds)
        handle.log("stalled", seconds=seconds)
        self._metrics.count("shiftwork_agents_stalled_total")

    def _over(
        self, handle: AgentHandle, process: Process, code: int, timer: asyncio.TimerHandle | None
    ) -> None:
        if timer is not None:
            timer.cancel()
        if handle.error is None and (breach := process.breach_by_end(code)):
            error = _breach_error(handle, breach)
            handle.stop_for(error)
            handle.log("limit", limit=error.limit)
            self._metrics.count("shiftwork_agent_limits_breached_total", limit=error.limit)
        if process.left:
            sentence = f"Agent {handle.name!r} was ended, but not all of it: {process.left}."
            handle.stop_for(ExecutionError(sentence, agent=handle.id))
        handle.over(code)
        del self._live[handle.id]
        self._ended[handle.id] = handle.info()
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        self._tell_end(handle, process)

    def _tell_end(self, handle: AgentHandle, process: Process) -> None:
        metrics, status = handle.metrics(), handle.status()
        handle.log("exited", status=status.value, code=handle.exit_code, signal=handle.exit_signal)
        self._metrics.count("shiftwork_agents_ended_total", status=status.value)
        self._metrics.gauge("shiftwork_agents_running", len(self._live))
        self._metrics.observe("shiftwork_agent_seconds", metrics.uptime_secs)
        self._metrics.count("shiftwork_agent_cpu_seconds_total", handle.usage().cpu_seconds)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            self._metrics.count("shiftwork_agent_output_bytes_total", stream.total, stream=name)
            self._metrics.count("shiftwork_agent_dropped_lines_total", stream.dropped_lines, stream=name)


def _raise_first(answers: Sequence[BaseException | None]) -> None:
    if failed := next(filter(None, answers), None):
        raise failed


def _breach_error(handle: AgentHandle, sentence: str) -> ExecutionError:
    limit = sentence.removeprefix("The limit ").partition(" ")[0]
    return ExecutionError(f"Agent {handle.name!r} was ended. {sentence}", limit=limit, agent=handle.id)
