"""Several who read or write the same stream: nothing is lost unnoticed, and no failure is made up."""

import asyncio

import pytest

from shiftwork.runner import AgentConfig, CommunicationError, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.sandbox.choose import cheap_sandbox

COMMANDS = {"sh": ["/bin/sh", "-c", "{task}"]}


def make(tmp_path, **settings) -> LocalProcessRunner:
    return LocalProcessRunner(
        ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, sandbox=cheap_sandbox(), **settings)
    )


async def start(runner, command: str):
    return await runner.spawn(AgentConfig("a", "sh", command))


async def test_two_writers_do_not_disturb_each_other(tmp_path):
    """Otherwise a writer would be told that the input is closed because another one had more to write."""
    async with make(tmp_path) as runner:
        handle = await start(runner, "wc -c")

        async def write() -> None:
            for _ in range(20):
                await handle.write_stdin(b"x" * 200_000)

        await asyncio.gather(write(), write())
        handle.close_stdin()
        assert [int(line) async for line in handle] == [8_000_000]


async def test_a_writer_whose_bytes_got_through_is_not_blamed_for_the_others(tmp_path):
    """Otherwise a message that was taken would be sent twice."""
    async with make(tmp_path) as runner:
        handle = await start(runner, "head -c 100000 >/dev/null; read a; exec sleep 100 <&-")
        first = asyncio.create_task(handle.write_stdin(b"x" * 100_000 + b"\n"))
        await asyncio.sleep(0)
        second = asyncio.create_task(handle.write_stdin(b"y" * 5_000_000))
        await asyncio.wait_for(first, 100)
        with pytest.raises(CommunicationError):
            await asyncio.wait_for(second, 100)


async def test_a_writer_that_gives_up_leaves_the_others_alone(tmp_path):
    """Otherwise a timeout of one writer would hang or fail another one."""
    async with make(tmp_path) as runner:
        handle = await start(runner, "read a; cat | wc -c")
        first = asyncio.create_task(handle.write_stdin(b"\n" + b"x" * 499_999))
        second = asyncio.create_task(handle.write_stdin(b"x" * 500_000))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(second, 100)
        handle.close_stdin()
        assert [line async for line in handle] == [b"999999"]


async def test_two_readers_share_every_line(tmp_path):
    """Otherwise lines would vanish, and no figure would say so."""
    async with make(tmp_path) as runner:
        handle = await start(runner, "seq 4; read a; seq 5 8; read a; seq 9 12")
        seen: list[int] = []

        async def slow() -> None:
            async for line in handle:
                seen.append(int(line))
                await handle.write_stdin(b"\n")
                await asyncio.sleep(0.2)
                await handle.write_stdin(b"\n")
                break

        async def all_others() -> None:
            seen.extend([int(line) async for line in handle])

        async def by_batch() -> None:
            async for lines in handle.batches():
                seen.extend(map(int, lines))

        await asyncio.gather(slow(), all_others(), by_batch())
        assert sorted(seen) == list(range(1, 13))
        assert handle.dropped_lines["stdout"] == 0


async def test_a_reader_is_woken_for_lines_that_another_one_left(tmp_path):
    """Otherwise it would wait for ever for lines that are there."""
    async with make(tmp_path) as runner:
        handle = await start(runner, "sleep 0.2; seq 3; exec sleep 100")

        async def one() -> bytes:
            return await anext(aiter(handle))

        lines = await asyncio.wait_for(asyncio.gather(one(), one(), one()), 100)
        assert sorted(lines) == [b"1", b"2", b"3"]


async def test_a_long_last_line_is_counted(tmp_path):
    """Otherwise output would be given up and no figure would say so."""
    async with make(tmp_path, max_output_size=1000) as runner:
        handle = await start(runner, "echo first; head -c 5000 /dev/zero")
        await handle.wait()
        assert [line async for line in handle] == []
        assert handle.dropped_lines["stdout"] == 2
        assert handle.truncated
        whole = await start(runner, "head -c 5000 /dev/zero; echo; printf end")
        await whole.wait()
        assert [line async for line in whole] == [b"end"]
        assert whole.dropped_lines["stdout"] == 1
