"""The sessions of a project: started, awaited, and what follows from them written down."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeping import BookkeepingActivities
    from shiftwork.contracts.activity import MAIN
    from shiftwork.contracts.bookkeeping import AdoptPlan, RecordRequest
    from shiftwork.contracts.feature import FeatureStatus
    from shiftwork.contracts.project import ProjectStatus
    from shiftwork.contracts.session import Failure, FailureKind, Interruption, InterruptionReason, Role
    from shiftwork.contracts.state import Rest
    from shiftwork.contracts.workflow import ProjectStart, SessionResult, SessionStart, SessionStatus
    from shiftwork.planning.casting import cast, cast_of, key, named, role_of
    from shiftwork.planning.next import StartSession
    from shiftwork.planning.outcome import apply_session, block_unverifiable
    from shiftwork.temporal import (
        session_attributes,
        session_workflow_id,
    )
    from shiftwork.text import one_line, plain_markdown, truncate
    from workflows.options import book_keeping
    from workflows.project_control import words
    from workflows.project_updates import ProjectUpdates
    from workflows.session import SessionWorkflow


class ProjectSessions(ProjectUpdates):
    """Each session is a child workflow and a task of ours, which applies its result."""

    def __init__(self, start: ProjectStart) -> None:
        super().__init__(start)
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._saving = asyncio.Lock()
        """Held while anything is on its way to the rows: one writer also means one at a time."""

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
        changed = apply_session(
            self._state, start.feature_id, result, workflow.now(), of_main=start.candidate == MAIN
        )
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
            self._rest(ProjectStatus.PAUSED, f"session {start.session} can't be recorded: {words(error)}")

    def _tell_of_rest(self, start: SessionStart, before: Mapping[str, Rest]) -> None:
        """People see which agent is left alone, and until when, where another one goes on."""
        rest = self._state.resting.get(start.agent)
        if rest is None or rest == before.get(start.agent):
            return
        feature = None if start.feature_id is None else self._state.feature(start.feature_id)
        cast = cast_of(self._state, feature)
        if len(cast.agents) > 1:
            left = cast.available(self._state.resting, workflow.now())
            self._ledger.event(
                "agent_rests",
                reference=f"session:{start.session}",
                **named(cast.find(start.agent), "agent", "model"),
                until=rest.until.replace(microsecond=0).isoformat() if rest.until else None,
                **named(left, "next_agent", "next_model"),
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
