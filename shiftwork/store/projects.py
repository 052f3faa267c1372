"""Projects: what they are, where they stand, what they cost."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Integer, Select, delete, func, literal, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.errors import Conflict, NotFound, UnreadableRow
from shiftwork.specifications import check_specification
from shiftwork.store.noun import Noun, dump
from shiftwork.store.rows import ProjectRow, Totals
from shiftwork.store.status import FIND_SQL, NAMES_SQL, STATUS_SQL, choose, find_arguments, shape
from shiftwork.store.tables import FeatureTable, ProjectTable, SessionTable, UsageTable


class ProjectColumns(TypedDict, total=False):
    """The control columns of a project; those left out stay as they are."""

    status: ProjectStatus
    status_reason: str
    options: ProjectOptions
    budget_usd: float | None
    not_before: datetime | None
    repository: str | None
    branch: str | None


_NO_SESSIONS = literal_column("0", Integer).label("total_sessions")
# Counted when asked for: a counter in the row would lock it from the beginning of a session's transaction.
_SESSIONS = (
    select(func.count())
    .where(SessionTable.project_id == ProjectTable.id)
    .scalar_subquery()
    .label("total_sessions")
)

_AGE = (ProjectTable.created_at, ProjectTable.id)


class Projects(Noun):
    """The rows of `projects`."""

    async def create(
        self,
        name: str,
        description: str = "",
        *,
        working_directory: str | None = None,
        repository: str | None = None,
        branch: str | None = None,
        options: ProjectOptions | None = None,
        spec: str = "",
        budget_usd: float | None = None,
        project_id: str | None = None,
    ) -> ProjectRow:
        """A new project, `initializing`, of this id or a new one; raises `Conflict` if the name is taken."""
        check_specification(spec)
        check_specification(description, "description")
        options = options or ProjectOptions()
        values = {
            "id": project_id or str(uuid.uuid4()),
            "name": name,
            "description": description,
            "working_directory": working_directory,
            "repository": repository,
            "branch": branch,
            "options": dump(options),
            "spec": spec,
            "budget_usd": options.budget_usd if budget_usd is None else budget_usd,
            "status": ProjectStatus.INITIALIZING,
        }
        statement = insert(ProjectTable).values(values).on_conflict_do_nothing()
        row = await self._first(statement.returning(ProjectTable, _NO_SESSIONS), ProjectRow)
        if row is None:
            raise Conflict(f"There already is a project named {name!r}; choose another name.")
        return row

    async def get(self, project_id: str) -> ProjectRow:
        """The project with this id; raises `NotFound`."""
        try:
            uuid.UUID(project_id)
        except ValueError:
            raise _missing(project_id) from None
        row = await self._first(
            select(ProjectTable, _SESSIONS).where(ProjectTable.id == project_id), ProjectRow
        )
        if row is None:
            raise _missing(project_id)
        return row

    async def by_name(self, name: str) -> ProjectRow | None:
        """The project of this name, or None."""
        return await self._first(select(ProjectTable, _SESSIONS).where(ProjectTable.name == name), ProjectRow)

    async def find(self, ref: str) -> ProjectRow:
        """The project with this id, name, or unique beginning of its id (4 characters or more).

        Raises:
            NotFound: there is none.
            InvalidInput: the beginning fits several.
        """
        found = await self._run(FIND_SQL, *find_arguments(ref))
        return await self.get(choose(ref, found, () if found else await self._run(NAMES_SQL)))

    async def readable(
        self, status: ProjectStatus | None = None
    ) -> tuple[list[ProjectRow], list[UnreadableRow]]:
        """All that can be read, or those in one status, oldest first; and what is wrong with the others."""
        statement = _oldest_first()
        if status is not None:
            statement = statement.where(ProjectTable.status == status)
        return await self._readable(statement, ProjectRow)

    async def names(self, *, without: Sequence[ProjectStatus] = ()) -> dict[str, str]:
        """The names of all, by id, oldest first, also of those that can't be read.

        Args:
            without: the statuses of projects that are left out.
        """
        statement = select(ProjectTable.id, ProjectTable.name).where(ProjectTable.status.not_in(without))
        found = await self._connection.execute(statement.order_by(*_AGE))
        return {row.id: row.name for row in found}

    async def save(self, project_id: str, revision: int, **columns: Unpack[ProjectColumns]) -> bool:
        """Write control columns; False, and nothing written, unless the revision is the greater one."""
        values = {name: dump(value) for name, value in columns.items()}
        statement = (
            update(ProjectTable)
            .where(ProjectTable.id == project_id, ProjectTable.revision < revision)
            .values(**values, revision=revision, updated_at=func.clock_timestamp())
            .returning(ProjectTable.id)
        )
        return await self._hits(statement)

    async def next_revision(self, project_id: str) -> int:
        """A revision greater than any of this project; its row stays locked until the transaction ends.

        For writers that are not the project's workflow, while that does not run.
        """
        await self._hits(
            select(ProjectTable.id).where(ProjectTable.id == project_id).with_for_update(key_share=True)
        )
        return await self.revision(project_id) + 1

    async def revision(self, project_id: str) -> int:
        """The greatest revision in any row of this project: a workflow starts counting after it."""
        features = select(func.max(FeatureTable.revision)).where(FeatureTable.project_id == project_id)
        own = select(func.max(ProjectTable.revision)).where(ProjectTable.id == project_id)
        greatest = func.greatest(own.scalar_subquery(), features.scalar_subquery(), literal(0))
        return int(await self._value(select(greatest)))

    async def delete(self, project_id: str) -> bool:
        """Delete a project and everything about it; False if there was none."""
        return await self._hits(
            delete(ProjectTable).where(ProjectTable.id == project_id).returning(ProjectTable.id)
        )

    async def totals(self, project_id: str) -> Totals:
        """Sums over the project's sessions and usage rows."""
        tokens = (
            UsageTable.input_tokens,
            UsageTable.output_tokens,
            UsageTable.cache_read_tokens,
            UsageTable.cache_write_tokens,
            UsageTable.cost_usd,
        )
        statement = (
            select(
                func.count(SessionTable.id.distinct()).label("sessions"),
                *(func.coalesce(func.sum(column), 0).label(column.key) for column in tokens),
            )
            .select_from(SessionTable)
            .outerjoin(UsageTable, UsageTable.session_id == SessionTable.id)
            .where(SessionTable.project_id == project_id)
        )
        return await self._first(statement, Totals) or Totals()

    async def status(self, project_id: str) -> dict[str, Any]:
        """Where the project stands, in the keys that `shiftwork.store.status` documents."""
        found = await self._run(STATUS_SQL, project_id)
        if not found:
            raise _missing(project_id)
        return shape(found[0]["status"])


def _oldest_first() -> Select[Any]:
    return select(ProjectTable, _SESSIONS).order_by(*_AGE)


def _missing(project_id: str) -> NotFound:
    return NotFound(f"There is no project {project_id!r}; take one of the list of projects.")
