"""Projects as people's programs read and change them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftwork.contracts.feature import FeatureCategory, FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.errors import NotFound
from shiftwork.management.records import Records, valid
from shiftwork.planning.choose import ready
from shiftwork.specifications import project_name
from shiftwork.storable import given_path
from shiftwork.store.rows import FeatureRow, ProjectRow
from shiftwork.store.states import project_state

log = logging.getLogger("shiftwork.projects")


class ProjectManager(Records):
    """Create, read and change projects, features, sessions and decisions.

    What steers a project goes through `control`: its workflow is the only one to change that while it runs.
    Nothing here makes a feature pass, and nothing here writes to main.

    Args:
        store: an open, migrated store.
        control: changes control state; without one the rows are changed, and refused for a running project.
        git: makes and reads the user's repositories.
    """

    async def create_project(
        self,
        name: str,
        description: str = "",
        working_directory: str | Path | None = None,
        init_git: bool = True,  # noqa: FBT001, FBT002 - promised in this form
        *,
        spec: str = "",
        options: ProjectOptions | None = None,
        branch: str | None = None,
    ) -> ProjectRow:
        """A new project; `init_git` makes its working directory a git repository unless it is one.

        Raises:
            Conflict: the name is taken.
            InvalidInput: the name is empty or too long, or the working directory can't be one.
            RepositoryError: the repository can't be made; there is no project then either.
        """
        name = project_name(name)
        folder = (
            None
            if working_directory is None
            else given_path("working_directory", working_directory).absolute()
        )
        where = None if folder is None else str(folder)
        async with self._store.transaction() as tx:
            project = await tx.projects.create(
                name,
                description,
                working_directory=where,
                repository=where,
                branch=branch,
                options=options,
                spec=spec,
            )
            if folder is not None and init_git:
                await self._git.init(folder)
            await tx.events.append(project.id, "project_created", key="project_created")
        return project

    async def get_project(self, project_id: str) -> ProjectRow | None:
        """The project with this id, or None."""
        async with self._store.transaction() as tx:
            try:
                return await tx.projects.get(project_id)
            except NotFound:
                return None

    async def get_project_by_name(self, name: str) -> ProjectRow | None:
        """The project of this name, or None."""
        async with self._store.transaction() as tx:
            return await tx.projects.by_name(name)

    async def list_projects(self, status: ProjectStatus | None = None) -> list[ProjectRow]:
        """All projects, or those in one status, oldest first; the log tells of what can't be read."""
        async with self._store.transaction() as tx:
            found, unreadable = await tx.projects.readable(status)
        for each in unreadable:
            log.warning("left out of a list: %s", each)
        return found

    async def get_project_status(self, project_id: str) -> dict[str, Any]:
        """Where the project stands; see `shiftwork.store.status`."""
        async with self._store.transaction() as tx:
            return await tx.projects.status(project_id)

    async def update_project_status(
        self, project_id: str, status: ProjectStatus, reason: str = ""
    ) -> ProjectRow:
        """Ask for a status; the project as it is once that is accepted."""
        await self._control.set_status(project_id, ProjectStatus(status), reason)
        return await self._project(project_id)

    async def delete_project(self, project_id: str) -> bool:
        """Delete everything stored about a project (no repository); False if there was none."""
        if await self.get_project(project_id) is None:
            return False
        return await self._control.delete(project_id)

    async def add_feature(
        self,
        project_id: str,
        name: str,
        description: str = "",
        category: FeatureCategory = FeatureCategory.FUNCTIONAL,
        priority: int = 5,
        *,
        verification_steps: Sequence[object] = (),
        depends_on: Sequence[str] = (),
    ) -> FeatureRow:
        """A new feature. Steps may be plain strings; the row's `problem` says if it can't be verified so."""
        spec = {
            "name": name,
            "description": description,
            "category": category,
            "priority": priority,
            "verification_steps": tuple(verification_steps),
            "depends_on": tuple(depends_on),
        }
        [feature] = await self.add_features_bulk(project_id, [spec])
        return feature

    async def add_features_bulk(
        self, project_id: str, features: Sequence[FeatureSpec | Mapping[str, Any]]
    ) -> list[FeatureRow]:
        """New features, all or none, in the order given; they may depend on one another.

        Raises:
            InvalidInput: one is not valid, or depends on what does not exist, or on itself.
            Conflict: one has a name that is taken, or the project runs and nothing here can ask its workflow.
        """
        specs = [f if isinstance(f, FeatureSpec) else valid(FeatureSpec, **f) for f in features]
        await self._control.add_features(project_id, specs)
        rows = {row.name: row for row in await self.get_project_features(project_id)}
        return [rows[spec.name] for spec in specs]

    async def edit_feature(self, feature_id: int, **changes: Any) -> FeatureRow:
        """Change the fields of a feature's definition that are named; lifts `blocked`."""
        feature = await self._feature(feature_id)
        await self._control.edit_feature(feature, valid(FeatureEdit, feature=str(feature_id), **changes))
        return await self._feature(feature_id)

    async def get_feature(self, feature_id: int) -> FeatureRow | None:
        """The feature with this id, or None."""
        try:
            return await self._feature(feature_id)
        except NotFound:
            return None

    async def get_project_features(
        self,
        project_id: str,
        status: FeatureStatus | None = None,
        category: FeatureCategory | None = None,
    ) -> list[FeatureRow]:
        """The project's features in the order they were added; all, or those of a status or category."""
        async with self._store.transaction() as tx:
            await tx.projects.get(project_id)
            return await tx.features.list(project_id, status, category)

    async def get_next_feature_to_work_on(self, project_id: str) -> FeatureRow | None:
        """The feature that is next: in progress, then ready by priority, then failing with fewest attempts.

        None if none is ready. Features that depend on what does not pass, or wait for an answer, are not.
        """
        async with self._store.transaction() as tx:
            project = await tx.projects.get(project_id)
            features = await tx.features.list(project_id)
        best = ready(project_state(project, features))[:1]
        return next((row for row in features for state in best if row.id == state.id), None)

    async def update_feature_status(
        self, feature_id: int, status: FeatureStatus, reason: str = ""
    ) -> FeatureRow:
        """Ask for a status. `passing` is never written by this: it asks for verification.

        Raises:
            InvalidInput: `passing` is asked for, and the feature has no step that could be executed.
        """
        feature = await self._feature(feature_id)
        if FeatureStatus(status) is FeatureStatus.PASSING:
            await self._control.request_verification(feature)
        else:
            await self._control.set_feature_status(feature, FeatureStatus(status), reason)
        return await self._feature(feature_id)
