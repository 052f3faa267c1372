"""One project: plan, session after session, until every feature passes or a person is needed."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeping import BookkeepingActivities
    from activities.projects import ProjectActivities
    from shiftwork.contracts.feature import FeatureStatus
    from shiftwork.contracts.project import ProjectStatus
    from shiftwork.contracts.session import Failure, FailureKind, Interruption, InterruptionReason, Role
    from shiftwork.contracts.state import ProjectState, Rest
    from shiftwork.contracts.workflow import (
        AbandonRequest,
        AdoptPlan,
        ImportRequest,
        ProjectRef,
        ProjectResult,
        ProjectStart,
        RecordRequest,
        SessionResult,
        SessionStart,
        SessionStatus,
    )
    from shiftwork.planning import messages
    from shiftwork.planning.casting import cast, cast_of, key, role_of
    from shiftwork.planning.next import ImportPeople, StartSession, Stop, Wait, decide
    from shiftwork.planning.outcome import apply_session, block_unverifiable, pause
    from shiftwork.temporal import (
        PROJECT_WORKFLOW,
        project_attributes,
        session_attributes,
        session_workflow_id,
    )
    from shiftwork.text import one_line, plain_markdown, truncate
    from workflows.details import markdown
    from workflows.ledger import Ledger
    from workflows.options import book_keeping, process_activity
    from workflows.project_messages import ProjectMessages
    from workflows.session import SessionWorkflow

_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)


@workflow.defn(name=PROJECT_WORKFLOW)
class ProjectWorkflow(ProjectMessages):
    """The only writer of a project's control state while it runs."""

    @workflow.init
    def __init__(self, start: ProjectStart) -> None:
        super().__init__(start)
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._saving = asyncio.Lock()
        """Held while anything is on its way to the rows: one writer also means one at a time."""
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

    # Sessions ---------------------------------------------------------------------------------------------

    def _start_session(self, chosen: StartSession) -> None:
        state = self._state
        if chosen.requested is not None:
            state.requested = [r for r in state.requested if r.number != chosen.requested.number]
            number = chosen.requested.number
        else:
            state.sessions += 1
            number = state.sessions
        start = self._session_start(number, chosen.feature_id)
        if chosen.feature_id is not None:
            state.feature(chosen.feature_id).status = FeatureStatus.IN_PROGRESS
        if state.status is ProjectStatus.INITIALIZING and state.features:
            state.status = ProjectStatus.ACTIVE
            self._ledger.note()
        self._running[number] = chosen.feature_id
        task = asyncio.create_task(self._session(start))
        self._tasks.add(task)
        task.add_done_callback(self._session_done)

    def _session_done(self, task: asyncio.Task[None]) -> None:
        """What a session's task raised is raised in the main loop: a mistake of ours must be seen."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken, self._changed = error, True

    def _session_start(self, number: int, feature_id: int | None) -> SessionStart:
        state, options = self._state, self._state.options
        feature = None if feature_id is None else state.feature(feature_id)
        cast = cast_of(state, feature)
        # Finished work is verified whoever rests.
        agent = cast.available(state.resting, workflow.now()) or cast.agents[0]
        return SessionStart(
            project_id=state.project_id,
            session=number,
            role=role_of(options, feature.category if feature else None),
            agent=key(agent),
            verifier=self._verifier(),
            feature_id=feature_id,
            run=feature.runs if feature else state.plan_runs,
            kept_commit=feature.kept_commit if feature else state.plan_kept,
            candidate=feature.candidate if feature else None,
            revision=self._ledger.next_revision(),
            session_timeout=options.session_timeout,
            retry=options.retry,
            timeouts=self._start.timeouts,
        )

    def _verifier(self) -> str:
        judges = cast(self._state.options, Role.VERIFIER)
        return key(judges.available(self._state.resting, workflow.now()) or judges.agents[0])

    async def _session(self, start: SessionStart) -> None:
        result = await self._child(start)
        if start.feature_id is None and result.status is SessionStatus.PASSED:
            result = await self._adopt_plan(start.session, result)
        async with self._saving:
            await self._apply(start, result)
        self._ending.pop(start.session, None)
        del self._running[start.session]
        self._changed = True

    async def _apply(self, start: SessionStart, result: SessionResult) -> None:
        before, rested = self._state.status, self._state.resting
        changed = apply_session(self._state, start.feature_id, result, workflow.now())
        self._ledger.note(*changed)
        self._tell_of_rest(start, rested)
        if result.note and self._state.status is ProjectStatus.PAUSED and before is not ProjectStatus.PAUSED:
            self._state.reason = result.note
        if self._state.status is not before:
            self._ledger.event(self._state.status.value, reason=self._state.reason)
        try:
            await self._record(start, result)
        except ActivityError as error:
            # Rows that refuse what the workflow knows: nothing is lost, but a person has to look.
            self._rest(ProjectStatus.PAUSED, f"session {start.session} can't be recorded: {_words(error)}")

    def _tell_of_rest(self, start: SessionStart, before: Mapping[str, Rest]) -> None:
        """People see which agent is left alone, and until when, where another one goes on."""
        rest = self._state.resting.get(start.agent)
        if rest is None or rest == before.get(start.agent):
            return
        feature = None if start.feature_id is None else self._state.feature(start.feature_id)
        cast = cast_of(self._state, feature)
        if len(cast.agents) > 1:
            until = rest.until.isoformat() if rest.until else None
            backend = cast.find(start.agent).backend
            self._ledger.event(
                "agent_rests", reference=f"session:{start.session}", agent=backend, until=until
            )

    async def _child(self, start: SessionStart) -> SessionResult:
        state = self._state
        feature = None if start.feature_id is None else state.feature(start.feature_id)
        title = feature.name if feature else "planning"
        try:
            self._children[start.session] = handle = await workflow.start_child_workflow(
                SessionWorkflow.run,
                start,
                id=session_workflow_id(state.project_id, start.session),
                task_timeout=timedelta(seconds=start.timeouts.workflow_task),
                static_summary=f"session {start.session}: {plain_markdown(title)}",
                search_attributes=session_attributes(state.name, title, start.role),
            )
            if start.session in self._ending:  # somebody asked while it was being started
                await self._end_session(handle, self._ending[start.session])
            return await handle
        except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
            # Terminated or broken: what it did is on main or in the rows; the project asks a person.
            note = truncate(one_line(f"session {start.session} was lost: {error.__cause__ or error}"), 300)
            interruption = Interruption(reason=InterruptionReason.INFRASTRUCTURE)
            return SessionResult(
                status=SessionStatus.INTERRUPTED,
                started_at=workflow.now().replace(microsecond=0),
                interruption=interruption,
                note=note,
            )
        finally:
            self._children.pop(start.session, None)

    async def _adopt_plan(self, session: int, result: SessionResult) -> SessionResult:
        state = self._state
        async with self._saving:
            revision = self._ledger.next_revision()
            adopted = await workflow.execute_local_activity_method(
                BookkeepingActivities.adopt_plan,
                AdoptPlan(project_id=state.project_id, session=session, revision=revision),
                **book_keeping("features from the plan"),
            )
        if not adopted.features:
            failure = Failure(kind=FailureKind.PLAN_INVALID)
            return result.model_copy(
                update={"status": SessionStatus.FAILED, "failure": failure, "note": adopted.problem}
            )
        # What a person added or changed meanwhile is newer than what was read.
        known = {f.id: f for f in state.features}
        planned = {f.id: f for f in adopted.features} | known
        state.features = [planned[key] for key in sorted(planned)]
        if state.status is ProjectStatus.INITIALIZING:
            state.status = ProjectStatus.ACTIVE
        self._ledger.note(*block_unverifiable(state))
        return result

    async def _record(self, start: SessionStart, result: SessionResult) -> None:
        recorded = await workflow.execute_local_activity_method(
            BookkeepingActivities.record,
            RecordRequest(
                session=start.session,
                feature_id=start.feature_id,
                role=start.role,
                result=result,
                save=self._ledger.take(),
            ),
            **book_keeping("one transaction: session, features, evidence, checkpoint"),
        )
        self._heed(recorded.problem)
        self._state.spent = recorded.spent
        if recorded.people_commit:
            self._state.people_commit = recorded.people_commit

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

    def _heed(self, problem: str) -> None:
        """What the rows could not take, nobody must go on as if they had."""
        if problem:
            self._rest(ProjectStatus.PAUSED, truncate(one_line(problem), 300))

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
            self._rest(ProjectStatus.PAUSED, _words(error))
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

    def _rest(self, status: ProjectStatus, reason: str) -> None:
        state = self._state
        if status is ProjectStatus.PAUSED:
            pause(state, reason)
        else:
            state.status, state.reason = status, reason
        self._ledger.event(state.status.value, reason=state.reason)
        self._changed = True

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


def _words(error: ActivityError) -> str:
    """What an activity's failure says, on one bounded line."""
    cause = error.__cause__
    return truncate(one_line(cause.message if isinstance(cause, ApplicationError) else str(cause)), 300)
