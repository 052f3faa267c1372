"""What is left when the process that holds agents is killed is found, whatever it does to hide."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from shiftwork.runner import AgentConfig, AgentStatus, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.sandbox.proc import is_zombie, tag_for, tag_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc and tags")

COMMANDS = {"python": [sys.executable, "-S", "-c", "{task}"]}

RABBIT = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + 60
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep({0})
"""
"""Forks and ends all the time, so that no process of it lives for longer than that."""

HEADLESS = """
import ctypes, os, threading, time
def live():
    time.sleep(30)
    os._exit(0)
threading.Thread(target=live).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
"""
"""Its first thread ends, so that the system calls it a zombie; another one lives."""


def alive(agent: str) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if tag_of(pid) == tag_for(agent) and not is_zombie(pid)]


def make(tmp_path, **settings) -> LocalProcessRunner:
    return LocalProcessRunner(
        ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, sandbox=cheap_sandbox(), **settings)
    )


@pytest.mark.parametrize("seconds", [0.02, 0.001])
async def test_what_forks_all_the_time_does_not_survive_its_warden(tmp_path, seconds):
    """Otherwise a program that is never there when it is looked for would live on, said to have ended."""
    async with make(tmp_path) as runner:
        handle = await runner.spawn(AgentConfig("rabbit", "python", RABBIT.format(seconds)))
        # The warden must not see the end of its first process, which it takes for the agent's.
        os.kill(cheap_sandbox().warden_pid(), signal.SIGKILL)
        assert (await asyncio.wait_for(handle.wait(), 100)).code == 137
        seen = set()
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            seen |= set(alive(handle.id))
        assert seen == set()


async def test_a_process_whose_first_thread_ended_lives(tmp_path):
    """Otherwise it would count as dead: be left alive, or be killed because it could not be found."""
    async with make(tmp_path, health_check_interval_secs=0.05) as runner:
        handle = await runner.spawn(AgentConfig("headless", "python", HEADLESS))
        assert await anext(aiter(handle)) == b"ready"
        await asyncio.sleep(0.4)
        assert handle.status() is AgentStatus.RUNNING
        os.kill(cheap_sandbox().warden_pid(), signal.SIGKILL)
        assert (await asyncio.wait_for(handle.wait(), 100)).code == 137
        assert alive(handle.id) == []
