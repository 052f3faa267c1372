"""Nothing that a confined program can find in `/proc` leads to what lies outside of its sandbox."""

import asyncio
import fcntl
import json
import os
import signal
import uuid
from pathlib import Path

import pytest
from confinement_support import PATH, SYSTEM_PYTHON, bubblewrap, outside_world

from shiftwork.runner.leftovers import RunLock
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.door import open_door

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")

LOOK = """
import glob, json, os, stat, sys, time
own = {os.fstat(fd).st_ino for fd in range(3)}
found, strange = [], []
for link in glob.glob("/proc/[0-9]*/task/*/fd/*") + glob.glob("/proc/[0-9]*/map_files/*") + [
    f"{process}/{name}" for process in glob.glob("/proc/[0-9]*") for name in ("cwd", "root", "exe")
]:
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY, os.O_PATH):
        try:
            fd = os.open(link, flags | os.O_NONBLOCK)
        except OSError:
            continue
        about = os.fstat(fd)
        os.close(fd)
        try:
            there = os.stat(os.readlink(link))
        except OSError:
            there = None
        socket = stat.S_ISSOCK(about.st_mode)
        same = there is not None and (there.st_dev, there.st_ino) == (about.st_dev, about.st_ino)
        found.append(link)
        if not (same or about.st_ino in own or (socket and flags == os.O_PATH)):
            strange.append((link, os.readlink(link), flags))
print(json.dumps({"found": len(found), "strange": strange}), flush=True)
if len(sys.argv) > 1:
    time.sleep(float(sys.argv[1]))
"""
"""Opens whatever it can by `/proc`. Strange is what can be opened, is none of its own streams, and is not to
be had by its path inside."""


@pytest.fixture(scope="module")
def outside():
    with outside_world() as world:
        yield world


def begin(outside, out: int, lock: int, *, same_user: bool, door: int | None = None, seconds="0"):
    more = {"user": None} if same_user else {}
    if same_user:
        outside.workspace.chmod(0o777)
    network = Network.NONE if door is None else Network.DOOR
    return SANDBOX.start(
        Launch(
            argv=(SYSTEM_PYTHON, "-I", "-S", "-c", LOOK, seconds),
            cwd=Path("/workspace"),
            env={"PATH": PATH},
            marker=uuid.uuid4().hex,
            stdout=out,
            stderr=out,
            lock=lock,
            confinement=outside.confinement(network=network, **more),
            door=door,
        )
    )


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def line(fd: int) -> bytes:
    return await asyncio.wait_for(asyncio.to_thread(os.read, fd, 60_000), 100)


@pytest.mark.parametrize("same_user", [True, False], ids=["the same user", "a user of its own"])
@pytest.mark.parametrize("with_door", [False, True], ids=["no network", "a door"])
async def test_no_process_inside_has_anything_open_that_leads_out(
    outside, pipe, tmp_path, same_user, with_door
):
    """Otherwise a program could write to the lock file, or to its own lease, through what leads it."""
    lock = RunLock(tmp_path / "agent.lock", uuid.uuid4().hex)
    ours, theirs = open_door()
    with ours, theirs:
        door = theirs.fileno() if with_door else None
        held = begin(outside, pipe[1], lock.fd, same_user=same_user, door=door)
        said = json.loads(await line(pipe[0]))
        await asyncio.wait_for(held.ended, 100)
        held.close()
    lock.close()
    assert said["found"] > 5
    assert said["strange"] == []


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_the_lock_is_held_as_long_as_the_program_lives(outside, pipe, tmp_path):
    """Otherwise another attempt would begin beside what a dead worker left."""
    path = tmp_path / "agent.lock"
    lock = RunLock(path, uuid.uuid4().hex)
    held = begin(outside, pipe[1], lock.fd, same_user=False, seconds="1000")
    lock.close()  # as the death of the worker would
    await line(pipe[0])
    assert is_locked(path)
    os.kill(held.pid, signal.SIGSTOP)  # what is left is inside
    assert is_locked(path)
    os.kill(held.pid, signal.SIGCONT)
    held.end()
    await asyncio.wait_for(held.ended, 100)
    held.close()
    assert not is_locked(path)
