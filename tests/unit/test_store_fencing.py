"""Leases against a real PostgreSQL: a superseded attempt writes nothing, whatever it tries and when."""

import asyncio
from datetime import UTC, datetime

import pytest

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.outbox import DecisionNote, Outbox, ProgressNote
from shiftwork.contracts.session import Role
from shiftwork.errors import Conflict, InvalidInput, LeaseLost
from shiftwork.store.rows import TranscriptItem

NOW = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.fixture
async def session(store):
    async with store.transaction() as tx:
        project = await tx.projects.create("chat", budget_usd=10)
        [feature] = await tx.features.adopt(project.id, [FeatureSpec(name="login")], 1)
        return await tx.sessions.begin(project.id, 1, feature.id, Role.SESSION, NOW)


async def begin(store, session, ttl=60.0, host="host"):
    async with store.transaction() as tx:
        return await tx.attempts.begin(session.id, host, ttl)


async def refused_writes(store, session, attempt):
    """How many of the fenced writes this attempt's token does not allow."""
    refused = 0
    writes = (
        lambda tx: tx.leases.check(session.id, attempt.token),
        lambda tx: tx.usage.add(session.id, attempt.attempt, attempt.token, 99, input_tokens=1),
        lambda tx: tx.transcript.append(
            session.id, attempt.attempt, attempt.token, [TranscriptItem(sequence=99, kind="text")]
        ),
        lambda tx: tx.attempts.finish(session.id, attempt.attempt, attempt.token, outcome="completed"),
    )
    for write in writes:
        try:
            async with store.transaction() as tx:
                await write(tx)
        except LeaseLost:
            refused += 1
    return refused


async def test_holder_writes(store, session):
    """If it failed, an attempt could not do its work."""
    attempt = await begin(store, session)
    assert attempt.attempt == 1
    assert await refused_writes(store, session, attempt) == 0


async def test_superseded_attempt_writes_nothing(store, session):
    """If it failed, a worker that woke up late would write into its successor's session."""
    zombie = await begin(store, session)
    successor = await begin(store, session)
    assert (successor.attempt, successor.token > zombie.token) == (2, True)
    assert await refused_writes(store, session, zombie) == 4
    async with store.transaction() as tx:
        assert not await tx.leases.renew(session.id, zombie.token, 60)
        assert not await tx.leases.release(session.id, zombie.token)
    assert await refused_writes(store, session, successor) == 0


async def test_expired_lease_is_lost(store, session):
    """If it failed, a worker cut off for longer than its lease would go on writing."""
    attempt = await begin(store, session, ttl=0.01)
    await asyncio.sleep(0.02)
    assert await refused_writes(store, session, attempt) == 4
    async with store.transaction() as tx:
        assert not await tx.leases.renew(session.id, attempt.token, 60)


async def test_renewed_lease_lives_on(store, session):
    """If it failed, a long session would lose its lease while it works."""
    attempt = await begin(store, session, ttl=0.2)
    async with store.transaction() as tx:
        assert await tx.leases.renew(session.id, attempt.token, 60)
    await asyncio.sleep(0.25)
    assert await refused_writes(store, session, attempt) == 0


async def test_released_lease_is_gone_and_attempts_go_on(store, session):
    """If it failed, attempt numbers would repeat after a worker stopped in order."""
    attempt = await begin(store, session)
    async with store.transaction() as tx:
        assert await tx.leases.release(session.id, attempt.token)
    assert await refused_writes(store, session, attempt) == 4
    assert (await begin(store, session)).attempt == 2


async def test_concurrent_take_overs_leave_one_holder(store, session):
    """If it failed, two workers that start the same session at once could both write."""
    attempts = await asyncio.gather(*(begin(store, session, host=f"host-{n}") for n in range(6)))
    assert sorted(a.attempt for a in attempts) == [1, 2, 3, 4, 5, 6]
    by_number = sorted(attempts, key=lambda a: a.attempt)
    assert [a.token for a in by_number] == sorted(a.token for a in attempts)
    refused = [await refused_writes(store, session, attempt) for attempt in by_number]
    assert refused == [4, 4, 4, 4, 4, 0]
    async with store.transaction() as tx:
        assert [row.attempt for row in await tx.attempts.list(session.id)] == [1, 2, 3, 4, 5, 6]


