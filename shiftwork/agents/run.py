"""Running one agent: its process, its events, and what its end means."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.guard import GuardedReader
from shiftwork.agents.protocol import AgentBackend, AgentCommand, AgentRequest, Reader
from shiftwork.contracts.session import Failure, FailureKind, InterruptionReason, RunStatus
from shiftwork.runner.environment import child_environment
from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import ProcessResult, ProcessSpec, StopSignal, StreamName
from shiftwork.runner.supervisor import find_program, run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.confinement import Bind, Confinement
from shiftwork.sandbox.visible import installation_of
from shiftwork.text import printable, tail, truncate

OnEvent = Callable[[AgentEvent], Awaitable[None]]

_TERMINAL = frozenset({AgentEventKind.FINISHED, AgentEventKind.QUESTION, AgentEventKind.RATE_LIMITED})
_ERROR_CHARACTERS = 2_000
_INTERRUPTIONS = {
    Problem.AUTHENTICATION: InterruptionReason.AUTHENTICATION,
    Problem.UNAVAILABLE: InterruptionReason.UNAVAILABLE,
}
"""Problems that are not the work's fault, and cost no attempt."""

_FAILURES = {Problem.REFUSED: FailureKind.AGENT_REFUSED, Problem.LIMIT: FailureKind.AGENT_LIMIT}

_TAIL_BYTES = 16_000


@dataclass(frozen=True, slots=True)
class AgentEnd:
    """How a run of an agent ended.

    Attributes:
        status: completed only if the agent itself said so; interrupted by a question, a rate limit, a stop.
        failure: why it failed, or None.
        reason: why it was interrupted, if it was not the caller who stopped it: a question
            (`question.json` in its outbox), a rate limit, or trouble with the model's provider.
        until: when it may go on, if time is what it needs and the agent knows how much.
        exit_status, signal: of its process; they decide nothing.
        stopped: the caller ended it.
        timed_out: its time was over.
        message: what went wrong, for people and for the next attempt; '' if nothing did.
        stdout_tail, stderr_tail: the end of what it printed.
        duration: seconds.
    """

    status: RunStatus
    failure: Failure | None
    reason: InterruptionReason | None
    until: datetime | None
    exit_status: int
    signal: int | None
    stopped: bool
    timed_out: bool
    message: str
    stdout_tail: str
    stderr_tail: str
    duration: float


async def run_agent_process(
    backend: AgentBackend,
    request: AgentRequest,
    *,
    env: Mapping[str, str],
    sandbox: Sandbox,
    timeout: float | None,
    on_event: OnEvent,
    limits: Limits | None = None,
    stall_timeout: float | None = None,
    lock_file: Path | None = None,
    confinement: Confinement | None = None,
    door: int | None = None,
    before_start: Callable[[], Awaitable[None]] | None = None,
    stop: StopSignal | None = None,
    tools: Path | None = None,
    grace: float = 5.0,
) -> AgentEnd:
    """Run an agent to its end; however this is left, no process of it lives.

    Args:
        backend: what starts and understands it.
        request: where it works.
        env: what is added to the short environment that every child gets (see `child_environment`).
        sandbox: what holds its processes together.
        timeout: seconds it may run, or None.
        limits: what its processes may use; a breach is a failure that names the limit.
        stall_timeout: seconds it may go without any output and any work of its processes, or None.
        on_event: is awaited for each event, in order; an exception in it ends the agent and is raised here.
        lock_file: kept locked while any process of the agent lives.
        confinement: what it may touch, beside its program's installation; None: whatever we may.
        door: see `Launch.door`.
        before_start: is awaited once everything that the backend writes is on disk.
        stop: ends the agent when set.
        tools: where links to the base interpreter are kept (see `child_environment`).
        grace: seconds it may go on after its terminal event, and from TERM to KILL.

    Raises:
        InvalidInput: its program does not exist.
        Conflict: another run holds the lock file.
    """
    command = backend.command(request)
    given = {"SHIFTWORK_BRIEF": request.brief, "SHIFTWORK_OUTBOX": request.outbox}
    folders = {name: str(request.seen(folder)) for name, folder in given.items() if folder is not None}
    spec = ProcessSpec(
        argv=command.argv,
        cwd=request.seen(request.workspace),
        env=child_environment(os.environ, {**env, **command.env, **folders}, tools=tools),
        confinement=confinement,
        door=door,
        stdin=command.stdin,
        timeout=timeout,
        limits=limits or Limits(),
        stall_timeout=stall_timeout,
        grace=grace,
        lock_file=lock_file,
    )
    if confinement is not None:
        spec = replace(spec, confinement=_with_program(confinement, spec, command))
    if before_start is not None:
        await before_start()
    resumed = request.conversation is not None and request.conversation.resumed
    listener = _Listener(GuardedReader(backend.reader(request)), on_event, stop, grace, accepted=resumed)
    try:
        result = await run(spec, sandbox=sandbox, on_line=listener.hear, stop=listener)
        await listener.end(result)
    finally:
        listener.close()
    return _judge(listener, result)


def _with_program(confinement: Confinement, spec: ProcessSpec, command: AgentCommand) -> Confinement:
    """The confinement, with what the program needs of itself."""
    program = Path(find_program(spec))
    needed = [*installation_of(program, spec.env["PATH"]), *command.reads]
    return replace(confinement, binds=(*(Bind(path, path) for path in needed), *confinement.binds))


