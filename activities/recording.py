"""One transaction at the end of a session: session, progress, decisions, handoff, checkpoint, state."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from itertools import takewhile

from activities.attributing import broken_names, judge_blocked, judge_session
from activities.rejections import told, with_words
from activities.rows import control_columns
from shiftwork.contracts.bookkeeping import RecordRequest, SaveRequest
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.outbox import DecisionNote, Outbox, ProgressNote
from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.errors import InvalidInput
from shiftwork.handoffs.sessions import context_of, with_fitting_handoff
from shiftwork.planning.outcome import describe
from shiftwork.secrets.refusing import Finds, refuse_in_feature, refuse_secrets
from shiftwork.store.features import FeatureColumns
from shiftwork.store.projects import ProjectColumns
from shiftwork.store.rows import FeatureRow, SessionRow
from shiftwork.store.store import Transaction
from shiftwork.text import truncate
from shiftwork.verification.words import headline

_SESSIONS = 200
"""The newest sessions: the ones that this one went on from are among them."""

_HANDOFF_LIFE = timedelta(days=30)
"""How long a handoff is given to later sessions; what is older misleads more than it helps."""


async def record_session(
    tx: Transaction, request: RecordRequest, landed: Collection[str | None], redactor: Finds
) -> str:
    """Everything about a session that ended; returns what `save_control_state` does.

    Args:
        landed: the features on main up to its landing.
        redactor: see `save_control_state`.
    """
    result, project_id = request.result, request.save.project_id
    session = await tx.sessions.begin(
        project_id, request.session, request.feature_id, request.role, result.started_at
    )
    feature = None if request.feature_id is None else await tx.features.get(request.feature_id)
    outbox = await _outbox(tx, session, result.attempt)
    detail = await _detail(tx, project_id, request) if result.failure else ""
    await _keep_outbox(tx, project_id, session, result, outbox)
    # Before features are found to be blocked: what failed says more than that attempts are spent.
    await judge_session(tx, session, result, detail)
    names = await broken_names(tx, project_id, result)
    facts = _facts(request, outbox, detail or (describe(result.failure, names) if result.failure else ""))
    problem = await save_control_state(tx, request.save, facts, redactor=redactor)
    title = feature.name if feature else "planning"
    spent = await tx.usage.of_session(session.id)  # the result knows of its last attempt alone
    await tx.progress.log(
        project_id,
        title,
        outcome=_outcome(result, detail, names),
        commit=result.landed,
        tokens=spent.input_tokens + spent.output_tokens,
        session_id=session.id,
        attempt=result.attempt or 0,
        sequence=0,
    )
    if result.landed is not None:
        passing = await tx.features.list(project_id, status=FeatureStatus.PASSING)
        await tx.checkpoints.add(
            project_id, result.landed, session.id, [f.id for f in passing if f.name in landed]
        )
    error = truncate(detail or result.note, 8000) or None
    await tx.sessions.end(
        project_id,
        request.session,
        outcome=result.status,
        error=error if result.status is not SessionStatus.PASSED else None,
        landed_commit=result.landed,
    )
    await _tell(tx, request, feature, _outcome(result, detail, names), spent.cost_usd)
    return problem


async def save_control_state(
    tx: Transaction,
    request: SaveRequest,
    facts: dict[int, FeatureColumns] | None = None,
    *,
    redactor: Finds,
) -> str:
    """Write control state under its revision; returns why some of it was not, in one sentence, or ''.

    Args:
        facts: further columns of some features.
        redactor: knows the secrets with which an edit or an option is left out: redacted, it would be
            another one than the person sent.
    """
    problem = ""
    for edit in request.edits:
        feature = await tx.features.find(request.project_id, edit.feature)
        try:
            refuse_in_feature(edit, redactor)
        except InvalidInput as error:
            problem = problem or f"an edit was not taken: {error}"
        else:
            await tx.features.edit(feature.id, request.revision - 1, edit)
    said = _said_to_fail(request)
    for state in request.features:
        more: FeatureColumns = {**said.get(state.id, {}), **(facts or {}).get(state.id, {})}
        control: FeatureColumns = {**control_columns(state), **more}
        await tx.features.save(state.id, request.revision, **control)
    await judge_blocked(tx, request.features)
    reason = await with_words(tx, request.project_id, request.reason)
    columns: ProjectColumns = {
        "status": request.status,
        "status_reason": reason,
        "not_before": request.not_before,
        "budget_usd": request.budget_usd,
    }
    if request.options is not None:
        row = await tx.projects.get(request.project_id)
        merged = row.options.model_dump(mode="json") | request.options
        try:
            refuse_secrets("The project's options", merged, redactor)
            columns["options"] = ProjectOptions.model_validate(merged)
        except InvalidInput as error:
            problem = problem or str(error)
    await tx.projects.save(request.project_id, request.revision, **columns)
    for event in request.events:
        await tx.events.append(
            request.project_id,
            event.kind,
            key=event.key,
            actor=event.actor,
            reference=event.reference,
            data=told(event.data, request.reason, reason),
        )
    return problem


def _said_to_fail(request: SaveRequest) -> dict[int, FeatureColumns]:
    """Why people say that features fail: what the agents that go on with these are told."""
    said: dict[int, FeatureColumns] = {}
    for event in request.events:
        if event.kind == "feature_status" and event.data.get("status") == FeatureStatus.FAILING:
            reason = str(event.data.get("reason") or "")
            if reason:
                said[int(event.reference.removeprefix("feature:"))] = {"last_error": reason}
    return said


async def _outbox(tx: Transaction, session: SessionRow, attempt: int | None) -> Outbox:
    for row in await tx.attempts.list(session.id):
        if row.attempt == attempt and row.outbox is not None:
            return with_fitting_handoff(row.outbox)
    return Outbox()


async def _detail(tx: Transaction, project_id: str, request: RecordRequest) -> str:
    """What the failed attempt or verification of this session said of itself."""
    reference = f"session:{request.session}"
    events = await tx.events.last(project_id, kinds=("verification_failed", "attempt_ended"), limit=200)
    return next((e.data.get("detail", "") for e in events if e.reference == reference), "")


def _facts(request: RecordRequest, outbox: Outbox, detail: str) -> dict[int, FeatureColumns]:
    if request.feature_id is None:
        return {}
    result = request.result
    facts: FeatureColumns = {}
    if result.status is SessionStatus.PASSED:
        facts = {"last_error": None, "passed_commit": result.landed, "question": None}
    elif result.failure is not None:
        facts = {"last_error": detail}
    elif outbox.question is not None:
        facts = {"question": outbox.question.question}
    return {request.feature_id: facts}


async def _keep_outbox(
    tx: Transaction, project_id: str, session: SessionRow, result: SessionResult, outbox: Outbox
) -> None:
    attempt = result.attempt or 0
    told = await _told_before(tx, session)
    for sequence, decision in enumerate(outbox.decisions):
        if decision not in told:
            await tx.decisions.record(project_id, session.id, attempt, sequence, decision)
    for sequence, note in enumerate(outbox.progress, start=1):
        if note in told:
            continue
        await tx.progress.log(
            project_id,
            note.action,
            outcome=note.outcome,
            files_changed=note.files_changed,
            session_id=session.id,
            attempt=attempt,
            sequence=sequence,
        )
    if outbox.handoff is not None:
        expires_at = session.started_at + _HANDOFF_LIFE
        await tx.sessions.handoff(project_id, session.number, outbox.handoff, expires_at=expires_at)
        await tx.handoffs.save(
            context_of(outbox.handoff).to_json(),
            outbox.handoff.summary,
            session_id=session.id,
            ttl=_HANDOFF_LIFE,
        )


async def _told_before(tx: Transaction, session: SessionRow) -> list[DecisionNote | ProgressNote]:
    """What the interrupted sessions told that this one went on from: their conversation may tell it again."""
    earlier = [
        row
        for row in await tx.sessions.list(session.project_id, limit=_SESSIONS)
        if row.feature_id == session.feature_id and row.number < session.number
    ]
    earlier.sort(key=lambda row: -row.number)
    told: list[DecisionNote | ProgressNote] = []
    for row in takewhile(lambda row: row.outcome == SessionStatus.INTERRUPTED, earlier):
        outboxes = [attempt.outbox for attempt in await tx.attempts.list(row.id) if attempt.outbox]
        for outbox in outboxes:
            told += outbox.decisions
            told += outbox.progress
    return told


def _outcome(result: SessionResult, detail: str, names: Mapping[int, str]) -> str:
    if result.failure is not None:
        told = headline(detail)
        return f"failed: {describe(result.failure, names)}{f': {told}' if told else ''}"
    if result.interruption is not None:
        return f"interrupted: {result.interruption.reason.replace('_', ' ')}"
    return "verified and landed" if result.landed else "done"


async def _tell(
    tx: Transaction, request: RecordRequest, feature: FeatureRow | None, outcome: str, cost_usd: float
) -> None:
    result, project_id = request.result, request.save.project_id
    reference = f"session:{request.session}"
    title = feature.name if feature else "planning"
    if result.landed is not None:
        await tx.events.append(
            project_id,
            "landed",
            key=f"landed:{request.session}",
            reference=f"commit:{result.landed}",
            data={"feature": title, "session": request.session},
        )
    await tx.events.append(
        project_id,
        "session_ended",
        key=f"session_ended:{request.session}",
        reference=reference,
        data={
            "feature": title,
            "feature_id": request.feature_id,
            "status": result.status,
            "outcome": outcome,
            "note": result.note,
            "cost_usd": cost_usd,
        },
    )
    for state in request.save.features:
        if state.status is FeatureStatus.BLOCKED:
            await tx.events.append(
                project_id,
                "blocked",
                key=f"blocked:{state.id}:{request.session}",
                reference=f"feature:{state.id}",
                data={"feature": state.name, "reason": state.blocked_reason},
            )
