"""A project manager whose changes go through the project's workflow while that runs."""

from collections.abc import Sequence

from client.api import Shiftwork
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.project import ProjectStatus
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.planning.graph import check_dependencies
from shiftwork.project_manager import ProjectControl, ProjectManager, RowControl
from shiftwork.store.rows import FeatureRow, ProjectRow, SessionRow


def project_manager(shiftwork: Shiftwork) -> ProjectManager:
    """A manager over this stack's rows; the projects' workflows stay the only writers of control state."""
    return ProjectManager(shiftwork.store, control=ClientControl(shiftwork))


class ClientControl:
    """Through the workflow where it runs or can be opened again, on the rows where there is none."""

    def __init__(self, shiftwork: Shiftwork) -> None:
        self._shiftwork = shiftwork
        self._workflows = WorkflowControl(shiftwork)
        self._rows = RowControl(shiftwork.store, running=self._has_workflow)

    async def _has_workflow(self, project: ProjectRow) -> bool:
        closed = project.status in (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)
        return closed or await self._shiftwork.running(project.id)

    async def _for(self, project_id: str) -> ProjectControl:
        project = await self._shiftwork.find(project_id)
        return self._workflows if await self._has_workflow(project) else self._rows

    async def add_features(self, project_id: str, specs: Sequence[FeatureSpec]) -> None:
        """Add features; all or none."""
        await (await self._for(project_id)).add_features(project_id, specs)

    async def edit_feature(self, feature: FeatureRow, edit: FeatureEdit) -> None:
        """Change a feature's definition."""
        await (await self._for(feature.project_id)).edit_feature(feature, edit)

    async def set_feature_status(self, feature: FeatureRow, status: FeatureStatus, reason: str) -> None:
        """Give a feature a status other than `passing`."""
        await (await self._for(feature.project_id)).set_feature_status(feature, status, reason)

    async def request_verification(self, feature: FeatureRow) -> None:
        """Have what is on main verified for this feature: now, or when the project first runs."""
        if feature.problem is not None:
            raise InvalidInput(feature.problem)
        await (await self._for(feature.project_id)).request_verification(feature)

    async def request_checkpoint(self, project_id: str, note: str) -> None:
        """Have the tip of main made a checkpoint: now, or when the project first runs."""
        await (await self._for(project_id)).request_checkpoint(project_id, note)

    async def set_status(self, project_id: str, status: ProjectStatus, reason: str) -> None:
        """Pause, abandon or resume the project."""
        control = self._workflows if status is ProjectStatus.ACTIVE else await self._for(project_id)
        await control.set_status(project_id, status, reason)

    async def begin_session(self, project_id: str, feature_id: int | None) -> SessionRow:
        """Begin a session."""
        return await (await self._for(project_id)).begin_session(project_id, feature_id)

    async def end_session(
        self, session: SessionRow, outcome: str, error: str | None, handoff: Handoff | None
    ) -> None:
        """End a session that a person began."""
        await (await self._for(session.project_id)).end_session(session, outcome, error, handoff)

    async def revert(self, project_id: str, commit: str) -> None:
        """Take the project back to a checkpoint."""
        await self._workflows.revert(project_id, commit)

    async def delete(self, project_id: str) -> bool:
        """Delete the project."""
        return await self._workflows.delete(project_id)


class WorkflowControl:
    """Control by the workflow's own messages."""

    def __init__(self, shiftwork: Shiftwork) -> None:
        self._shiftwork = shiftwork

    async def add_features(self, project_id: str, specs: Sequence[FeatureSpec]) -> None:
        """Add features in the order given; unknown names and cycles are refused before the first."""
        async with self._shiftwork.store.transaction() as tx:
            known = {row.name: row.depends_on for row in await tx.features.list(project_id)}
        check_dependencies(known | {spec.name: spec.depends_on for spec in specs})
        waiting = list(specs)
        while waiting:
            # Dependencies first: the workflow accepts one feature at a time.
            free = next(s for s in waiting if not {w.name for w in waiting}.intersection(s.depends_on))
            await self._shiftwork.add_feature(project_id, free)
            waiting.remove(free)

    async def edit_feature(self, feature: FeatureRow, edit: FeatureEdit) -> None:
        """Change a feature's definition."""
        await self._shiftwork.edit_feature(feature.project_id, edit)

    async def set_feature_status(self, feature: FeatureRow, status: FeatureStatus, reason: str) -> None:
        """Give a feature a status."""
        await self._shiftwork.set_feature_status(feature.project_id, str(feature.id), status, reason)

    async def request_verification(self, feature: FeatureRow) -> None:
        """Have what is on main verified for this feature."""
        await self._shiftwork.set_feature_status(feature.project_id, str(feature.id), FeatureStatus.PASSING)

    async def request_checkpoint(self, project_id: str, note: str) -> None:
        """Have the tip of main made a checkpoint."""
        await self._shiftwork.checkpoint(project_id, note)

    async def set_status(self, project_id: str, status: ProjectStatus, reason: str) -> None:
        """Pause, abandon or resume."""
        match status:
            case ProjectStatus.PAUSED:
                await self._shiftwork.pause(project_id, reason=reason)
            case ProjectStatus.ABANDONED:
                await self._shiftwork.abandon(project_id, reason)
            case ProjectStatus.ACTIVE:
                await self._shiftwork.resume(project_id)
            case _:
                raise Conflict(f"a project becomes {status} only by its workflow; resume it.")

    async def begin_session(self, project_id: str, feature_id: int | None) -> SessionRow:
        """Have one session run; its row as soon as it has one."""
        feature = None if feature_id is None else str(feature_id)
        number = await self._shiftwork.run_session(project_id, feature)
        return await self._shiftwork.session_begun(project_id, number)

    async def end_session(
        self, session: SessionRow, outcome: str, error: str | None, handoff: Handoff | None
    ) -> None:
        """Refused: a session of an agent ends by itself."""
        del outcome, error, handoff  # what only a session of a person's own has
        raise Conflict(f"session {session.number} is an agent's; pause the project at once to interrupt it.")

    async def revert(self, project_id: str, commit: str) -> None:
        """Take the project back to a checkpoint; refused if that would undo commits of people."""
        await self._shiftwork.revert(project_id, commit)

    async def delete(self, project_id: str) -> bool:
        """Delete the project; refused while it may still run."""
        await self._shiftwork.delete(project_id)
        return True
