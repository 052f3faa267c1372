"""Interpreters that wait: what they may, what they see, and when they end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from process_support import living, token

from shiftwork.agents.python.job import PythonJob
from shiftwork.agents.python.places import Places
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.gateway import Gateway
from shiftwork.gateway.egress import Egress
from shiftwork.runner.environment import base_python, child_environment
from shiftwork.runner.failures import AgentError
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run as run_program
from shiftwork.sandbox.base import Held, Launch
from shiftwork.sandbox.cell import make_cell
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.visible import installation_of
from tests.unit.python_support import limits, make_runner, run, until


def below_workers() -> list[psutil.Process]:
    """What belongs to workers that other tests in this process share."""
    found = []
    for child in psutil.Process().children():
        try:
            if child.cmdline()[-2:] == ["-m", "worker"]:
                found += child.children(recursive=True)
        except psutil.Error:
            continue
    return found


def interpreters(pid: int | None = None) -> list[psutil.Process]:
    """Those below a process (None: this one) that wait for a job, or have one."""
    found = []
    others = {process.pid for process in below_workers()} if pid is None else set()
    for process in psutil.Process(pid).children(recursive=True):
        if process.pid in others:
            continue
        try:
            if process.name().startswith("python") and process.cmdline()[-1:] == ["wait"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_each_serves_one_run_and_is_replaced(tmp_path):
    """If it failed, what one agent left in memory would be the next one's."""
    async with make_runner(tmp_path, warm=2) as runner:
        assert runner.waiting == 2
        code = "import json; print(hasattr(json, 'mark')); json.mark = 1"
        outcomes = [await run(runner, code) for _ in range(3)]
        assert {outcome.result for outcome in outcomes} == {"False\n"}
        assert outcomes[0].pre_started
        await until(lambda: runner.waiting == 2)
    assert runner.waiting == 0
    assert list((tmp_path / "agents").iterdir()) == []


async def test_many_at_once(tmp_path):
    """If it failed, a run would wait for another one's end, or share its folders."""
    async with make_runner(tmp_path, warm=1) as runner:
        code = "import os, time; open('own', 'x').close(); time.sleep(0.3); print(os.listdir('.'))"
        outcomes = await asyncio.gather(*(run(runner, code) for _ in range(5)))
    assert {outcome.result for outcome in outcomes} == {"['own']\n"}


async def test_only_what_can_be_changed_is_changed_later(tmp_path):
    """If it failed, a run would have other limits than it should, or none would find an interpreter."""
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    async with make_runner(tmp_path) as runner:
        cold = await run(runner, code, limits=limits(open_files=77))
        assert (cold.result, cold.pre_started) == ("77\n", False)
        warm = await run(runner, code, limits=limits(memory_mb=900, disk_mb=90))
        assert (warm.result != "77\n", warm.pre_started) == (True, True)
        listed = SandboxOptions(readable=(str(tmp_path),))
        cold = await run(runner, f"import os; print(os.listdir({str(tmp_path)!r}))", sandbox=listed)
        assert (cold.result, cold.pre_started) == ("['agents']\n", False)


async def test_one_that_died_is_not_handed_out(tmp_path):
    """If it failed, a run would be lost with an interpreter that was lost before."""
    async with make_runner(tmp_path) as runner:
        (waits,) = interpreters()
        waits.kill()
        outcome = await run(runner, "print('done')")
        assert outcome.result == "done\n"
        await until(lambda: runner.waiting == 1)
        (waits,) = interpreters()
        waits.kill()
        await until(lambda: runner.waiting == 0)
        await until(lambda: runner.waiting == 1)
        assert (await run(runner, "print('done')")).pre_started


async def test_one_that_hangs_is_passed_over(tmp_path):
    """If it failed, a run would wait for ever, or its code be executed twice."""
    async with make_runner(tmp_path, patience=1.5) as runner:
        (waits,) = interpreters()
        waits.suspend()
        outcome = await run(runner, "print('done')")
        assert outcome.result == "done\n"
        assert not waits.is_running()


