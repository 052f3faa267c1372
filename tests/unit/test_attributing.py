"""What the harness makes of decisions when it records a session, once or again after a crash."""

from datetime import UTC, datetime

import pytest

from activities.recording import record_session, save_control_state
from shiftwork.contracts.bookkeeping import RecordRequest, SaveRequest
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.outbox import DecisionNote, Outbox
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Failure, FailureKind, Role
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.secrets.redactor import Redactor
from shiftwork.store.states import feature_states

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DETAIL = "Verification step 1 of 'login' ended.\nCommand: check\nOutput:\nfine so far\nno semicolon"


@pytest.fixture
async def project(store):
    async with store.transaction() as tx:
        project = await tx.projects.create("chat")
        await tx.features.adopt(project.id, [FeatureSpec(name="login")], 1)
        return project


async def work(store, project, number, *decisions):
    """A session whose one attempt left decisions; the request that records its failure."""
    async with store.transaction() as tx:
        [feature] = await tx.features.list(project.id)
        session = await tx.sessions.begin(project.id, number, feature.id, Role.SESSION, NOW)
        attempt = await tx.attempts.begin(session.id, "host", 60)
        outbox = Outbox(decisions=[DecisionNote(decision=each) for each in decisions])
        await tx.attempts.finish(
            session.id, attempt.attempt, attempt.token, outcome="completed", outbox=outbox
        )
        reference = f"session:{number}"
        await tx.events.append(
            project.id, "verification_failed", reference=reference, data={"detail": DETAIL}
        )
    failure = Failure(kind=FailureKind.STEP_FAILED, step=0, exit_status=1)
    result = SessionResult(status=SessionStatus.FAILED, started_at=NOW, attempt=1, failure=failure)
    save = SaveRequest(project_id=project.id, revision=number + 2, status=ProjectStatus.ACTIVE)
    return RecordRequest(session=number, feature_id=feature.id, result=result, save=save)


async def record(store, request):
    async with store.transaction() as tx:
        await record_session(tx, request, (), Redactor())


async def history(store, project):
    async with store.transaction() as tx:
        return list(reversed(await tx.decisions.history(project.id)))


async def test_a_session_recorded_again_changes_no_judgement(store, project):
    """If it failed, a crash after a session would take back what a person said meanwhile."""
    request = await work(store, project, 1, "commas", "one file")
    await record(store, request)
    first, second = await history(store, project)
    assert first.lesson == second.lesson == "step 1 failed, exit status 1: no semicolon"
    assert (first.outcome, first.score, first.judged_by, first.lesson_by) == (
        *("failure", -0.5),
        *("harness", "harness"),
    )
    async with store.transaction() as tx:
        liked = await tx.decisions.feedback(second.id, DecisionOutcome.SUCCESS, 1.0, "Small is good.")
    await record(store, request)
    assert await history(store, project) == [first, liked]


async def test_each_attempt_keeps_its_own_outcome(store, project):
    """If it failed, the decision that failed would be praised for the one that worked, or the reverse."""
    await record(store, await work(store, project, 1, "commas"))
    request = await work(store, project, 2, "semicolons")
    passed = SessionResult(status=SessionStatus.PASSED, started_at=NOW, attempt=1)
    await record(store, request.model_copy(update={"result": passed}))
    outcomes = [(d.decision, d.outcome, d.score, d.lesson) for d in await history(store, project)]
    assert [each[:3] for each in outcomes] == [("commas", "failure", -0.5), ("semicolons", "success", 0.5)]
    assert outcomes[1][3] is None


@pytest.mark.parametrize(
    ("reason", "outcome"), [("5 attempts spent", "failure"), ("depends on 'a', which is blocked", None)]
)
async def test_only_what_is_blocked_for_its_own_sake_failed(store, project, reason, outcome):
    """If it failed, decisions would be blamed for another feature's failure, or stay open for ever."""
    await work(store, project, 1)
    async with store.transaction() as tx:
        session = await tx.sessions.get(project.id, 1)
        await tx.decisions.record(project.id, session.id, 1, 0, DecisionNote(decision="commas"))
        [state] = feature_states(await tx.features.list(project.id))
        state.status, state.blocked_reason = FeatureStatus.BLOCKED, reason
        save = SaveRequest(project_id=project.id, revision=5, status=ProjectStatus.ACTIVE, features=(state,))
        await save_control_state(tx, save, redactor=Redactor())
    [decision] = await history(store, project)
    assert decision.outcome == outcome
