"""One session: one agent, one feature, one landing."""

import asyncio
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeping import BookkeepingActivities
    from activities.sessions import SessionActivities
    from shiftwork.contracts.activity import (
        IntegrateRequest,
        JudgeRequest,
        JudgeResult,
        RunRequest,
        RunResult,
        VerifyRequest,
        VerifyResult,
    )
    from shiftwork.contracts.session import Interruption, InterruptionReason, RunStatus, Spent
    from shiftwork.contracts.workflow import Interrupt, SessionResult, SessionStart, SessionStatus
    from shiftwork.temporal import SESSION_WORKFLOW
    from shiftwork.text import one_line, truncate
    from workflows.options import book_keeping, process_activity

Result = TypeVar("Result")

_VERIFICATION_LIMIT = 6 * 3600.0
"""Seconds for all steps of all features together; each step has a timeout of its own."""


@workflow.defn(name=SESSION_WORKFLOW)
class SessionWorkflow:
    """run_agent → verify → integrate; the project, the one writer of the rows, records what came of it."""

    @workflow.init
    def __init__(self, start: SessionStart) -> None:
        self._start = start
        self._interrupted: InterruptionReason | None = None
        self._step: asyncio.Task[Any] | None = None
        self._run: RunResult | None = None
        self._candidate = start.candidate
        self._judging = Spent()

    @workflow.run
    async def run(self, start: SessionStart) -> SessionResult:
        """Do the session; ends passed, failed or interrupted, never waiting for anybody."""
        session = asyncio.create_task(self._session())
        try:
            return await asyncio.shield(session)
        except asyncio.CancelledError:
            # Cancel, whoever presses it, means: end early. What is kept is kept, a landing finishes.
            self.interrupt(Interrupt())
            return await session

    @workflow.signal(description="End this session early; its work is kept.")
    def interrupt(self, request: Interrupt) -> None:
        """Interrupt the agent up to its snapshot, or the verification; a landing always finishes."""
        self._interrupted = self._interrupted or request.reason
        if self._step is not None:
            self._step.cancel()

    async def _session(self) -> SessionResult:
        try:
            return await self._work()
        except (ActivityError, asyncio.CancelledError) as error:
            return self._ended_by(error)

    async def _work(self) -> SessionResult:
        if self._candidate is None:
            if self._interrupted:
                return self._interruption(self._interrupted)
            self._run = await self._run_agent()
            if self._run.status is not RunStatus.COMPLETED:
                return self._agent_ended(self._run)
            self._candidate = self._run.candidate
        if self._candidate is None:
            # A planning session that wrote nothing but its plan.
            return self._result(SessionStatus.PASSED)
        return await self._land(self._candidate)

    async def _land(self, candidate: str) -> SessionResult:
        rounds, judged = 0, None
        while True:
            if self._interrupted:
                return self._interruption(self._interrupted)
            rounds += 1
            verdict = await self._verify(candidate, rounds)
            if verdict.failure or verdict.landing is None:
                return self._result(
                    SessionStatus.FAILED, failure=verdict.failure, regressed=verdict.regressed
                )
            if verdict.judge:
                judgement = await self._judge(verdict.landing, judged, rounds)
                if judgement.attempt is None:
                    return self._judged_down(judgement)
                judged = judgement.attempt
            landed = await self._integrate(verdict.base, verdict.landing)
            if landed:
                return self._result(SessionStatus.PASSED, landed=landed, regressed=verdict.regressed)

    async def _run_agent(self) -> RunResult:
        start = self._start
        request = RunRequest(
            project_id=start.project_id,
            session=start.session,
            started_at=self._started_at,
            role=start.role,
            agent=start.agent,
            feature_id=start.feature_id,
            run=start.run,
            kept_commit=start.kept_commit,
            revision=start.revision,
        )
        options = process_activity(start.timeouts, start.retry, start.session_timeout, "the agent works")
        self._step = workflow.start_activity_method(SessionActivities.run_agent, request, **options)
        return await self._finish(self._step)

    async def _verify(self, candidate: str, rounds: int) -> VerifyResult:
        start = self._start
        request = VerifyRequest(
            project_id=start.project_id,
            session=start.session,
            started_at=self._started_at,
            candidate=candidate,
            feature_id=start.feature_id,
            round=rounds,
        )
        options = process_activity(
            start.timeouts, start.retry, _VERIFICATION_LIMIT, "steps run on a fresh checkout"
        )
        self._step = workflow.start_activity_method(SessionActivities.verify, request, **options)
        return await self._finish(self._step)

    async def _judge(self, landing: str, judged: int | None, rounds: int) -> JudgeResult:
        start = self._start
        assert start.feature_id is not None
        request = JudgeRequest(
            project_id=start.project_id,
            session=start.session,
            started_at=self._started_at,
            feature_id=start.feature_id,
            landing=landing,
            agent=start.verifier,
            judged=judged,
            round=rounds,
        )
        seconds = 2 * start.session_timeout + _VERIFICATION_LIMIT
        options = process_activity(start.timeouts, start.retry, seconds, "the verifier judges")
        self._step = workflow.start_activity_method(SessionActivities.judge, request, **options)
        judgement: JudgeResult = await self._finish(self._step)
        self._judging += judgement.spent
        return judgement

    def _judged_down(self, judgement: JudgeResult) -> SessionResult:
        """Vetoed; or the verifier was interrupted, and what it was to judge waits."""
        if judgement.failure is not None:
            return self._result(SessionStatus.FAILED, failure=judgement.failure)
        interruption = judgement.interruption or Interruption(reason=InterruptionReason.VERIFIER)
        if self._interrupted and interruption.reason is InterruptionReason.PAUSED:
            interruption = interruption.model_copy(update={"reason": self._interrupted})
        result = self._result(
            SessionStatus.INTERRUPTED,
            interruption=interruption.model_copy(update={"kept_commit": self._candidate}),
            candidate=self._candidate,
        )
        return result.model_copy(update={"agent": self._start.verifier})

    async def _finish(self, step: asyncio.Task[Result]) -> Result:
        if self._interrupted:
            step.cancel()
        try:
            return await step
        finally:
            self._step = None

    async def _integrate(self, base: str, landing: str) -> str | None:
        start = self._start
        request = IntegrateRequest(
            project_id=start.project_id, session=start.session, base=base, landing=landing
        )
        result = await workflow.execute_local_activity_method(
            BookkeepingActivities.integrate, request, **book_keeping("main moves to the landing")
        )
        return result.landed

    @property
    def _started_at(self) -> Any:
        # Whole seconds: git stores no more, and the landing commit is derived from it.
        return workflow.info().workflow_start_time.replace(microsecond=0)

    def _agent_ended(self, run: RunResult) -> SessionResult:
        if run.status is RunStatus.FAILED:
            return self._result(SessionStatus.FAILED, failure=run.failure)
        interruption = run.interruption or Interruption(reason=InterruptionReason.PAUSED)
        if self._interrupted and interruption.reason is InterruptionReason.PAUSED:
            # The activity only knows that it was cancelled; a question or a rate limit that came first stays.
            interruption = interruption.model_copy(update={"reason": self._interrupted})
        return self._result(SessionStatus.INTERRUPTED, interruption=interruption)

    def _ended_by(self, error: BaseException) -> SessionResult:
        if is_cancelled_exception(error):
            return self._interruption(self._interrupted or InterruptionReason.PAUSED)
        cause = error.__cause__ or error
        what = cause.message if isinstance(cause, ApplicationError) else str(cause)
        note = truncate(one_line(what), 300)
        return self._interruption(InterruptionReason.INFRASTRUCTURE, note)

    def _interruption(self, reason: InterruptionReason, note: str = "") -> SessionResult:
        interruption = Interruption(reason=reason, kept_commit=self._candidate)
        return self._result(
            SessionStatus.INTERRUPTED, interruption=interruption, candidate=self._candidate, note=note
        )

    def _result(self, status: SessionStatus, **facts: Any) -> SessionResult:
        run = self._run
        if run is not None:
            facts |= {"attempt": run.attempt, "ended_by_itself": run.ended_by_itself}
        facts["spent"] = (run.spent if run is not None else Spent()) + self._judging
        agent = self._start.agent
        return SessionResult(status=status, started_at=self._started_at, agent=agent, **facts)
