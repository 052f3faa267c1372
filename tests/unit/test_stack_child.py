"""Children that can't outlive their parent."""

import asyncio
import signal
import subprocess
import sys
import time

import psutil
import pytest

from shiftwork.errors import StackError
from shiftwork.stack.child import Child, Command

PATIENCE = 100.0
"""Seconds that a machine may take that others keep busy, or that stands still for a while."""

STUBBORN = "trap '' INT TERM HUP; sleep 100 & echo $$ $!; wait; wait"


async def text_of(log, lines=1):
    """The log's words, once it has that many lines."""
    async with asyncio.timeout(PATIENCE):
        while not log.exists() or len(log.read_text().splitlines()) < lines:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
    return log.read_text().split()


def gone(pids, seconds=PATIENCE):
    """Whether every process ends in that time."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes):
            return True
        time.sleep(0.02)
    return False


def shell(script, tmp_path, **options):
    return Command("test", ["/bin/sh", "-c", script], tmp_path / "log", **options)


async def test_its_exit_status_is_its_own(tmp_path):
    """The guard in between would hide why a server ended."""
    child = await Child.start(shell("exit 7", tmp_path))
    assert await child.wait() == 7
    assert not child.running


async def test_its_pid_is_its_own(tmp_path):
    """Signals would reach the guard instead of the server."""
    child = await Child.start(shell("echo $$; sleep 100", tmp_path))
    assert await text_of(tmp_path / "log") == [str(child.pid)]
    await child.stop()


async def test_it_is_asked_first(tmp_path):
    """A database that is killed at once has to recover at every start."""
    child = await Child.start(
        shell(
            "trap 'echo asked; exit 3' INT; echo up; while :; do sleep 0.02; done",
            tmp_path,
            stop_signal=signal.SIGINT,
        )
    )
    await text_of(tmp_path / "log")
    await child.stop()
    assert await child.wait() == 3
    assert (tmp_path / "log").read_text() == "up\nasked\n"


async def test_who_does_not_listen_is_killed_with_its_children(tmp_path):
    """Ctrl-C would leave a worker's processes behind."""
    child = await Child.start(shell(STUBBORN, tmp_path, grace=0.2))
    pids = [int(word) for word in await text_of(tmp_path / "log")]
    await child.stop()
    assert await child.wait() == -signal.SIGKILL
    assert gone(pids)


async def test_what_outlives_it_is_ended(tmp_path):
    """A worker that crashes would leave its helpers running beside those of the next."""
    child = await Child.start(shell("sleep 100 & echo $!", tmp_path))
    pids = [int(word) for word in await text_of(tmp_path / "log")]
    assert await child.wait() == 0
    assert gone(pids)


@pytest.mark.parametrize("script", [STUBBORN, "sleep 100 & echo $$ $!; wait"])
def test_it_ends_with_its_parent(tmp_path, script):
    """After kill -9 of `shiftwork dev` its servers would hold the ports and the data for ever."""
    code = f"""
import asyncio, pathlib
from shiftwork.stack.child import Child, Command
async def main():
    log = pathlib.Path({str(tmp_path / "log")!r})
    await Child.start(Command("test", ["/bin/sh", "-c", {script!r}], log, orphan_grace=0.3))
    await asyncio.sleep(100)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-P", "-c", code])
    try:
        pids = [int(word) for word in asyncio.run(text_of(tmp_path / "log"))]
        assert all(psutil.pid_exists(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
    assert gone(pids)


async def test_a_program_that_is_missing_is_named(tmp_path):
    """A wrong path would look like a server that crashes."""
    command = Command("test", [str(tmp_path / "missing")], tmp_path / "log")
    child = await Child.start(command)
    assert await child.wait() == 127
    assert "missing: not found" in (tmp_path / "log").read_text()


async def test_a_folder_that_is_missing_is_an_error(tmp_path):
    """A start that can't work would end in a traceback."""
    with pytest.raises(StackError, match="test can't be started"):
        await Child.start(shell("true", tmp_path, cwd=tmp_path / "missing"))
