"""SIGKILL of a worker at any moment while it starts a confined program: nothing of that lives on."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from confinement_support import PATH, SYSTEM_PYTHON, bubblewrap, outside_world
from process_support import TREE, token, wait_until_dead

from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.user import can_change_user

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")


@pytest.fixture
def outside():
    with outside_world() as world:
        yield world


def held_program(outside, command: str, out: int):
    argv = ("/bin/sh", "-c", command)
    return SANDBOX.start(
        Launch(
            argv=argv,
            cwd=Path("/workspace"),
            env={"PATH": PATH},
            marker=uuid.uuid4().hex,
            stdout=out,
            stderr=out,
            confinement=outside.confinement(),
        )
    )


async def first_line(fd: int) -> bytes:
    return await asyncio.wait_for(asyncio.to_thread(os.read, fd, 1000), 100)


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def test_signals_reach_a_program_of_another_user(outside, pipe):
    """Otherwise an agent under a worker that is root could not be stopped in order."""
    held = held_program(outside, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", pipe[1])
    assert await first_line(pipe[0]) == b"ready\n"
    held.send(signal.SIGTERM)
    assert (await asyncio.wait_for(held.ended, 100)).code == 5
    held.close()


@pytest.mark.skipif(not can_change_user(), reason="only root can give a program another user")
async def test_a_program_can_not_free_itself_of_its_guardian(outside, pipe):
    """Otherwise an agent could make itself deaf to the end of its lease."""
    deaf = "trap '' TERM INT HUP; kill -KILL 2; kill -KILL 1; kill -STOP 2; setsid sleep 1000 & echo $?; wait"
    held = held_program(outside, deaf, pipe[1])
    await first_line(pipe[0])
    held.end()
    assert (await asyncio.wait_for(held.ended, 100)).code == 128 + signal.SIGKILL
    held.close()


# Forks one worker for each line, because importing takes longer than all that is tested here.
ZYGOTE = textwrap.dedent("""
    import asyncio, json, os, signal, sys, uuid
    from pathlib import Path
    from shiftwork.sandbox.base import Launch
    from shiftwork.sandbox.confinement import Bind, Confinement
    from shiftwork.sandbox.namespace import BubblewrapNamespace
    order = json.loads(sys.argv[1])
    sandbox = BubblewrapNamespace(Path(order["bwrap"]))
    binds = (Bind(Path(order["workspace"]), Path("/workspace"), writable=True),)
    null = os.open(os.devnull, os.O_RDWR)

    async def work(word):
        held = sandbox.start(Launch(
            argv=(order["python"], "-S", "-c", order["tree"], word), cwd=Path("/workspace"), env={},
            marker=uuid.uuid4().hex, stdout=null, stderr=null,
            confinement=Confinement(binds, user=order["user"]),
        ))
        await held.ended

    for word in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.write(1, f"{os.getpid()}\\n".encode())
            asyncio.run(work(word.strip()))
            os._exit(0)
        os.waitpid(pid, 0)
        os.write(1, b"dead\\n")
""")


def test_nothing_outlives_a_killed_worker(outside):
    """Otherwise a worker killed while it starts an agent would leave one that nobody ends."""
    order = {
        "bwrap": str(SANDBOX._bwrap),
        "workspace": str(outside.workspace),
        "python": SYSTEM_PYTHON,
        "tree": TREE,
        "user": outside.user,
    }
    moments = random.Random(20_260_701)
    delays = [*(moments.uniform(0, 0.02) for _ in range(24)), 0.05, 0.1, 0.2]
    words = [token() for _ in delays]
    zygote = subprocess.Popen(
        [sys.executable, "-c", ZYGOTE, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with zygote:
        for delay, word in zip(delays, words, strict=True):
            zygote.stdin.write(f"{word}\n")
            zygote.stdin.flush()
            worker = int(zygote.stdout.readline())
            time.sleep(delay)
            os.kill(worker, signal.SIGKILL)
            assert zygote.stdout.readline() == "dead\n"
        time.sleep(0.2)
        for delay, word in zip(delays, words, strict=True):
            assert wait_until_dead(word) == [], f"left by a kill at {delay * 1000:.1f} ms"
        zygote.stdin.close()
