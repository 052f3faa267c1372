"""Starting programs while another one of the same user has as many descriptors under way as it may."""

import asyncio
import errno
import fcntl
import os
import selectors
import subprocess
import sys
from pathlib import Path

import pytest

from shiftwork.errors import Conflict
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.namespace import find_unshare
from tests.unit.process_support import living, token

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

ORDINARY = """
import array, errno, os, resource, socket, sys
from shiftwork.runner.limits import Limits
from shiftwork.runner.spawn import spawn
from shiftwork.sandbox import descriptors
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(61234, 61234, 61234)
    os.setresuid(61234, 61234, 61234)
null = os.open("/dev/null", os.O_RDWR)
pairs = []

def limit(soft, hard):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

def plainly(fds):
    pairs.append(socket.socketpair())
    pairs[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])

def fill():
    "As an agent would; whether the kernel lets no more under way."
    try:
        for _ in range(1000):
            plainly([null] * 100)
    except OSError as error:
        return error.errno == errno.ETOOMANYREFS
"""
"""The beginning of a program of an ordinary user, whose limits are its own."""


def ordinary(script: str, *arguments: str, fds: tuple[int, ...] = ()) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", ORDINARY + script, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        pass_fds=fds,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_agents_of_our_user_can_not_keep_us_from_sending():
    """Otherwise one agent could keep the programs of all other projects from being started."""
    script = """
limit(64, 400)
soft, hard = Limits().rlimits()[resource.RLIMIT_NOFILE]
limit(hard, 400)
assert (soft, hard, fill()) == (64, 200, True)
limit(64, 400)
ours, theirs = socket.socketpair()
print(descriptors.send(ours, b"L", [null]), resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert ordinary(script) == "1 (64, 400)\n"


def test_a_program_starts_where_nothing_more_can_be_sent(tmp_path):
    """Otherwise a program of another project could not be started, or would run without its lock."""
    script = """
limit(300, 300)
assert fill()
pid, lease = spawn(("/bin/cat",), {}, streams=(0, 1, 2), lock_fd=int(sys.argv[1]))
os.close(int(sys.argv[1]))
print(flush=True)
os.waitpid(pid, 0)
"""
    fd, other = (os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR) for _ in range(2))
    fcntl.flock(fd, fcntl.LOCK_EX)
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ORDINARY + script, str(fd)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        pass_fds=(fd,),
        stdin=reading,
        stdout=subprocess.PIPE,
    )
    os.close(fd)
    os.close(reading)
    with process:
        assert process.stdout.readline() == b"\n"
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(writing)
        assert process.wait(100) == 0
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


async def test_what_keeps_a_program_from_starting_is_told(tmp_path):
    """Otherwise a project would stop because its worker was lost, which it was not."""
    sandboxes = find_unshare()
    if not sandboxes:
        pytest.skip("no util-linux here")
    spec = ProcessSpec(("/bin/true",), tmp_path, confinement=Confinement(()))
    with pytest.raises(Conflict, match="'true' can't be started: The sandbox 'unshare' can't confine files"):
        await run(spec, sandbox=sandboxes[0])


class FullSelector(selectors.SelectSelector):
    """What the kernel is to a user whose watches are used up: only the event loop's own fits in."""

    def register(self, fileobj, events, data=None):
        if self.get_map():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().register(fileobj, events, data)


def test_a_program_that_can_not_be_watched_is_told_and_does_not_run_on(tmp_path):
    """Otherwise it would live on without anybody who knows of it, up to the end of the worker."""
    sandboxes = [one for one in find_unshare() if one.works()]
    if not sandboxes:
        pytest.skip("no namespace of util-linux works here")
    word = token()
    spec = ProcessSpec(("/bin/sleep", word), tmp_path, {"PATH": os.defpath})
    with (
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FullSelector())) as runner,
        pytest.raises(Conflict, match=f"'sleep' can't be started: {os.strerror(errno.ENOSPC)}; end what"),
    ):
        runner.run(run(spec, sandbox=sandboxes[0]))
    assert living(word) == []
