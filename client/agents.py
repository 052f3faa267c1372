"""Registered agents, as people and programs make and change them."""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from client.merging import merged
from client.schedule_names import schedule_id
from client.schedule_removal import remove_schedules
from client.schedules import ScheduleControl, ScheduleInfo
from client.task_inputs import check_parameters
from client.vetting import check_agent, check_hosts
from client.wording import first_problem
from shiftwork.agents.python.telling import check_code
from shiftwork.contracts.agent import PYTHON, AgentConfiguration
from shiftwork.errors import InvalidInput, Stale, UnreadableRow
from shiftwork.schedules import Recurrence, time_zone
from shiftwork.secrets.refusing import refuse_in_code, refuse_in_words, refuse_secrets
from shiftwork.storable import check_mapping, check_text
from shiftwork.store.agents import AgentDefinition, AgentIdentity, AgentRow
from shiftwork.tasks.budget import check_budget
from shiftwork.text import one_line

log = logging.getLogger("shiftwork.agents")

_TRIES = 20
"""How often others may have changed an agent in the midst of a change of its schedules."""


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
        await self._refuse_secrets(definition, name)
        await self.check_schedule_ids(name, definition.config, None)
        if _scheduled(definition):
            await self.temporal()  # nothing is stored where nothing can be scheduled
        async with self.store.transaction() as tx:
            await tx.agents.claim_schedules(definition.config.schedules, name, None)
            agent = await tx.agents.register(name, definition)
        if _scheduled(definition):
            await self.reconcile_schedules([agent])
        return agent

    async def change_agent(
        self, ref: str | int, definition: AgentDefinition, *, version: int | None = None
    ) -> AgentRow:
        """Give an agent a new version, which its next runs take.

        Args:
            version: only if it is in this one; None: whichever it is in, and who comes last wins.

        Raises:
            NotFound: there is no such agent.
            Stale: it is in another version by now; nothing was stored.
            Conflict: a schedule of that id is another agent's; nothing was stored.
            InvalidInput: the definition can't be; nothing was stored.
        """
        check_definition(definition)
        await self._refuse_secrets(definition)
        before = await self.agent(ref)
        await self.check_schedule_ids(before.name, definition.config, before.id)
        async with self.store.transaction() as tx:
            await tx.agents.claim_schedules(definition.config.schedules, before.name, before.id)
            agent = await tx.agents.change(before.id, definition, version)
        if _scheduled(before) or _scheduled(agent):
            await self.reconcile_schedules([agent])
        return agent

    async def delete_agent(self, ref: str | int, *, version: int | None = None) -> AgentIdentity:
        """Delete an agent, also one that can't be read; its tasks and handoffs stay.

        Args:
            version: see `change_agent`.

        Returns:
            What it was in its last version, as far as that can be read: an `AgentRow`, if it can.

        Raises:
            NotFound: there is no such agent.
            Stale: it is in another version by now; nothing was deleted.
        """
        async with self.store.transaction() as tx:
            agent = await tx.agents.identify(str(ref))
            agent.check_version(version)
            _, unreadable = await tx.agents.readable_versions(agent.id)
        if unreadable:  # first, as nobody finds them once it is deleted
            await remove_schedules(self.store, await self.temporal(), agent.id)
        async with self.store.transaction() as tx:
            await tx.agents.delete(agent.id, version)
            agent = await tx.agents.identity(agent.id, deleted=True)
            versions, unreadable = await tx.agents.readable_versions(agent.id)
        if not unreadable and any(map(_scheduled, versions)):
            await self.reconcile_schedules(versions[:1])
        return next((each for each in versions if each.version == agent.version), agent)

    async def agent(self, ref: str | int) -> AgentRow:
        """The agent of this name or id; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.agents.find(str(ref))

    async def agent_identity(self, ref: str | int) -> AgentIdentity:
        """Which agent has this name or id, also if it can't be read; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.agents.identify(str(ref))

    async def agents(self) -> list[AgentRow]:
        """Every registered agent, oldest first; the log tells of those that can't be read."""
        return _but_told(*await self.readable_agents())

    async def readable_agents(self) -> tuple[list[AgentRow], list[UnreadableRow]]:
        """Every registered agent that can be read, oldest first, and what is wrong with the others."""
        async with self.store.transaction() as tx:
            return await tx.agents.readable()

    async def agent_versions(self, ref: str | int) -> list[AgentRow]:
        """Every version of an agent, newest first; the log tells of those that can't be read.

        Raises `NotFound`.
        """
        return _but_told(*await self.readable_agent_versions(ref))

    async def readable_agent_versions(self, ref: str | int) -> tuple[list[AgentRow], list[UnreadableRow]]:
        """Every version that can be read, and what is wrong with the others; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.agents.readable_versions((await tx.agents.identify(str(ref))).id)

    async def set_schedule(
        self,
        ref: str | int,
        expression: str,
        job_id: str | None = None,
        *,
        timezone: str | None = None,
        version: int | None = None,
    ) -> ScheduleInfo:
        """Have an agent run by this schedule from now on; its configuration says so too, as a new version.

        Args:
            expression: five fields of cron, such as `0 9 * * 1-5`, or an interval such as `@every 90s`.
            job_id: the schedule's id; None: the agent's own. With other ids an agent has several.
            timezone: whose clock all of its schedules are read by; None: as it is.
            version: see `change_agent`.

        Raises:
            As `change_agent`, and `InvalidInput` for what can't be a schedule, or the id of one.
        """
        named = ""

        def wanted(agent: AgentRow, schedule: str) -> dict[str, Any]:
            nonlocal named
            named = schedule
            changes: dict[str, Any] = {"enabled": True}
            changes["timezone"] = agent.config.timezone if timezone is None else timezone
            Recurrence.parse(expression, changes["timezone"])
            if named == schedule_id(agent.id):
                return {**changes, "schedule": expression}
            return {**changes, "schedules": {**agent.config.schedules, named: expression}}

        agent = await self._configure(ref, job_id, wanted, version)
        return await self.schedule(agent.id, named)

    async def unset_schedule(
        self, ref: str | int, job_id: str | None = None, *, version: int | None = None
    ) -> AgentRow:
        """Have an agent run by a schedule no more; one that has none stays as it is.

        Args:
            job_id: only by this one no more; None: by none, unless `ref` is the id of one.
            version: see `change_agent`.
        """

        def wanted(agent: AgentRow, named: str) -> dict[str, Any]:
            if job_id is None and named != str(ref):
                return {"schedule": None, "schedules": {}}
            if named == schedule_id(agent.id):
                return {"schedule": None}
            schedules = agent.config.schedules
            return {"schedules": {name: when for name, when in schedules.items() if name != named}}

        return await self._configure(ref, job_id, wanted, version)

    async def _configure(
        self,
        ref: str | int,
        job_id: str | None,
        wanted: Callable[[AgentRow, str], dict[str, Any]],
        version: int | None,
    ) -> AgentRow:
        """Change some keys of an agent's configuration, and undo nothing that others change meanwhile.

        Args:
            wanted: tells of the agent as it is, and of the schedule's id, what the keys become.
        """
        for left in reversed(range(_TRIES)):
            agent, named = await self.scheduled_agent(ref, job_id)
            config = checked_configuration({**agent.config.model_dump(), **wanted(agent, named)})
            definition = definition_of(agent, config=config)
            try:
                return await self.change_agent(
                    agent.id, definition, version=agent.version if version is None else version
                )
            except Stale:
                if version is not None or not left:
                    raise
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    async def _refuse_secrets(self, definition: AgentDefinition, name: str = "") -> None:
        redactor = await self.guard()
        refuse_secrets("The agent's name", name, redactor)
        refuse_in_words("The agent's description", definition.description, redactor)
        refuse_secrets("The agent's settings", definition.settings, redactor)
        refuse_secrets("The agent's configuration", definition.config.model_dump(mode="json"), redactor)
        refuse_in_code(definition.code or "", redactor)


def check_definition(definition: AgentDefinition) -> None:
    """Raise `InvalidInput` for what can never be run."""
    config = definition.config
    check_text("The description of the agent", definition.description)
    check_mapping("config", config.model_dump(mode="python"))
    check_mapping("settings", definition.settings)
    time_zone(config.timezone)
    for expression in (*([config.schedule] if config.schedule else []), *config.schedules.values()):
        Recurrence.parse(expression, config.timezone)
    check_budget(definition.kind, config)
    check_hosts(config.sandbox)
    if definition.kind == PYTHON:
        if definition.settings:
            raise InvalidInput(
                "An agent of kind 'python' has code, and no settings of a backend; take the settings away."
            )
        check_parameters(definition, {})
        if definition.code is not None:
            check_code(definition.code)
            _check_syntax(definition.code)
        return
    check_agent(definition.kind, definition.settings)
    if definition.code is not None:
        raise InvalidInput(
            f"An agent of kind {definition.kind!r} has settings, and no code; take the code away."
        )


def checked_configuration(keys: Mapping[str, Any]) -> AgentConfiguration:
    """The configuration that has these keys; raises `InvalidInput` for the first that is wrong."""
    try:
        return AgentConfiguration.model_validate(keys)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error, AgentConfiguration)}.") from error


def patched_configuration(before: AgentConfiguration, patch: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keys that a configuration has after a JSON merge patch; nothing is checked yet.

    Null takes a key away, so that its default holds again; but a limit that is null is no limit.
    """
    after: dict[str, Any] = merged(before.model_dump(), patch) or {}
    limits = (patch or {}).get("limits")
    if isinstance(limits, Mapping):
        after["limits"] = {**before.limits.model_dump(), **limits}
    return after


def definition_of(agent: AgentRow, **changes: object) -> AgentDefinition:
    """What an agent is, with these changes."""
    return AgentDefinition.model_validate({**agent.model_dump(), **changes})


def _but_told(found: list[AgentRow], unreadable: list[UnreadableRow]) -> list[AgentRow]:
    for each in unreadable:
        log.warning("left out of a list: %s", each)
    return found


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
