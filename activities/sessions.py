"""The two long activities of a session: run its agent, verify what it left."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from temporalio import activity

from activities.agent_run import AgentRun
from activities.alive import given_back_on_shutdown, heartbeating, is_cancelled, worker_stopping
from activities.credentials import learn_credentials
from activities.judging import Judging
from activities.names import JUDGE, RUN_AGENT, VERIFY
from activities.services import ProjectFolder, Services
from activities.stop import Stop
from activities.verifying import make_verifier, passing_features
from shiftwork.contracts.activity import (
    MAIN,
    AgentProgress,
    JudgeRequest,
    JudgeResult,
    RunRequest,
    RunResult,
    VerifyRequest,
    VerifyResult,
)
from shiftwork.contracts.session import Interruption, InterruptionReason, SessionPhase
from shiftwork.planning.casting import judged, role_of
from shiftwork.repository import LandingInfo, Workspace
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import end_leftovers
from shiftwork.store.rows import FeatureRow, ProjectRow, SessionRow
from shiftwork.text import truncate
from shiftwork.verification.judging import to_judge
from shiftwork.verification.landing import Verdict


class _Ended(Protocol):
    """A result that may be an interruption."""

    @property
    def interruption(self) -> Interruption | None: ...


Result = TypeVar("Result", bound=_Ended)
Result_co = TypeVar("Result_co", bound=_Ended, covariant=True)


class SessionActivities:
    """Agents and verification; both run processes, heartbeat, and may be repeated after any crash."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=RUN_AGENT)
    async def run_agent(self, request: RunRequest) -> RunResult:
        """Run one agent to its end; when it is interrupted or the worker stops, to its snapshot."""
        stop = Stop()
        return await self._to_its_end(AgentRun(self._services, request, stop), stop)

    @activity.defn(name=JUDGE)
    async def judge(self, request: JudgeRequest) -> JudgeResult:
        """Have the verifier judge what no command decides; it may only stop a landing."""
        stop = Stop()
        return await self._to_its_end(Judging(self._services, request, stop), stop)

    @activity.defn(name=VERIFY)
    async def verify(self, request: VerifyRequest) -> VerifyResult:
        """Verify a candidate, merged onto the tip of main, by execution."""
        async with heartbeating(self._services.record):
            return await given_back_on_shutdown(_Verification(self._services, request).execute())

    async def _to_its_end(self, work: "_AgentWork[Result]", stop: Stop) -> Result:
        """What it leaves; asked to stop when the activity is cancelled or the worker shut down."""
        async with heartbeating(self._services.record, work.progress):
            result = await _with_stops(work.execute(), stop)
        if stop.reason is InterruptionReason.WORKER_STOPPED and result.interruption is not None:
            # The work is kept on the candidate ref; whoever takes the task finds it in the attempt's row.
            raise worker_stopping()
        return result


class _AgentWork(Protocol[Result_co]):
    """Something that an agent does."""

    def progress(self) -> AgentProgress: ...

    async def execute(self) -> Result_co: ...


async def _with_stops(execution: Coroutine[Any, Any, Result], stop: Stop) -> Result:
    work = asyncio.ensure_future(execution)
    shutdown = asyncio.ensure_future(_ask_on_shutdown(stop))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.ask(await _why_cancelled())
        return await work
    finally:
        shutdown.cancel()


async def _ask_on_shutdown(stop: Stop) -> None:
    await activity.wait_for_worker_shutdown()
    stop.ask(InterruptionReason.WORKER_STOPPED)


async def _why_cancelled() -> InterruptionReason:
    # If it is the workflow's wish, that knows better why, and replaces this.
    return InterruptionReason.PAUSED if await is_cancelled() else InterruptionReason.WORKER_STOPPED


class _Verification:
    """One verification of one candidate."""

    def __init__(self, services: Services, request: VerifyRequest) -> None:
        self._services = services
        self._request = request
        self._folder: ProjectFolder = services.folder(request.project_id)

    async def execute(self) -> VerifyResult:
        """Verify on the tip of main as it is now; leaves no workspace and no process behind."""
        request, repository = self._request, self._folder.repository
        base = await repository.tip()
        project, feature, session = await self._rows()
        await learn_credentials(self._services, project)  # another worker may have run the agent
        passing = await passing_features(self._services, project.id, besides=request.feature_id)
        workspace, name = await self._workspace()
        try:
            verifier = make_verifier(
                self._services,
                project,
                workspace,
                session_id=session.id,
                round_number=self._request.round,
            )
            info = landing_info(project, feature, request)
            candidate = base if request.candidate == MAIN else request.candidate
            verdict = await verifier.verify(base, candidate, feature, passing, info)
        finally:
            await workspace.release()
            await asyncio.to_thread(remove_tree, self._folder.runs / name, ignore_errors=True)
        await self._tell(project, feature, verdict)
        regressed = verdict.regressed if verdict.landing else ()
        return VerifyResult(
            base=base,
            landing=verdict.landing,
            failure=verdict.failure,
            regressed=regressed,
            judge=feature is not None and judged(project.options) and bool(to_judge(feature)),
        )

    async def _rows(self) -> tuple[ProjectRow, FeatureRow | None, SessionRow]:
        request = self._request
        async with self._services.store.transaction() as tx:
            project = await tx.projects.get(request.project_id)
            feature = None if request.feature_id is None else await tx.features.get(request.feature_id)
            role = role_of(project.options, feature.category if feature else None)
            session = await tx.sessions.begin(
                project.id, request.session, request.feature_id, role, request.started_at
            )
            await tx.sessions.phase(project.id, request.session, SessionPhase.VERIFICATION)
        return project, feature, session

    async def _workspace(self) -> tuple[Workspace, str]:
        """A workspace of this attempt's own, after the end of what earlier attempts left on this host."""
        stem, attempt = f"v{self._request.session}-{self._request.round}", activity.info().attempt
        for earlier in range(1, attempt):
            run_folder = self._folder.runs / f"{stem}-{earlier}"
            if run_folder.exists():
                await end_leftovers(run_folder)
                await asyncio.to_thread(remove_tree, run_folder, ignore_errors=True)
            await self._folder.take_back(f"{stem}-{earlier}")
        name = f"{stem}-{attempt}"
        return await self._folder.workspaces.acquire(name, to_judge=True), name

    async def _tell(self, project: ProjectRow, feature: FeatureRow | None, verdict: Verdict) -> None:
        request = self._request
        kind = "verification_failed" if verdict.failure else "verification_passed"
        data = {
            "feature": feature.name if feature else "planning",
            "base": verdict.base,
            "failure": verdict.failure.kind if verdict.failure else None,
            "detail": truncate(verdict.detail, 12_000),
            "restored": list(verdict.restored)[:50],
            "flaky": list(verdict.flaky),
            "regressed": list(verdict.regressed),
        }
        async with self._services.store.transaction() as tx:
            await tx.events.append(
                project.id,
                kind,
                key=f"verified:{request.session}:{request.round}:{verdict.base[:12]}",
                reference=f"session:{request.session}",
                data={key: value for key, value in data.items() if value},
            )


def landing_info(project: ProjectRow, feature: FeatureRow | None, request: VerifyRequest) -> LandingInfo:
    """What a landing commit says; derived from the session alone, so that it is always the same."""
    return LandingInfo(
        project_id=project.id,
        session=request.session,
        feature=feature.name if feature else None,
        subject=feature.name if feature else f"Plan {project.name}",
        body=truncate(feature.description, 2000) if feature else "",
        at=request.started_at,
    )
