"""One contract for every sandbox that works on this machine."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from process_support import living, shell, token, tree

from shiftwork.runner.leftovers import wait_until_gone
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.base import MARKER, Sandbox
from shiftwork.sandbox.choose import candidates, choose_sandbox, works
from shiftwork.sandbox.namespace import BubblewrapNamespace
from shiftwork.sandbox.subreaper import Subreaper

SANDBOXES = candidates()
NAMESPACES = [sandbox for sandbox in SANDBOXES if sandbox.level in {"bwrap", "unshare"}]

# Kills everything it can reach; never outside a PID namespace of its own, where that is the whole machine.
KILL_ALL = '[ "$(readlink /proc/self/ns/pid)" != "{host}" ] && kill -9 -1; '


def kill_all_but_me() -> str:
    return KILL_ALL.format(host=Path("/proc/self/ns/pid").readlink())


@pytest.fixture(params=SANDBOXES, ids=lambda sandbox: sandbox.level)
def sandbox(request) -> Sandbox:
    if not works(request.param):
        pytest.skip(f"{request.param.level} does not work on this machine")
    return request.param


@pytest.fixture(params=NAMESPACES, ids=lambda sandbox: sandbox.level)
def namespace(request) -> Sandbox:
    if not works(request.param):
        pytest.skip(f"{request.param.level} does not work on this machine")
    return request.param


@pytest.mark.parametrize(
    ("command", "status", "number"),
    [
        ("true", 0, None),
        ("exit 3", 3, None),
        ("kill -9 $$", 137, signal.SIGKILL),
        ("kill -TERM $$", 143, signal.SIGTERM),
        ("kill -TERM 0; sleep 5", 143, signal.SIGTERM),
        ("setsid sleep 1000 & exit 4", 4, None),
    ],
)
async def test_the_status_is_the_agents(sandbox, tmp_path, command, status, number):
    """Otherwise a verification step would pass or fail for another reason than its own exit status."""
    result = await run(shell(command, tmp_path), sandbox=sandbox)
    assert (status, number) == (result.exit_status, result.signal)
    assert (result.timed_out, result.stopped) == (False, False)


async def test_nothing_outlives_an_agent_that_ends(sandbox, tmp_path):
    """Otherwise background processes of one session would go on writing into the next one's world."""
    word = token()
    result = await run(tree(word, tmp_path, exits=6), sandbox=sandbox)
    assert result.exit_status == 6
    assert result.stdout_tail == b"ready\n"
    assert living(word) == []


async def test_nothing_outlives_a_stop(sandbox, tmp_path):
    """Otherwise "pause at once" would leave processes that ignore TERM or hide in a session of their own."""
    word, stop, seen = token(), asyncio.Event(), []

    def look_and_stop(*_):
        deadline = time.monotonic() + 100  # one of them may be in the middle of its exec
        while len(seen) < 5 and time.monotonic() < deadline:
            seen[:] = living(word)
        stop.set()

    result = await run(tree(word, tmp_path, grace=0.2), sandbox=sandbox, stop=stop, on_line=look_and_stop)
    assert len(seen) >= 5
    assert (result.stopped, result.timed_out, result.exit_status) == (True, False, 137)
    assert living(word) == []


async def test_nothing_outlives_a_timeout(sandbox, tmp_path):
    """Otherwise a verification step that hangs would hang for ever."""
    word = token()
    result = await run(tree(word, tmp_path, grace=0.1, timeout=0.6), sandbox=sandbox)
    assert (result.stopped, result.timed_out) == (False, True)
    assert living(word) == []


async def test_an_agent_may_end_in_order(sandbox, tmp_path):
    """Otherwise an agent that is stopped could not save what it has."""
    stop = asyncio.Event()
    command = "trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    result = await run(shell(command, tmp_path), sandbox=sandbox, stop=stop, on_line=lambda *_: stop.set())
    assert result.exit_status == 5
    assert result.stdout_tail.endswith(b"saved\n")


async def test_nothing_outlives_the_wrapper(namespace, tmp_path):
    """Otherwise the out-of-memory killer, hitting the sandbox's own process, would set the agent free."""
    word = token()
    spec = tree(word, tmp_path)
    result = await run(spec, sandbox=namespace, on_line=lambda *_: kill_wrapper(word))
    assert result.signal == signal.SIGKILL
    assert living(word) == []


