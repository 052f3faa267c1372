"""One project: plan, session after session, until every feature passes or a person is needed."""

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
)

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeping import BookkeepingActivities
    from activities.projects import ProjectActivities
    from shiftwork.contracts.bookkeeping import ImportRequest, ProjectRef
    from shiftwork.contracts.feature import FeatureStatus
    from shiftwork.contracts.messages import AbandonRequest
    from shiftwork.contracts.project import ProjectStatus
    from shiftwork.contracts.state import ProjectState
    from shiftwork.contracts.workflow import ProjectResult, ProjectStart
    from shiftwork.planning import messages
    from shiftwork.planning.next import ImportPeople, StartSession, Stop, Wait, decide
    from shiftwork.planning.outcome import block_unverifiable
    from shiftwork.temporal import (
        PROJECT_WORKFLOW,
        project_attributes,
    )
    from workflows.details import markdown
    from workflows.ledger import Ledger
    from workflows.options import book_keeping, process_activity
    from workflows.project_control import words
    from workflows.project_sessions import ProjectSessions

_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)


@workflow.defn(name=PROJECT_WORKFLOW)
class ProjectWorkflow(ProjectSessions):
    """The only writer of a project's control state while it runs."""

    @workflow.init
    def __init__(self, start: ProjectStart) -> None:
        super().__init__(start)
        self._shown: dict[str, object] = {}

    @workflow.run
    async def run(self, start: ProjectStart) -> ProjectResult:
        """Run until completed or abandoned; pauses are waited out here."""
        living = asyncio.create_task(self._live())
        try:
            # Shielded: a cancellation ends nothing of what is being done, it is a message like any other.
            await asyncio.shield(living)
        except asyncio.CancelledError:
            # Cancel, from wherever it comes, means abandon; sessions end with their work kept.
            await self._ready()
            await self._abandon(AbandonRequest(reason="cancelled"))
            await living
        await self._tidy()
        state = self._state
        return ProjectResult(
            status=state.status,
            reason=state.reason,
            sessions_run=state.sessions + 1,
            features_passing=state.count(FeatureStatus.PASSING),
            total_features=len(state.features),
        )

    async def _live(self) -> None:
        if not self._loaded:
            await self._load()
        while True:
            self._changed = False
            if self._broken is not None:
                raise self._broken
            for dropped in messages.drop_impossible_requests(self._state, self._running):
                self._ledger.event("session_dropped", reference=f"session:{dropped.number}")
            await self._flush()
            if not self._state.prepared and self._state.status is ProjectStatus.ACTIVE:
                await self._load()
                continue
            if self._state.status in _CLOSED and await self._over():
                return
            if self._look_for_people and not self._exclusive:
                await self._look()
            if self._must_continue_as_new() and not self._running:
                await self._continue_as_new()
            await self._next()

    async def _next(self) -> None:
        if self._exclusive or self._must_continue_as_new():
            await self._wait(None)
            return
        match decide(self._state, self._running, workflow.now()):
            case StartSession() as chosen:
                self._start_session(chosen)
            case ImportPeople(commit):
                await self._import(commit)
            case Stop(status, reason):
                self._rest(status, reason)
            case Wait(until):
                await self._wait((until - workflow.now()) if until else None)

    async def _wait(self, duration: timedelta | None) -> None:
        self._show()
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._changed, timeout=duration)

    async def _over(self) -> bool:
        """Whether nothing can bring the closed project back: no session runs, no message is handled."""
        await workflow.wait_condition(lambda: self._changed or not self._running)
        if self._running or self._changed:
            return False
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._show()
        return self._state.status in _CLOSED and not self._ledger.pending

    # Rows and main ----------------------------------------------------------------------------------------

    async def _load(self) -> None:
        self._loaded = False
        loaded: ProjectState = await workflow.execute_activity_method(
            ProjectActivities.load_project,
            ProjectRef(project_id=self._start.project_id),
            **process_activity(
                self._start.timeouts, self._state.options.retry, 600, "the project from rows and main"
            ),
        )
        self._state = loaded
        self._ledger = Ledger(loaded)
        self._loaded, self._look_for_people = True, loaded.prepared
        self._ledger.note(*block_unverifiable(loaded))
        if not loaded.prepared:
            self._ledger.event(loaded.status.value, reason=loaded.reason)

    async def _flush(self) -> None:
        if not self._ledger.pending:
            return
        async with self._saving:
            while self._ledger.pending:
                saved = await workflow.execute_local_activity_method(
                    BookkeepingActivities.save,
                    self._ledger.take(),
                    **book_keeping("control state to the rows"),
                )
                self._heed(saved.problem if saved else "")

    async def _look(self) -> None:
        self._look_for_people = False
        found = await workflow.execute_local_activity_method(
            BookkeepingActivities.look_for_people,
            ProjectRef(project_id=self._state.project_id),
            **book_keeping("commits of people"),
        )
        self._state.people_commit = found.people_commit or self._state.people_commit

    async def _import(self, commit: str) -> None:
        state = self._state
        state.people_commit = None
        try:
            imported = await workflow.execute_activity_method(
                ProjectActivities.import_people,
                ImportRequest(
                    project_id=state.project_id, commit=commit, revision=self._ledger.next_revision()
                ),
                **process_activity(self._start.timeouts, state.options.retry, 3600, "commits of people"),
            )
        except ActivityError as error:
            self._rest(ProjectStatus.PAUSED, words(error))
            return
        if imported.conflict:
            self._rest(
                ProjectStatus.PAUSED,
                f"your commit {commit[:12]} conflicts with shiftwork/main in {imported.paths} files: "
                f"merge shiftwork/main into it, then resume",
            )
        broken = [f for f in state.features if f.id in imported.broken]
        for feature in broken:
            feature.status = FeatureStatus.FAILING
        self._ledger.note(*broken)

    async def _tidy(self) -> None:
        await workflow.execute_local_activity_method(
            BookkeepingActivities.tidy,
            ProjectRef(project_id=self._state.project_id),
            **book_keeping("workspaces go"),
        )

    # The server -------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Keep Temporal's own tools readable; search attributes cost an event, so only what changed."""
        state = self._state
        workflow.set_current_details(markdown(state, self._running))
        if not self._loaded:
            return
        passing, total = state.count(FeatureStatus.PASSING), len(state.features)
        pairs = project_attributes(state.name, state.status.value, passing, total).search_attributes
        changed = [pair for pair in pairs if self._shown.get(pair.key.name) != pair.value]
        if changed:
            self._shown.update({pair.key.name: pair.value for pair in changed})
            workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in changed])

    def _must_continue_as_new(self) -> bool:
        info, limit = workflow.info(), self._start.timeouts.history_limit
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > limit

    async def _continue_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._ledger.pending or self._changed:
            return
        # A full dump: defaults that were changed in place must travel too.
        state = ProjectState.model_validate(self._state.model_dump())
        workflow.continue_as_new(
            ProjectStart(project_id=state.project_id, timeouts=self._start.timeouts, state=state)
        )
