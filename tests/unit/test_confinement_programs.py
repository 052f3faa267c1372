"""What a confined program can do: build software, use its folders, reach the gateway."""

import asyncio
import errno
import os
import resource
import shutil
import socket
import venv
from pathlib import Path

import psutil
import pytest
from confinement_support import (
    CANARY,
    PATH,
    SYSTEM_PYTHON,
    Outside,
    bubblewrap,
    confined_to,
    outside_world,
    start,
)

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.confinement import DOOR_PORT, Bind, Confinement, Network
from shiftwork.sandbox.door import open_door, receive_listener
from shiftwork.sandbox.namespace import find_unshare
from shiftwork.sandbox.user import can_change_user
from shiftwork.sandbox.visible import installation_of

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")


@pytest.fixture
def outside():
    with outside_world() as world:
        yield world


async def shell(outside: Outside, command: str, *, more=None, **options):
    confinement = confined_to(outside, **(more or {}))
    return await start(SANDBOX, ("/bin/sh", "-c", command), confinement=confinement, **options)


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (
            "git",
            "git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && git log",
        ),
        ("node", 'node -e \'const t = new (require("worker_threads").Worker)("0", {eval: true})\''),
        ("npm", "npm --version"),
        ("gcc", "echo 'int main(){return 0;}' >a.c && gcc a.c -o a.out && ./a.out"),
        ("make", "printf 'all:\\n\\ttrue\\n' >Makefile && make"),
        (
            "python3",
            "/usr/bin/python3 -m venv --without-pip v && v/bin/python -c 'import ssl, sqlite3, subprocess'",
        ),
        ("tar", "touch f && tar cf f.tar f && tar xf f.tar"),
        ("id", '[ "$(id -un)" != "" ] && [ "$(getent passwd agent)" != "" ]'),
        ("sh", "echo x >/tmp/a && echo x >/dev/shm/a && echo x >~/a && echo x >/dev/null && [ -w . ]"),
        ("script", "script -qec 'test -t 0' /dev/null </dev/null"),
    ],
)
async def test_tools_work(outside, program, command):
    """Otherwise agents could not build software in their sandbox."""
    if shutil.which(program, path=PATH) is None:
        pytest.skip(f"{program} is not installed")
    outcome = await shell(outside, command)
    assert outcome.code == 0, outcome.output


async def test_the_agents_files_are_the_agents(outside):
    """Otherwise what it leaves would belong to root, or be out of its own reach."""
    outcome = await shell(outside, "echo x >made && stat -c %u made")
    made = (outside.workspace / "made").stat()
    expected = os.geteuid() if outside.user is None else outside.user
    assert (outcome.output.strip(), made.st_uid) == (str(expected).encode(), expected)


async def test_binds_are_as_given(outside):
    """Otherwise the brief could be rewritten, or a folder inside another one would be missing."""
    brief = outside.folder / "brief"
    brief.mkdir()
    (brief / "task").write_text("do it")
    link = outside.folder / "link"
    link.symlink_to("/brief/task")
    confinement = Confinement(
        (
            Bind(brief, Path("/workspace/.brief")),
            Bind(outside.workspace, Path("/workspace"), writable=True),
            Bind(brief, Path("/brief")),
            Bind(link, Path("/opt/link")),
        ),
        user=outside.user,
    )
    reading = "cat .brief/task /brief/task /opt/link"
    command = f"{reading}; echo x >/brief/task || echo x >/brief/new || readlink /opt/link"
    outcome = await start(SANDBOX, ("/bin/sh", "-c", command), confinement=confinement)
    assert outcome.output.startswith(b"do it" * 3)
    assert outcome.output.endswith(b"\n/brief/task\n")
    assert [entry.name for entry in brief.iterdir()] == ["task"]


async def test_the_environment_is_the_one_given(outside):
    """Otherwise secrets of the worker's environment would be the agent's."""
    os.environ["SW_TEST_SECRET"] = CANARY
    try:
        outcome = await shell(outside, "env", env={"GIVEN": "yes", "LD_AUDIT": ""})
    finally:
        del os.environ["SW_TEST_SECRET"]
    names = {line.partition(b"=")[0].decode() for line in outcome.output.splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH",
        "HOME",
        "GIVEN",
        "LD_AUDIT",
        "SHIFTWORK_SANDBOX",
    }


