"""Much output, odd output, many agents: in bounded memory, and with nothing lost unnoticed."""

import asyncio
import os
import random
import resource
import sys

import psutil
import pytest

from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.runner.capture import LineSplitter
from shiftwork.sandbox.choose import cheap_sandbox

COMMANDS = {"sh": ["/bin/sh", "-c", "{task}"], "python": [sys.executable, "-c", "{task}"]}
FLOOD = "import sys\nblock = (b'x' * 79 + b'\\n') * 5000\nfor _ in range({0}): sys.stdout.buffer.write(block)"


def make(tmp_path, **settings) -> LocalProcessRunner:
    return LocalProcessRunner(ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, **settings))


def flood(blocks: int) -> AgentConfig:
    """An agent that prints so many times 400 kB, 5,000 lines each."""
    return AgentConfig("flood", "python", FLOOD.format(blocks))


def peak() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


@pytest.mark.parametrize("way", ["lines", "batches"])
async def test_every_line_of_a_flood_arrives_in_flat_memory(tmp_path, way):
    """Otherwise a talkative agent would fill the memory, or parts of what it says would be lost."""
    async with make(tmp_path, output="wait") as runner:
        handle, before, number = await runner.spawn(flood(100)), peak(), 0
        if way == "lines":
            async for line in handle:
                number += len(line) == 79
        else:
            async for lines in handle.batches():
                number += sum(len(line) == 79 for line in lines)
        assert (await handle.wait()).success
        assert number == 500_000
        assert handle.metrics().messages_received == 500_000
        assert not handle.truncated
        assert peak() - before < 20_000_000


async def test_an_agent_waits_for_a_slow_reader(tmp_path):
    """Otherwise back-pressure would lose lines, or stop an agent for ever."""
    async with make(tmp_path, output="wait", max_output_size=10_000) as runner:
        handle, number = await runner.spawn(flood(2)), 0
        async for lines in handle.batches():
            number += len(lines)
            await asyncio.sleep(0.001)
        assert number == 10_000
        assert handle.dropped_lines == {"stdout": 0, "stderr": 0}


async def test_nobody_reads_and_the_agent_goes_on(tmp_path):
    """Otherwise an agent that nobody listens to would stand still, or fill the memory."""
    async with make(tmp_path, max_output_size=100_000) as runner:
        handle, before = await runner.spawn(flood(100)), peak()
        assert (await handle.wait(100)).success
        assert peak() - before < 20_000_000
        assert handle.truncated
        kept = [line async for line in handle]
        assert 80_000 < sum(map(len, kept)) <= 100_000
        assert {len(line) for line in kept} == {79}
        assert len(kept) + handle.dropped_lines["stdout"] == 500_000


async def test_what_is_kept_is_the_newest(tmp_path):
    """Otherwise the end of what an agent says, which tells how it went, would be lost first."""
    async with make(tmp_path, max_output_size=1000) as runner:
        handle = await runner.spawn(AgentConfig("a", "sh", "seq 1 100000; echo last"))
        await handle.wait(100)
        lines = [line async for line in handle]
        assert lines[-1] == b"last"
        assert lines[0] == str(100_000 - (len(lines) - 2)).encode()
        assert handle.dropped_lines["stdout"] == 100_001 - len(lines)


async def test_odd_output(tmp_path):
    """Otherwise one endless line, or one that is no text, would end the agent or fill the memory."""
    command = "printf 'short\\n'; head -c 3000000 /dev/zero; printf '\\n\\377\\376\\n\\nlast'"
    async with make(tmp_path, output="wait", max_output_size=1000) as runner:
        handle = await runner.spawn(AgentConfig("a", "sh", command))
        assert [line async for line in handle] == [b"short", b"\0" * 1000, b"\xff\xfe", b"", b"last"]
        assert handle.truncated


def test_lines_do_not_depend_on_how_they_are_cut():
    """Otherwise the same output would read differently from run to run."""
    chances = random.Random(20_260_401)
    data = b"\n".join(bytes(chances.randrange(1, 9)) * chances.randrange(4) for _ in range(300)) + b"tail"
    expected = [line[:20] for line in data.split(b"\n")]
    for _ in range(50):
        splitter, found, rest = LineSplitter(20), [], data
        while rest:
            size = chances.randrange(1, 200)
            found += splitter.feed(rest[:size])
            rest = rest[size:]
        assert found + splitter.finish() == expected
        assert splitter.cut == len(data) - sum(map(len, expected)) - (len(expected) - 1)


async def test_many_agents_stream_at_once(tmp_path):
    """Otherwise agents would block each other, or their lines would be mixed up."""
    async with make(tmp_path, output="wait", sandbox=cheap_sandbox()) as runner:
        task = 'i=0; while [ $i -lt 50 ]; do echo "{0} $i"; i=$((i+1)); done'
        handles = await runner.spawn_many(
            [AgentConfig(f"a{n}", "sh", task.format(n)) for n in range(40)], batch_size=20
        )

        async def read(number, handle):
            return [line async for line in handle] == [b"%d %d" % (number, n) for n in range(50)]

        assert all(await asyncio.gather(*(read(n, handle) for n, handle in enumerate(handles))))


async def test_many_agents_leave_nothing_open(tmp_path):
    """Otherwise a worker would run out of descriptors, processes or memory after some thousand agents."""
    async with make(tmp_path, sandbox=cheap_sandbox()) as runner:
        await (await runner.spawn(AgentConfig("a", "sh", "exit 0"))).wait()
        own = psutil.Process(os.getpid())
        descriptors = own.num_fds()
        for _ in range(4):
            handles = await runner.spawn_many([AgentConfig("a", "sh", "echo x")] * 20)
            assert all([(await handle.wait()).success for handle in handles])
        del handles
        assert own.num_fds() == descriptors
        assert len(await runner.list_agents()) == 81
