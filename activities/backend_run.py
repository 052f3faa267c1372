"""One run of an agent's program that belongs to no project: from its way out to what its end means."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from activities.as_metered import as_the_gateway_saw
from activities.enclosure import Enclosure
from activities.folders import Folders
from activities.hearing import Hearing
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.outbox import read_outbox
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import FailureKind, InterruptionReason, RunStatus
from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput, SecretExposed, StackError
from shiftwork.gateway import GatewaySession, Policy
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.cell import Cell
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

Prepare = Callable[[Cell, GatewaySession | None], str]
"""Writes what the agent is given, and returns its prompt; it may block."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went.

    Attributes:
        refused: whether a question was refused because the budget is spent.
    """

    end: AgentEnd
    outbox: Outbox
    refused: bool

    def why(self, hearing: Hearing) -> tuple[TaskErrorKind | None, str]:
        """Why it failed, and one sentence or more of it; None if it did not."""
        # It failed of its budget if it spent more, or was refused the next question.
        said = hearing.overdrawn or (hearing.spent_up() if self.refused else None)
        return (TaskErrorKind.BUDGET, said) if said else _why(self.end, self.outbox)


class BackendRun:
    """Runs one agent.

    Args:
        agent: its backend and its settings.
        limits: what its processes may use.
    """

    def __init__(
        self,
        agent: AgentOptions,
        enclosure: Enclosure,
        folders: Folders,
        hearing: Hearing,
        *,
        stop: Stop,
        limits: Limits,
    ) -> None:
        self._agent = agent
        self._enclosure = enclosure
        self._folders = folders
        self._hearing = hearing
        self._stop = stop
        self._limits = limits

    async def run(self, policy: Policy, prepare: Prepare, *, timeout: float) -> Ran:
        """Run it to its end; whatever it left running has ended then.

        Args:
            policy: of its way out; who counts, and where it leads to, is found here.
            timeout: seconds it may run.

        Raises:
            InvalidInput: its settings, its credentials or its program are missing or wrong.
            StackError: its worker did not run for too long; nothing is known of the run itself.
        """
        async with self._enclosure.way_out(policy) as way_out:
            self._hearing.counts = self._enclosure.provider is None
            try:
                end = await self._run(way_out, prepare, timeout)
            except SecretExposed as error:
                raise InvalidInput(str(error)) from error
            refused = way_out is not None and way_out.budget_refusals > 0
            end = as_the_gateway_saw(end, way_out, str(self._agent.settings.get("model") or ""))
        outbox = await asyncio.to_thread(read_outbox, self._folders.outbox)
        if end.reason is InterruptionReason.INFRASTRUCTURE:
            raise StackError(end.message or "The agent was ended, because its worker did not run.")
        return Ran(end, outbox, refused)

    async def _run(self, way_out: GatewaySession | None, prepare: Prepare, timeout: float) -> AgentEnd:
        folders, enclosure = self._folders, self._enclosure
        cell = enclosure.cell(folders, way_out)
        chosen = enclosure.backend.new_conversation()
        request = AgentRequest(
            folders.workspace,
            prompt=await asyncio.to_thread(prepare, cell, way_out),
            brief=folders.brief,
            outbox=folders.outbox,
            home=folders.home,
            settings=self._agent.settings,
            conversation=Conversation(chosen) if chosen else None,
            access=enclosure.access(way_out),
            binds=cell.binds,
        )
        return await enclosure.run(
            request,
            folders,
            cell,
            way_out,
            timeout=timeout,
            limits=self._limits,
            on_event=self._hearing.hear,
            stop=self._stop,
        )


def metered(hearing: Hearing, label: str) -> Policy:
    """The way out of an agent whose spending somebody hears of; `label` names it in the log."""
    return Policy(check_budget=hearing.spent_up, on_call=hearing.count, settle=hearing.settle, label=label)


def refuse_secrets(services: Services, agent: AgentOptions, whose: str) -> None:
    """Raise `InvalidInput` for settings that would show a secret; `whose`: as `agent 'reader'`."""
    if name := services.redactor.secret_in(agent.settings):
        raise InvalidInput(
            f"The settings of {whose} hold the secret {name!r}, which would show in "
            "the list of processes: name its variable in 'pass_environment' instead."
        )


def _why(end: AgentEnd, outbox: Outbox) -> tuple[TaskErrorKind | None, str]:
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
