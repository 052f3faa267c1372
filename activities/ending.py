"""What the end of an attempt means, and writing it down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from activities.predecessors import CRASHED
from activities.services import Services
from shiftwork.agents.run import AgentEnd
from shiftwork.contracts.activity import RunRequest, RunResult
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.plan import FEW_FEATURES, MANY_FEATURES, Plan, is_small, without_edge_cases
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import (
    Failure,
    FailureKind,
    Interruption,
    InterruptionReason,
    Role,
    RunStatus,
)
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import key
from shiftwork.planning.graph import check_dependencies
from shiftwork.repository import Snapshot
from shiftwork.secrets.refusing import Finds, refuse_in_plan
from shiftwork.store.rows import Attempt, FeatureRow, ProjectRow, SessionRow
from shiftwork.text import truncate
from shiftwork.verification.arena import check_environments
from shiftwork.verification.flaws import flaws

_DETAIL_CHARACTERS = 8000
_TOLD_STEPS = 5
_READ_STEPS = 1_000
"""Of a plan, those that a shell is asked to read: some seconds at most."""

_BY_ITSELF = (InterruptionReason.QUESTION, InterruptionReason.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class AttemptRows:
    """The rows an attempt works with, and which agent does it."""

    project: ProjectRow
    feature: FeatureRow | None
    session: SessionRow
    attempt: Attempt
    agent: AgentOptions


class Ending:
    """Turns the end of one attempt's agent into a result, and writes it under the attempt's lease.

    Args:
        base: the commit that the attempt started from.
    """

    def __init__(self, services: Services, request: RunRequest, rows: AttemptRows, base: str) -> None:
        self._services = services
        self._rows = rows
        self._base = base
        self._number = request.session
        self._planning = request.role is Role.INITIALIZER

    async def ended(
        self, end: AgentEnd, snapshot: Snapshot, outbox: Outbox, stopped: InterruptionReason | None
    ) -> RunResult:
        """The agent ended, and what it left is stored; `stopped`: why we ended it, if we did."""
        problem = plan_problem(outbox, self._services.redactor) if self._planning else None
        result = self._judge(end, snapshot, problem, stopped)
        # Nobody expects a plan of whoever was interrupted.
        unplanned = "" if end.status is RunStatus.INTERRUPTED else problem or ""
        lines = [end.message, unplanned, *snapshot.notes]
        detail = "\n".join(line for line in lines if line)
        if problem is not None:
            outbox = outbox.model_copy(update={"plan": None})  # nobody adopts it, and it may hold a secret
        return await self._finish(result, outbox, detail, snapshot.notes)

    async def refused(self, kind: FailureKind, why: str, outbox: Outbox | None = None) -> RunResult:
        """The attempt failed for a reason that the agent did not tell."""
        result = self._result(RunStatus.FAILED, failure=Failure(kind=kind))
        return await self._finish(result, outbox or Outbox(), why)

    async def crashed(self, end: AgentEnd, snapshot: Snapshot, outbox: Outbox) -> None:
        """The agent crashed, and its conversation is gone on with: no failure of the session yet."""
        failure = Failure(kind=FailureKind.AGENT_CRASHED, exit_status=end.exit_status)
        result = self._result(RunStatus.FAILED, failure=failure)
        kept = snapshot.commit if snapshot.changed else None
        await self._finish(result, outbox, end.message, gone_on_from=CRASHED, kept_commit=kept)

    async def gave_up(self, lost: int, kept_commit: str | None) -> RunResult:
        """So many attempts in a row lost their workers that no further one is started."""
        interruption = Interruption(reason=InterruptionReason.WORKER_LOST, kept_commit=kept_commit)
        result = self._result(RunStatus.INTERRUPTED, interruption=interruption, ended_by_itself=False)
        return await self._finish(result, Outbox(), f"The worker was lost {lost} times in this session.")

    def _judge(
        self, end: AgentEnd, snapshot: Snapshot, problem: str | None, stopped: InterruptionReason | None
    ) -> RunResult:
        if end.status is RunStatus.FAILED:
            return self._result(RunStatus.FAILED, failure=end.failure)
        kept = snapshot.commit if snapshot.changed else None
        if end.status is RunStatus.INTERRUPTED:
            reason = end.reason or stopped or InterruptionReason.PAUSED
            return self._result(
                RunStatus.INTERRUPTED,
                interruption=Interruption(reason=reason, until=end.until, kept_commit=kept),
                ended_by_itself=end.reason in _BY_ITSELF,
            )
        if problem is not None:
            return self._result(RunStatus.FAILED, failure=Failure(kind=FailureKind.PLAN_INVALID))
        return self._result(RunStatus.COMPLETED, candidate=kept if self._planning else snapshot.commit)

    def _result(
        self,
        status: RunStatus,
        *,
        candidate: str | None = None,
        failure: Failure | None = None,
        interruption: Interruption | None = None,
        ended_by_itself: bool = True,
    ) -> RunResult:
        return RunResult(
            attempt=self._rows.attempt.attempt,
            base=self._base,
            status=status,
            candidate=candidate,
            failure=failure,
            interruption=interruption,
            ended_by_itself=ended_by_itself,
        )

    async def _finish(
        self,
        result: RunResult,
        outbox: Outbox,
        detail: str,
        notes: Sequence[str] = (),
        *,
        gone_on_from: str = "",
        kept_commit: str | None = None,
    ) -> RunResult:
        """Write it down; `gone_on_from`: the outcome of an attempt that the next one goes on from."""
        interruption, attempt = result.interruption, self._rows.attempt
        detail = self._services.redactor.redact(detail)  # before it is cut: half a secret is not recognised
        async with self._services.store.transaction() as tx:
            await tx.attempts.finish(
                self._rows.session.id,
                attempt.attempt,
                attempt.token,
                outcome=gone_on_from or result.status,
                candidate=result.candidate,
                kept_commit=interruption.kept_commit if interruption else kept_commit,
                outbox=outbox,
            )
            await tx.events.append(
                self._rows.project.id,
                "attempt_ended",
                key=f"attempt_ended:{self._number}:{result.attempt}",
                reference=f"session:{self._number}",
                data={
                    "attempt": result.attempt,
                    "agent_key": key(self._rows.agent),
                    "status": result.status,
                    "failure": result.failure.kind if result.failure else None,
                    "reason": interruption.reason if interruption else None,
                    "goes_on": bool(gone_on_from),
                    # What the next brief says of this attempt, if it failed.
                    "detail": truncate(detail, _DETAIL_CHARACTERS),
                    "problems": list(outbox.problems)[:20],
                    "notes": list(notes)[:20],
                },
            )
        return result


def plan_warnings(plan: Plan, specification: str) -> list[str]:
    """What people should know of a plan that is followed all the same; not for an event loop, see `flaw`."""
    empty = flaws(plan.features, _READ_STEPS)
    more = [f"{len(empty) - _TOLD_STEPS} more features have such steps"] if len(empty) > _TOLD_STEPS else []
    return [*_about_size(plan, specification), *empty[:_TOLD_STEPS], *more]


def _about_size(plan: Plan, specification: str) -> Iterator[str]:
    total = len(plan.features)
    if total > MANY_FEATURES:
        yield f"{total} features are more than the {MANY_FEATURES} of a usual plan"
    if is_small(total, specification):
        yield (
            f"the plan has {total} features for a specification of {len(specification):,} characters; plans "
            f"usually have {FEW_FEATURES} to {MANY_FEATURES}"
        )
    steps = {feature.name: len(feature.verification_steps) for feature in plan.features}
    if plain := without_edge_cases(steps, specification):
        yield (
            f"{len(plain)} of {total} features have a single verification step, and so no edge case that is "
            f"checked, {plain[0]!r} among them"
        )


def plan_problem(outbox: Outbox, redactor: Finds) -> str | None:
    """Why an initializer's outbox holds no plan that can be followed; None if it does."""
    if outbox.plan is None:
        return " ".join(("The outbox holds no valid plan.json.", *outbox.problems))
    try:
        check_dependencies({f.name: f.depends_on for f in outbox.plan.features})
        check_environments(outbox.plan.features)
        refuse_in_plan(outbox.plan, redactor)
    except InvalidInput as error:
        return str(error)
    return None
