"""Registered agents: made, changed by new versions, found by id or name."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Select, func, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.base import Message
from shiftwork.errors import Conflict, NotFound, Stale, UnreadableRow
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.run_statements import agent_columns
from shiftwork.store.tables import AgentTable, AgentVersionTable


class AgentDefinition(Message):
    """What an agent is, as one of its versions has it.

    Attributes:
        kind: `python`, or the name of a backend.
        code: Python code, of kind `python` alone; None: it can't be run yet.
        settings: of its backend; see that one's page.
    """

    kind: str
    description: str = ""
    code: str | None = None
    settings: dict[str, JsonValue] = {}
    config: AgentConfiguration = AgentConfiguration()


class AgentIdentity(Message):
    """Which agent it is, in which version: what is known also of one whose definition can't be read."""

    id: int
    name: str
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    def check_version(self, version: int | None) -> None:
        """Raise `Stale` if it is in another version than this one; None: any will do."""
        if version is not None and version != self.version:
            raise Stale(
                f"Agent {self.name!r} is in version {self.version} by now, not in version {version}; "
                "nothing was changed: look at it again."
            )


class AgentRow(AgentIdentity, AgentDefinition):
    """A registered agent in its newest version, or in the one that was asked for."""


_CLAIM = "shiftwork/schedule/"
"""What precedes a schedule's id where it is locked."""

_JOINED = AgentTable.__table__.join(AgentVersionTable.__table__, AgentVersionTable.agent_id == AgentTable.id)


