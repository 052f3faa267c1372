"""Tasks that are runs of agents with a backend: a program that reads a brief and works in a folder."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from activities.as_metered import as_the_gateway_saw
from activities.credentials import learn_keys, options_of
from activities.enclosure import Enclosure
from activities.folders import Folders
from activities.hearing import Hearing
from activities.kept import Kept, user_of
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.outbox import read_outbox
from shiftwork.agents.prompt import task_prompt
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd
from shiftwork.agents.task_brief import TaskRequest, render_task, write_task_brief
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.session import FailureKind, InterruptionReason, RunStatus
from shiftwork.contracts.task import TaskErrorKind, TaskUsage
from shiftwork.errors import InvalidInput, SecretExposed, StackError
from shiftwork.gateway import GatewaySession, Policy
from shiftwork.handoffs import HandoffContext
from shiftwork.handoffs.sessions import context_of
from shiftwork.store.agents import AgentRow
from shiftwork.tasks.budget import RunBudget
from shiftwork.tasks.processing import Assignment, Processed
from shiftwork.text import one_line, truncate

_FAILURES = {
    FailureKind.AGENT_TIMEOUT: TaskErrorKind.TIMEOUT,
    FailureKind.AGENT_LIMIT: TaskErrorKind.LIMIT,
}
_INTERRUPTIONS = {
    InterruptionReason.RATE_LIMITED: (
        TaskErrorKind.RATE_LIMITED,
        "The model's provider wants no more questions {until}: run it again then.",
    ),
    InterruptionReason.UNAVAILABLE: (
        TaskErrorKind.UNAVAILABLE,
        "The model's provider is overloaded or out of reach {until}: run it again then.",
    ),
    InterruptionReason.AUTHENTICATION: (
        TaskErrorKind.AUTHENTICATION,
        "The model's provider refuses the agent's credentials: mend them where the worker runs.",
    ),
    InterruptionReason.REJECTED: (
        TaskErrorKind.REJECTED,
        "The model's provider rejects the agent's requests: give it other settings.",
    ),
    InterruptionReason.QUESTION: (
        TaskErrorKind.QUESTION,
        "The agent asks what nobody can answer in a task: put the answer into its instruction.",
    ),
}
"""What keeps an agent from its task, and what people are told of it."""


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
        self._refused = False
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
        self._refuse_secrets()
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
        )
        policy = Policy(
            check_budget=hearing.spent_up,
            on_call=hearing.count,
            label=f"task {task.id} of {self._agent.name}",
        )
        async with hearing, self._enclosure.way_out(policy) as way_out:
            hearing.counts = self._enclosure.provider is None
            try:
                end = await self._run(hearing, way_out)
            except SecretExposed as error:
                raise InvalidInput(str(error)) from error
            self._refused = way_out is not None and way_out.budget_refusals > 0
            end = as_the_gateway_saw(end, way_out, str(self._options.settings.get("model") or ""))
        outbox = await asyncio.to_thread(read_outbox, self._folders.outbox)
        if end.reason is InterruptionReason.INFRASTRUCTURE:
            raise StackError(end.message or "The agent was ended, because its worker did not run.")
        return self._processed(end, outbox, hearing)

    async def _learn_keys(self) -> None:
        await learn_keys(self._services, [(f"agent {self._agent.name!r}", self._options)])

    def _refuse_secrets(self) -> None:  # Whoever registered the agent may not have known what we know.
        if name := self._services.redactor.secret_in(self._options.settings):
            raise InvalidInput(
                f"The settings of agent {self._agent.name!r} hold the secret {name!r}, which would show in "
                "the list of processes: name its variable in 'pass_environment' instead."
            )

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

    async def _run(self, hearing: Hearing, way_out: GatewaySession | None) -> AgentEnd:
        cell = self._enclosure.cell(self._folders, way_out)
        chosen = self._enclosure.backend.new_conversation()
        request = AgentRequest(
            self._folders.workspace,
            prompt=task_prompt(
                render_task(self._request),
                brief=cell.seen(self._folders.brief),
                outbox=cell.seen(self._folders.outbox),
            ),
            brief=self._folders.brief,
            outbox=self._folders.outbox,
            home=self._folders.home,
            settings=self._options.settings,
            conversation=Conversation(chosen) if chosen else None,
            access=self._enclosure.access(way_out),
            binds=cell.binds,
        )
        return await self._enclosure.run(
            request,
            self._folders,
            cell,
            way_out,
            timeout=self._assignment.timeout,
            limits=self._limits,
            on_event=hearing.hear,
            stop=self._stop,
        )

    def _processed(self, end: AgentEnd, outbox: Outbox, hearing: Hearing) -> Processed:
        handoff, problems = _handed_over(outbox)
        trace = hearing.trace
        if problems:
            trace["problems"] = list(problems)
        kind, error = self._spent_up(hearing) or _why(end, outbox)
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

    def _spent_up(self, hearing: Hearing) -> tuple[TaskErrorKind, str] | None:
        """Why it failed, if that is its budget: it spent more, or was refused the next question."""
        said = hearing.overdrawn or (hearing.spent_up() if self._refused else None)
        return (TaskErrorKind.BUDGET, said) if said else None


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


def _why(end: AgentEnd, outbox: Outbox) -> tuple[TaskErrorKind | None, str]:
    """Why the task failed, and one sentence or more of it; None if it did not."""
    match end.status:
        case RunStatus.COMPLETED:
            return None, ""
        case RunStatus.FAILED:
            kind = end.failure.kind if end.failure else FailureKind.AGENT_FAILED
            return _FAILURES.get(kind, TaskErrorKind.FAILED), end.message
    known: Mapping[Any, tuple[TaskErrorKind, str]] = _INTERRUPTIONS
    kind_, sentence = known.get(end.reason, (TaskErrorKind.CANCELLED, "The run was cancelled."))
    said = outbox.question.question if outbox.question else end.message
    until = f"until {end.until:%Y-%m-%d %H:%M} UTC" if end.until else "now, and does not say until when"
    told = sentence.format(until=until)
    return kind_, f"{told} ({truncate(one_line(said), 1_000)})" if said else told
