"""The verifier: an agent that judges what no command decides, and may only stop it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.beginning import begin_attempt
from activities.ending import AttemptRows
from activities.evidence import failing_evidence
from activities.folders import Folders
from activities.launching import AgentLaunch, Launched
from activities.lease import LeaseKeeper
from activities.predecessors import Predecessors
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.instructions import remove_instructions
from shiftwork.agents.outbox import read_outbox
from shiftwork.contracts.activity import AgentProgress, JudgeRequest, JudgeResult, RunRequest
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.outbox import Outbox, Verdict
from shiftwork.contracts.session import (
    Failure,
    FailureKind,
    Interruption,
    InterruptionReason,
    Role,
    RunStatus,
    SessionPhase,
    Spent,
)
from shiftwork.planning.casting import key
from shiftwork.repository import Workspace
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import FeatureRow
from shiftwork.text import truncate
from shiftwork.verification.judging import Judgement, judge, weigh
from shiftwork.verification.word import Word

_TRIES = 2
"""How often a verifier is asked whose verdict can't be followed, or whose evidence does not hold."""

_DETAIL_CHARACTERS = 8_000
_TOLD_STEPS, _TOLD_CHARACTERS = 20, 500


@dataclass(frozen=True, slots=True)
class _Asked:
    """One run of the verifier."""

    rows: AttemptRows
    launched: Launched
    outbox: Outbox

    @property
    def feature(self) -> FeatureRow:
        """What is judged."""
        assert self.rows.feature is not None
        return self.rows.feature

    @property
    def judgement(self) -> Judgement:
        """What it left and what it said."""
        return weigh(self.feature, self.outbox.verdict, self.launched.word or Word())


