"""The sandbox without namespaces: each attack works without it, and fails in it."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from landlock_support import PYTHON, attack, confinement, open_place, spec
from process_support import living, token, tree

from shiftwork.runner.limits import Limits
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.confinement import Bind, Confinement, Network
from shiftwork.sandbox.landlock import Abi, Landlock, detect, temporary_folder
from shiftwork.sandbox.subreaper import Subreaper

ABI = detect()
NOBODY = 65_534
OURS = os.getpid()

pytestmark = pytest.mark.skipif(not Landlock(Subreaper()).works(), reason="Landlock does not work here")


@pytest.fixture(scope="module")
def sandbox():
    return Landlock(Subreaper())


@pytest.fixture
def place():
    with open_place() as folder:
        yield folder


FILES = {
    "read": "open(sys.argv[1] + '/private/file').read()",
    "read a folder": "os.listdir(sys.argv[1] + '/private')",
    "read through a link": "os.symlink(sys.argv[1] + '/private/file', 'link')\nopen('link').read()",
    "write": "open(sys.argv[1] + '/private/file', 'w').write('x')",
    "make": "open(sys.argv[1] + '/private/new', 'w')",
    "make a folder": "os.mkdir(sys.argv[1] + '/private/new')",
    "remove": "os.remove(sys.argv[1] + '/private/file')",
    "truncate": "os.truncate(sys.argv[1] + '/private/file', 0)",
    "link": "os.link(sys.argv[1] + '/private/file', 'hard')",
    "move in": "os.rename(sys.argv[1] + '/private/file', 'moved')",
    "move out": "os.rename('file', sys.argv[1] + '/private/moved')",
    "write what may be read": "open(sys.argv[1] + '/given/file', 'a')",
    "through another's root": f"open('/proc/{OURS}/root' + sys.argv[1] + '/private/file').read()",
    "the environment of another process": f"open('/proc/{OURS}/environ').read()",
    "the memory of another process": f"open('/proc/{OURS}/mem', 'rb').read(0)",
    "the files of another process": f"os.readlink('/proc/{OURS}/fd/0')",
    "settings below /proc": "open('/proc/self/oom_score_adj', 'w')",
}


@pytest.mark.parametrize("code", FILES.values(), ids=FILES.keys())
async def test_files_beside_the_given_ones_are_out_of_reach(sandbox, place, code):
    """If it failed, an agent could read the keys of the worker's user, or change what is not its own."""
    assert (await attack(sandbox, place, code, confinement(place))).split()[0] in {
        b"PermissionError",
        b"OSError",
    }
    assert (place / "private/file").read_text() == "private"
    assert [path.name for path in (place / "private").iterdir()] == ["file"]
    assert await attack(sandbox, place, code.replace("'link'", "'again'"), None) == b"done"


ALLOWED = {
    "write and move": "open('a', 'w').write('x')\nos.mkdir('b')\nos.rename('a', 'b/c')\nos.remove('b/c')",
    "read": "open(sys.argv[1] + '/given/file').read()",
    "devices": "open('/dev/null', 'w').write('x')\nopen('/dev/urandom', 'rb').read(1)",
    "itself": "open(f'/proc/{os.getpid()}/maps').read()\nopen('/proc/meminfo').read()",
    "what children say of themselves": "import subprocess\nsubprocess.check_call(['cat', '/proc/self/stat'])",
    "processes": "os.waitpid(os.spawnv(os.P_NOWAIT, '/bin/sh', ['sh', '-c', 'kill -0 $PPID']), 0)",
    "socketpairs": "a, b = socket.socketpair()\na.send(b'x')\nb.recv(1)",
    "socketpairs that keep packets apart": "a, b = socket.socketpair(1, 5)\na.send(b'x')\nb.recv(1)",
    "threads": "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
}


@pytest.mark.parametrize("code", ALLOWED.values(), ids=ALLOWED.keys())
async def test_what_a_program_needs_it_can_do(sandbox, place, code):
    """If it failed, no agent could do its work in this sandbox."""
    assert (await attack(sandbox, place, code, confinement(place))).endswith(b"done")