async def test_the_marker_leads_to_what_a_dead_warden_left(tmp_path):
    """Otherwise the weakest sandbox would lose everything when its own process is killed."""
    word, sandbox = token(), Subreaper()

    def kill_warden(*_):
        os.kill(sandbox.warden_pid(), signal.SIGKILL)

    result = await run(tree(word, tmp_path), sandbox=sandbox, on_line=kill_warden)
    assert result.signal == signal.SIGKILL
    assert living(word) == []
    assert (await run(shell("exit 3", tmp_path), sandbox=sandbox)).exit_status == 3


def kill_wrapper(word: str) -> None:
    marker = next(p.environ()[MARKER] for p in psutil.process_iter() if word in " ".join(cmdline(p)))
    (mine,) = (child for child in psutil.Process().children() if child.environ().get(MARKER) == marker)
    mine.kill()


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_the_agent_holds_none_of_our_descriptors(sandbox, tmp_path):
    """Otherwise an agent could keep its own lease alive, or free its own lock."""
    leaked = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaked, True)  # noqa: FBT003 - its own signature
    code = "import os; print([n for n in range(3, 300) if os.path.exists(f'/dev/fd/{n}')])"
    try:
        spec = shell(f'{sys.executable} -S -c "{code}"', tmp_path, lock_file=tmp_path / "agent.lock")
        result = await run(spec, sandbox=sandbox)
    finally:
        os.close(leaked)
    assert result.stdout_tail == b"[]\n", result.stderr_tail


async def test_the_lock_is_held_as_long_as_anything_lives(sandbox, tmp_path):
    """Otherwise a new attempt would start while its predecessor still writes."""
    lock, stop = tmp_path / "agent.lock", asyncio.Event()
    seen = []

    async def look(*_):
        seen.append(await wait_until_gone(lock, 0.05))
        stop.set()

    await run(tree(token(), tmp_path, lock_file=lock, grace=0.05), sandbox=sandbox, on_line=look, stop=stop)
    assert seen == [False]
    assert await wait_until_gone(lock, 0)


async def test_stopping_works_without_the_guardian(namespace, tmp_path):
    """Otherwise an agent that kills all it sees could not be stopped any more."""
    stop = asyncio.Event()
    command = f"{kill_all_but_me()} echo ready; sleep 1000"
    result = await run(
        shell(command, tmp_path, grace=0.1), sandbox=namespace, stop=stop, on_line=lambda *_: stop.set()
    )
    assert result.stopped
    assert result.signal == signal.SIGKILL


async def test_the_agent_sees_its_own_processes_only(namespace, tmp_path):
    """Otherwise an agent could signal the worker, or other agents."""
    result = await run(shell("ls /proc | grep -c '^[0-9]'", tmp_path), sandbox=namespace)
    assert int(result.stdout_tail) < 10


async def test_a_program_that_can_not_start_is_a_status(sandbox, tmp_path):
    """Otherwise a broken interpreter line would crash the activity instead of failing the step."""
    script = tmp_path / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    spec = shell("", tmp_path)
    spec = type(spec)((str(script),), tmp_path, spec.env)
    result = await run(spec, sandbox=sandbox)
    assert result.exit_status in {126, 127}
    assert result.stderr_tail


def test_the_strongest_comes_first():
    """Otherwise a machine with namespaces would run agents in the weak sandbox."""
    assert choose_sandbox().level == next(s.level for s in SANDBOXES if works(s))
    assert isinstance(SANDBOXES[-1], Subreaper)
    assert works(SANDBOXES[-1])


def test_what_can_not_run_does_not_work():
    """Otherwise a missing or broken sandbox would be chosen, and every agent would fail."""

    class Broken(BubblewrapNamespace):
        def wrap(self, argv, *, cwd, limits):
            return ("/no/such/program", *argv)

    class Refusing(BubblewrapNamespace):
        def wrap(self, argv, *, cwd, limits):
            return ("/bin/sh", "-c", "exit 1")

    assert not works(Broken(Path()))
    assert not works(Refusing(Path()))
