"""Process trees for the tests, and a look at what is left of them."""

import asyncio
import os
import random
import secrets
import sys
import time
from pathlib import Path

import psutil

from shiftwork.runner.environment import child_environment
from shiftwork.runner.spec import ProcessSpec

PATIENCE = 100.0
"""Seconds that anything may take on a busy machine, or one that stands still for a while."""

TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = ["sleep", sys.argv[1]]
children = [
    subprocess.Popen(sleep),
    subprocess.Popen(sleep, process_group=0),
    subprocess.Popen(sleep, start_new_session=True),
]
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", sleep, {})
    os._exit(0)
os.waitid(os.P_PID, middle, os.WEXITED | os.WNOWAIT)
print("ready", flush=True)
if len(sys.argv) > 2:
    os._exit(int(sys.argv[2]))
time.sleep(1000)
"""
"""A child, one in its own group, one in its own session, a double-forked daemon without environment, all deaf
to TERM, and all there once it says so. The first argument is how long they sleep (a token to find them by),
the second a status to exit with."""


def token() -> str:
    """A number of seconds that no other process sleeps."""
    return f"{random.SystemRandom().randint(10_000, 99_999)}.{random.SystemRandom().randint(10_000, 99_999)}"


def marker() -> str:
    """A sandbox's mark that no other process carries: what sweeps by it sees nobody else's."""
    return secrets.token_hex(16)


def living(word: str) -> list[list[str]]:
    """The command lines of living processes that hold this word."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if word in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
        except psutil.Error:
            continue
    return found


def wait_until_dead(word: str, seconds: float = PATIENCE) -> list[list[str]]:
    """What still lives after at most that time."""
    deadline = time.monotonic() + seconds
    while (left := living(word)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def tree(word: str, cwd: Path, *, exits: int | None = None, **more) -> ProcessSpec:
    """A process tree to run; its leader exits with a status, or stays."""
    arguments = [word] if exits is None else [word, str(exits)]
    return ProcessSpec((sys.executable, "-c", TREE, *arguments), cwd, dict(os.environ), **more)


def shell(command: str, cwd: Path, **more) -> ProcessSpec:
    """A shell command to run, in the environment that agents get."""
    return ProcessSpec(("/bin/sh", "-c", command), cwd, child_environment(os.environ, {}), **more)


def keep_threads_busy(seconds: float) -> None:
    """Have whatever the running loop gives its threads wait for so long."""
    for _ in range(min(32, (os.cpu_count() or 1) + 4)):  # as many as there are, by Python's documentation
        asyncio.get_running_loop().run_in_executor(None, time.sleep, seconds)
