"""Small projects on the shared stack: made, looked at, and read back."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.client import WorkflowHistory

from client.api import Shiftwork
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.state import FeatureState
from shiftwork.settings import Settings
from shiftwork.store.noun import dump
from shiftwork.store.rows import EventRow, FeatureRow
from shiftwork.store.tables.project import ProjectTable
from shiftwork.temporal import project_workflow_id
from tests.e2e.support import (
    PATIENCE,
    git,
    processes_of,
    scripted,
    simple_attempt,
    simple_feature,
    write_cassette,
)
from workflows.project import ProjectWorkflow

SHOW_BRIEF = {"run": {"command": 'cp "$SHIFTWORK_BRIEF/brief.md" "$SHIFTWORK_BRIEF/request.json" .'}}
"""The agent commits the brief it was given, so that a test can read it on main."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A stack with a worker, and a folder of this test's own."""

    shiftwork: Shiftwork
    settings: Settings
    folder: Path

    @property
    def touch(self) -> str:
        """A command that tells `reached` that an agent or a verification is there."""
        return f"touch {self.folder}/here"

    @property
    def here(self) -> dict:
        """The same as a step of the agent."""
        return {"run": {"command": self.touch}}

    async def reached(self) -> None:
        """Wait for `touch` or `here`."""

        async def look() -> bool:
            return (self.folder / "here").exists()

        await eventually(look)
        (self.folder / "here").unlink()

    async def project(
        self,
        features: list[dict] | None = None,
        sessions: dict[str, list] | None = None,
        *,
        planned: bool = True,
        start: bool = True,
        repository: Path | None = None,
        **options: Any,
    ) -> "Project":
        """A project. `planned`: its features are rows already, so that no session plans them."""
        features = [simple_feature("a")] if features is None else features
        sessions = {f["name"]: [simple_attempt(f["name"])] for f in features} | (sessions or {})
        mark = uuid.uuid4().hex[:8]
        # Agents of a worker that is root are another user, and some of them tell their test where they are.
        self.folder.chmod(0o777)
        cassette = write_cassette(self.folder / f"{mark}.yml", features, sessions)
        row = await self.shiftwork.create(
            f"p{mark}",
            "Write files.",
            repository=repository or self.folder / f"repo-{mark}",
            options=scripted(cassette, **{"sandbox": {"writable": [str(self.folder)]}, **options}),
        )
        if planned:
            specs = [FeatureSpec.model_validate(f) for f in features]
            async with self.shiftwork.store.transaction() as tx:
                await tx.features.adopt(row.id, specs, 1)
        if start:
            await self.shiftwork.open(row.id)
        assert row.repository is not None
        return Project(self, row.id, Path(row.repository), cassette)


