"""The conversation that an interrupted session left, for the next session of its feature to go on with."""

import asyncio
from pathlib import Path

from activities.ending import AttemptRows
from activities.predecessors import Resumption
from activities.services import Services
from shiftwork.contracts.activity import RunRequest, RunResult
from shiftwork.contracts.session import InterruptionReason, RunStatus
from shiftwork.planning.casting import key
from shiftwork.store.rows import AttemptRow, SessionRow
from shiftwork.store.store import Transaction

_GONE_ON_WITH = frozenset(
    {
        InterruptionReason.AUTHENTICATION,
        InterruptionReason.BUDGET,
        InterruptionReason.PAUSED,
        InterruptionReason.QUESTION,
        InterruptionReason.RATE_LIMITED,
        InterruptionReason.UNAVAILABLE,
    }
)
_SESSIONS = 200
_ATTEMPTS = 500
"""How many of a project's newest attempts are looked through for who did one."""


def leaves_conversation(result: RunResult, tools: int) -> bool:
    """Whether what an agent said is worth keeping after this end.

    Args:
        tools: how many it used: a program that did nothing yet may not know its conversation again.
    """
    reason = result.interruption.reason if result.interruption else None
    return result.status is RunStatus.INTERRUPTED and reason in _GONE_ON_WITH and tools > 0


async def inherit(services: Services, rows: AttemptRows, request: RunRequest) -> Resumption | None:
    """Take over the conversation of the feature's last session, if it was interrupted; None: begin anew.

    Only the same agent goes on with it, on the host that has it, and with the files as they were then.
    """
    if rows.feature is None or rows.attempt.attempt != 1:
        return None
    async with services.store.transaction() as tx:
        found = await _left(tx, rows, request)
        if found is None or found[1].host != services.host:
            return None
        before, last = found
        used = await tx.usage.of_conversation(before.id, last.conversation)
    folder = services.folder(rows.project.id)
    if not await asyncio.to_thread(_take, folder.home(before.number), folder.home(request.session)):
        return None
    return Resumption.of(last, used)


async def _left(
    tx: Transaction, rows: AttemptRows, request: RunRequest
) -> tuple[SessionRow, AttemptRow] | None:
    """The session before and its attempt that can be gone on with."""
    assert rows.feature is not None
    sessions = [
        row
        for row in await tx.sessions.list(rows.project.id, limit=_SESSIONS)
        if row.feature_id == rows.feature.id and row.number < request.session
    ]
    before = max(sessions, key=lambda row: row.number, default=None)
    if before is None or before.outcome != RunStatus.INTERRUPTED:
        return None
    attempts = [row for row in await tx.attempts.list(before.id) if row.conversation]
    last = attempts[-1] if attempts else None
    if last is None or last.outcome != RunStatus.INTERRUPTED or last.kept_commit != request.kept_commit:
        return None
    events = await tx.events.last(rows.project.id, kinds=("attempt_started",), limit=_ATTEMPTS)
    who = next(
        (
            event.data.get("key")
            for event in events
            if event.reference == f"session:{before.number}" and event.data.get("attempt") == last.attempt
        ),
        None,
    )
    return (before, last) if who == key(rows.agent) else None


def _take(old: Path, new: Path) -> bool:
    """Move a home, unless there is none, or one is there already."""
    if not old.is_dir() or new.exists():
        return False
    old.rename(new)
    return True
