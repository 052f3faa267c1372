"""The life of agents in odd moments: paused, stalled, cancelled, left behind, with a sink that fails."""

import asyncio
import logging

import pytest
from process_support import living, token

from shiftwork.runner import (
    AgentConfig,
    AgentStatus,
    Limits,
    LocalProcessRunner,
    ProcessRunnerConfig,
    SpawnFailed,
)
from shiftwork.runner.tree import shared_sampler
from shiftwork.sandbox.choose import candidates, cheap_sandbox, works
from shiftwork.sandbox.sweep import kill_all
from shiftwork.sandbox.wrapped import probe

COMMANDS = {"sh": ["/bin/sh", "-c", "{task}"]}
SANDBOXES = [sandbox for sandbox in candidates() if works(sandbox)]


@pytest.fixture(params=SANDBOXES, ids=lambda sandbox: sandbox.level)
def sandbox(request):
    return request.param


def make(tmp_path, sandbox, metrics=None, **settings) -> LocalProcessRunner:
    config = ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, sandbox=sandbox, **settings)
    return LocalProcessRunner(config, metrics=metrics)


def shell(task: str) -> AgentConfig:
    return AgentConfig("tester", "sh", task)


async def until(condition, seconds: float = 100.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def test_a_wrapper_that_hangs_does_not_work():
    """Otherwise every new runner would hang where one of the sandboxes does."""
    word = token()
    assert not probe(("/bin/sleep", word), timeout=0.2)
    assert living(word) == []


async def test_a_paused_agent_is_not_stalled(tmp_path, sandbox):
    """Otherwise people would be told that an agent hangs that they themselves paused."""
    async with make(tmp_path, sandbox, stall_timeout=0.5) as runner:
        handle = await runner.spawn(shell("while :; do :; done"))
        await asyncio.sleep(0.2)
        await runner.pause(handle.id)
        await asyncio.sleep(1.2)
        assert handle.stalled_since is None
        assert handle.status() is AgentStatus.PAUSED


async def test_a_stall_is_over_when_the_agent_works_again(tmp_path, caplog):
    """Otherwise an agent that thought for long would count as stalled for ever, and a second stall not."""
    with caplog.at_level(logging.INFO, logger="shiftwork.runner"):
        async with make(tmp_path, cheap_sandbox(), stall_timeout=0.4) as runner:
            handle = await runner.spawn(shell("while read a; do echo $a; done"))
            await until(lambda: handle.stalled_since is not None)
            first = handle.stalled_since
            await handle.write_stdin(b"go on\n")
            await until(lambda: handle.stalled_since is None)
            await until(lambda: handle.stalled_since is not None)
            assert handle.stalled_since > first
    events = [record.message.split('"')[3] for record in caplog.records]
    assert (events.count("stalled"), events.count("working")) == (2, 1)


async def test_an_agent_whose_start_is_under_way_ends_with_its_runner(tmp_path, sandbox):
    """Otherwise it would live on after the runner was left."""
    word = token()
    async with make(tmp_path, sandbox) as runner:
        late = asyncio.create_task(runner.spawn(shell(f"sleep {word}")))
        await asyncio.sleep(0)
    with pytest.raises(SpawnFailed, match="shut down"):
        await late
    assert living(word) == []
    with pytest.raises(SpawnFailed, match="shut down"):
        await runner.spawn(shell("true"))


async def test_a_runner_that_was_shut_down_can_be_used_again(tmp_path):
    """Otherwise a pool could not be started again, or one round's end would end the next one's agents."""
    runner = make(tmp_path, cheap_sandbox())
    late = asyncio.create_task(runner.spawn(shell("sleep 100")))
    await asyncio.sleep(0)
    await runner.shutdown_all()
    with pytest.raises(SpawnFailed):
        await late
    assert (await (await runner.spawn(shell("true"))).wait()).success
    await runner.shutdown_all()


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.008, 0.02])
async def test_a_cancelled_batch_leaves_nothing(tmp_path, delay):
    """Otherwise agents would run of which nobody has a handle."""
    word = token()
    async with make(tmp_path, cheap_sandbox()) as runner:
        batch = asyncio.create_task(runner.spawn_many([shell(f"sleep {word}")] * 30, batch_size=3))
        await asyncio.sleep(delay)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        assert living(word) == []
        assert all(info.exit is not None for info in await runner.list_agents())


class Broken:
    """A sink that fails."""

    def _fail(self, name: str, *_: object, **__: object) -> None:
        raise LookupError(name)

    count = gauge = observe = _fail


async def test_a_sink_that_fails_harms_no_agent(tmp_path, caplog):
    """Otherwise an agent would live on unseen, or its end would never be told, because a figure was lost."""
    async with make(tmp_path, cheap_sandbox(), Broken()) as runner:
        handle = await runner.spawn(shell("exit 3"))
        assert (await asyncio.wait_for(handle.wait(), 100)).code == 3
        assert [info.id for info in await runner.list_agents()] == [handle.id]
    assert "the metrics sink failed" in caplog.text


async def test_a_short_program_leaves_no_watch(tmp_path):
    """Otherwise the process table would be read ten times a second for agents that are long gone."""
    async with make(tmp_path, cheap_sandbox(), limits=Limits(processes=20)) as runner:
        handles = await runner.spawn_many([shell("exit 0")] * 20)
        await asyncio.gather(*(handle.wait() for handle in handles))
        assert shared_sampler()._watches == []


class Stuck:
    """A program as of a kernel that does not let it go: its end is never told, and it can't be killed."""

    own_processes = 0
    cpu_before = 0.0

    def __init__(self, held) -> None:
        self._held = held
        self.started = held.started
        self.ended = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        return self._held.pid

    @property
    def root(self) -> int | None:
        return self._held.root

    def send(self, number) -> None:
        self._held.send(number)

    def end(self) -> None:
        """Nothing helps."""

    end_blocking = close = end

    async def end_from_outside(self) -> None:
        raise TimeoutError("processes [7] can't be killed")


class Keeping:
    """A sandbox of such programs."""

    level = "subreaper"
    moves_binds = own_network = False
    marker = ""

    def works(self) -> bool:
        return True

    def start(self, launch) -> Stuck:
        self.marker = launch.marker
        return Stuck(cheap_sandbox().start(launch))


async def test_waiting_ends_although_a_process_can_not_be_killed(tmp_path):
    """Otherwise one process that is stuck in the kernel would make its owner wait for ever."""
    sandbox = Keeping()
    async with make(tmp_path, sandbox) as runner:
        handle = await runner.spawn(shell("sleep 100"))
        assert (await asyncio.wait_for(handle.kill(), 100)).code == 137
        assert "[7] can't be killed" in str(handle.error)
    kill_all(sandbox.marker)
