"""An agent that stops what holds it gains nothing by that, and holds up nobody."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from process_support import living, token, wait_until_dead

from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.sandbox.choose import cheap_sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process group has no warden to stop")

WARDEN = 'while read -r key w; do [ "$key" = PPid: ] && break; done </proc/$PPID/status;'
"""A shell's words, after which `$w` is the parent of the parent: the warden above the keeper."""

SILENCE = 10.0
"""Seconds without an answer after which a warden is given up."""

COMMANDS = {"sh": ["/bin/sh", "-c", "{task}"]}


@pytest.fixture
async def runner(tmp_path):
    config = ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, sandbox=cheap_sandbox())
    async with LocalProcessRunner(config) as runner:
        yield runner


def shell(task: str) -> AgentConfig:
    return AgentConfig("tester", "sh", task)


async def stopper(runner):
    """An agent that has just stopped its warden."""
    handle = await runner.spawn(shell(f"read a; {WARDEN} kill -STOP $w; echo done; exec sleep 100"))
    # Not before its start is told: we would have it go on.
    await handle.write_stdin(b"\n")
    assert await anext(aiter(handle)) == b"done"
    deadline = time.monotonic() + 100  # a signal takes a moment on a busy machine
    while not is_stopped():
        assert time.monotonic() < deadline
    return handle


def is_stopped() -> bool:
    return psutil.Process(cheap_sandbox().warden_pid()).status() == psutil.STATUS_STOPPED


async def test_agents_start_and_end_although_their_warden_was_stopped(runner):
    """Otherwise one agent could keep a worker from starting or ending any other."""
    handle = await stopper(runner)
    other = await asyncio.wait_for(runner.spawn(shell("exit 4")), 100)
    assert (await other.wait(100)).code == 4
    os.kill(cheap_sandbox().warden_pid(), signal.SIGSTOP)
    assert (await asyncio.wait_for(handle.kill(), 100)).code == 137


async def test_the_event_loop_goes_on_although_the_warden_does_not_read(runner):
    """Otherwise one agent could freeze a worker, with all that it does."""
    await stopper(runner)
    over, pulse, longest = threading.Event(), 0, 0

    def beat() -> None:
        """Ten times a second, if this process runs, whatever its event loop does."""
        nonlocal pulse
        while not over.wait(0.1):
            pulse += 1

    async def tick() -> None:
        nonlocal longest
        while True:
            before = pulse
            await asyncio.sleep(0.01)
            longest = max(longest, pulse - before)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(beat)
        ticking = asyncio.create_task(tick())
        try:
            many = [shell(f"exit 0 # {'x' * 100_000}") for _ in range(6)]
            handles = await asyncio.wait_for(runner.spawn_many(many), 100)
            assert all([(await handle.wait(100)).success for handle in handles])
        finally:
            ticking.cancel()
            over.set()
    assert longest < 100


async def test_a_warden_that_is_stopped_again_and_again_is_given_up(runner):
    """Otherwise its agents could neither be ended nor waited for."""
    word = token()
    warden = WARDEN + ' while kill -STOP $w; do :; done & echo done; exec sleep "$0"'
    handle = await runner.spawn(AgentConfig("tester", "sh", warden.replace("$0", word)))
    assert await anext(aiter(handle)) == b"done"
    assert (await asyncio.wait_for(handle.kill(), 100)).code == 137
    assert living(word) == []
    assert (await asyncio.wait_for((await runner.spawn(shell("true"))).wait(), 100)).success


@pytest.mark.slow
async def test_a_machine_that_stands_still_costs_no_agent(runner):
    """Otherwise all agents of a worker would be lost when a busy machine does not run for some seconds."""
    handle = await runner.spawn(shell("read a; exit 5"))
    warden = cheap_sandbox().warden_pid()
    os.kill(warden, signal.SIGSTOP)
    other = asyncio.create_task(runner.spawn(shell("exit 4")))
    await asyncio.sleep(0)
    time.sleep(SILENCE + 1)  # noqa: ASYNC251 - this event loop runs as little as the warden
    assert (await (await other).wait(100)).code == 4
    await handle.write_stdin(b"\n")
    assert (await handle.wait(100)).code == 5
    assert cheap_sandbox().warden_pid() == warden


PROGRAM = """
    import asyncio, os, sys, time
    from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig
    from shiftwork.sandbox.choose import cheap_sandbox
    config = ProcessRunnerConfig(commands={"sh": ["/bin/sh", "-c", "{task}"]}, sandbox=cheap_sandbox())
    async def main():
        runner = LocalProcessRunner(config)
        handle = await runner.spawn(AgentConfig("a", "sh", sys.argv[1]))
        async for line in handle:
            print(line.decode(), flush=True)
            break
        if len(sys.argv) > 2:
            await runner.shutdown_all(0)
        else:
            await asyncio.sleep(100)
    asyncio.run(main())
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print(os.getpid(), flush=True)
"""


def begin(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True
    )


def test_nothing_outlives_a_killed_worker_whose_warden_was_stopped():
    """Otherwise an agent could outlive its worker by stopping what would end it."""
    word = token()
    with begin(f"sleep 0.3; {WARDEN} kill -STOP $w; echo done; exec sleep {word}") as worker:
        assert worker.stdout.readline() == "done\n"
        worker.kill()
    assert wait_until_dead(word) == []


def test_a_program_ends_although_its_forked_child_lives():
    """Otherwise a program that ran an agent and forked would hang at its exit."""
    with begin("echo done", "and go on") as program:
        assert program.stdout.readline() == "done\n"
        child_is_there = program.stdout.readline()
        assert child_is_there
        assert program.wait(100) == 0
        # No end of what it prints: its child, which has that too, lives.
        assert select.select([program.stdout], [], [], 0)[0] == []
        program.stdout.close()
