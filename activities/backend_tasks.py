"""Tasks that are runs of agents with a backend: a program that reads a brief and works in a folder."""

import asyncio
import json
from typing import Any

from activities.backend_run import BackendRun, Ran, metered, refuse_secrets
from activities.credentials import learn_keys, options_of
from activities.enclosure import Enclosure
from activities.folders import Folders
from activities.hearing import Hearing
from activities.kept import Kept, user_of
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.prompt import task_prompt
from shiftwork.agents.task_brief import TaskRequest, render_task, write_task_brief
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.task import TaskUsage
from shiftwork.errors import InvalidInput
from shiftwork.gateway import GatewaySession
from shiftwork.handoffs import HandoffContext
from shiftwork.handoffs.sessions import context_of
from shiftwork.sandbox.cell import Cell
from shiftwork.store.agents import AgentRow
from shiftwork.tasks.budget import RunBudget
from shiftwork.tasks.processing import Assignment, Processed


class BackendTask:
    """One attempt at a task of an agent that has a backend.

    Args:
        kept: the folder that it works in; None: an empty one.
    """

    def __init__(
        self,
        services: Services,
        agent: AgentRow,
        assignment: Assignment,
        stop: Stop,
        kept: Kept | None = None,
    ) -> None:
        self._services = services
        self._agent = agent
        self._assignment = assignment
        self._stop = stop
        self._options = options_of(agent)
        sandbox = agent.config.sandbox.options
        self._user = user = user_of(services, agent)
        self._enclosure = Enclosure(services, self._options, sandbox, user, self._learn_keys)
        root = assignment.folder
        self._folders = Folders(kept.path if kept else root / "workspace", root, root / "home")
        given = agent.config.limits
        self._limits = services.limits_of(given if kept is None else kept.left(given))

    async def run(self) -> Processed:
        """Run it to its end; whatever it left running has ended then.

        Raises:
            InvalidInput: its settings, its credentials or its program are missing or wrong.
            StackError: its worker did not run for too long; nothing is known of the task itself.
        """
        self._enclosure.backend.check(self._options.settings)
        # Whoever registered the agent may not have known what we know.
        refuse_secrets(self._services, self._options, f"agent {self._agent.name!r}")
        await asyncio.to_thread(self._prepare)
        task = self._assignment.task
        hearing = Hearing(
            self._options,
            task.usage or TaskUsage(),
            budget=RunBudget.of(self._agent.config),
            most=self._assignment.max_output_bytes,
            tell=self._assignment.tell,
            stop=self._stop,
            redactor=self._services.redactor,
            outbox=self._folders.outbox,
        )
        run = BackendRun(
            self._options, self._enclosure, self._folders, hearing, stop=self._stop, limits=self._limits
        )
        policy = metered(hearing, f"task {task.id} of {self._agent.name}")
        async with hearing:
            ran = await run.run(policy, self._prompt, timeout=self._assignment.timeout)
        return self._processed(ran, hearing)

    async def _learn_keys(self) -> None:
        await learn_keys(self._services, [(f"agent {self._agent.name!r}", self._options)])

    def _prepare(self) -> None:
        """Make the folders and write the brief; blocks."""
        self._services.enclose_task(self._folders.run, self._user)
        self._folders.workspace.mkdir(mode=0o700, exist_ok=True)
        self._folders.make()
        write_task_brief(self._folders.brief, self._request)

    @property
    def _request(self) -> TaskRequest:
        task, agent, redactor = self._assignment.task, self._agent, self._services.redactor
        handoff = self._assignment.handoff
        told: dict[str, Any] = {
            "agent": agent.name,
            "description": agent.description,
            "instruction": task.instruction,
            "parameters": dict(self._assignment.parameters),
            "handoff": None if handoff is None else json.loads(handoff.to_json()),
        }
        # Rows of before the worker knew a secret, or of clients that don't know it, must not tell it.
        return TaskRequest(task=task.id, attempt=task.attempt, **redactor.redact_json(told))

    def _prompt(self, cell: Cell, _: GatewaySession | None) -> str:
        brief, outbox = cell.seen(self._folders.brief), cell.seen(self._folders.outbox)
        return task_prompt(render_task(self._request), brief=brief, outbox=outbox)

    def _processed(self, ran: Ran, hearing: Hearing) -> Processed:
        outbox = ran.outbox
        handoff, problems = _handed_over(outbox)
        trace = hearing.trace
        if outbox.how_far is not None:
            trace["progress"] = outbox.how_far
        if problems:
            trace["problems"] = list(problems)
        kind, error = ran.why(hearing)
        redact = self._services.redactor.redact
        return Processed(
            success=kind is None,
            trace=trace,
            error=redact(error) or None,
            error_kind=kind,
            result=hearing.last_words,
            handoff=handoff,
            summary=redact(outbox.handoff.summary) if outbox.handoff and handoff else "",
        )


def _handed_over(outbox: Outbox) -> tuple[HandoffContext | None, tuple[str, ...]]:
    """What it leaves for the next run, and what of its outbox can't be used."""
    if outbox.handoff is None:
        return None, outbox.problems
    try:
        context = context_of(outbox.handoff)
        context.to_json()
    except InvalidInput as error:
        return None, (*outbox.problems, f"handoff.json: {error}")
    return context, outbox.problems
