"""Agents that wait before they are needed."""

import asyncio

import pytest
from process_support import living, token

from shiftwork.runner import (
    AgentConfig,
    AgentPool,
    AgentStatus,
    ExecutionError,
    InvalidContext,
    LocalProcessRunner,
    ProcessRunnerConfig,
    SpawnFailed,
    Timeout,
)

COMMANDS = {"sh": ["/bin/sh", "-c", "{task}"]}


@pytest.fixture
async def runner(tmp_path):
    async with LocalProcessRunner(ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS)) as runner:
        yield runner


def waiting(word: str) -> AgentConfig:
    return AgentConfig("pooled", "sh", f"while read a; do echo $a {word}; done")


async def idle(pool, number: int) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while pool.idle != number:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_agents_are_lent_given_back_and_refilled(runner):
    """Otherwise an agent would be lent twice, or the pool would run dry."""
    async with AgentPool(2, 3, waiting("x"), runner=runner) as pool:
        assert (pool.idle, pool.lent) == (2, 0)
        assert {info.status for info in await runner.list_agents()} == {AgentStatus.IDLE}
        first, second = await pool.acquire(), await pool.acquire()
        assert first.id != second.id
        assert first.status() is AgentStatus.RUNNING
        await first.write_stdin(b"hello\n")
        async for line in first:
            assert line == b"hello x"
            break
        await idle(pool, 1)
        await pool.release(first)
        assert first.status() is AgentStatus.IDLE
        await pool.release(second, reuse=False)
        assert second.exit is not None
        await idle(pool, 2)


async def test_the_pool_is_bounded(runner):
    """Otherwise a burst of work would start any number of agents."""
    async with AgentPool(0, 2, waiting("x"), runner=runner) as pool:
        lent = [await pool.acquire() for _ in range(2)]
        with pytest.raises(Timeout, match="max_agents"):
            await pool.acquire(timeout=0.05)
        waiter = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.02)
        assert not waiter.done()
        await pool.release(lent.pop())
        lent.append(await asyncio.wait_for(waiter, 10))
        assert pool.lent == 2
        assert len([info for info in await runner.list_agents() if info.exit is None]) == 2


async def test_a_dead_agent_is_not_lent(runner):
    """Otherwise work would be given to an agent that is no more."""
    async with AgentPool(1, 1, waiting("x"), runner=runner) as pool:
        handle = await pool.acquire()
        await pool.release(handle)
        await handle.kill()
        async with pool.borrow() as other:
            assert other.id != handle.id
            assert other.exit is None


async def test_a_closed_pool_leaves_nothing(tmp_path):
    """Otherwise agents would outlive their pool, or somebody would wait for one for ever."""
    word = token()
    runner = LocalProcessRunner(ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS))
    pool = AgentPool(2, 2, AgentConfig("pooled", "sh", f"sleep {word}"), runner=runner)
    await pool.start()
    lent = [await pool.acquire(), await pool.acquire()]
    waiter = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0.02)
    await pool.close()
    assert living(word) == []
    with pytest.raises(ExecutionError, match="closed"):
        await waiter
    await pool.release(lent[0])
    with pytest.raises(ExecutionError):
        await pool.acquire()
    await runner.shutdown_all()


async def test_a_pool_that_can_not_be_filled_says_so(runner):
    """Otherwise a pool of a missing program would look ready."""
    pool = AgentPool(1, 2, AgentConfig("a", "no-such-program", "t"), runner=runner)
    with pytest.raises(SpawnFailed):
        await pool.start()


async def test_a_pool_of_its_own():
    """Otherwise the simplest use would need a runner, and leave its health task behind."""
    async with AgentPool(1, 1, AgentConfig("a", "sort", "-")) as pool, pool.borrow() as handle:
        await handle.write_stdin(b"b\na\n")
        handle.close_stdin()
        assert [line async for line in handle] == [b"a", b"b"]


@pytest.mark.parametrize(("least", "most"), [(2, 1), (-1, 1), (0, 0)])
def test_impossible_numbers_are_refused(least, most):
    """Otherwise a pool could never lend anything."""
    with pytest.raises(InvalidContext, match="min_agents"):
        AgentPool(least, most, waiting("x"))
