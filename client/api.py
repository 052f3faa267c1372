"""Everything a person can do to a project, as functions over the store and Temporal.

The command line, the Python harness and whatever comes later (REST, dashboard) are thin over this class.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from client.agents import AgentRegistry
from client.connection import CLOSED, actor
from client.episodes import EpisodeControl
from client.evaluating import EvaluationResults
from client.following import Following
from client.inputs import new_project_id
from client.messages import Messages
from client.resting import at_rest
from client.schedule_changes import suppress_missing
from client.tasks import TaskControl
from client.temporal_errors import answering
from client.vetting import vet_options
from shiftwork.codec.agreement import agree
from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import Conflict, StackError
from shiftwork.secrets.refusing import refuse_in_words, refuse_secrets
from shiftwork.specifications import check_specification, project_name
from shiftwork.store.rows import ProjectRow
from shiftwork.temporal import PROJECT_WORKFLOW

__all__ = ["Shiftwork", "actor", "at_rest"]


class Shiftwork(Messages, Following, AgentRegistry, TaskControl, EpisodeControl, EvaluationResults):
    """A connection to one stack, and all that can be done there.

    Use as `async with Shiftwork(settings) as shiftwork`. Projects are named by id, by the beginning of an id,
    or by name. Every method raises a `ShiftworkError` with one sentence, and then nothing was changed; only
    where Temporal does not answer (`StackError`) what was asked for may have been taken before.
    """

    async def start(
        self,
        name: str,
        spec: str,
        *,
        repository: str | Path | None = None,
        description: str = "",
        options: ProjectOptions | None = None,
        allow_dirty: bool = False,
        project_id: str | None = None,
    ) -> str:
        """Create a project and start it; returns its id.

        Args:
            spec: what the initializer agent turns into features; at most 1 MB of UTF-8.
            repository: the user's repository: a folder (made if it is missing), a bare one, or an address.
            allow_dirty: start from the last commit of a repository that has uncommitted changes.
            project_id: the id that it gets, a UUID; None: a new one.

        Raises:
            StackError: also if it is made and could not be started: then a worker does that later.
        """
        project = await self.create(
            name,
            spec,
            repository=repository,
            description=description,
            options=options,
            allow_dirty=allow_dirty,
            project_id=project_id,
            start=True,
        )
        try:
            await self.open(project.id)
        except StackError as error:
            why = str(error).removesuffix(".").removesuffix("; try again")
            raise StackError(
                f"Project {project.name!r} is made, but not started yet: {why}; a worker starts it later, "
                "`shiftwork resume` at once."
            ) from error
        return project.id

    async def create(
        self,
        name: str,
        spec: str,
        *,
        repository: str | Path | None = None,
        description: str = "",
        options: ProjectOptions | None = None,
        allow_dirty: bool = False,
        project_id: str | None = None,
        start: bool = False,
    ) -> ProjectRow:
        """Create a project's rows without starting it; see `start`.

        Args:
            project_id: the id that it gets, a UUID; None: a new one.
            start: it is to be started next, by `open`; should this program end before that, a worker does.
        """
        name, project_id = project_name(name), new_project_id(project_id)
        check_specification(spec)
        check_specification(description, "description")
        await agree(self.settings)  # nobody could start it from here
        options = options or ProjectOptions()
        redactor = await self.guard()
        vet_options(options, redactor)
        refuse_secrets("The project's name or repository", [name, str(repository or "")], redactor)
        refuse_in_words("The project's specification", f"{spec}\n{description}", redactor)
        async with self.store.transaction() as tx:
            if await tx.projects.by_name(name) is not None:
                raise Conflict(f"a project named {name!r} exists already; choose another name.")
        where, branch = None, None
        if repository is not None:
            from shiftwork.repository import open_user_repository  # noqa: PLC0415 - all of git, only for this

            user = await open_user_repository(repository, allow_dirty=allow_dirty)
            where, branch = user.where, user.branch
        async with self.store.transaction() as tx:
            project = await tx.projects.create(
                name,
                description,
                working_directory=where,
                repository=where,
                branch=branch,
                options=options,
                spec=spec,
                budget_usd=options.budget_usd,
                project_id=project_id,
            )
            if start:
                await tx.starts.add(project.id)
            data = {"agent": options.agent.backend}
            await tx.events.append(
                project.id, "project_created", key="project_created", actor=actor(), data=data
            )
        return project

    async def open(self, project_id: str) -> None:
        """Start the project's workflow from its rows; nothing happens if it runs."""
        client = await self.temporal()
        project = await self.find(project_id)
        with answering():
            await client.start_workflow(
                PROJECT_WORKFLOW, self._start(project_id), **self._workflow_options(project)
            )
        async with self.store.transaction() as tx:
            await tx.starts.done(project.id)

    async def status(self, ref: str) -> dict[str, Any]:
        """Where the project stands, from the rows."""
        async with self.store.transaction() as tx:
            project = await tx.projects.find(ref)
            return await tx.projects.status(project.id)

    async def delete(self, ref: str) -> str:
        """Delete a project that does not run: its rows and its private repository, not the user's."""
        project = await self.find(ref)
        if await self.running(project.id):
            if project.status not in CLOSED:
                raise Conflict(
                    f"project {project.name!r} is {project.status}; abandon it before deleting it."
                )
            with answering(), suppress_missing():  # it may have ended meanwhile
                await self._handle(project.id, await self.temporal()).terminate("the project is deleted")
        async with self.store.transaction() as tx:
            await tx.projects.delete(project.id)
        await asyncio.to_thread(_remove, self.settings.projects / project.id)
        return project.id


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