@dataclass(frozen=True, slots=True)
class Project:
    """One project and what there is to see of it."""

    lab: Lab
    id: str
    repository: Path
    cassette: Path

    @property
    def folder(self) -> Path:
        """Its files below the state folder."""
        return self.lab.settings.projects / self.id

    @property
    def main(self) -> Path:
        """Its private repository."""
        return self.folder / "repository.git"

    async def rest(self, after: int = 0, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until nothing happens any more; the status."""
        async with asyncio.timeout(seconds):
            return await self.lab.shiftwork.wait(self.id, after)

    async def completes(self, after: int = 0) -> None:
        """Wait for the end, which must be a good one."""
        status = await self.rest(after)
        assert (status["status"], status["reason"]) == ("completed", "")

    async def pauses(self, after: int = 0) -> str:
        """Wait for a pause; its reason."""
        status = await self.rest(after)
        assert status["status"] == "paused"
        return str(status["reason"])

    async def now(self) -> int:
        """The newest event: what a later rest may be waited for after."""
        return await self.lab.shiftwork.last_event(self.id)

    async def events(self, kind: str = "") -> list[EventRow]:
        """Its events, of one kind if that is given."""
        found = [event async for event in self.lab.shiftwork.events(self.id)]
        return [event for event in found if kind in ("", event.kind)]

    async def event(self, kind: str, reference: str = "", seconds: float = PATIENCE) -> EventRow:
        """Wait for an event; the first of its kind (and reference)."""

        async def look() -> EventRow | None:
            async with self.lab.shiftwork.store.transaction() as tx:
                found = await tx.events.last(self.id, (kind,), limit=1000)
            return next((e for e in reversed(found) if reference in ("", e.reference)), None)

        return await eventually(look, seconds)

    async def features(self) -> dict[str, FeatureRow]:
        """Its features by name."""
        async with self.lab.shiftwork.store.transaction() as tx:
            return {row.name: row for row in await tx.features.list(self.id)}

    async def statuses(self) -> dict[str, str]:
        """The status of each feature."""
        return {name: row.status.value for name, row in (await self.features()).items()}

    async def workflow(self) -> Any:
        """The handle of its workflow."""
        client = await self.lab.shiftwork.temporal()
        return client.get_workflow_handle(project_workflow_id(self.id))

    async def histories(self) -> list[WorkflowHistory]:
        """Every run of its workflow, oldest first, then every session's."""
        client = await self.lab.shiftwork.temporal()
        mine = f"WorkflowId STARTS_WITH '{project_workflow_id(self.id)}'"
        found = [w async for w in client.list_workflows(mine)]
        found.sort(key=lambda w: (w.id, w.start_time))
        return [await client.get_workflow_handle(w.id, run_id=w.run_id).fetch_history() for w in found]

    async def start(self, **timeouts: Any) -> None:
        """Start it with other timeouts than those of the settings."""
        shiftwork = self.lab.shiftwork
        start = shiftwork._start(self.id)
        changed = start.timeouts.model_copy(update=timeouts)
        client = await shiftwork.temporal()
        await client.start_workflow(
            ProjectWorkflow.run,
            start.model_copy(update={"timeouts": changed}),
            **shiftwork._workflow_options(await shiftwork.find(self.id)),
        )

    async def give_sessions(self, seconds: float) -> None:
        """Have each agent that is started from now on run for as long as this."""
        options = (await self.lab.shiftwork.find(self.id)).options
        changed = options.model_copy(update={"session_timeout": seconds})
        async with self.lab.shiftwork.store.transaction() as tx:
            await tx.projects._connection.execute(
                update(ProjectTable).where(ProjectTable.id == self.id).values(options=dump(changed))
            )

    async def control(self) -> dict[str, FeatureState]:
        """Its features as the workflow knows them."""
        handle = await self.workflow()
        found = await handle.query("features", result_type=list[FeatureState])
        return {feature.name: feature for feature in found}

    def read(self, path: str, commit: str = "main") -> str:
        """A file on main."""
        return git(self.main, "show", f"{commit}:{path}")

    def files(self, commit: str = "main") -> list[str]:
        """The files on main."""
        return git(self.main, "ls-tree", "-r", "--name-only", commit).split()

    def landings(self) -> list[str]:
        """The features that landed, oldest first."""
        trailer = "--format=%(trailers:key=Shiftwork-Feature,valueonly)"
        return git(self.main, "log", "--reverse", "--first-parent", trailer, "main").split()

    def brief(self) -> str:
        """The brief that the last agent with `SHOW_BRIEF` was given."""
        return self.read("brief.md")

    def request(self) -> dict[str, Any]:
        """The same for programs."""
        content: dict[str, Any] = json.loads(self.read("request.json"))
        return content

    def people_commit(self, files: dict[str, str], message: str = "people") -> str:
        """Commit files as a person in the user's repository; the commit."""
        for path, text in files.items():
            (self.repository / path).write_text(text)
        git(self.repository, "add", *files)
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        git(self.repository, *identity, "commit", "-q", "-m", message)
        return git(self.repository, "rev-parse", "HEAD")


async def ask_of_activity(lab: Lab, request: type, workflow_id: str, activity: str) -> None:
    """Have the server pause, unpause or reset an activity of a workflow, as the Web UI has it."""
    client = await lab.shiftwork.temporal()
    how = {
        PauseActivityRequest: client.workflow_service.pause_activity,
        ResetActivityRequest: client.workflow_service.reset_activity,
        UnpauseActivityRequest: client.workflow_service.unpause_activity,
    }
    execution = WorkflowExecution(workflow_id=workflow_id)
    await how[request](request(namespace=client.namespace, execution=execution, type=activity))


async def eventually(
    look: Callable[[], Awaitable[Any]], seconds: float = PATIENCE, every: float = 0.05
) -> Any:
    """Wait until `look` finds something."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - rows and processes set no event
            await asyncio.sleep(every)
        return found


async def no_process_lives(lab: Lab) -> None:
    """No agent and no step of any project of this state folder runs."""

    async def look() -> bool:
        return not processes_of(lab.settings.state)

    await eventually(look, every=0.2)