class Watched:
    """The sandbox of this machine, of which a test knows what it holds."""

    def __init__(self) -> None:
        self._inner = choose_sandbox()
        self.level = self._inner.level
        self.moves_binds = self._inner.moves_binds
        self.own_network = self._inner.own_network
        self.held: list[Held] = []

    def works(self) -> bool:
        return self._inner.works()

    def start(self, launch: Launch) -> Held:
        held = self._inner.start(launch)
        self.held.append(held)
        return held


async def test_one_that_lost_its_lease_is_replaced(tmp_path):
    """If it failed, an interpreter that its sandbox has ended would be handed out."""
    sandbox = Watched()
    tmp_path.chmod(0o755)
    async with PythonRunner(sandbox, tmp_path / "agents", warm=1) as runner:
        sandbox.held[0].end()
        await asyncio.wait({sandbox.held[0].ended})  # until then it may begin with a job
        assert (await run(runner, "print('done')")).result == "done\n"
        await until(lambda: runner.waiting == 1)


PROBE = """
import os, socket
def lines(path, *words):
    user = str(os.getuid())
    found = [line.replace(user, "USER") if user != "0" else line for line in open(path).read().splitlines()]
    return [line for line in found if line.startswith(words)]
print(lines("/proc/self/status", "Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp"))
# Without the limit by which a run is told from others, and one that may count what runs already.
own = ("Max realtime timeout", "Max processes")
print([line for line in lines("/proc/self/limits", "Max") if not line.startswith(own)])
print(sorted(line.split()[4] + line.split()[5] for line in lines("/proc/self/mountinfo", "")))
print(sorted(name for name in os.environ if name not in ("SHIFTWORK_SANDBOX", "SHIFTWORK_OUTBOX")))
print(socket.if_nameindex(), os.path.basename(os.getcwd()))
try:
    print(sorted(os.listdir("/")))
except OSError as error:
    print(error)
"""


async def test_one_that_waits_is_as_confined_as_any_program(tmp_path):
    """If it failed, starting early would mean being less confined."""
    sandbox = choose_sandbox()
    async with make_runner(tmp_path) as runner:
        warm = await run(runner, PROBE)
        assert (warm.pre_started, warm.stderr) == (True, "")
        places = Places(tmp_path / "agents", sandbox)
        place = places.take()
        place.make()
        env = child_environment(os.environ, {})
        own = [Bind(path, path) for path in installation_of(base_python(), env["PATH"])]
        cell = make_cell(sandbox, SandboxOptions(), [*own, *place.binds()], user=place.user)
        home = str(cell.seen(place.scratch))
        spec = ProcessSpec(
            (str(base_python()), "-I", "-c", PROBE),
            cell.seen(place.workspace),
            {**env, "HOME": home, "TMPDIR": home},
            limits=limits(),
            timeout=20,
            confinement=cell.confinement,
        )
        cold = await run_program(spec, sandbox=sandbox)
        places.close()
    assert warm.result == cold.stdout_tail.decode()


async def test_it_sees_nobody_else(tmp_path):
    """If it failed, one agent could watch or end those that wait for others."""
    code = """
import os, signal
def reached(act):
    try:
        act()
    except OSError:
        pass
    else:
        print("reached")
for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
    except OSError:
        continue
    if os.path.basename(words[0]).startswith("python") and words[-2] == "wait" and pid != os.getpid():
        reached(lambda: open(f"/proc/{pid}/environ").read())
        reached(lambda: os.readlink(f"/proc/{pid}/fd/0"))
        reached(lambda: open(f"/proc/{pid}/fd/1", "wb"))
        reached(lambda: open(f"/proc/{pid}/mem", "rb"))
        reached(lambda: os.kill(pid, signal.SIGKILL))
print(os.getuid())
"""
    async with make_runner(tmp_path, warm=3) as runner:
        first, second = await asyncio.gather(run(runner, code), run(runner, code))
        for outcome in (first, second):
            assert (outcome.status, "reached" in outcome.result) == (TaskStatus.COMPLETED, False)
        assert runner.waiting >= 1
        if os.geteuid() == 0 and choose_sandbox().own_network:
            assert first.result != second.result