async def test_take_over_waits_for_a_write_in_progress(store, session):
    """If it failed, a write could commit after the lease it was checked against had been taken over."""
    attempt = await begin(store, session)
    order = []

    async def take_over():
        await begin(store, session)
        order.append("taken over")

    async with store.transaction() as tx:
        await tx.leases.check(session.id, attempt.token)
        waiting = asyncio.create_task(take_over())
        await asyncio.sleep(0.1)
        await tx.usage.add(session.id, 1, attempt.token, 0, input_tokens=5)
        order.append("written")
    await waiting
    assert order == ["written", "taken over"]


async def test_attempt_ends_once(store, session):
    """If it failed, a repeated activity would overwrite the outbox that was validated first."""
    attempt = await begin(store, session)
    outbox = Outbox(decisions=(DecisionNote(decision="x\0"),), progress=(ProgressNote(action="y"),))
    async with store.transaction() as tx:
        assert await tx.attempts.finish(
            session.id, 1, attempt.token, outcome="completed", candidate="c", outbox=outbox
        )
        assert not await tx.attempts.finish(session.id, 1, attempt.token, outcome="failed")
        [row] = await tx.attempts.list(session.id)
    assert (row.outcome, row.candidate, row.host) == ("completed", "c", "host")
    assert row.outbox is not None
    assert (row.outbox.progress, row.outbox.decisions[0].decision) == (outbox.progress, "x\ufffd")


async def test_usage_is_counted_once(store, session):
    """If it failed, a repeated activity would spend a project's budget twice."""
    attempt = await begin(store, session)
    body = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 2, "cost_usd": 0.1}
    async with store.transaction() as tx:
        for sequence in range(3):
            assert await tx.usage.add(session.id, 1, attempt.token, sequence, **body)
            assert not await tx.usage.add(session.id, 1, attempt.token, sequence, **body)
    async with store.transaction() as tx:
        with pytest.raises(Conflict, match="something else"):
            await tx.usage.add(session.id, 1, attempt.token, 0, **{**body, "input_tokens": 11})
        totals = await tx.projects.totals(session.project_id)
        assert (totals.tokens, totals.input_tokens, totals.cost_usd) == (51, 30, 0.3)
        assert totals == await tx.usage.of_session(session.id)
        assert await tx.usage.budget(session.project_id) == (10, 0.3)
        assert await tx.usage.spent(session.project_id) == 0.3
        row = await tx.sessions.by_id(session.id)
        assert (row.total_tokens, row.total_cost_usd) == (51, 0.3)


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
async def test_impossible_usage_is_refused(store, session, cost):
    """If it failed, a broken agent could give a project money back, or poison its total."""
    attempt = await begin(store, session)
    async with store.transaction() as tx:
        with pytest.raises(InvalidInput, match="cost_usd"):
            await tx.usage.add(session.id, 1, attempt.token, 0, cost_usd=cost)
        assert await tx.usage.spent(session.project_id) == 0


async def test_transcript_is_kept_once_and_forgotten_by_age(store, session):
    """If it failed, a repeated write would double what an agent said, or nothing of it would ever go."""
    attempt = await begin(store, session)
    items = [TranscriptItem(sequence=n, kind="text", payload={"text": f"\0{n}"}) for n in range(3)]
    async with store.transaction() as tx:
        assert await tx.transcript.append(session.id, 1, attempt.token, items[:2]) == 2
        assert await tx.transcript.append(session.id, 1, attempt.token, items) == 1
        assert await tx.transcript.append(session.id, 1, attempt.token, []) == 0
        rows = await tx.transcript.after(session.id, 1)
        assert [row.payload["text"] for row in rows] == ["\ufffd0", "\ufffd1", "\ufffd2"]
        assert [row.sequence for row in await tx.transcript.after(session.id, 1, 0, limit=1)] == [1]
        assert await tx.transcript.forget(rows[0].at) == 0
        assert await tx.transcript.forget(rows[-1].at.replace(year=2999)) == 3
