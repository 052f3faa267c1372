"""Locks in a real PostgreSQL: held by one, given back whatever happens."""

import asyncio
import signal
import sys

import asyncpg
import pytest

from shiftwork.errors import InvalidInput
from shiftwork.locks import distributed_lock
from shiftwork.store.store import Store

HOLDER = """
import asyncio, sys
from shiftwork.locks import distributed_lock
from shiftwork.store.store import Store

async def main():
    async with Store(sys.argv[1]) as store, distributed_lock(store, "agent_1") as held:
        print(held, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def store(database_url):
    async with Store(database_url) as store:
        yield store


async def held(store, name="agent_1") -> bool:
    async with distributed_lock(store, name) as acquired:
        return acquired


async def until(store, *, free: bool) -> None:
    async with asyncio.timeout(100):
        while await held(store) is not free:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.02)


async def test_one_holds_it(store, database_url):
    """If it failed, two would do what only one may."""
    async with Store(database_url) as other, distributed_lock(store, "agent_1") as first:
        assert first
        assert not await held(other)
        assert not await held(store)
        assert await held(other, "agent_2")
    assert await held(store)


async def test_of_many_at_once_one_gets_it(store):
    """If it failed, a crowd would get in where one was meant to."""
    inside = []

    async def contend():
        async with distributed_lock(store, "agent_1") as acquired:
            if acquired:
                inside.append(1)
                assert len(inside) == 1
                await asyncio.sleep(0.01)
                inside.pop()
            return acquired

    assert sum(await asyncio.gather(*(contend() for _ in range(20)))) >= 1


async def test_a_session_may_commit_and_fail_in_the_block(store):
    """If it failed, a lock would end with the caller's first transaction, or outlive its failure."""

    async def fail():
        async with store.session() as session, distributed_lock(session, "agent_1") as acquired:
            assert acquired
            await session.commit()
            assert not await held(store)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await held(store)


async def test_a_killed_holder_gives_it_back(store, database_url):
    """If it failed, a crash would lock an agent for ever."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", HOLDER, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"True\n"
    assert not await held(store)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(store, free=True)


async def test_a_lost_connection_gives_it_back_and_is_not_used_again(store, database_url):
    """If it failed, a lock that the server took back would count as held, or block the next one."""
    async with distributed_lock(store, "agent_1") as acquired:
        assert acquired
        other = await asyncpg.connect(database_url)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'shiftwork lock' AND datname = current_database()"
        )
        assert await other.fetchval("SELECT pg_try_advisory_lock_shared(0)")
        await other.close()
    assert await held(store)
    assert await held(store)


@pytest.mark.parametrize("name", ["", "x" * 501])
async def test_a_name_that_can_not_be_is_refused(store, name):
    """If it failed, a mistake would lock something else."""
    with pytest.raises(InvalidInput, match="it must have 1 to 500"):
        await held(store, name)
    with pytest.raises(InvalidInput, match="must be text, not NoneType"):
        await held(store, None)
    with pytest.raises(InvalidInput, match="needs a session that"):
        await held(None, "a")


async def test_a_cancelled_holder_gives_it_back(store):
    """If it failed, a task that is cancelled would keep the lock as long as its process lives."""

    holds = asyncio.Event()

    async def hold():
        async with distributed_lock(store, "agent_1") as acquired:
            assert acquired
            holds.set()
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    await holds.wait()
    assert not await held(store)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert await held(store)
