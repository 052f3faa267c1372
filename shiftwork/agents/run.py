"""Running one agent: its process, its events, and what its end means."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import AnyStr

from shiftwork.agents.events import AgentEventKind, Problem
from shiftwork.agents.guard import GuardedReader
from shiftwork.agents.listening import ERROR_CHARACTERS, Listener, OnEvent
from shiftwork.agents.protocol import AgentBackend, AgentCommand, AgentRequest
from shiftwork.contracts.session import Failure, FailureKind, InterruptionReason, RunStatus
from shiftwork.runner.environment import child_environment
from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import ProcessResult, ProcessSpec, StopSignal, without_secrets
from shiftwork.runner.supervisor import find_program, run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.confinement import Bind, Confinement
from shiftwork.sandbox.visible import installation_of
from shiftwork.secrets.absent import Guards, assert_absent
from shiftwork.text import tail

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
            (`question.json` in its outbox), a rate limit, trouble with the model's provider, or that its
            lease lapsed because we did not run.
        until: when it may go on, if time is what it needs and the agent knows how much.
        exit_status, signal: of its process; they decide nothing.
        by_itself: its process ended with status 0, and nobody had to end it or anything that it left.
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
    by_itself: bool
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
    redactor: Guards | None = None,
    sealed: bool = False,
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
        redactor: takes secrets out of what is kept of its output, and out of no argument: it refuses them.
        sealed: only it, and those to whom it hands that on, can write to its standard output.

    Raises:
        InvalidInput: its program does not exist.
        SecretExposed: an argument of its program would show a secret that the redactor knows.
        Conflict: another run holds the lock file.
    """
    command = backend.command(request)
    spec = ProcessSpec(
        argv=command.argv,
        cwd=request.seen(request.workspace),
        env=child_environment(os.environ, {**env, **command.env, **_folders(request)}, tools=tools),
        stdin=command.stdin,
        timeout=timeout,
        limits=limits or Limits(),
        stall_timeout=stall_timeout,
        grace=grace,
        lock_file=lock_file,
        confinement=confinement,
        door=door,
        sealed_output=sealed,
    )
    if confinement is not None:
        spec = replace(spec, confinement=_with_program(confinement, spec, command))
    if redactor is not None:
        assert_absent(spec.argv, {}, redactor)
    if before_start is not None:
        await before_start()
    resumed = request.conversation is not None and request.conversation.resumed
    redact = redactor.redact if redactor is not None else _as_it_is
    reader = GuardedReader(backend.reader(request))
    listener = Listener(reader, on_event, stop, grace, accepted=resumed, redact=redact)
    try:
        result = await run(spec, sandbox=sandbox, on_line=listener.hear, stop=listener)
        await listener.end(result)
    finally:
        listener.close()
    return _judge(listener, await asyncio.to_thread(without_secrets, result, redact))


def _folders(request: AgentRequest) -> dict[str, str]:
    """Where the agent finds the two folders of its session, if it has them."""
    given = {"SHIFTWORK_BRIEF": request.brief, "SHIFTWORK_OUTBOX": request.outbox}
    return {name: str(request.seen(folder)) for name, folder in given.items() if folder is not None}


def _as_it_is(text: AnyStr) -> AnyStr:
    return text


def _with_program(confinement: Confinement, spec: ProcessSpec, command: AgentCommand) -> Confinement:
    """The confinement, with what the program needs of itself."""
    program = Path(find_program(spec))
    needed = [*installation_of(program, spec.env["PATH"]), *command.reads]
    return replace(confinement, binds=(*(Bind(path, path) for path in needed), *confinement.binds))


def _judge(heard: Listener, result: ProcessResult) -> AgentEnd:
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
        by_itself=_ended_by_itself(result),
        message=_message(heard, result, failure),
        stdout_tail=tail(result.stdout_tail, _TAIL_BYTES),
        stderr_tail=tail(result.stderr_tail, _TAIL_BYTES),
        duration=result.duration,
    )


def _ended_by_itself(result: ProcessResult) -> bool:
    by_hand = result.stopped or result.timed_out or result.stalled or result.breach
    return result.exit_status == 0 and result.signal is None and not by_hand


def _verdict(
    heard: Listener, result: ProcessResult
) -> tuple[RunStatus, InterruptionReason | None, Failure | None]:
    if heard.ended_with(AgentEventKind.QUESTION):
        return RunStatus.INTERRUPTED, InterruptionReason.QUESTION, None
    if heard.finished is not None and heard.finished.ok:
        return RunStatus.COMPLETED, None, None
    if heard.ended_with(AgentEventKind.RATE_LIMITED):
        return RunStatus.INTERRUPTED, InterruptionReason.RATE_LIMITED, None
    if heard.finished is None and (result.stopped or result.lapsed):
        return RunStatus.INTERRUPTED, None if result.stopped else InterruptionReason.INFRASTRUCTURE, None
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


def _failure_kind(heard: Listener, result: ProcessResult, problem: Problem | None) -> FailureKind:
    if heard.finished is not None:
        return _FAILURES.get(problem, FailureKind.AGENT_FAILED) if problem else FailureKind.AGENT_FAILED
    if result.timed_out or result.stalled:
        return FailureKind.AGENT_TIMEOUT
    return FailureKind.AGENT_LIMIT if result.breach else FailureKind.AGENT_CRASHED


def _resume_at(heard: Listener, reason: InterruptionReason | None) -> datetime | None:
    if reason not in (InterruptionReason.RATE_LIMITED, InterruptionReason.UNAVAILABLE):
        return None
    return heard.terminal.until if heard.terminal else None


def _message(heard: Listener, result: ProcessResult, failure: Failure | None) -> str:
    if result.lapsed and not result.stopped and heard.terminal is None:
        return "The agent was ended, because its worker did not run for longer than its lease."
    if failure is None or heard.finished is not None:
        return heard.error or ("The agent said that it failed, but not why." if failure else "")
    if result.breach:
        sentence = result.breach
    elif failure.kind is FailureKind.AGENT_TIMEOUT:
        sentence = f"The agent was ended after {result.duration:.0f} s, because its time was over."
    else:
        sentence = f"The agent ended with status {result.exit_status} without saying that it had finished."
    last = tail(result.stderr_tail, ERROR_CHARACTERS).strip()
    return "\n".join(part for part in (sentence, heard.error, last) if part)
