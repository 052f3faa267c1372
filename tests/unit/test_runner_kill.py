"""SIGKILL of the process that supervises, at any moment: nothing of the agent lives on."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from process_support import TREE, token, wait_until_dead

from shiftwork.runner.leftovers import end_leftovers, wait_until_gone
from shiftwork.sandbox.choose import candidates, cheap_sandbox, works

# Forks one supervisor for each line, because importing takes longer than all that is tested here.
ZYGOTE = textwrap.dedent("""
    import asyncio, json, os, signal, sys
    from pathlib import Path
    from shiftwork.runner.supervisor import ProcessSpec, run
    from shiftwork.sandbox.choose import candidates
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sandboxes = candidates()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            spec = ProcessSpec(
                tuple(order["argv"]), Path(order["cwd"]), dict(os.environ), lock_file=Path(order["lock"])
            )
            os.write(1, f"{os.getpid()}\\n".encode())
            asyncio.run(run(spec, sandbox=sandboxes[order["sandbox"]]))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"dead\\n")
""")

SANDBOXES = list(enumerate(candidates()))


@pytest.fixture
def zygote():
    process = subprocess.Popen(
        [sys.executable, "-c", ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.stdin.close()
    process.wait(100)
    process.stdout.close()


@pytest.fixture(params=SANDBOXES, ids=lambda numbered: numbered[1].level)
def number(request) -> int:
    number, sandbox = request.param
    if not works(sandbox):
        pytest.skip(f"{sandbox.level} does not work on this machine")
    return number


def kill_after(zygote, delay: float, **order) -> None:
    """Start a supervisor, and kill it `delay` seconds later."""
    zygote.stdin.write(json.dumps(order) + "\n")
    zygote.stdin.flush()
    pid = int(zygote.stdout.readline())
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    assert zygote.stdout.readline() == "dead\n"


async def test_nothing_outlives_a_killed_worker(zygote, number, tmp_path):
    """Otherwise a worker that is killed would leave agents that write beside their successors."""
    delays = random.Random(20_240_601 + number)
    trials = [*(delays.uniform(0, 0.05) for _ in range(12)), 0.1, 0.2]
    words = [token() for _ in trials]
    for trial, (delay, word) in enumerate(zip(trials, words, strict=True)):
        lock = tmp_path / f"{trial}.lock"
        argv = [sys.executable, "-c", TREE, word]
        kill_after(zygote, delay, argv=argv, cwd=str(tmp_path), lock=str(lock), sandbox=number)
        # Every process of it, its wrapper included, names the word. Two looks: one may come before the exec.
        for _ in range(2):
            assert wait_until_dead(word) == [], f"left by a kill at {delay * 1000:.1f} ms"
            await asyncio.sleep(0.02)
        assert await wait_until_gone(lock, 1), f"still locked after a kill at {delay * 1000:.1f} ms"
    assert await end_leftovers(tmp_path) == 0


async def test_not_even_without_the_guardian(zygote, number, tmp_path):
    """Otherwise an agent that kills all it sees would survive its worker."""
    if candidates()[number] is cheap_sandbox():
        pytest.skip("there it would kill everything on this machine")
    host = Path("/proc/self/ns/pid").readlink()
    word, ready = token(), tmp_path / "ready"
    command = f'[ "$(readlink /proc/self/ns/pid)" != "{host}" ] && kill -9 -1; echo > {ready}; sleep {word}'
    lock = tmp_path / "agent.lock"
    order = {"argv": ["/bin/sh", "-c", command], "cwd": str(tmp_path), "lock": str(lock)}
    kill_after(zygote, 0.4, **order, sandbox=number)
    assert ready.exists()
    assert wait_until_dead(word) == []
    assert await wait_until_gone(lock, 1)
