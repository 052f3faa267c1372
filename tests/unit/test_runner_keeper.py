"""Whose a process is follows from what it descends from, whatever it says of itself."""

import asyncio
import contextlib
import sys
from dataclasses import replace

import pytest
from landlock_support import PYTHON, confinement, open_place, spec
from process_support import living, shell, token

from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.sandbox.landlock import Landlock
from shiftwork.sandbox.subreaper import Subreaper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts and tags")

LEVELS = ["none", *(["landlock"] if sys.platform == "linux" and Landlock(Subreaper()).works() else [])]

DAEMON = """
import os, resource, sys, time
def tag(value):
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (value, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        return
def tags():
    for name in os.listdir("/proc"):
        try:
            limits = open(f"/proc/{name}/limits").read()
        except OSError:
            continue
        word = limits.partition("Max realtime timeout")[2].split()[:1]
        if word and word[0].isdigit() and int(word[0]) >> 62 == 1:
            yield int(word[0])
own = resource.getrlimit(resource.RLIMIT_RTTIME)[0]
others = sorted(set(tags()) - {own})
if os.fork() == 0:
    os.setsid()
    for other in (others if "steal" in sys.argv[2:] else [5]):
        if os.fork() == 0:
            tag(other)
            for fd in range(3):
                os.close(fd)
            for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3].isdigit() else 0):
                if os.fork() == 0:
                    break
            os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[-1]))
"""
"""Leaves a daemon without environment and with another tag: nobody's, or with `steal` that of each other
agent; and so many more of it. Then it stays for so many seconds."""


REACH = """
import os
keeper = f"/proc/{os.getppid()}"
for name in ("environ", "mem", "cwd", "root", "exe", *(f"fd/{fd}" for fd in range(20))):
    for reach in (os.readlink, lambda path: os.open(path, os.O_RDONLY | os.O_NONBLOCK)):
        try:
            print("ESCAPED", name, reach(f"{keeper}/{name}"))
        except OSError:
            pass
"""


@pytest.fixture(params=LEVELS)
def level(request):
    return request.param


@pytest.fixture
def place():
    with open_place() as folder:
        yield folder


def begin(level, place, *arguments: str, stop=None, limits=None):
    held = confinement(place) if level == "landlock" else None
    sandbox = Landlock(cheap_sandbox()) if level == "landlock" else cheap_sandbox()
    what = replace(spec(place, *arguments, held=held), limits=limits or Limits(), grace=0.2)
    return asyncio.create_task(run(what, sandbox=sandbox, stop=stop))


@contextlib.asynccontextmanager
async def another(level, place, limits=None):
    """An agent of somebody else, which has to end as if nothing had been."""
    stop = asyncio.Event()
    running = begin(level, place, "/bin/sleep", "1000", stop=stop, limits=limits)
    await asyncio.sleep(0.5)
    yield running
    assert not running.done()
    stop.set()
    result = await running
    assert (result.stopped, result.breach) == (True, None)


async def test_what_changes_its_tag_ends_with_its_session(level, place):
    """Otherwise an agent's daemon would outlive its session as long as another one runs."""
    word = token()
    async with another(level, place):
        result = await begin(level, place, PYTHON, "-S", "-c", DAEMON, word, "leave", "0.2")
        assert (result.exit_status, living(word)) == (0, []), result.stderr_tail


async def test_nobody_is_ended_for_what_wears_his_tag(level, place):
    """Otherwise an agent could have another project's session ended for breaching a limit."""
    word = token()
    async with another(level, place, Limits(processes=3)):
        result = await begin(level, place, PYTHON, "-S", "-c", DAEMON, word, "steal", "20", "1")
        assert (result.exit_status, living(word)) == (0, []), result.stderr_tail


async def test_what_changes_its_tag_counts(level, place):
    """Otherwise an agent would have no limits, but those of what admits to be its own."""
    word = token()
    argv = (PYTHON, "-S", "-c", DAEMON, word, "leave", "20", "10")
    result = await begin(level, place, *argv, limits=Limits(processes=10))
    assert result.breach is not None
    assert "processes" in result.breach
    assert living(word) == []


async def test_an_agent_whose_keeper_was_killed_ends(tmp_path):
    """Otherwise what is not confined would live on once it has killed what keeps it."""
    word = token()
    async with another("none", tmp_path_with_work(tmp_path)):
        command = f"setsid env -i sleep {word} & sleep 0.1; kill -KILL $PPID; sleep {word}"
        result = await run(shell(command, tmp_path, timeout=100), sandbox=cheap_sandbox())
        assert (result.exit_status, living(word)) == (137, [])


async def test_nothing_is_left_by_what_kills_its_warden(tmp_path):
    """Otherwise a daemon without marks would live on once that holds it no more that started it."""
    word = token()
    killing = DAEMON + (
        "import signal\n"
        "status = open(f'/proc/{os.getppid()}/status').read()\n"
        "os.kill(int(status.partition('PPid:')[2].split()[0]), signal.SIGKILL)\n"
        "time.sleep(1000)\n"
    )
    argv = (sys.executable, "-S", "-c", killing, word, "leave", "0.2")
    result = await run(ProcessSpec(argv, tmp_path, {}, timeout=100), sandbox=cheap_sandbox())
    assert (result.exit_status, living(word)) == (137, [])


async def test_an_agent_whose_keeper_was_stopped_ends_in_time(tmp_path):
    """Otherwise an agent could keep its end from being told, and its session from going on."""
    command = "kill -STOP $PPID; exit 5"
    result = await run(shell(command, tmp_path, timeout=100), sandbox=cheap_sandbox())
    assert (result.exit_status, result.timed_out) == (5, False)


@pytest.mark.skipif("landlock" not in LEVELS, reason="Landlock does not work here")
async def test_a_confined_program_can_not_reach_its_keeper(place):
    """Otherwise it could end or hold up what ends it, or look into it."""
    code = REACH
    if Landlock(Subreaper()).abi.version >= 6:
        code += "try: os.kill(os.getppid(), 0); print('ESCAPED')\nexcept PermissionError: pass\n"
    result = await begin("landlock", place, PYTHON, "-S", "-c", code + "print('done')")
    assert result.stdout_tail == b"done\n", result.stderr_tail


def tmp_path_with_work(folder):
    (folder / "work").mkdir()
    return folder


POISON = """
import os, resource
keeper = os.getppid()
resource.prlimit(keeper, resource.RLIMIT_FSIZE, (0, 0))
os.setpriority(os.PRIO_PROCESS, keeper, 19)
"""


async def test_no_agent_decides_the_limits_of_the_next(tmp_path):
    """Otherwise one at `none` could make the programs of the next project fail, as if by themselves."""
    sandbox = Subreaper()
    before = await run(shell("ulimit -f; nice", tmp_path), sandbox=sandbox)
    changed = await run(ProcessSpec((sys.executable, "-c", POISON), tmp_path, {}), sandbox=sandbox)
    after = await run(shell("ulimit -f; nice", tmp_path), sandbox=sandbox)
    assert changed.exit_status == 0
    assert after.stdout_tail == before.stdout_tail