OTHERS = {
    "limits": f"import resource\nresource.prlimit({os.getpid()}, resource.RLIMIT_CORE, (0, 0))",
    "the tag of its own": (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]\n"
        "try: resource.setrlimit(resource.RLIMIT_RTTIME, (5, hard))\n"
        "except ValueError: raise OSError(1, 'refused')"
    ),
    "priorities": f"os.setpriority(os.PRIO_PROCESS, {OURS}, os.getpriority(os.PRIO_PROCESS, {OURS}))",
    "everybody's priority": "os.setpriority(os.PRIO_USER, 0, os.getpriority(os.PRIO_PROCESS, 0))",
    "cores": f"os.sched_setaffinity({OURS}, os.sched_getaffinity({OURS}))",
    "attributes of files": "os.setxattr(sys.argv[1] + '/private/file', 'user.a', b'b')",
    "attributes of own files": "os.setxattr('file', 'user.a', b'b')",
    "removed attributes": (
        "import errno\n"
        "try: os.removexattr(sys.argv[1] + '/private/file', 'user.none')\n"
        "except OSError as error:\n"
        "    if error.errno != errno.ENODATA: raise"
    ),
    "namespaces": (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x10000000): raise OSError(ctypes.get_errno(), '')"
    ),
    "memory": (
        "libc = ctypes.CDLL(None, use_errno=True)\nlibc.syscall.restype = ctypes.c_long\n"
        "pid = os.spawnv(os.P_NOWAIT, '/bin/sleep', ['sleep', '1'])\n"
        "if libc.ptrace(16, pid, None, None): raise OSError(ctypes.get_errno(), '')"
    ),
    "a ring": (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.syscall(425, 4, ctypes.create_string_buffer(120)) < 0: raise OSError(ctypes.get_errno(), '')"
    ),
}

LIBC = (
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "def ask(name, *arguments):\n"
    "    done = getattr(libc, name)(*arguments)\n"
    "    if done == -1: raise OSError(ctypes.get_errno(), name)\n"
    "    return done\n"
)
OTHERS |= {
    "shared memory": LIBC + "ask('shmctl', ask('shmget', 0, 4096, 0o1600), 0, None)",
    "semaphores": LIBC + "ask('semctl', ask('semget', 0, 1, 0o1600), 0, 0)",
    "queues": LIBC + "ask('msgctl', ask('msgget', 0, 0o1600), 0, None)",
}


@pytest.mark.parametrize("code", OTHERS.values(), ids=OTHERS.keys())
async def test_other_ways_around_are_shut(sandbox, place, code):
    """If it failed, an agent could change other processes, or the kernel's view of itself."""
    assert (await attack(sandbox, place, code, confinement(place))).split()[0] in {
        b"PermissionError",
        b"OSError",
    }
    assert await attack(sandbox, place, code, None) == b"done"


async def test_what_programs_ask_of_themselves_is_theirs(sandbox, place):
    """If it failed, programs could not lower their own priority, or read their limits."""
    code = (
        "import resource\n"
        "[resource.getrlimit(number) for number in range(16)]\n"
        "os.setpriority(os.PRIO_PROCESS, 0, 19)\n"
        "os.sched_setaffinity(0, os.sched_getaffinity(0))\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))"
    )
    assert await attack(sandbox, place, code, confinement(place)) == b"done"


async def test_no_queue_stays(sandbox, place):
    """If it failed, a queue made by an agent would stay, although Landlock does not let it be opened."""
    libc, name = ctypes.CDLL(None), f"/shiftwork-{os.getpid()}".encode()
    code = LIBC + f"ask('mq_open', {name!r}, 0o102, 0o600, None)"
    assert (await attack(sandbox, place, code, confinement(place))).startswith(b"OSError")
    assert libc.mq_unlink(name) == -1
    assert await attack(sandbox, place, code, None) == b"done"
    assert libc.mq_unlink(name) == 0


