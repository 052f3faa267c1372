"""Tasks that are runs of registered agents."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pydantic import JsonValue

from activities.backend_tasks import BackendTask
from activities.kept import FolderTaken, Kept, kept_folder
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.python.job import PythonJob
from shiftwork.agents.python.outcome import PythonOutcome
from shiftwork.agents.python.places import OwnFolder
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.contracts.agent import PYTHON
from shiftwork.contracts.session import InterruptionReason
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput, LeaseLost, StackError
from shiftwork.runner.failures import AgentError
from shiftwork.runner.limits import Limits
from shiftwork.store.agents import AgentRow
from shiftwork.tasks.processing import Assignment, Processed

Result = TypeVar("Result")

PROVIDER = "agent"
"""The provider of tasks that are runs of registered agents."""

_PATIENCE = 60.0
"""Seconds that a run waits, at most, for the folder that it keeps: what had it is ending, or stands still."""

log = logging.getLogger("shiftwork.tasks")


class AgentProcessor:
    """Runs registered agents, each as its kind is run."""

    name = PROVIDER
    outward = False

    def __init__(self, services: Services, python: PythonRunner) -> None:
        self._services = services
        self._python = python

    async def process(self, assignment: Assignment) -> Processed:
        """Run the agent of the task.

        Raises:
            InvalidInput: it has none, or one that can't be run.
            StackError: this machine can't run it now.
        """
        agent = assignment.agent
        if agent is None:
            raise InvalidInput(
                "A task of the provider 'agent' is a run of a registered agent; it names none."
            )
        try:
            async with kept_folder(self._services, agent, min(assignment.timeout, _PATIENCE)) as kept:
                if kept is not None and (sentence := kept.too_full(agent.config.limits)):
                    return Processed(success=False, error=sentence, error_kind=TaskErrorKind.LIMIT)
                return await self._run(agent, assignment, kept)
        except FolderTaken:
            why = f"Another run of agent {agent.name!r} still works in the folder that it keeps."
            return Processed(success=False, error=why, error_kind=TaskErrorKind.TIMEOUT)

    async def _run(self, agent: AgentRow, assignment: Assignment, kept: Kept | None) -> Processed:
        if agent.kind == PYTHON:
            return await self._run_python(agent, assignment, kept)
        stop = Stop()
        return await _to_its_end(BackendTask(self._services, agent, assignment, stop, kept).run(), stop)

    async def _run_python(self, agent: AgentRow, assignment: Assignment, kept: Kept | None) -> Processed:
        if agent.code is None:
            raise InvalidInput(
                f"Agent {agent.name!r} has no code; give it some with `shiftwork agents edit`."
            )
        limits = agent.config.limits if kept is None else kept.left(agent.config.limits)
        job = PythonJob(
            code=agent.code,
            parameters=assignment.parameters,
            handoff=assignment.handoff,
            instruction=assignment.task.instruction,
            timeout=assignment.timeout,
            limits=Limits(**limits.model_dump()),
            sandbox=agent.config.sandbox.options,
            max_output_bytes=assignment.max_output_bytes,
            folder=None if kept is None else OwnFolder(kept.path, kept.user),
        )
        stop = Stop()
        try:
            run = self._python.run(job, stop=stop, on_progress=partial(_tell_progress, assignment, stop))
            return _processed(await _to_its_end(run, stop))
        except AgentError as error:
            raise StackError(f"Agent {agent.name!r} could not be run: {error}") from error


async def _tell_progress(assignment: Assignment, stop: Stop, progress: JsonValue) -> bool:
    """Whether it need not be told again; if another attempt has taken the task over, this run is to end."""
    try:
        await assignment.tell({"progress": progress})
    except LeaseLost:
        stop.ask(InterruptionReason.INFRASTRUCTURE)
    except StackError as error:
        log.warning("the progress of task %d can't be written now: %s", assignment.task.id, error)
        return False
    return True


async def _to_its_end(work: Awaitable[Result], stop: Stop) -> Result:
    """What comes of the run, also when it is cancelled: what was said until then is kept."""
    run = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(run)
    except asyncio.CancelledError:
        stop.ask(InterruptionReason.PAUSED)
        return await run


def _processed(outcome: PythonOutcome) -> Processed:
    completed = outcome.status is TaskStatus.COMPLETED
    processed = Processed(
        success=completed,
        trace={
            "exit": outcome.exit.code,
            "cpu_seconds": round(outcome.usage.cpu_seconds, 3),
            "memory_peak_mb": round(outcome.usage.peak_memory / 1_000_000, 1),
            "pre_started": outcome.pre_started,
            **({"progress": outcome.progress} if outcome.progress is not None else {}),
            **({"problems": list(outcome.problems)} if outcome.problems else {}),
            **({"stderr": outcome.stderr} if outcome.stderr else {}),
        },
        error=outcome.error or None,
        error_kind=outcome.error_kind,
        result=outcome.result,
        handoff=outcome.handoff,
        summary=outcome.summary,
    )
    if completed:
        return processed
    return replace(processed, error_kind=outcome.error_kind or TaskErrorKind.FAILED)