async def test_a_runner_that_is_closed_leaves_nothing(tmp_path):
    """If it failed, a worker's end would leave agents behind."""
    word = token()
    runner = make_runner(tmp_path)
    await runner.start(wait=False)
    await until(lambda: runner.waiting == 1)
    job = PythonJob(
        "import subprocess; subprocess.run(['sleep', parameters])".replace("parameters", repr(word))
    )
    task = asyncio.create_task(runner.run(job))
    await until(lambda: bool(living(word)))
    await runner.close()
    outcome = await task
    assert (outcome.error_kind, living(word)) == (TaskErrorKind.CANCELLED, [])
    assert interpreters() == []
    assert list((tmp_path / "agents").iterdir()) == []
    assert (await run(runner, "print(1)")).result == "1\n"  # alone, as before the start
    await runner.close()


HOST = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.python_support import make_runner, run

async def main():
    runner = make_runner(Path(sys.argv[1]), warm=2)
    await runner.start()
    code = "import subprocess; subprocess.run(['sleep', '" + sys.argv[3] + "'])"
    task = asyncio.create_task(run(runner, code))
    while runner.waiting < 2:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await task

asyncio.run(main())
"""


def test_a_worker_that_is_killed_leaves_nothing(tmp_path):
    """If it failed, agents and those that wait would outlive a killed worker."""
    word, root = token(), Path(__file__).parents[2]
    argv = [sys.executable, "-P", "-c", HOST, str(tmp_path), str(root), word]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "tests" / "unit"), *sys.path])}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, cwd=root) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 100
        while not living(word) or len(interpreters(host.pid)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        below = psutil.Process(host.pid).children(recursive=True)
        host.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(below, timeout=60)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    assert living(word) == []
    places = Places(tmp_path / "agents", choose_sandbox())
    assert [path.name for path in (tmp_path / "agents").iterdir()] != []
    places.take()
    assert len(list((tmp_path / "agents").iterdir())) == 1, "what the killed one left was not removed"
    places.close()


class Broken:
    """A sandbox that starts nothing."""

    level = "none"
    moves_binds = own_network = False

    def works(self) -> bool:
        return True

    def start(self, launch: Launch) -> Held:
        raise PermissionError(1, "Operation not permitted")


async def test_a_start_that_fails_is_one_sentence(tmp_path):
    """If it failed, a machine without a sandbox would be an error of ours, or hang."""
    runner = PythonRunner(Broken(), tmp_path / "agents")
    with pytest.raises(AgentError, match="Operation not permitted"):
        await runner.run(PythonJob("print(1)"))
    with pytest.raises(AgentError, match="Operation not permitted"):
        await runner.start()
    await runner.close()
    assert list((tmp_path / "agents").iterdir()) == []


async def test_hosts_need_a_gateway(tmp_path):
    """If it failed, a run would find no network where it was promised some."""
    runner = make_runner(tmp_path)
    sandbox = SandboxOptions(profile=Profile.NETWORKED, hosts=("example.org",))
    with pytest.raises(InvalidInput, match="gateway"):
        await runner.run(PythonJob("print(1)", sandbox=sandbox))
    await runner.close()


async def test_the_profile_open_confines_nothing(tmp_path):
    """If it failed, people could not let an agent reach what they want it to reach."""
    (tmp_path / "file").write_text("seen")
    runner = make_runner(tmp_path)
    code = f"print(open({str(tmp_path / 'file')!r}).read()); save_handoff(state={{'a': 1}})"
    outcome = await run(runner, code, sandbox=SandboxOptions(profile=Profile.OPEN))
    assert (outcome.result, outcome.handoff is None) == ("seen\n", False)
    await runner.close()


async def test_hosts_are_reached_through_the_gateway(tmp_path):
    """If it failed, an agent would reach nothing that it lists, or what it does not."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14"]  # public, and not asked

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    egress = Egress(resolve, lambda *_: asyncio.open_connection("127.0.0.1", port))
    sandbox = SandboxOptions(profile=Profile.NETWORKED, hosts=("listed.example",))
    code = """
from urllib.request import urlopen
for host in ("listed", "other"):
    try:
        print(urlopen(f"http://{host}.example/", timeout=100).read())
    except OSError as error:
        print(error)
"""
    async with Gateway(egress) as gateway, make_runner(tmp_path, gateway=gateway) as runner:
        outcome = await run(runner, code, sandbox=sandbox)
    server.close()
    await server.wait_closed()
    assert not outcome.pre_started
    reached, refused = outcome.result.splitlines()
    assert reached == "b'hello'"
    assert "403" in refused
