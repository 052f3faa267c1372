"""Registered agents, as people and programs make and change them."""

import warnings

from client.schedules import ScheduleControl
from client.vetting import check_hosts
from shiftwork.agents.python.telling import check_code
from shiftwork.agents.registry import find_backend
from shiftwork.contracts.agent import PYTHON
from shiftwork.errors import InvalidInput
from shiftwork.schedules import Recurrence
from shiftwork.secrets.refusing import refuse_secrets
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.tasks.budget import check_budget
from shiftwork.text import one_line


class AgentRegistry(ScheduleControl):
    """The agents of a stack; they are named by name or by id."""

    async def register_agent(self, name: str, definition: AgentDefinition) -> AgentRow:
        """Register an agent.

        Raises:
            Conflict: there is one of this name, or a schedule of that id is another's; nothing was stored.
            InvalidInput: the name or the definition can't be; nothing was stored.
        """
        _check_name(name)
        check_definition(definition)
        await self._refuse_secrets(definition)
        await self.check_schedule_ids(name, definition.config, None)
        if _scheduled(definition):
            await self.temporal()  # nothing is stored where nothing can be scheduled
        async with self.store.transaction() as tx:
            agent = await tx.agents.register(name, definition)
        if _scheduled(definition):
            await self.reconcile_schedules([agent])
        return agent

    async def change_agent(self, ref: str | int, definition: AgentDefinition) -> AgentRow:
        """Give an agent a new version, which its next runs take.

        Raises:
            NotFound: there is no such agent.
            Conflict: a schedule of that id is another agent's; nothing was stored.
            InvalidInput: the definition can't be; nothing was stored.
        """
        check_definition(definition)
        await self._refuse_secrets(definition)
        before = await self.agent(ref)
        await self.check_schedule_ids(before.name, definition.config, before.id)
        async with self.store.transaction() as tx:
            agent = await tx.agents.change(before.id, definition)
        if _scheduled(before) or _scheduled(agent):
            await self.reconcile_schedules([agent])
        return agent

    async def delete_agent(self, ref: str | int) -> AgentRow:
        """Delete an agent; its tasks and handoffs stay. Raises `NotFound`."""
        async with self.store.transaction() as tx:
            agent = await tx.agents.find(str(ref))
            await tx.agents.delete(agent.id)
            gone = (await tx.agents.versions(agent.id))[0]
        if _scheduled(agent):
            await self.reconcile_schedules([gone])
        return gone

    async def agent(self, ref: str | int) -> AgentRow:
        """The agent of this name or id; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.agents.find(str(ref))

    async def agents(self) -> list[AgentRow]:
        """Every registered agent, oldest first."""
        async with self.store.transaction() as tx:
            return await tx.agents.all()

    async def agent_versions(self, ref: str | int) -> list[AgentRow]:
        """Every version of an agent, newest first; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.agents.versions((await tx.agents.find(str(ref))).id)

    async def _refuse_secrets(self, definition: AgentDefinition) -> None:
        refuse_secrets("The agent's settings", definition.settings, await self.guard())


def check_definition(definition: AgentDefinition) -> None:
    """Raise `InvalidInput` for what can never be run."""
    config = definition.config
    for expression in (*([config.schedule] if config.schedule else []), *config.schedules.values()):
        Recurrence.parse(expression, config.timezone)
    check_budget(definition.kind, config)
    check_hosts(config.sandbox)
    if definition.kind == PYTHON:
        if definition.settings:
            raise InvalidInput("An agent of kind 'python' has code, and no settings of a backend.")
        if definition.code is not None:
            check_code(definition.code)
            _check_syntax(definition.code)
        return
    if definition.code is not None:
        raise InvalidInput(f"An agent of kind {definition.kind!r} has settings, and no code.")
    find_backend(definition.kind).check(definition.settings)


def definition_of(agent: AgentRow, **changes: object) -> AgentDefinition:
    """What an agent is, with these changes."""
    return AgentDefinition.model_validate({**agent.model_dump(), **changes})


def _scheduled(definition: AgentDefinition) -> bool:
    return definition.config.schedule is not None or bool(definition.config.schedules)


def _check_syntax(code: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are for whoever runs it
            compile(code, "agent.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise InvalidInput(f"The code of the agent is no Python: {where}{error.msg}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput(f"The code of the agent is no Python: {error or 'too deeply nested'}.") from None


def _check_name(name: str) -> None:
    if not 0 < len(name) <= 120 or one_line(name) != name:
        raise InvalidInput(
            f"{name!r:.140} can't be the name of an agent: it must be one line of 1 to 120 characters."
        )
    if name.isascii() and name.isdigit():
        raise InvalidInput(f"{name!r:.60} can't be the name of an agent: it would be taken for an id.")