async def test_the_loader_s_variables_reach_the_program_alone(outside):
    """Otherwise a library of the agent's would run in the process that leads its sandbox."""
    outcome = await shell(outside, 'echo "$LD_PRELOAD"', env={"LD_PRELOAD": "/workspace/evil.so"})
    lines = outcome.output.decode().splitlines()
    assert lines[-1] == "/workspace/evil.so"
    assert all("ld.so" in line for line in lines[:-1])
    outcome = await shell(
        outside, "tr '\\0' '\\n' </proc/1/environ || true", env={"LD_DEBUG_OUTPUT": "/workspace/x"}
    )
    assert b"LD_DEBUG_OUTPUT" not in outcome.output


async def test_no_list_of_processes_shows_the_environment(outside):
    """Otherwise every user of the machine could read an agent's token."""
    for name in ("ready", "go"):
        os.mkfifo(outside.workspace / name)
        (outside.workspace / name).chmod(0o666)
    command = "echo here I am >ready; read line <go"
    running = asyncio.create_task(shell(outside, command, env={"TOKEN": "not-to-be-seen"}))
    await asyncio.to_thread((outside.workspace / "ready").read_text)
    seen = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    (outside.workspace / "go").write_text("go on\n")
    await running
    assert any("here I am" in line for line in seen)
    assert not any("not-to-be-seen" in line for line in seen)


async def test_a_program_holds_none_of_our_descriptors(outside):
    """Otherwise it could keep its own lease alive, or rewrite what confines it."""
    outcome = await shell(outside, "ls /proc/self/fd")
    assert outcome.output.split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing's own


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "~"])
async def test_what_is_private_is_bounded(outside, folder):
    """Otherwise an agent could fill the machine's memory with files."""
    command = f"head -c 12000000 /dev/zero >{folder}/big"
    bounded = await shell(outside, command, more={"scratch_mb": 8})
    assert bounded.code != 0
    assert b"No space left" in bounded.output
    assert (await shell(outside, command, more={"scratch_mb": 20})).code == 0


async def test_a_fork_bomb_is_bounded(outside):
    """Otherwise one agent could use up all processes of the machine before anybody looks."""
    code = """
import os, time
made = 0
try:
    while made < 600:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
except OSError:
    pass
print(made, flush=True)
"""
    argv = (SYSTEM_PYTHON, "-I", "-S", "-c", code)
    free = await start(SANDBOX, argv, confinement=confined_to(outside))
    bounded = await start(SANDBOX, argv, confinement=confined_to(outside), limits=Limits(processes=5))
    assert int(free.output) == 600
    assert int(bounded.output) < 300


async def test_limits_hold(outside):
    """Otherwise confined programs would be free of the limits on files, CPU and core dumps.

    The kernel's limit on CPU time is the second one, two seconds after that on the tree.
    """
    limits = Limits(file_size_mb=1, open_files=32, cpu_seconds=7)
    outcome = await shell(outside, "ulimit -c; ulimit -n; ulimit -t; ulimit -f", limits=limits)
    assert outcome.output.split() == [b"0", b"32", b"9", b"1954"]


@pytest.mark.parametrize("network", [Network.NONE, Network.DOOR])
async def test_fewer_files_than_ours_may_be_open(outside, network):
    """Otherwise a program that is our own user could keep all others from being started."""
    ours, theirs = open_door()
    with ours, theirs:
        outcome = await start(
            SANDBOX,
            ("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"),
            confinement=confined_to(outside, network),
            door=theirs.fileno() if network is Network.DOOR else None,
        )
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    expected = Limits().rlimits().get(resource.RLIMIT_NOFILE, own)
    assert tuple(map(int, outcome.output.split())) == expected
    assert can_change_user() or expected[1] <= own[1] // 2


