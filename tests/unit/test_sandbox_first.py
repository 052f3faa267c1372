"""The first process of a sandbox: what a shell would be, by a program of some hundred bytes."""

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from confinement_support import bubblewrap, outside_world, start

from shiftwork.runner.limits import Limits
from shiftwork.runner.spawn import spawn
from shiftwork.sandbox.base import LEASE_FD
from shiftwork.sandbox.first import NOT_FIRST, first_process
from shiftwork.sandbox.namespace import INIT

SANDBOX = bubblewrap()
pytestmark = [
    pytest.mark.skipif(first_process((), drops=False) is None, reason="there is none for this machine"),
    pytest.mark.skipif(SANDBOX is None, reason="no bubblewrap works here"),
]

# A program that begins others: what it does comes before it, in a namespace of its own.
WRAPPER = ("--dev-bind", "/", "/", "--proc", "/proc", "--unshare-user", "--unshare-pid", "--as-pid-1", "--")


@dataclass
class Done:
    """What came of a program."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="sw-first-") as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


def inside(folder, words, *, limits=(), env=None, shell=None):
    """Run a program behind this process 1, or behind the shell that does the same."""
    first = folder / "first"
    first.unlink(missing_ok=True)
    first.write_bytes(first_process(limits, drops=False))
    first.chmod(0o755)
    leader = (str(first), f"PWD={folder}")
    if shell is not None:
        leader = ("/bin/sh", "-c", INIT, "init", str(folder), shell, "")
    bwrap = SANDBOX.wrap((), cwd=folder, limits=Limits())[0]
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        streams = (None, out.fileno(), err.fileno())
        pid, lease = spawn((bwrap, *WRAPPER, *leader, *words), env or dict(os.environ), streams=streams)
        status = os.waitpid(pid, 0)[1]
        lease.close()
        out.seek(0)
        err.seek(0)
        return Done(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def test_it_does_nothing_outside(folder):
    """Otherwise, started by mistake, its guardian would kill every process of this machine's user."""
    first = folder / "first"
    first.write_bytes(first_process((), drops=False))
    first.chmod(0o755)
    done = subprocess.run((first, "PWD=/", "/bin/echo", "ran"), capture_output=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (NOT_FIRST, b"")


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        ("#!/bin/sh\nexit 0", 0o755),
        ("#!/bin/sh\nexit 255", 0o755),
        ("#!/bin/sh\nkill -9 $$", 0o755),
        ("#!/bin/sh\nkill -TERM $$", 0o755),
        ("exit 5", 0o755),
        ("echo run", 0o644),
        ("#!/no/such/interpreter\n", 0o755),
        (None, 0),
    ],
    ids=["ends", "fails", "killed", "ended", "no-first-line", "not-executable", "no-interpreter", "missing"],
)
def test_it_ends_as_the_shell_does(folder, content, mode):
    """Otherwise a status would not say what became of a program, or nobody would learn why it was not run."""
    program = folder / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    ours, shells = (inside(folder, (str(program),), shell=shell) for shell in (None, "ulimit -c 0"))
    assert ours.returncode == shells.returncode
    reason = {126: "denied", 127: "not found"}.get(ours.returncode, "")
    assert reason in ours.stderr
    assert bool(ours.stderr) == bool(reason)


def test_a_program_gets_its_arguments_environment_and_folder(folder):
    """Otherwise programs would run with others than they were given, or elsewhere."""
    env = {"ONE": "1 2", "TWO": "", "PWD": "/elsewhere", "PATH": os.environ["PATH"]}
    code = 'printf "%s|" "$@"; pwd -P; /usr/bin/env'
    done = inside(folder, ("/bin/sh", "-c", code, "sh", "a b", "", "ü"), env=env)
    first, *rest = done.stdout.splitlines()
    assert first == f"a b||ü|{folder}"
    assert {f"PWD={folder}", "ONE=1 2", "TWO="} <= set(rest)


def test_it_sets_the_limits_that_the_shell_sets(folder):
    """Otherwise a program could use more than it may, or less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, 7, 9),
        (resource.RLIMIT_NOFILE, 20, hard + 1),
        (resource.RLIMIT_FSIZE, 512_000, 512_000),
    )
    shell = (
        "ulimit -c 0; ulimit -S -t 7; ulimit -H -t 9; "
        f"ulimit -S -n 20; ulimit -H -n {hard + 1}; ulimit -f 1000"
    )
    words = ("/bin/cat", "/proc/self/limits")
    ours, shells = inside(folder, words, limits=limits), inside(folder, words, shell=shell)
    assert ours.stdout == shells.stdout
    assert f"{20:<20}" in ours.stdout
    too_many = ((resource.RLIMIT_NOFILE, hard + 1, hard + 1),)
    assert f"Max open files            {soft:<20} {hard:<20}" in inside(folder, words, limits=too_many).stdout


def test_a_program_has_nothing_that_leads_it(folder):
    """Otherwise it could answer for the worker, or keep a lock for ever."""
    done = inside(folder, ("/bin/sh", "-c", "ls /proc/self/fd; ls -l /proc/$$/fd"))
    assert f" {LEASE_FD} -> " not in done.stdout


async def test_it_takes_in_orphans():
    """Otherwise what a program leaves would fill the table of processes as long as it runs."""
    code = """
    for _ in 1 2 3 4 5; do (/bin/sleep 0.02 & ) ; done
    sleep 0.3; cat /proc/[0-9]*/stat | grep -c ' Z '; cat /proc/1/comm
    """
    with outside_world() as world:
        said = await start(SANDBOX, ("/bin/sh", "-c", code), confinement=world.confinement())
    zombies, leader = said.output.decode().splitlines()
    assert zombies == "0"
    assert leader == ".first"


def test_no_line_keeps_a_program_from_ending(folder):
    """Otherwise a number that is no signal's would have the end of the lease pass unnoticed."""
    first = folder / "first"
    first.write_bytes(first_process((), drops=False))
    first.chmod(0o755)
    bwrap = SANDBOX.wrap((), cwd=folder, limits=Limits())[0]
    words = (bwrap, *WRAPPER, str(first), f"PWD={folder}", "/bin/sleep", "30")
    pid, lease = spawn(words, dict(os.environ), streams=(None, None, None))
    lease.send(999)
    lease.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in {-9, 137}


def test_it_is_tried_again_once_there_is_room(tmp_path):
    """Otherwise a full disk at the first start would make all later ones slow, or fail them."""
    code = (
        "import tempfile, shiftwork.sandbox.first as f, shiftwork.sandbox.become as b\n"
        f"tempfile.tempdir = {str(tmp_path / 'gone')!r}\n"
        "print(f.first_process((), drops=False) is None, b.program_to_become(12345) is None)\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "print(f.first_process((), drops=False) is None)\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.split() == ["True", "True", "False"]
