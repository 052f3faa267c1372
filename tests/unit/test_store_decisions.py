"""Decisions against a real PostgreSQL: recorded once, found by tags and words, judged later."""

from datetime import UTC, datetime

import pytest

from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store


@pytest.fixture
async def tx(database_url):
    await migrate(database_url)
    async with Store(database_url) as store, store.transaction() as tx:
        yield tx


@pytest.fixture
async def project(tx):
    return await tx.projects.create("chat")


async def record(tx, project, decision, *, tags=(), context="", reasoning=""):
    note = DecisionNote(decision=decision, context=context, reasoning=reasoning, tags=tags)
    return await tx.decisions.record(project.id, None, 0, 0, note)


async def test_a_sessions_decision_is_recorded_once(tx, project):
    """If it failed, a repeated activity would tell the next agents everything twice."""
    session = await tx.sessions.begin(project.id, 1, None, Role.SESSION, datetime.now(UTC))
    note = DecisionNote(decision="Use SQLite", context="storage", reasoning="one file", tags=("db",))
    first = await tx.decisions.record(project.id, session.id, 1, 0, note)
    assert first == await tx.decisions.record(project.id, session.id, 1, 0, note)
    assert (first.decision, first.context, first.tags) == ("Use SQLite", "storage", ("db",))
    assert await tx.decisions.get(first.id) == first
    other = await tx.decisions.record(project.id, session.id, 1, 1, note)
    assert await tx.decisions.history(project.id) == [other, first]
    assert await tx.decisions.history(project.id, limit=1) == [other]


async def test_decisions_are_found_by_tag(tx, project):
    """If it failed, what was decided about an area would not reach those who work in it."""
    one = await record(tx, project, "REST", tags=("api", "architecture"))
    two = await record(tx, project, "JSON", tags=("api",))
    await record(tx, project, "Blue", tags=("ui",))
    assert await tx.decisions.relevant(project.id, ["api", "architecture"]) == [one, two]
    assert await tx.decisions.relevant(project.id, ["nothing"]) == []


async def test_decisions_are_found_by_words(tx, project):
    """If it failed, a feature would not be told what was decided about its subject."""
    login = await record(tx, project, "Sign tokens with HMAC", context="Logging users in")
    await record(tx, project, "Paint it blue")
    found = await tx.decisions.relevant(
        project.id, text="Users can log in with a password & 'quotes' \\ | !("
    )
    assert found == [login]
    assert await tx.decisions.relevant(project.id, text="the of and") == []
    assert await tx.decisions.relevant(project.id, text="\0 tokens \ud800") == [login]


async def test_better_matches_and_lessons_come_first(tx, project):
    """If it failed, a brief would be filled with what matters least."""
    weak = await record(tx, project, "Cache pages", context="speed")
    strong = await record(tx, project, "Cache the cache of caches", context="cache")
    assert await tx.decisions.relevant(project.id, text="cache") == [strong, weak]
    judged = await tx.decisions.feedback(weak.id, DecisionOutcome.FAILURE, -0.5, "stale pages")
    assert await tx.decisions.relevant(project.id, text="cache") == [judged, strong]
    assert await tx.decisions.relevant(project.id, text="cache", limit=1) == [judged]
    assert await tx.decisions.relevant(project.id) == [judged, strong]


@pytest.mark.parametrize(("score", "kept"), [(0.8, 0.8), (7, 1.0), (-3, -1.0), (float("inf"), 1.0)])
async def test_scores_are_clamped(tx, project, score, kept):
    """If it failed, one enthusiastic judge would outweigh everything."""
    decision = await record(tx, project, "x")
    judged = await tx.decisions.feedback(decision.id, DecisionOutcome.SUCCESS, score, "lesson")
    assert (judged.outcome, judged.score, judged.lesson) == (DecisionOutcome.SUCCESS, kept, "lesson")
    again = await tx.decisions.feedback(decision.id, DecisionOutcome.PARTIAL)
    assert (again.outcome, again.score, again.lesson) == (DecisionOutcome.PARTIAL, kept, "lesson")


async def test_feedback_on_nothing_is_refused(tx, project):
    """If it failed, a typing error would vanish without a word."""
    for unknown in (1, 0, 2**70):
        with pytest.raises(NotFound, match="shiftwork decisions"):
            await tx.decisions.feedback(unknown, DecisionOutcome.SUCCESS)
    decision = await record(tx, project, "x")
    with pytest.raises(InvalidInput, match="not a number"):
        await tx.decisions.feedback(decision.id, DecisionOutcome.SUCCESS, float("nan"))


async def test_later_decisions_are_reverted(tx, project):
    """If it failed, a revert would leave decisions standing whose work is undone."""
    early = await record(tx, project, "early")
    late = await record(tx, project, "late")
    assert await tx.decisions.since(project.id, early.created_at) == [late]
    assert await tx.decisions.mark_reverted(project.id, early.created_at) == 1
    assert (await tx.decisions.get(early.id)).outcome is None
    assert (await tx.decisions.get(late.id)).outcome is DecisionOutcome.REVERTED