async def test_only_the_gateway_is_reached_through_the_door(outside):
    """Otherwise an agent could not reach its model, or would reach more than that."""
    code = f"""
import os, socket
s = socket.create_connection(("127.0.0.1", {DOOR_PORT}), 5)
s.sendall(b"ping"); print(s.recv(10).decode(), flush=True)
try:
    socket.create_connection(("127.0.0.1", {outside.env["PORT"]}), 5); print("reached")
except OSError as error:
    print(error.errno, sorted(os.listdir("/proc/self/fd"))[3:])
"""
    ours, theirs = open_door()
    argv = (SYSTEM_PYTHON, "-I", "-S", "-c", code)
    with ours:
        with theirs:
            network = confined_to(outside, Network.DOOR)
            running = asyncio.create_task(
                start(SANDBOX, argv, confinement=network, env=outside.env, door=theirs.fileno())
            )
            await asyncio.sleep(0)
        listener = await receive_listener(ours)
    with listener:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with connection:
            loop = asyncio.get_running_loop()
            said = await loop.sock_recv(connection, 10)
            await loop.sock_sendall(connection, said.replace(b"i", b"o"))
    assert (await running).output.decode().split("\n")[:2] == ["pong", f"{errno.ECONNREFUSED} ['3', '4']"]


@pytest.mark.parametrize(("argv", "code"), [(("/no/such/program",), 127), (("/etc/passwd",), 126)])
async def test_what_can_not_start_behind_a_door_says_so(outside, argv, code):
    """Otherwise a missing program would look like one that failed, and its listener would be waited for."""
    ours, theirs = open_door()
    with ours, theirs:
        network = confined_to(outside, Network.DOOR)
        outcome = await start(SANDBOX, argv, confinement=network, door=theirs.fileno())
        (await receive_listener(ours)).close()
    assert outcome.code == code
    assert argv[0].encode() in outcome.output


async def test_a_program_that_ends_at_once_leaves_nobody_waiting(outside):
    """Otherwise the gateway would wait for the network of a program that is gone."""
    ours, theirs = open_door()
    with ours:
        theirs.close()
        with pytest.raises(ConnectionError, match="ended before"):
            await receive_listener(ours, timeout=5)


async def test_what_is_sent_through_the_door_is_looked_at():
    """Otherwise a program could have the gateway accept from a socket of its choice."""
    ours, theirs = open_door()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as other:
        socket.send_fds(theirs, [b"L"], [other.fileno()])
        with pytest.raises(ConnectionError, match="something else"):
            await receive_listener(ours, timeout=5)


async def test_what_does_not_fit_is_refused(outside):
    """Otherwise a missing folder would look like an agent that failed, or a door would lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        gone = Confinement((Bind(outside.folder / "gone", Path("/gone")),), user=outside.user)
        launch = {"argv": ("/bin/true",), "cwd": Path("/"), "env": {}, "marker": "0" * 32}
        launch |= {"stdout": null, "stderr": null}
        with pytest.raises(FileNotFoundError, match="gone"):
            SANDBOX.start(Launch(**launch, confinement=gone))
        with pytest.raises(ValueError, match="door"):
            SANDBOX.start(Launch(**launch, confinement=confined_to(outside, Network.DOOR)))
        for sandbox in find_unshare():
            with pytest.raises(OSError, match="can't confine"):
                sandbox.start(Launch(**launch, confinement=confined_to(outside)))
    finally:
        os.close(null)


async def test_a_folder_of_nobody_elses_can_be_entered(outside):
    """Otherwise a workspace that only its user may enter could not be worked in."""
    outside.workspace.chmod(0o700)
    outcome = await shell(outside, "pwd")
    assert (outcome.code, outcome.output) == (0, b"/workspace\n")
    outcome = await shell(outside, "pwd", cwd=Path("/no/such/folder"))
    assert outcome.code == 126


async def test_installed_programs_run(outside):
    """Otherwise agents installed outside the system's folders could not be started."""
    environment = outside.folder / "venv"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    binds = (*confined_to(outside).binds, *(Bind(path, path) for path in installation_of(python, PATH)))
    argv = (str(python), "-I", "-c", "import sys, ssl; print(sys.prefix)")
    outcome = await start(SANDBOX, argv, confinement=Confinement(binds, user=outside.user))
    assert outcome.output.decode().strip() == str(environment)
