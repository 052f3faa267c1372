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
    deadline = asyncio.get_running_loop().time() + 100
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
        lent.append(await asyncio.wait_for(waiter, 100))
        assert pool.lent == 2
        assert len([info for info in await runner.list_agents() if info.exit is None]) == 2


class Slow:
    """A runner that takes its time to start an agent, and fails at first if it is told so."""

    def __init__(self, runner, *, fails: bool = False) -> None:
        self._runner = runner
        self._fails = fails

    async def spawn(self, config):
        await asyncio.sleep(0.2)
        fails, self._fails = self._fails, False
        return await self._runner.spawn(AgentConfig("a", "no-such-program", "t") if fails else config)


async def test_a_start_that_fails_makes_room_for_the_next_in_line(runner):
    """Otherwise who waits for room would wait for ever, although there is some."""
    async with AgentPool(0, 1, waiting("x"), runner=Slow(runner, fails=True)) as pool:
        first = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0.02)
        second = asyncio.create_task(pool.acquire())
        with pytest.raises(SpawnFailed):
            await first
        assert (await asyncio.wait_for(second, 100)).exit is None


async def test_who_gives_up_makes_room_for_the_next_in_line(runner):
    """Otherwise a timeout of one would make another one wait for ever."""
    async with AgentPool(0, 1, waiting("x"), runner=Slow(runner)) as pool:
        first = asyncio.create_task(pool.acquire(timeout=0.1))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(pool.acquire())
        with pytest.raises(Timeout):
            await first
        assert (await asyncio.wait_for(second, 100)).exit is None


async def test_an_idle_agent_that_ends_is_replaced(runner):
    """Otherwise a pool would run dry without a word, and the next user would wait for a start."""
    async with AgentPool(1, 2, waiting("x"), runner=runner) as pool:
        (info,) = await runner.list_agents()
        await runner.kill(info.id)
        await idle(pool, 0)
        await idle(pool, 1)


async def test_agents_that_end_at_once_are_not_replaced_all_the_time(runner):
    """Otherwise a pool of a program that does not wait would keep the machine busy."""
    async with AgentPool(2, 3, AgentConfig("short", "sh", "exit 0"), runner=runner):
        await asyncio.sleep(1)
    assert 2 < len(await runner.list_agents()) < 12


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
