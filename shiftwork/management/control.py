"""Who may change control state: the project's workflow while it runs, otherwise the rows directly."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.planning.graph import check_dependencies
from shiftwork.store.features import FeatureColumns
from shiftwork.store.rows import FeatureRow, ProjectRow, SessionRow
from shiftwork.store.store import Store, Transaction

Running = Callable[[ProjectRow], Awaitable[bool]]
"""Whether a project's workflow runs."""

PLANNING = 0
"""The number of the planning session; only a workflow begins it."""


class ProjectControl(Protocol):
    """What changes a project's control state, and is answered once that is accepted.

    Every method raises `NotFound`, `InvalidInput` or `Conflict` with one sentence, and then changes nothing.
    """

    async def add_features(self, project_id: str, specs: Sequence[FeatureSpec]) -> None:
        """Add features; all or none."""

    async def edit_feature(self, feature: FeatureRow, edit: FeatureEdit) -> None:
        """Change a feature's definition."""

    async def set_feature_status(self, feature: FeatureRow, status: FeatureStatus, reason: str) -> None:
        """Give a feature a status other than `passing`."""

    async def request_verification(self, feature: FeatureRow) -> None:
        """Have the feature verified; only that makes it pass."""

    async def request_checkpoint(self, project_id: str, note: str) -> None:
        """Have the work kept so far made a checkpoint."""

    async def set_status(self, project_id: str, status: ProjectStatus, reason: str) -> None:
        """Pause, abandon, resume … the project."""

    async def begin_session(self, project_id: str, feature_id: int | None) -> SessionRow:
        """Begin a session, of this feature or the one that is next."""

    async def end_session(
        self, session: SessionRow, outcome: str, error: str | None, handoff: Handoff | None
    ) -> None:
        """End a session that a person began."""

    async def revert(self, project_id: str, commit: str) -> None:
        """Take the project back to a checkpoint."""

    async def delete(self, project_id: str) -> bool:
        """Delete the project's rows; False if there was none."""


