"""Features: their definitions and their control state."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shiftwork.contracts.feature import (
    FeatureCategory,
    FeatureEdit,
    FeatureSpec,
    FeatureStatus,
    VerificationStep,
)
from shiftwork.contracts.session import Failure, Role
from shiftwork.errors import Conflict, NotFound
from shiftwork.store.noun import Noun, dump, is_id
from shiftwork.store.rows import FeatureRow
from shiftwork.store.tables import FeatureTable, ProjectTable

_JUDGED = (
    select(func.jsonb_exists(func.jsonb_extract_path(ProjectTable.options, "roles"), Role.VERIFIER.value))
    .where(ProjectTable.id == FeatureTable.project_id)
    .correlate(FeatureTable)
    .scalar_subquery()
    .is_(True)
    .label("judged")
)
"""Whether the project of a feature has a verifier."""


class FeatureColumns(TypedDict, total=False):
    """What a feature's row may be told; columns left out stay as they are. See `FeatureRow`."""

    status: FeatureStatus
    attempts: int
    runs: int
    priority: int
    depends_on: Sequence[str]
    verification_steps: Sequence[VerificationStep]
    kept_commit: str | None
    candidate: str | None
    waiting: bool
    question: str | None
    last_error: str | None
    last_failure: Failure | None
    blocked_reason: str | None
    passed_commit: str | None


class Features(Noun):
    """The rows of `features`."""

    async def adopt(self, project_id: str, specs: Sequence[FeatureSpec], revision: int) -> list[FeatureRow]:
        """Insert those whose names are new; all features of the project, in the order of their ids."""
        if specs:
            rows = [_values(project_id, spec, revision) for spec in specs]
            await self._connection.execute(insert(FeatureTable).values(rows).on_conflict_do_nothing())
        return await self.list(project_id)

    async def add(self, project_id: str, spec: FeatureSpec, revision: int) -> FeatureRow:
        """Insert one feature; raises `Conflict` if the project has one of that name."""
        values = _values(project_id, spec, revision)
        statement = insert(FeatureTable).values(values).on_conflict_do_nothing().returning(FeatureTable.id)
        feature_id = await self._value(statement)
        if feature_id is None:
            raise Conflict(f"The project already has a feature named {spec.name!r}; choose another name.")
        return await self.get(feature_id)

    async def get(self, feature_id: int) -> FeatureRow:
        """The feature with this id; raises `NotFound`."""
        statement = select(FeatureTable, _JUDGED).where(FeatureTable.id == feature_id)
        row = await self._first(statement, FeatureRow) if is_id(feature_id) else None
        if row is None:
            raise NotFound(f"There is no feature {feature_id}; take one of the project's list of features.")
        return row

    async def by_name(self, project_id: str, name: str) -> FeatureRow | None:
        """The project's feature of this name, or None."""
        statement = select(FeatureTable, _JUDGED).where(
            FeatureTable.project_id == project_id, FeatureTable.name == name
        )
        return await self._first(statement, FeatureRow)

    async def find(self, project_id: str, ref: str | int) -> FeatureRow:
        """The project's feature of this name or id; raises `NotFound`."""
        text = str(ref).strip()
        row = await self.by_name(project_id, text)
        if row is None and text.isdecimal() and text.isascii() and is_id(int(text)):
            statement = select(FeatureTable, _JUDGED).where(
                FeatureTable.project_id == project_id, FeatureTable.id == int(text)
            )
            row = await self._first(statement, FeatureRow)
        if row is None:
            raise NotFound(f"The project has no feature with the name or id {text!r}; take one of its list.")
        return row

    async def list(
        self,
        project_id: str,
        status: FeatureStatus | None = None,
        category: FeatureCategory | None = None,
    ) -> list[FeatureRow]:
        """The project's features in the order of their ids; all, or those of a status or category."""
        statement = select(FeatureTable, _JUDGED).where(FeatureTable.project_id == project_id)
        if status is not None:
            statement = statement.where(FeatureTable.status == status)
        if category is not None:
            statement = statement.where(FeatureTable.category == category)
        return await self._all(statement.order_by(FeatureTable.id), FeatureRow)

    async def save(self, feature_id: int, revision: int, **columns: Unpack[FeatureColumns]) -> bool:
        """Write columns; False, and nothing written, unless the revision is the greater one."""
        return await self._write(feature_id, revision, {k: _column(v) for k, v in columns.items()})

    async def edit(self, feature_id: int, revision: int, edit: FeatureEdit) -> bool:
        """Apply a person's change, as `save` does.

        Any edit lifts `blocked` and gives the feature its attempts back. New verification steps make a
        passing feature `not_started`: what it passed is no longer what is asked.
        """
        changes = edit.model_dump(exclude={"feature", "actor"}, exclude_none=True, mode="json")
        blocked = FeatureTable.status == FeatureStatus.BLOCKED
        unproven = FeatureTable.status == FeatureStatus.PASSING
        restart = blocked | unproven if "verification_steps" in changes else blocked
        values = {
            **changes,
            "status": case((restart, FeatureStatus.NOT_STARTED), else_=FeatureTable.status),
            "attempts": case((blocked, 0), else_=FeatureTable.attempts),
            "blocked_reason": None,
        }
        return await self._write(feature_id, revision, values)

    async def _write(self, feature_id: int, revision: int, values: dict[str, Any]) -> bool:
        statement = (
            update(FeatureTable)
            .where(FeatureTable.id == feature_id, FeatureTable.revision < revision)
            .values(**values, revision=revision, updated_at=func.clock_timestamp())
            .returning(FeatureTable.id)
        )
        return await self._hits(statement)


def _values(project_id: str, spec: FeatureSpec, revision: int) -> dict[str, Any]:
    columns = spec.model_dump(mode="json")
    return {**columns, "project_id": project_id, "status": FeatureStatus.NOT_STARTED, "revision": revision}


def _column(value: object) -> Any:
    if isinstance(value, list | tuple):
        return [
            item.model_dump(mode="json") if isinstance(item, VerificationStep) else item for item in value
        ]
    return dump(value)