class Agents(Noun):
    """The rows of `agents` and `agent_versions`."""

    async def claim_schedules(self, schedule_ids: Iterable[str], name: str, agent_id: int | None) -> None:
        """Hold these ids of schedules until the transaction ends, for the agent that is to have them.

        Call it before anything else in its transaction: two that hold one another's rows end one another.

        Args:
            agent_id: of the agent; None: it is to be registered.

        Raises:
            Conflict: a live agent has a schedule of such an id.
        """
        for named in sorted(schedule_ids):
            await self.hold_schedule(named)
            others = _has_schedule(named) & (AgentTable.id != (agent_id or 0))
            if await self._hits(_current().where(others).limit(1)):
                raise Conflict(f"The schedule {named!r} is not of agent {name!r}; choose another id.")

    async def hold_schedule(self, named: str) -> None:
        """Have nobody else claim, make, change or remove this schedule until the transaction ends."""
        await self._run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{_CLAIM}{named}")

    async def register(self, name: str, definition: AgentDefinition) -> AgentRow:
        """A new agent, in version 1; raises `Conflict` if one has this name."""
        statement = insert(AgentTable).values(name=name, version=1).on_conflict_do_nothing()
        agent_id = await self._value(statement.returning(AgentTable.id))
        if agent_id is None:
            raise Conflict(
                f"an agent named {name!r} exists already; choose another name, or change that one."
            )
        await self._add_version(agent_id, 1, definition)
        return await self.get(agent_id)

    async def change(
        self, agent_id: int, definition: AgentDefinition, version: int | None = None
    ) -> AgentRow:
        """A new version of it, which its next runs take; the same definition again makes none.

        Args:
            version: the one that is to be followed; None: whichever there is.

        Raises:
            NotFound: there is no such agent.
            Stale: it is in another version by now; nothing was changed.
        """
        await self._lock(agent_id)
        now = await self.get(agent_id)
        now.check_version(version)
        if AgentDefinition.model_validate(now.model_dump()) == definition:
            return now
        await self._add_version(agent_id, now.version + 1, definition)
        values = {"version": now.version + 1, "updated_at": func.clock_timestamp()}
        await self._connection.execute(update(AgentTable).where(AgentTable.id == agent_id).values(values))
        return await self.get(agent_id)

    async def delete(self, agent_id: int, version: int | None = None) -> None:
        """It is found no more; its tasks and handoffs stay. Args and errors as of `change`."""
        await self._lock(agent_id)
        (await self.identity(agent_id)).check_version(version)
        values = {"deleted_at": func.clock_timestamp()}
        await self._connection.execute(update(AgentTable).where(AgentTable.id == agent_id).values(values))

    async def get(self, agent_id: int, version: int | None = None) -> AgentRow:
        """The agent with this id, in this version if one is named; raises `NotFound`."""
        wanted = AgentTable.version if version is None else version
        condition = (AgentTable.id == agent_id) & (AgentVersionTable.version == wanted)
        if version is None:
            condition &= AgentTable.deleted_at.is_(None)
        row = await self._first(_select().where(condition), AgentRow) if is_id(agent_id) else None
        if row is None:
            if version is None:
                raise _missing(agent_id)
            raise NotFound(
                f"There is no version {version} of agent {agent_id}; `shiftwork agents versions {agent_id}` "
                "shows those there are."
            )
        return row

    async def find(self, ref: str) -> AgentRow:
        """The agent of this name, or of this id; raises `NotFound`."""
        if ref.isascii() and ref.isdigit():  # which is no name
            return await self.get(int(ref))
        row = await self._first(_current().where(AgentTable.name == ref), AgentRow)
        if row is not None:
            return row
        raise NotFound(f"There is no agent {ref!r}; `shiftwork agents list` shows those there are.")

    async def identify(self, ref: str) -> AgentIdentity:
        """Which agent has this name or id, whatever else is stored of it; raises `NotFound`."""
        if ref.isascii() and ref.isdigit():
            return await self.identity(int(ref))
        named = (AgentTable.name == ref) & AgentTable.deleted_at.is_(None)
        row = await self._first(select(AgentTable).where(named), AgentIdentity)
        if row is not None:
            return row
        raise NotFound(f"There is no agent {ref!r}; `shiftwork agents list` shows those there are.")

    async def identity(self, agent_id: int, *, deleted: bool = False) -> AgentIdentity:
        """The same by its id, also of a deleted one if it is to be; raises `NotFound`."""
        statement = select(AgentTable).where(AgentTable.id == agent_id)
        if not deleted:
            statement = statement.where(AgentTable.deleted_at.is_(None))
        row = await self._first(statement, AgentIdentity) if is_id(agent_id) else None
        if row is None:
            raise _missing(agent_id)
        return row

    async def owner(self, named: str) -> AgentRow | None:
        """The agent whose configuration has a schedule of this id, or None."""
        return await self._first(_current().where(_has_schedule(named)).limit(1), AgentRow)

    async def readable(self) -> tuple[list[AgentRow], list[UnreadableRow]]:
        """Every agent that can be read, oldest first, and what is wrong with the others."""
        return await self._readable(_current().order_by(AgentTable.id), AgentRow)

    async def readable_versions(self, agent_id: int) -> tuple[list[AgentRow], list[UnreadableRow]]:
        """Every version that can be read, newest first, and what is wrong with the others.

        Raises `NotFound`.
        """
        await self.identity(agent_id, deleted=True)
        statement = _select().where(AgentTable.id == agent_id).order_by(AgentVersionTable.version.desc())
        return await self._readable(statement, AgentRow)

    async def _lock(self, agent_id: int) -> None:
        """Have nobody else change it meanwhile: two who change it at once make two versions."""
        await self._connection.execute(
            select(AgentTable.id).where(AgentTable.id == agent_id).with_for_update()
        )

    async def _add_version(self, agent_id: int, version: int, definition: AgentDefinition) -> None:
        values = {"agent_id": agent_id, "version": version, **definition.model_dump(mode="json")}
        await self._connection.execute(insert(AgentVersionTable).values(values))


def _missing(agent_id: int) -> NotFound:
    return NotFound(f"There is no agent {agent_id}; `shiftwork agents list` shows those there are.")


def _has_schedule(named: str) -> ColumnElement[bool]:
    """Whether a configuration has a schedule of this id, which may be one that can't be read."""
    found: ColumnElement[bool] = type_coerce(AgentVersionTable.config, JSONB)["schedules"].has_key(named)
    return found


def _select() -> Select[Any]:
    return select(*agent_columns()).select_from(_JOINED)


def _current() -> Select[Any]:
    newest = AgentVersionTable.version == AgentTable.version
    return _select().where(newest, AgentTable.deleted_at.is_(None))