class _Listener:
    """Turns lines into events, remembers what counts, and is the stop signal of the process."""

    def __init__(
        self, reader: Reader, on_event: OnEvent, stop: StopSignal | None, grace: float, *, accepted: bool
    ) -> None:
        self.terminal: AgentEvent | None = None
        self.finished: AgentEvent | None = None
        self.error = ""
        self.accepted = accepted
        """The provider answered something: what it rejects later is one conversation, not the settings."""
        self._reader = reader
        self._on_event = on_event
        self._stop = stop
        self._grace = grace
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = asyncio.Event()

    def ended_with(self, kind: AgentEventKind) -> bool:
        """Whether the first terminal event was of this kind."""
        return self.terminal is not None and self.terminal.kind is kind

    async def hear(self, stream: StreamName, line: bytes) -> None:
        """Only standard output speaks the agent's protocol; standard error is kept as a tail."""
        if stream == "stderr":
            return
        await self._tell(self._reader.read(line))

    async def end(self, result: ProcessResult) -> None:
        """An end by our hand is no word of the agent's; what it waited for in silence is."""
        by_hand = result.stopped or result.timed_out or result.breach
        silent = result.timed_out or result.stalled
        await self._tell(
            event
            for event in self._reader.end(result.exit_status)
            if event.kind not in _TERMINAL or not by_hand or (silent and _waits(event))
        )

    async def _tell(self, events: Iterable[AgentEvent]) -> None:
        for event in events:
            self._remember(event)
            await self._on_event(event)

    def is_set(self) -> bool:
        return self._overdue.is_set() or (self._stop is not None and self._stop.is_set())

    async def wait(self) -> None:
        """Return when the caller wants a stop, or the agent hangs on after its terminal event."""
        if self._stop is None:
            await self._overdue.wait()
            return
        waits = [asyncio.ensure_future(waiter.wait()) for waiter in (self._overdue, self._stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _remember(self, event: AgentEvent) -> None:
        if event.kind is AgentEventKind.ERROR or (
            event.kind is AgentEventKind.FINISHED and not event.ok and event.text
        ):
            self.error = truncate(printable(event.text), _ERROR_CHARACTERS)
        self.accepted = self.accepted or event.kind is AgentEventKind.TOOL_USE or event.output_tokens > 0
        if event.kind not in _TERMINAL:
            return
        if event.kind is AgentEventKind.FINISHED:
            self.finished = event
        self.terminal = self.terminal or event
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._grace, self._overdue.set)


def _waits(event: AgentEvent) -> bool:
    return event.kind is AgentEventKind.RATE_LIMITED or event.problem is Problem.UNAVAILABLE


def _judge(heard: _Listener, result: ProcessResult) -> AgentEnd:
    """The agent's own word decides; the exit status never does."""
    status, reason, failure = _verdict(heard, result)
    return AgentEnd(
        status=status,
        failure=failure,
        reason=reason,
        until=_resume_at(heard, reason),
        exit_status=result.exit_status,
        signal=result.signal,
        stopped=result.stopped and heard.terminal is None,
        timed_out=result.timed_out,
        message=_message(heard, result, failure),
        stdout_tail=tail(result.stdout_tail, _TAIL_BYTES),
        stderr_tail=tail(result.stderr_tail, _TAIL_BYTES),
        duration=result.duration,
    )


def _verdict(
    heard: _Listener, result: ProcessResult
) -> tuple[RunStatus, InterruptionReason | None, Failure | None]:
    if heard.ended_with(AgentEventKind.QUESTION):
        return RunStatus.INTERRUPTED, InterruptionReason.QUESTION, None
    if heard.finished is not None and heard.finished.ok:
        return RunStatus.COMPLETED, None, None
    if heard.ended_with(AgentEventKind.RATE_LIMITED):
        return RunStatus.INTERRUPTED, InterruptionReason.RATE_LIMITED, None
    if heard.finished is None and result.stopped:
        return RunStatus.INTERRUPTED, None, None
    problem = heard.finished.problem if heard.finished else None
    if (reason := _not_its_fault(problem, accepted=heard.accepted)) is not None:
        return RunStatus.INTERRUPTED, reason, None
    kind = _failure_kind(heard, result, problem)
    return RunStatus.FAILED, None, Failure(kind=kind, exit_status=result.exit_status)


def _not_its_fault(problem: Problem | None, *, accepted: bool) -> InterruptionReason | None:
    """What a person or time has to mend; None if the agent itself failed."""
    if problem is Problem.INVALID and not accepted:
        return InterruptionReason.REJECTED
    return _INTERRUPTIONS.get(problem) if problem else None


def _failure_kind(heard: _Listener, result: ProcessResult, problem: Problem | None) -> FailureKind:
    if heard.finished is not None:
        return _FAILURES.get(problem, FailureKind.AGENT_FAILED) if problem else FailureKind.AGENT_FAILED
    if result.timed_out or result.stalled:
        return FailureKind.AGENT_TIMEOUT
    return FailureKind.AGENT_LIMIT if result.breach else FailureKind.AGENT_CRASHED


def _resume_at(heard: _Listener, reason: InterruptionReason | None) -> datetime | None:
    if reason not in (InterruptionReason.RATE_LIMITED, InterruptionReason.UNAVAILABLE):
        return None
    return heard.terminal.until if heard.terminal else None


def _message(heard: _Listener, result: ProcessResult, failure: Failure | None) -> str:
    if failure is None or heard.finished is not None:
        return heard.error or ("The agent said that it failed, but not why." if failure else "")
    if result.breach:
        sentence = result.breach
    elif failure.kind is FailureKind.AGENT_TIMEOUT:
        sentence = f"The agent was ended after {result.duration:.0f} s, because its time was over."
    else:
        sentence = f"The agent ended with status {result.exit_status} without saying that it had finished."
    last = tail(result.stderr_tail, _ERROR_CHARACTERS).strip()
    return "\n".join(part for part in (sentence, heard.error, last) if part)
