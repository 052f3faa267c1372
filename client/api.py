"""Everything a person can do to a project, as functions over the store and Temporal.

The command line, the Python harness and whatever comes later (REST, dashboard) are thin over this class.
"""

import asyncio
import getpass
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from client.specification import first_problem
from shiftwork.agents.registry import backends
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.contracts.project import PauseMode, ProjectOptions, ProjectStatus
from shiftwork.contracts.workflow import (
    AbandonRequest,
    AddFeature,
    Answer,
    DecisionFeedback,
    PauseRequest,
    ProjectStart,
    ResumeRequest,
    Revert,
    RevertResult,
    RunSession,
    SetBudget,
    SteerRequest,
    Timeouts,
)
from shiftwork.errors import Conflict, InvalidInput, NotFound, ShiftworkError, StackError
from shiftwork.repository import open_user_repository
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import EventRow, ProjectRow, SessionRow
from shiftwork.store.store import Store, Transaction
from shiftwork.temporal import TASK_QUEUE, connect, project_attributes, project_workflow_id
from workflows.project import ProjectWorkflow

Answered = TypeVar("Answered")

_ERRORS = {kind.__name__: kind for kind in (InvalidInput, NotFound, Conflict)}
_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)
_RESTS = ("paused", "completed", "abandoned")
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0