class Judging:
    """Has one landing judged. Every run of the verifier is an attempt of the session, with its own lease."""

    def __init__(self, services: Services, request: JudgeRequest, stop: Stop) -> None:
        self._services = services
        self._request = request
        self._stop = stop
        self._folder = services.folder(request.project_id)
        self._launch: AgentLaunch | None = None
        self._spent = Spent()
        self._run = RunRequest(
            project_id=request.project_id,
            session=request.session,
            started_at=request.started_at,
            role=Role.VERIFIER,
            agent=request.agent,
            feature_id=request.feature_id,
        )

    def progress(self) -> AgentProgress:
        """How far the verifier is, in figures."""
        return self._launch.progress if self._launch else AgentProgress()

    async def execute(self) -> JudgeResult:
        """Judge; leaves no workspace and no process behind.

        Raises:
            LeaseLost: another attempt of this session took over.
        """
        if (held := await self._held_before()) is not None:
            return held
        problem = ""
        for last in (*(False,) * (_TRIES - 1), True):
            asked = await self._ask(problem)
            if (vetoed := await self._vetoed(asked)) is not None:
                return vetoed
            if (interrupted := self._interrupted(asked)) is not None:
                return interrupted
            result, problem = await self._weigh(asked, last=last)
            if result is not None:
                return result
        return self._result(interruption=Interruption(reason=InterruptionReason.VERIFIER))

    # Asking -----------------------------------------------------------------------------------------------

    async def _ask(self, problem: str) -> _Asked:
        """Run the verifier's agent on a fresh checkout of the landing."""
        rows = await begin_attempt(self._services, self._run)
        predecessors = Predecessors(self._services, rows.project, rows.session, rows.attempt, home=self._home)
        await predecessors.end()
        name = self._folder.attempt_name(self._request.session, rows.attempt.attempt)
        run_folder = self._folder.runs / name
        async with LeaseKeeper(self._services, rows.session.id, rows.attempt.token, self._stop) as lease:
            self._services.enclose(rows.project)
            # Never gone on with: what a lost verifier left at home was in reach of what it judged.
            await asyncio.to_thread(remove_tree, self._home, ignore_errors=True)
            workspace = await self._folder.workspaces.acquire(name, to_judge=True)
            try:
                folders = Folders(workspace.path, run_folder, self._home)
                folders.make()
                asked = await self._look(rows, workspace, folders, problem)
            finally:
                await asyncio.to_thread(remove_tree, self._home, ignore_errors=True)
                await asyncio.to_thread(remove_tree, run_folder, ignore_errors=True)
                await workspace.release()
            await self._finish(asked)
            lease.check()
        self._spent += asked.launched.spent
        return asked

    @property
    def _home(self) -> Path:
        return self._folder.root / "homes" / f"s{self._request.session}-verifier"

    async def _look(self, rows: AttemptRows, workspace: Workspace, folders: Folders, problem: str) -> _Asked:
        services, landing, attempt = self._services, self._request.landing, rows.attempt
        async with services.store.transaction() as tx:
            await tx.sessions.phase(rows.project.id, rows.session.number, SessionPhase.VERIFICATION)
            await tx.attempts.start(rows.session.id, attempt.attempt, attempt.token, base=landing)
        owner = services.user(rows.project)
        await workspace.prepare(self._folder.repository, landing, with_git=True, owner=owner)
        await asyncio.to_thread(remove_instructions, workspace.path)
        setup = services.setup_cache(rows.project)
        await setup.prepare(
            rows.project.options.setup, workspace.path, folders.run / "setup", unlanded=landing
        )
        self._launch = AgentLaunch(services, self._run, rows, self._stop, problem=problem)
        launched = await self._launch.run(folders, landing, None)
        outbox = await asyncio.to_thread(read_outbox, folders.outbox, Role.VERIFIER)
        return _Asked(rows, launched, outbox)

    async def _finish(self, asked: _Asked) -> None:
        end, rows = asked.launched.end, asked.rows
        detail = self._services.redactor.redact(
            "\n".join(filter(None, (end.message, *asked.outbox.problems)))
        )
        async with self._services.store.transaction() as tx:
            await tx.attempts.finish(
                rows.session.id,
                rows.attempt.attempt,
                rows.attempt.token,
                outcome=end.status,
                outbox=asked.outbox,
            )
            await tx.events.append(
                rows.project.id,
                "attempt_ended",
                key=f"attempt_ended:{rows.session.number}:{rows.attempt.attempt}",
                reference=f"session:{rows.session.number}",
                data={
                    "attempt": rows.attempt.attempt,
                    "agent_key": key(rows.agent),
                    "role": Role.VERIFIER,
                    "status": end.status,
                    "failure": end.failure.kind if end.failure else None,
                    "reason": end.reason,
                    "detail": truncate(detail, _DETAIL_CHARACTERS),
                    "verdict": _told(asked.outbox.verdict, self._services.redactor.redact),
                },
            )

    # Weighing ---------------------------------------------------------------------------------------------

    def _interrupted(self, asked: _Asked) -> JudgeResult | None:
        end = asked.launched.end
        if end.status is not RunStatus.INTERRUPTED:
            return None
        if end.reason is InterruptionReason.QUESTION:
            return None  # nobody answers a verifier: it has to say what it can't tell
        reason = end.reason or self._stop.reason or InterruptionReason.PAUSED
        return self._result(interruption=Interruption(reason=reason, until=end.until))

    async def _weigh(self, asked: _Asked, *, last: bool) -> tuple[JudgeResult | None, str]:
        """What follows from a verdict, or what the verifier has to be told of it."""
        feature = asked.feature
        if asked.launched.end.status is not RunStatus.COMPLETED:
            return None, asked.launched.end.message or "The verifier ended without a verdict."
        judgement = asked.judgement
        if judgement.problems:
            return None, " ".join((*judgement.problems, *asked.outbox.problems))
        failed = await self._fails(feature, judgement.evidence, asked.rows.attempt.attempt)
        if failed is None:
            return self._result(attempt=asked.rows.attempt.attempt), ""
        index, words = failed
        if last:
            why = Judgement(vetoes={index: f"What the verifier gave as evidence does not hold. {words}"})
            return await self._veto(feature, why), ""
        return None, f"Your evidence does not hold on another fresh checkout. {words}"

    async def _vetoed(self, asked: _Asked) -> JudgeResult | None:
        """Once said, it stands, whatever became of the verifier afterwards."""
        if not asked.judgement.vetoes:
            return None
        return await self._veto(asked.feature, asked.judgement)

    async def _veto(self, feature: FeatureRow, judgement: Judgement) -> JudgeResult:
        """A failure that the next brief explains."""
        first = min(judgement.vetoes)
        detail = "\n\n".join(
            f"The verifier found verification step {index + 1} of {feature.name!r} not fulfilled: {why}"
            for index, why in sorted(judgement.vetoes.items())
        )
        async with self._services.store.transaction() as tx:
            await tx.events.append(
                self._request.project_id,
                "verification_failed",
                key=f"vetoed:{self._request.session}:{self._request.landing[:12]}",
                reference=f"session:{self._request.session}",
                data={
                    "feature": feature.name,
                    "failure": FailureKind.VETOED,
                    "detail": truncate(self._services.redactor.redact(detail), 12_000),
                },
            )
        return self._result(failure=Failure(kind=FailureKind.VETOED, step=first))

    async def _held_before(self) -> JudgeResult | None:
        """Main moved since the verifier consented: its evidence is executed on the new landing."""
        before = self._request.judged
        if before is None:
            return None
        async with self._services.store.transaction() as tx:
            feature = await tx.features.get(self._request.feature_id)
            session = await tx.sessions.get(self._request.project_id, self._request.session)
            rows = [row for row in await tx.attempts.list(session.id) if row.attempt == before]
        verdict = rows[0].outbox.verdict if rows and rows[0].outbox else None
        judgement = judge(feature, verdict)
        if judgement.vetoes or judgement.problems or await self._fails(feature, judgement.evidence, before):
            return None
        return self._result(attempt=before)

    async def _fails(
        self, feature: FeatureRow, evidence: Mapping[int, VerificationStep], attempt: int
    ) -> tuple[int, str] | None:
        return await failing_evidence(self._services, self._request, feature, evidence, attempt)

    def _result(
        self,
        *,
        attempt: int | None = None,
        failure: Failure | None = None,
        interruption: Interruption | None = None,
    ) -> JudgeResult:
        return JudgeResult(attempt=attempt, failure=failure, interruption=interruption, spent=self._spent)


def _told(verdict: Verdict | None, redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """What the verifier said of each step, for the event that people read."""
    said = verdict.steps[:_TOLD_STEPS] if verdict else ()
    # Redacted before it is cut: half a secret is not recognised.
    return [
        {"step": each.step, "met": each.met, "reason": truncate(redact(each.reason), _TOLD_CHARACTERS)}
        for each in said
    ]
