"""Events against a real PostgreSQL: in order, without gaps, once, and never changed."""

import asyncio

import asyncpg
import pytest

from shiftwork.store.store import Store


@pytest.fixture
async def project(store):
    async with store.transaction() as tx:
        return await tx.projects.create("chat")


async def test_events_come_back_in_order(store, project):
    """If it failed, watch and logs would tell another story than what happened."""
    async with store.transaction() as tx:
        assert await tx.events.append(project.id, "started", actor="eva", reference="s1", data={"a": 1}) == 1
        assert await tx.events.append(project.id, "landed") == 2
        first, second = await tx.events.after(project.id)
        assert (first.kind, first.actor, first.reference, first.data) == ("started", "eva", "s1", {"a": 1})
        assert await tx.events.after(project.id, 1) == [second]
        assert await tx.events.after(project.id, 2) == []
        assert await tx.events.last(project.id) == [second]
        assert await tx.events.last(project.id, ["started"]) == [first]
        assert await tx.events.last(project.id, ["none"]) == []


async def test_key_appears_once(store, project):
    """If it failed, a repeated activity would report a landing twice."""
    async with store.transaction() as tx:
        assert await tx.events.append(project.id, "landed", key="landed-1") == 1
        assert await tx.events.append(project.id, "landed", key="landed-1") is None
        assert await tx.events.append(project.id, "landed", key="landed-2") == 2


async def test_concurrent_writers_of_one_key_append_once_without_a_gap(store, project):
    """If it failed, two workers that repeat one another would leave two events, an error or a gap."""

    async def append(key):
        async with store.transaction() as tx:
            return await tx.events.append(project.id, "landed", key=key)

    sequences = await asyncio.gather(*(append(f"k{n % 3}") for n in range(12)))
    assert sorted(s for s in sequences if s is not None) == [1, 2, 3]
    async with store.transaction() as tx:
        assert [event.sequence for event in await tx.events.after(project.id)] == [1, 2, 3]


async def test_reader_misses_nothing_while_many_write(store, project, database_url):
    """If it failed, a follower that asks for what comes after the last event would skip one for ever."""
    total, seen = 60, []

    async def write(n):
        async with store.transaction() as tx:
            await tx.events.append(project.id, f"k{n}")
            await asyncio.sleep(0.002 * (n % 3))  # commits would overtake each other if they could

    async def read():
        async with Store(database_url) as other:
            while len(seen) < total:
                async with other.transaction() as tx:
                    last = seen[-1] if seen else 0
                    seen.extend(event.sequence for event in await tx.events.after(project.id, last))

    async with asyncio.timeout(100):
        await asyncio.gather(read(), *(write(n) for n in range(total)))
    assert seen == list(range(1, total + 1))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET kind = 'x'", "DELETE FROM events", "TRUNCATE events", "TRUNCATE projects CASCADE"],
)
async def test_events_are_append_only(store, project, database_url, statement):
    """If it failed, the audit could be rewritten by anyone who can write."""
    async with store.transaction() as tx:
        await tx.events.append(project.id, "started")
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await connection.execute(statement)
    await connection.close()


async def test_rolled_back_event_leaves_no_gap(store, project):
    """If it failed, followers could not tell a lost event from one that never happened."""

    async def fail():
        async with store.transaction() as tx:
            await tx.events.append(project.id, "never")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with store.transaction() as tx:
        assert await tx.events.append(project.id, "first") == 1