class Shiftwork:
    """A connection to one stack.

    Use as `async with Shiftwork(settings) as shiftwork`. Projects are named by id, by the beginning of an id,
    or by name. Every method raises a `ShiftworkError` with one sentence, and then nothing was changed.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self._stack = AsyncExitStack()
        self._store: Store | None = None
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        url = database_url(self.settings)
        await migrate(url)
        self._store = await self._stack.enter_async_context(Store(url))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._store = self._client = None

    @property
    def store(self) -> Store:
        """The rows."""
        if self._store is None:
            raise StackError("this Shiftwork is not open; use it as `async with Shiftwork() as shiftwork`.")
        return self._store

    async def temporal(self) -> Client:
        """The Temporal client, connected at the first use."""
        if self._client is None:
            self._client = await connect(self.settings)
        return self._client

    # Projects ---------------------------------------------------------------------------------------------

    async def start(
        self,
        name: str,
        spec: str,
        *,
        repository: str | Path | None = None,
        description: str = "",
        options: ProjectOptions | None = None,
        allow_dirty: bool = False,
    ) -> str:
        """Create a project and start it; returns its id.

        Args:
            spec: what the initializer agent turns into features.
            repository: the user's repository: a folder (made if it is missing), a bare one, or an address.
            allow_dirty: start from the last commit of a repository that has uncommitted changes.
        """
        project = await self.create(
            name,
            spec,
            repository=repository,
            description=description,
            options=options,
            allow_dirty=allow_dirty,
        )
        await self.open(project.id)
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
    ) -> ProjectRow:
        """Create a project's rows without starting it; see `start`."""
        options = options or ProjectOptions()
        known = backends()
        if options.agent.backend not in known:
            names = ", ".join(sorted(known))
            raise InvalidInput(f"agent {options.agent.backend!r} is not known; known are: {names}.")
        known[options.agent.backend].check(options.agent.settings)
        async with self.store.transaction() as tx:
            if await tx.projects.by_name(name) is not None:
                raise Conflict(f"a project named {name!r} exists already; choose another name with --name.")
        where, branch = None, None
        if repository is not None:
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
            )
            data = {"agent": options.agent.backend}
            await tx.events.append(
                project.id, "project_created", key="project_created", actor=actor(), data=data
            )
        return project

    async def open(self, project_id: str) -> None:
        """Start the project's workflow from its rows; nothing happens if it runs."""
        client = await self.temporal()
        await client.start_workflow(
            ProjectWorkflow.run,
            self._start(project_id),
            **self._workflow_options(project_id),
            **await self._described(project_id),
        )

    async def find(self, ref: str) -> ProjectRow:
        """The project with that id, beginning of an id, or name."""
        async with self.store.transaction() as tx:
            return await tx.projects.find(ref)

    async def status(self, ref: str) -> dict[str, Any]:
        """Where the project stands, from the rows."""
        async with self.store.transaction() as tx:
            project = await tx.projects.find(ref)
            return await tx.projects.status(project.id)

    async def delete(self, ref: str) -> str:
        """Delete a project that does not run: its rows and its private repository, not the user's."""
        project = await self.find(ref)
        if await self.running(project.id):
            if project.status not in _CLOSED:
                raise Conflict(
                    f"project {project.name!r} is {project.status}; abandon it before deleting it."
                )
            await self._handle(project.id, await self.temporal()).terminate("the project is deleted")
        async with self.store.transaction() as tx:
            await tx.projects.delete(project.id)
        await asyncio.to_thread(_remove, self.settings.projects / project.id)
        return project.id

    async def running(self, project_id: str) -> bool:
        """Whether the project's workflow is open."""
        handle = self._handle(project_id, await self.temporal())
        try:
            description = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.close_time is None

    # Signals ----------------------------------------------------------------------------------------------

    async def pause(self, ref: str, *, mode: PauseMode = "after_session", reason: str = "") -> None:
        """Pause after the running sessions, or at once with their work kept."""
        request = PauseRequest(mode=mode, reason=reason, actor=actor())
        await self._signal(ref, "pause", request, closed="paused")

    async def resume(self, ref: str, *, max_sessions: int | None = None, autorun: bool | None = None) -> None:
        """Go on after a pause; also brings a project back whose workflow was lost."""
        project = await self._changeable(ref, "resumed")
        request = ResumeRequest(max_sessions=max_sessions, autorun=autorun, actor=actor())
        client = await self.temporal()
        await client.start_workflow(
            ProjectWorkflow.run,
            self._start(project.id),
            start_signal="resume",
            start_signal_args=[request],
            **self._workflow_options(project.id),
        )

    async def abandon(self, ref: str, reason: str = "") -> None:
        """End the project for good; the reason is kept and shown."""
        await self._signal(ref, "abandon", AbandonRequest(reason=reason, actor=actor()), closed="abandoned")

    async def steer(self, ref: str, text: str, *, feature: str | None = None) -> None:
        """Guidance for the sessions to come, of one feature or of all."""
        project = await self._changeable(ref, "steered")
        if feature is not None:
            async with self.store.transaction() as tx:
                await tx.features.find(project.id, feature)
        request = _valid(SteerRequest, text=text, feature=feature, actor=actor())
        await self._signal(ref, "steer", request, closed="steered")

    async def _signal(self, ref: str, name: str, request: Any, *, closed: str) -> None:
        project = await self._changeable(ref, closed)
        client = await self.temporal()
        await client.start_workflow(
            ProjectWorkflow.run,
            self._start(project.id),
            start_signal=name,
            start_signal_args=[request],
            **self._workflow_options(project.id),
        )

    async def _changeable(self, ref: str, what: str) -> ProjectRow:
        project = await self.find(ref)
        if project.status in _CLOSED:
            raise Conflict(f"project {project.name!r} is {project.status}; it can't be {what}.")
        return project

    # Updates ----------------------------------------------------------------------------------------------

    async def add_feature(self, ref: str, feature: FeatureSpec) -> int:
        """Add a feature; returns its id. Opens a completed project again."""
        request = AddFeature(feature=feature, actor=actor())
        result: int = await self._update(ref, ProjectWorkflow.add_feature, request)
        return result

    async def edit_feature(self, ref: str, edit: FeatureEdit) -> int:
        """Change a feature; lifts `blocked`. Returns its id."""
        request = edit.model_copy(update={"actor": actor()})
        result: int = await self._update(ref, ProjectWorkflow.edit_feature, request)
        return result

    async def run_session(self, ref: str, feature: str | None = None) -> int:
        """Ask for one session now; returns its number at once."""
        request = RunSession(feature=feature, actor=actor())
        result: int = await self._update(ref, ProjectWorkflow.run_session, request)
        return result

    async def answer(self, ref: str, feature: str, text: str) -> int:
        """Answer a feature's question; returns the feature's id."""
        request = _valid(Answer, feature=feature, text=text, actor=actor())
        result: int = await self._update(ref, ProjectWorkflow.answer, request)
        return result

    async def set_budget(self, ref: str, budget_usd: float | None) -> None:
        """Change what the project may cost, in US dollars; None: no limit."""
        request = _valid(SetBudget, budget_usd=budget_usd, actor=actor())
        await self._update(ref, ProjectWorkflow.set_budget, request)

    async def revert(self, ref: str, commit: str, *, consent: bool = False) -> RevertResult:
        """Take main back to a checkpoint; `consent`: commits of people may be undone."""
        request = _valid(Revert, commit=commit, consent=consent, actor=actor())
        result: RevertResult = await self._update(ref, ProjectWorkflow.revert_to_checkpoint, request)
        return result

    async def feedback(self, decision_id: int, outcome: str, *, score: float = 0.0, lesson: str = "") -> None:
        """Say what became of a decision; its project is looked up."""
        async with self.store.transaction() as tx:
            decision = await tx.decisions.get(decision_id)
        request = _valid(
            DecisionFeedback,
            decision_id=decision_id,
            outcome=outcome,
            score=max(-1.0, min(1.0, score)),
            lesson=lesson,
            actor=actor(),
        )
        await self._update(decision.project_id, ProjectWorkflow.add_decision_feedback, request)

    async def _update(self, ref: str, update: Any, request: Any) -> Any:
        """An update, with the start of the workflow from rows and main if it does not run."""
        project = await self.find(ref)
        if project.status is ProjectStatus.ABANDONED:
            raise Conflict(f"project {project.name!r} is abandoned; nothing in it can be changed.")
        client = await self.temporal()
        operation = WithStartWorkflowOperation(
            ProjectWorkflow.run, self._start(project.id), **self._workflow_options(project.id)
        )
        try:
            handle = await client.start_update_with_start_workflow(
                update,
                request,
                wait_for_stage=WorkflowUpdateStage.COMPLETED,
                start_workflow_operation=operation,
            )
            return await handle.result()
        except WorkflowUpdateFailedError as error:
            raise _domain_error(error.cause) from None

    # Watching ---------------------------------------------------------------------------------------------

    async def events(self, ref: str, after: int = 0, *, follow: bool = False) -> AsyncIterator[EventRow]:
        """Events in their order; with `follow`, until the project is at rest."""
        project = await self.find(ref)
        while True:
            status, rows = await self._patiently(
                partial(_status_and_events, project_id=project.id, after=after)
            )
            for row in rows:
                after = row.sequence
                yield row
            if not rows and (not follow or at_rest(status)):
                return
            if not rows:
                await asyncio.sleep(_POLL_SECONDS)

    async def last_event(self, ref: str) -> int:
        """The sequence of the newest event: what `wait` and `events` may begin after."""
        return (await self.find(ref)).event_sequence

    async def wait(self, ref: str, after: int = 0) -> dict[str, Any]:
        """Wait until the project is at rest (completed, abandoned, or paused with nothing running).

        Args:
            after: an event's sequence; a rest that was reached before it does not count.

        Returns:
            The status.
        """
        project = await self.find(ref)
        while True:
            status, rests = await self._patiently(lambda tx: _status_and_rests(tx, project.id))
            if at_rest(status) and rests and rests[0].sequence > after:
                return status
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_session(self, ref: str, number: int) -> dict[str, Any]:
        """Wait until a session has ended and is recorded; returns its row."""
        project = await self.find(ref)
        while True:
            row = await self._patiently(lambda tx: _ended_session(tx, project.id, number))
            if row is not None:
                return row.model_dump(mode="json")
            await asyncio.sleep(_POLL_SECONDS)

    async def _patiently(self, read: Callable[[Transaction], Awaitable[Answered]]) -> Answered:
        """Read in a transaction of its own; a database that is away for a while is waited for."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                async with self.store.transaction() as tx:
                    return await read(tx)
            except StackError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    # Temporal ---------------------------------------------------------------------------------------------

    def _start(self, project_id: str) -> ProjectStart:
        timings = self.settings.timings
        timeouts = Timeouts(
            heartbeat=timings.heartbeat_timeout,
            retry_interval=timings.retry_interval,
            workflow_task=timings.workflow_task,
        )
        return ProjectStart(project_id=project_id, timeouts=timeouts)

    def _workflow_options(self, project_id: str) -> dict[str, Any]:
        return {
            "id": project_workflow_id(project_id),
            "task_queue": TASK_QUEUE,
            "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
            "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            "task_timeout": timedelta(seconds=self.settings.timings.workflow_task),
        }

    async def _described(self, project_id: str) -> dict[str, Any]:
        project = await self.find(project_id)
        return {
            "static_summary": project.name,
            "search_attributes": project_attributes(project.name, project.status, 0, 0),
        }

    def _handle(self, project_id: str, client: Client) -> WorkflowHandle[Any, Any]:
        return client.get_workflow_handle(project_workflow_id(project_id))


async def _status_and_events(
    tx: Transaction, project_id: str, after: int
) -> tuple[dict[str, Any], list[EventRow]]:
    return await tx.projects.status(project_id), await tx.events.after(project_id, after)


async def _status_and_rests(tx: Transaction, project_id: str) -> tuple[dict[str, Any], list[EventRow]]:
    rests = await tx.events.last(project_id, kinds=_RESTS)
    return await tx.projects.status(project_id), rests


async def _ended_session(tx: Transaction, project_id: str, number: int) -> SessionRow | None:
    rows = await tx.events.last(project_id, kinds=("session_ended", "session_dropped"), limit=200)
    if all(row.reference != f"session:{number}" for row in rows):
        return None
    return await tx.sessions.get(project_id, number)


def at_rest(status: dict[str, Any]) -> bool:
    """Whether nothing happens to a project until a person acts."""
    resting = status["status"] in ("completed", "abandoned", "paused")
    return resting and not status["current_sessions"]


def actor() -> str:
    """Who acts, for the events."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # no entry for this uid
        return "user"


def _domain_error(cause: BaseException) -> ShiftworkError:
    if isinstance(cause, ApplicationError):
        return _ERRORS.get(cause.type or "", ShiftworkError)(cause.message)
    return ShiftworkError(str(cause))


def _valid(model: Any, **fields: Any) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