@pytest.mark.skipif(ABI.version < 6, reason="this kernel does not confine signals")
async def test_signals_do_not_leave(sandbox, place):
    """If it failed, an agent could end the worker."""
    code = f"os.kill({os.getpid()}, 0)"
    assert await attack(sandbox, place, code, confinement(place)) == b"PermissionError 1"
    assert await attack(sandbox, place, code, None) == b"done"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_root_becomes_the_given_user(sandbox, place):
    """If it failed, an agent of a worker that is root would be root."""
    for user in (NOBODY, None):
        held = confinement(place, user=user)
        result = await run(spec(place, "/bin/cat", "/proc/self/status", held=held), sandbox=sandbox)
        facts = {line.split()[0]: line.split()[1:] for line in result.stdout_tail.decode().splitlines()}
        number = str(user or 0)
        assert (facts["Uid:"], facts["Gid:"]) == ([number] * 4, [number] * 4)
        assert user is None or facts["Groups:"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_folder_out_of_the_users_reach_is_told(sandbox, place):
    """If it failed, each program would fail in a way of its own that says nothing."""
    place.chmod(0o700)
    held = confinement(place, user=NOBODY)
    result = await run(spec(place, "/bin/echo", "started", held=held), sandbox=sandbox)
    assert (result.exit_status, result.stdout_tail) == (126, b"")
    expected = f"shiftwork: {place}/work can't be confined: user {NOBODY} can't reach it\n"
    assert result.stderr_tail.decode() == expected


CONTAINER = """\
from pathlib import Path
from shiftwork.sandbox.user import choose_user
print(choose_user(Path("/x")) is None, choose_user(Path("/x"), namespaces=False) is None)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_of_a_container_can_still_change_users():
    """If it failed, agents in a container would be root where they need not."""
    without = ("setpriv", "--bounding-set=-sys_admin,-net_admin", sys.executable, "-P", "-c", CONTAINER)
    done = subprocess.run(without, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout, done.stderr) == ("True False\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_the_kernel_bounds_a_fork_bomb(sandbox, place):
    """If it failed, a fork bomb would be faster than whoever counts its processes."""
    held = confinement(place, user=NOBODY + 4321)
    plain = spec(place, "/bin/cat", "/proc/self/limits", held=held)
    result = await run(replace(plain, limits=Limits(processes=10)), sandbox=sandbox)
    assert re.search(rb"Max processes +320 +320 ", result.stdout_tail)


async def test_the_kernel_bounds_a_fork_bomb_of_our_own_user(sandbox, place):
    """If it failed, a fork bomb of an ordinary user's would take the machine before anybody looked."""
    plain = spec(place, "/bin/cat", "/proc/self/limits", held=confinement(place))
    result = await run(replace(plain, limits=Limits(processes=10)), sandbox=sandbox)
    found = re.search(rb"Max processes +(\d+) +(\d+) ", result.stdout_tail)
    assert found is not None, result.stdout_tail
    assert found[1] == found[2]
    assert 320 < int(found[1]) < 320 + 100_000  # with what that user runs besides


async def test_no_right_is_left_or_gained(sandbox, place):
    """If it failed, root would keep its capabilities, and set-user-id programs would work."""
    result = await run(spec(place, "/bin/cat", "/proc/self/status", held=confinement(place)), sandbox=sandbox)
    facts = dict(line.split(":\t", 1) for line in result.stdout_tail.decode().splitlines() if ":\t" in line)
    assert (facts["CapPrm"], facts["CapEff"]) == ("0" * 16, "0" * 16)
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


async def test_the_environment_is_the_given_one(sandbox, place):
    """If it failed, variables would be lost, or would act on the launcher before it is confined."""
    given = {"PYTHONHOME": "/nowhere", "LD_PRELOAD": "", "_": "kept", "__NAME": "kept"}
    result = await run(spec(place, "/usr/bin/env", held=confinement(place), env=given), sandbox=sandbox)
    found = dict(line.split("=", 1) for line in result.stdout_tail.decode().splitlines())
    assert len(found.pop("SHIFTWORK_SANDBOX")) == 32
    assert found == {"PATH": os.defpath, **given}


@pytest.mark.parametrize(
    ("command", "status", "number"),
    [
        ("exit 3", 3, None),
        ("kill -TERM $$", 143, signal.SIGTERM),
        ("yes | head -1 >/dev/null", 0, None),
        ("exec /no/such/program", 127, None),
    ],
)
async def test_the_status_is_the_programs(sandbox, place, command, status, number):
    """If it failed, a verification step would pass or fail for another reason than its own."""
    result = await run(spec(place, "/bin/sh", "-c", command, held=confinement(place)), sandbox=sandbox)
    assert (result.exit_status, result.signal) == (status, number)
    assert b"Broken pipe" not in result.stderr_tail


async def test_a_program_that_is_not_there_is_a_status(sandbox, place):
    """If it failed, a missing interpreter would look like a failure of the sandbox."""
    script = place / "work/script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    result = await run(spec(place, str(script), held=confinement(place)), sandbox=sandbox)
    assert (result.exit_status, str(script).encode() in result.stderr_tail) == (127, True)


async def test_a_script_without_an_interpreter_is_the_shells(sandbox, place):
    """If it failed, such scripts would work in some sandboxes only."""
    script = place / "work/script"
    script.write_text("exit 5\n")
    script.chmod(0o755)
    result = await run(spec(place, str(script), held=confinement(place)), sandbox=sandbox)
    assert result.exit_status == 5, result.stderr_tail


@pytest.mark.parametrize("missing", [True, False])
async def test_what_can_not_be_confined_is_not_started(sandbox, place, missing):
    """If it failed, a workspace that was exchanged for a link would open what the link leads to."""
    odd = place / "odd"
    if not missing:
        odd.symlink_to(place / "private")
    held = confinement(place)
    held = Confinement((*held.binds, Bind(odd, odd, writable=True)))
    result = await run(spec(place, "/bin/echo", "started", held=held), sandbox=sandbox)
    assert (result.exit_status, result.stdout_tail) == (126, b"")
    assert b"can't be confined" in result.stderr_tail


async def test_nothing_outlives_a_confined_program(sandbox, place):
    """If it failed, confined programs could leave processes behind."""
    word = token()
    plain = tree(word, place / "work", exits=6)
    argv = (PYTHON, "-S", *plain.argv[1:])
    result = await run(spec(place, *argv, held=confinement(place)), sandbox=sandbox)
    assert (result.exit_status, living(word)) == (6, []), result.stderr_tail


@pytest.mark.parametrize("user", [None, NOBODY], ids=["as we are", "as another user"])
async def test_what_one_leaves_ends_while_another_runs(sandbox, place, user):
    """If it failed, a warden that can't look into its programs would not know whose processes are left."""
    word, stop = token(), asyncio.Event()
    held = confinement(place, user=user)
    leaver = f"setsid env -i sleep {word} & setsid setsid sleep {word} & sleep 0.1; exit 6"
    other = asyncio.create_task(run(spec(place, "/bin/sleep", "1000", held=held), sandbox=sandbox, stop=stop))
    result = await run(spec(place, "/bin/sh", "-c", leaver, held=held), sandbox=sandbox)
    assert (result.exit_status, living(word), other.done()) == (6, [], False)
    stop.set()
    assert (await other).stopped


async def test_there_is_a_folder_for_temporary_files(sandbox, place):
    """If it failed, nothing that needs one would run where /tmp is out of reach."""
    home = place / "work"
    result = await run(
        spec(
            place,
            "/bin/sh",
            "-c",
            'echo x >"$TMPDIR/y"; ls -d "$TMPDIR"',
            held=confinement(place),
            env={"HOME": str(home)},
        ),
        sandbox=sandbox,
    )
    assert result.stdout_tail.decode().strip() == str(home / "tmp"), result.stderr_tail
    held = confinement(place)
    assert temporary_folder({"TMPDIR": str(place / "private")}, held) == {}
    assert temporary_folder({"TMPDIR": str(home / "t"), "HOME": str(home)}, held) == {
        "TMPDIR": str(home / "t")
    }


@pytest.mark.parametrize("version", range(1, ABI.version + 1))
async def test_every_older_kernel_is_understood(place, version):
    """If it failed, a kernel with fewer features would confine nothing, or run nothing."""
    sandbox = Landlock(Subreaper(), Abi(version))
    held = confinement(place, network=Network.DOOR, gateway_port=9)
    assert await attack(sandbox, place, FILES["read"], held) == b"PermissionError 13"
    assert await attack(sandbox, place, ALLOWED["read"], held) == b"done"


def test_what_an_old_kernel_leaves_open_is_told():
    """If it failed, people would rely on what their kernel can't do."""
    assert [len(Abi(version).gaps) for version in (1, 2, 3, 4, 5, 6, 7)] == [3, 3, 2, 1, 1, 0, 0]
    assert not Landlock(Subreaper(), Abi(0, 38)).works()
