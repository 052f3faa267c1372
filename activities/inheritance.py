"""The conversation that an interrupted session left, for the next session of its feature to go on with."""

import asyncio

from activities.ending import AttemptRows
from activities.found import Source, find_conversation, is_here
from activities.homes import move_home
from activities.predecessors import Resumption
from activities.services import Services
from shiftwork.agents.protocol import AgentBackend
from shiftwork.contracts.activity import RunRequest, RunResult
from shiftwork.contracts.session import InterruptionReason, RunStatus
from shiftwork.planning.casting import key
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


async def inherit(
    services: Services, rows: AttemptRows, request: RunRequest, backend: AgentBackend
) -> Resumption | None:
    """Take over the conversation of the feature's last session, if it was interrupted; None: begin anew.

    Only the same agent goes on with it, where it is or can be brought to, and with the files as they were
    then. No agent has run in this session yet.
    """
    if rows.feature is None:
        return None
    async with services.store.transaction() as tx:
        source = await _left(tx, rows, request)
        if source is None:
            return None
        used = await tx.usage.of_conversation(source.session.id, source.last.conversation)
    folder = services.folder(rows.project.id)
    old, new = folder.home(source.session.number), folder.home(request.session)
    if not new.exists() and await is_here(services, source, old, backend.conversation_file):
        await asyncio.to_thread(move_home, old, new, source.session.number, source.last.attempt)
    found = await find_conversation(services, source, new, backend.conversation_file)
    return None if found is None else Resumption.of(source.last, used)


async def _left(tx: Transaction, rows: AttemptRows, request: RunRequest) -> Source | None:
    """What the session before left that can be gone on with."""
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
    if who != key(rows.agent):
        return None
    return Source(before, last, {row.attempt for row in attempts if row.conversation == last.conversation})
