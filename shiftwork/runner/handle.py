"""One agent under way, as its owner sees it."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Literal

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.protocol import Reader
from shiftwork.runner.config import AgentConfig, AgentInfo, AgentSignal, AgentStatus, ExitStatus
from shiftwork.runner.failures import AgentError, CommunicationError, ExecutionError, Timeout
from shiftwork.runner.metrics import AgentMetrics, MetricsSink, log_event
from shiftwork.runner.process import Process, Usage

_ENDING = frozenset({AgentSignal.INTERRUPT, AgentSignal.TERMINATE, AgentSignal.KILL})


class AgentHandle:
    """One agent: made by a runner, and good for as long as somebody wants to know of it.

    Its output can be read by lines, by lists of lines, as events or as bytes. All of these take from the same
    queue: what one has read the others don't see.

    Attributes:
        id: unique for ever.
        config: what it was started from.
        interrupt_first: it ends most cleanly when it is interrupted before it is asked to end.
        idle: it waits in a pool.
        started_at, ended_at: in UTC.
        stalled_since: since when it has done nothing, once that is longer than `stall_timeout`; else None.
        error: why it was ended, or how it ended badly; None while it lives and after a success.
    """

    def __init__(
        self,
        agent_id: str,
        config: AgentConfig,
        process: Process,
        *,
        reader: Reader,
        interrupt_first: bool,
        metrics: MetricsSink,
        look: Callable[[], object],
    ) -> None:
        self.id = agent_id
        self.config = config
        self.interrupt_first = interrupt_first
        self.idle = False
        self.started_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self.stalled_since: datetime | None = None
        self.error: AgentError | None = None
        self._process = process
        self._reader = reader
        self._metrics = metrics
        self._look = look
        self._started = time.monotonic()
        self._lived: float | None = None
        self._exit: ExitStatus | None = None
        self._paused = False
        self._asked_to_end = False
        self._said_failed = False
        self._sent = 0
        self._events: deque[AgentEvent] = deque()
        self._heard_all = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Its standard output, line by line, without newlines."""
        return self._process.stdout.each_line()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.config.name

    @property
    def pid(self) -> int:
        """The process that leads its tree; inside a sandbox it may have another number."""
        return self._process.pid

    @property
    def exit(self) -> ExitStatus | None:
        """How it ended; None while it lives."""
        return self._exit

    @property
    def exit_code(self) -> int | None:
        """Its exit status, 128 + n after signal n; None while it lives."""
        return self._exit.code if self._exit else None

    @property
    def exit_signal(self) -> int | None:
        """The signal that ended it, or None."""
        return self._exit.signal if self._exit else None

    @property
    def dropped_lines(self) -> dict[str, int]:
        """Lines that were given up because nobody read them in time, by stream."""
        return {"stdout": self._process.stdout.dropped_lines, "stderr": self._process.stderr.dropped_lines}

    @property
    def truncated(self) -> bool:
        """Whether anything that it printed was given up."""
        return any(stream.dropped_bytes for stream in (self._process.stdout, self._process.stderr))

    def status(self) -> AgentStatus:
        """Its state at this moment."""
        if self._exit is None:
            if self._paused:
                return AgentStatus.PAUSED
            return AgentStatus.IDLE if self.idle else AgentStatus.RUNNING
        if self._asked_to_end or self._exit.signal is not None:
            return AgentStatus.TERMINATED
        good = self._exit.success and not self._said_failed and self.error is None
        return AgentStatus.COMPLETED if good else AgentStatus.FAILED

    def info(self) -> AgentInfo:
        """What a list shows of it."""
        return AgentInfo(
            id=self.id,
            name=self.name,
            model_backend=self.config.model_backend,
            task=self.config.task,
            status=self.status(),
            pid=self.pid,
            started_at=self.started_at,
            ended_at=self.ended_at,
            exit=self._exit,
            stalled_since=self.stalled_since,
        )

    def usage(self) -> Usage:
        """CPU time and memory of its whole tree until now, as far as it was seen."""
        if self._exit is None:
            self._look()
        return self._process.usage

    def metrics(self) -> AgentMetrics:
        """The figures of this moment."""
        lived = self._lived if self._lived is not None else time.monotonic() - self._started
        usage = self.usage()
        return AgentMetrics(
            cpu_usage=100 * usage.cpu_seconds / lived if lived else 0.0,
            memory_mb=usage.memory // 1_000_000,
            uptime_secs=lived,
            messages_sent=self._sent,
            messages_received=self._process.stdout.lines,
        )

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """Wait until no process of it lives; what it printed can still be read.

        Raises:
            Timeout: it takes longer than that many seconds; it goes on.
        """
        await asyncio.wait({self._process.ended}, timeout=timeout)
        if self._exit is None:
            seconds = timeout or 0.0
            raise Timeout(
                f"Agent {self.name!r} still runs after {seconds:g} s; wait longer, or end it.",
                seconds=seconds,
                agent=self.id,
            )
        return self._exit

    def when_over(self, call: Callable[[], object]) -> None:
        """Have something called once no process of it lives, soon if that is so."""
        self._process.ended.add_done_callback(lambda _: call())

    def raise_for_status(self) -> None:
        """Raise `error` if there is one."""
        if self.error is not None:
            raise self.error

    async def kill(self) -> ExitStatus:
        """End every process of it at once, and wait for that; harmless if it has ended."""
        self.signal(AgentSignal.KILL)
        return await self.wait()

    def signal(self, number: AgentSignal) -> None:
        """Send a signal to every process of it; one that ends is harmless if it has ended.

        Raises:
            ExecutionError: it has ended, and can't be paused or resumed any more.
        """
        if self._exit is not None:
            if number in _ENDING:
                return
            raise ExecutionError(
                f"Agent {self.name!r} has ended; it can't be paused or resumed.", agent=self.id
            )
        if number in _ENDING:
            self._asked_to_end = True
        if number is AgentSignal.KILL:
            self._process.kill()
        else:
            self._process.send(signal.Signals[f"SIG{number.value}"])
        if number in (AgentSignal.PAUSE, AgentSignal.RESUME):
            self._paused = number is AgentSignal.PAUSE
        words = {AgentSignal.PAUSE: "paused", AgentSignal.RESUME: "resumed"}
        self.log(words.get(number, "signalled"), signal=number.value)
        self._metrics.count("shiftwork_agent_signals_total", signal=number.value)

    async def write_stdin(self, data: bytes) -> None:
        """Write to its standard input; returns when the pipe has taken it all.

        Raises:
            CommunicationError: it was closed, by us or by the agent's end.
        """
        try:
            await self._process.stdin.write(data)
        except BrokenPipeError as error:
            raise CommunicationError(
                f"The standard input of agent {self.name!r} is closed; write before `close_stdin` and before "
                "its end. (A backend that gives its prompt there closes it at once.)",
                agent=self.id,
            ) from error
        self._sent += 1

    def close_stdin(self) -> None:
        """Let it read the end of its standard input, after all that was written."""
        self._process.stdin.finish()

    async def read_stdout(self) -> bytes | None:
        """What it printed and nobody has read yet; None if there is nothing. Never waits."""
        return self._process.stdout.read()

    async def read_stderr(self) -> bytes | None:
        """The same of its standard error."""
        return self._process.stderr.read()

    def batches(self, stream: Literal["stdout", "stderr"] = "stdout") -> AsyncIterator[list[bytes]]:
        """Lists of lines as they come: the fast way to read much."""
        return (self._process.stdout if stream == "stdout" else self._process.stderr).batches()

    async def events(self) -> AsyncIterator[AgentEvent]:
        """What it says, in the one vocabulary of all backends, to its end."""
        while self._events:  # left by an iteration that was broken off
            yield self._remember(self._events.popleft())
        async for line in self._process.stdout.each_line():
            self._events.extend(self._reader.read(line))
            while self._events:
                yield self._remember(self._events.popleft())
        exit_status = await self.wait()
        if not self._heard_all:
            self._heard_all = True
            self._events.extend(self._reader.end(exit_status.code))
        while self._events:
            yield self._remember(self._events.popleft())

    def log(self, event: str, **facts: object) -> None:
        """One line in the log on what happened to it."""
        log_event(event, self.id, self.name, **facts)

    def stop_for(self, error: AgentError) -> None:
        """Note why it is about to be ended."""
        self.error = self.error or error

    def over(self, code: int) -> None:
        """Take in that no process of it lives any more; called once, by its runner."""
        number = code - 128 if code - 128 in set(signal.Signals) else None
        self._exit = ExitStatus(code, number)
        self._paused = self.idle = False
        self.ended_at = datetime.now(UTC)
        self._lived = time.monotonic() - self._started
        if self._process.lapsed:
            self.stop_for(self._lapse())
        if code != 0 and self.error is None and not self._asked_to_end:
            how = f"by signal {number}" if number else f"with status {code}"
            self.error = ExecutionError(
                f"Agent {self.name!r} ended {how}; read its standard error for the reason.",
                code=code,
                signal=number,
                agent=self.id,
            )

    def _lapse(self) -> Timeout:
        seconds = self._process.lease
        return Timeout(
            f"Agent {self.name!r} was ended: this process, or its event loop, did not run for longer than "
            f"its lease of {seconds:g} s; start it again.",
            seconds=seconds,
            limit="lease",
            agent=self.id,
        )

    def _remember(self, event: AgentEvent) -> AgentEvent:
        if event.kind is AgentEventKind.FINISHED:
            self._said_failed = not event.ok
        return event


LocalAgentHandle = AgentHandle
"""The name that the source document gives to the handle of a local process."""