class RowControl:
    """Control of projects that no workflow runs, on their rows; what needs a workflow is refused.

    Args:
        store: an open store.
        running: asks whether a project's workflow runs. Without it, a project that is `active` counts as
            running, and so does one that is `initializing` and whose planning session began.
    """

    def __init__(self, store: Store, running: Running | None = None) -> None:
        self._store = store
        self._running = running

    async def add_features(self, project_id: str, specs: Sequence[FeatureSpec]) -> None:
        """Add features; all or none."""
        async with self._store.transaction() as tx:
            await self._idle(tx, project_id)
            known = {row.name: row.depends_on for row in await tx.features.list(project_id)}
            check_dependencies(known | {spec.name: spec.depends_on for spec in specs})
            revision = await tx.projects.next_revision(project_id)
            for spec in specs:
                row = await tx.features.add(project_id, spec, revision)
                await self._tell_feature(tx, row, "feature_added", {"problem": row.problem or ""})

    async def edit_feature(self, feature: FeatureRow, edit: FeatureEdit) -> None:
        """Change a feature's definition."""
        async with self._store.transaction() as tx:
            await self._idle(tx, feature.project_id)
            if edit.depends_on is not None:
                known = {row.name: row.depends_on for row in await tx.features.list(feature.project_id)}
                check_dependencies(known | {feature.name: edit.depends_on})
            await tx.features.edit(feature.id, await tx.projects.next_revision(feature.project_id), edit)
            await self._tell_feature(tx, feature, "feature_edited", {})

    async def set_feature_status(self, feature: FeatureRow, status: FeatureStatus, reason: str) -> None:
        """Give a feature a status; `passing` is refused, because only verification gives it."""
        if status is FeatureStatus.PASSING:
            raise Conflict(f"Feature {feature.name!r} passes only by verification; request that.")
        async with self._store.transaction() as tx:
            await self._idle(tx, feature.project_id)
            revision = await tx.projects.next_revision(feature.project_id)
            columns: FeatureColumns = {"status": status, "blocked_reason": None}
            if status is FeatureStatus.BLOCKED:
                columns["blocked_reason"] = reason or "blocked by hand"
            if status is FeatureStatus.FAILING and reason:
                columns["last_error"] = reason
            await tx.features.save(feature.id, revision, **columns)
            await self._tell_feature(tx, feature, "feature_status", {"status": status, "reason": reason})

    async def request_verification(self, feature: FeatureRow) -> None:
        """Write down that a person asks; what does not pass is verified when the project runs."""
        if feature.problem is not None:
            raise InvalidInput(feature.problem)
        async with self._store.transaction() as tx:
            await self._idle(tx, feature.project_id)
            await self._tell_feature(tx, feature, "verification_requested", {})

    async def request_checkpoint(self, project_id: str, note: str) -> None:
        """Write down that a person asks; what is kept is built on when the project runs."""
        async with self._store.transaction() as tx:
            await self._idle(tx, project_id)
            await tx.events.append(project_id, "checkpoint_requested", data={"note": note})

    async def set_status(self, project_id: str, status: ProjectStatus, reason: str) -> None:
        """Give the project a status that a workflow need not bring about."""
        async with self._store.transaction() as tx:
            project = await self._idle(tx, project_id)
            if status is ProjectStatus.ACTIVE:
                raise Conflict(f"Project {project.name!r} becomes active by running; start or resume it.")
            if status is ProjectStatus.COMPLETED:
                await _all_pass(tx, project)
            revision = await tx.projects.next_revision(project_id)
            await tx.projects.save(project_id, revision, status=status, status_reason=reason)
            data = {"status": status, "reason": reason}
            await tx.events.append(project_id, "project_status", data=data)

    async def begin_session(self, project_id: str, feature_id: int | None) -> SessionRow:
        """Number a session and write its row: a person does the work."""
        async with self._store.transaction() as tx:
            await self._idle(tx, project_id)
            await tx.projects.next_revision(project_id)  # holds the project: numbers are given one at a time
            number = (await tx.sessions.last_number(project_id) or 0) + 1
            return await tx.sessions.begin(project_id, number, feature_id, Role.SESSION, datetime.now(UTC))

    async def end_session(
        self, session: SessionRow, outcome: str, error: str | None, handoff: Handoff | None
    ) -> None:
        """End a session; the first end is the one that counts."""
        async with self._store.transaction() as tx:
            await self._idle(tx, session.project_id)
            if handoff is not None:
                await tx.sessions.handoff(session.project_id, session.number, handoff)
            await tx.sessions.end(session.project_id, session.number, outcome=outcome, error=error)

    async def revert(self, project_id: str, commit: str) -> None:
        """Refused: only the project's workflow moves main."""
        async with self._store.transaction() as tx:
            project = await tx.projects.get(project_id)
            await tx.checkpoints.get(project_id, commit)
        raise Conflict(f"Project {project.name!r} is reverted by its workflow; use `shiftwork revert`.")

    async def delete(self, project_id: str) -> bool:
        """Delete the project's rows; its repositories stay."""
        async with self._store.transaction() as tx:
            await self._idle(tx, project_id)
            return await tx.projects.delete(project_id)

    async def _idle(self, tx: Transaction, project_id: str) -> ProjectRow:
        project = await tx.projects.get(project_id)
        if await self._runs(tx, project):
            raise Conflict(
                f"Project {project.name!r} is {project.status}: while it runs, only its workflow changes it; "
                "use the client, or pause it first."
            )
        return project

    async def _runs(self, tx: Transaction, project: ProjectRow) -> bool:
        if self._running is not None:
            return await self._running(project)
        if project.status is ProjectStatus.INITIALIZING:
            return await tx.sessions.find(project.id, PLANNING) is not None
        return project.status is ProjectStatus.ACTIVE

    async def _tell_feature(
        self, tx: Transaction, feature: FeatureRow, kind: str, data: dict[str, Any]
    ) -> None:
        key = f"{kind}:{feature.id}" if kind == "feature_added" else None
        reference = f"feature:{feature.id}"
        told = {"feature": feature.name, **data}
        await tx.events.append(feature.project_id, kind, key=key, reference=reference, data=told)


async def _all_pass(tx: Transaction, project: ProjectRow) -> None:
    features = await tx.features.list(project.id)
    left = [f.name for f in features if f.status is not FeatureStatus.PASSING]
    if left or not features:
        what = f"feature {left[0]!r} does not pass" if left else "it has no features"
        raise Conflict(f"Project {project.name!r} is not completed: {what}.")
