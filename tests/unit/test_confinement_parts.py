"""What confinement is made of: the filter of system calls, users and their trees, what a program needs."""

import errno
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

from shiftwork.sandbox.callnumbers import AARCH64, NEWEST, X86_64
from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.landlock_calls import refusals_for
from shiftwork.sandbox.seccomp import REFUSALS, Refusal, seccomp_filter
from shiftwork.sandbox.user import can_change_user, choose_user, hand_over
from shiftwork.sandbox.visible import installation_of

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}


def judge(
    machine: str,
    number: int,
    *arguments: int,
    architecture: int | None = None,
    more: tuple[Refusal, ...] = (),
) -> int:
    """What the kernel would do, by running the filter as it does."""
    return follow(machine, number, *arguments, architecture=architecture, more=more)[0]


def follow(
    machine: str,
    number: int,
    *arguments: int,
    architecture: int | None = None,
    more: tuple[Refusal, ...] = (),
) -> tuple[int, int]:
    """The same, and after how many instructions."""
    own, _ = MACHINES[machine]
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, own if architecture is None else architecture, 0, *padded)
    program = list(struct.iter_unpack("=HBBI", seccomp_filter(machine, more)))
    accumulator = position = steps = 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        steps += 1
        if code == 0x06:
            return value, steps
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        else:
            holds = accumulator == value if code == 0x15 else accumulator > value
            position += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_each_call_is_refused_or_allowed(machine):
    """Otherwise a jump to the wrong place would allow what must not be, or refuse what programs need."""
    architecture, numbers = MACHINES[machine]
    always = {numbers[c]: r.error for r in REFUSALS if not r.when for c in r.calls if c in numbers}
    conditional = {numbers[c] for r in REFUSALS if r.when for c in r.calls if c in numbers}
    for number in range(NEWEST + 1):
        if number not in conditional:
            expected = REFUSE | always[number] if number in always else ALLOW
            assert judge(machine, number) == expected, number
    assert judge(machine, NEWEST + 1) == REFUSE | errno.ENOSYS
    assert judge(machine, 0x40000000) == REFUSE | errno.ENOSYS
    assert judge(machine, 0, architecture=architecture ^ 1) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_no_call_is_followed_far(machine):
    """Otherwise each start of a program, for which the kernel follows every call, would take longer."""
    steps = [follow(machine, number)[1] for number in range(NEWEST + 1)]
    assert sum(steps) / len(steps) < 25
    assert max(steps) < 60


FORK, THREAD = 0x01200011, 0x003D0F00
CONDITIONAL = [
    ("clone", (FORK,), 0),
    ("clone", (THREAD,), 0),
    *(("clone", (FORK | bit,), errno.EPERM) for bit in (0x20000, 0x02000000, 0x10000000, 0x40000000)),
    ("unshare", (0x400,), 0),
    ("unshare", (0x80,), errno.EPERM),
    ("unshare", (0x10000000,), errno.EPERM),
    ("ioctl", (0, 0x5401), 0),
    ("ioctl", (0, 0x5412), errno.EPERM),
    ("ioctl", (0, 0xFFFFFFFF00005412), errno.EPERM),
    ("ioctl", (0, 0x541C), errno.EPERM),
    ("personality", (0xFFFFFFFF,), 0),
    ("personality", (0x0400000,), errno.EPERM),
    ("socket", (1, 3, 0), 0),
    ("socket", (2, 1 | 0o2000000, 6), 0),
    ("socket", (10, 2, 17), 0),
    ("socket", (2, 3, 1), errno.EPERM),
    ("socket", (10, 3 | 0o4000, 58), errno.EPERM),
    ("socket", (16, 3 | 0o2000000, 0), 0),
    ("socket", (16, 3, 15), errno.EPROTONOSUPPORT),
    ("socket", (17, 3, 0), errno.EAFNOSUPPORT),
    ("socket", (40, 1, 0), errno.EAFNOSUPPORT),
    ("socket", (38, 5, 0), errno.EAFNOSUPPORT),
    ("socketpair", (1, 1, 0), 0),
    ("socketpair", (30, 1, 0), errno.EAFNOSUPPORT),
    ("fchmodat", (0, 0, 0o755), 0),
    ("fchmodat", (0, 0, 0o1777), 0),
    ("fchmodat", (0, 0, 0o2755), errno.EPERM),
    ("fchmodat", (0, 0, 0o4755), errno.EPERM),
    ("fchmod", (0, 0o2755), errno.EPERM),
    ("fchmodat2", (0, 0, 0o2755), errno.EPERM),
    ("mknodat", (0, 0, 0o102755), errno.EPERM),
    ("openat", (0, 0, 0o2, 0o4755), 0),
    ("openat", (0, 0, 0o102, 0o644), 0),
    ("openat", (0, 0, 0o102, 0o2755), errno.EPERM),
    ("openat", (0, 0, 0o102, 0o4755), errno.EPERM),
    ("openat", (0, 0, 0o20200002, 0o4755), errno.EPERM),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("call", "arguments", "error"), CONDITIONAL)
def test_calls_are_judged_by_their_arguments(machine, call, arguments, error):
    """Otherwise threads, sockets or files could not be made, or namespaces and set-id files could."""
    _, numbers = MACHINES[machine]
    assert judge(machine, numbers[call], *arguments) == (REFUSE | error if error else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_hiding_open_files_is_believed_and_not_done(machine):
    """Otherwise deleted files could be kept from being counted, or programs that guard secrets would fail."""
    _, numbers = MACHINES[machine]
    assert judge(machine, numbers["prctl"], 4, 0) == REFUSE | 0
    for arguments in ((4, 1), (3, 0), (38, 1), (15, 0)):
        assert judge(machine, numbers["prctl"], *arguments) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("new", [0x7FFF00001000, 0x7FFF00000000, 0x1000])
def test_a_tag_can_be_read_and_not_be_changed(machine, new):
    """Otherwise what an agent leaves could hide from whoever sweeps, by an address whose low half is 0."""
    numbers, more = MACHINES[machine][1], refusals_for(Network.NONE)
    assert judge(machine, numbers["prlimit64"], 0, 15, new, more=more) == REFUSE | errno.EPERM
    assert judge(machine, numbers["prlimit64"], 0, 15, 0, new, more=more) == ALLOW
    assert judge(machine, numbers["prlimit64"], 0, 7, new, more=more) == ALLOW
    assert judge(machine, numbers["setrlimit"], 15, new, more=more) == REFUSE | errno.EPERM
    assert judge(machine, numbers["setrlimit"], 7, new, more=more) == ALLOW


def test_an_unknown_architecture_has_no_filter():
    """Otherwise programs would be killed there, or run without a filter and nobody knew."""
    assert seccomp_filter("riscv64") is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_a_workspace_has_a_user_of_its_own(tmp_path):
    """Otherwise one agent could signal another's processes, and use up its share of them."""
    user = choose_user(tmp_path / "a")
    assert user == choose_user(tmp_path / "a")
    if can_change_user():
        assert user > 1000
        assert user != choose_user(tmp_path / "b")
    else:
        assert user is None


@pytest.fixture
def tree(tmp_path):
    """A tree deeper than descriptors and paths reach, with links that lead out of it."""
    outside, root = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "file").write_text("x")
    root.mkdir()
    (root / "link").symlink_to(outside)
    (root / "file-link").symlink_to(outside / "file")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(root / "socket"))
    os.mkfifo(root / "fifo")
    fd = os.open(root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=fd)
        below = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    yield root
    _remove_deep(root)


def _remove_deep(root: Path) -> None:
    """As `rm -r`, which knows how to; `shutil.rmtree` of some Pythons recurses too deep."""
    assert os.spawnlp(os.P_WAIT, "rm", "rm", "-rf", str(root)) == 0


def test_a_tree_is_handed_over_whole_and_nothing_beyond(tree, tmp_path):
    """Otherwise an agent could not write in its workspace, or a link of its would give it files outside."""
    user = 70_001 if os.geteuid() == 0 else os.geteuid()
    group = user if os.geteuid() == 0 else os.getegid()
    changed = hand_over(tree, user, group)
    assert changed == (1 + 4 + 1500 + 1 if os.geteuid() == 0 else 0)
    assert hand_over(tree, user, group) == 0
    assert {entry.stat(follow_symlinks=False).st_uid for entry in os.scandir(tree)} == {user}
    outside = tmp_path / "outside"
    assert {outside.stat().st_uid, (outside / "file").stat().st_uid} == {os.geteuid()}


def test_a_link_is_not_handed_over(tmp_path):
    """Otherwise a workspace replaced by a link would give away what that leads to."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        hand_over(tmp_path / "link", os.geteuid())


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with programs installed in the ways people do."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HOME", str(folder))
    for name in (".local/bin", ".local/share/tool/versions", ".config", "project/bin", "project/lib"):
        (folder / name).mkdir(parents=True)
    return folder


def program(path: Path, first_line: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first_line}\n")
    path.chmod(0o755)
    return path


def beyond_python(found: tuple[Path, ...], home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in found if path.is_relative_to(home)}


def test_a_program_of_no_known_kind_comes_alone(home):
    """Otherwise a program would bring the project around it, with its secrets, into every sandbox."""
    found = installation_of(program(home / "project/bin/tool"), "/usr/bin")
    assert beyond_python(found, home) == {"project/bin/tool"}


def test_links_come_with_what_they_lead_to(home):
    """Otherwise a program that its installer links to would not be found, or its version's folder not."""
    target = program(home / ".local/share/tool/versions/1.2")
    link = home / ".local/bin/tool"
    link.symlink_to(target)
    assert beyond_python(installation_of(link, "/usr/bin"), home) == {
        ".local/bin/tool",
        ".local/share/tool/versions/1.2",
    }


def test_a_node_package_comes_with_the_others_and_node(home):
    """Otherwise a program from npm would not find its dependencies or its interpreter."""
    script = program(home / "npm/lib/node_modules/@a/cli/node_modules/b/run.js", "#!/usr/bin/env node")
    node = program(home / "node/bin/node")
    link = home / ".local/bin/cli"
    link.symlink_to(os.path.relpath(script, link.parent))
    found = installation_of(link, f"{node.parent}:/usr/bin")
    assert beyond_python(found, home) == {".local/bin/cli", "npm/lib/node_modules", "node/bin/node"}


def test_a_python_script_comes_with_its_environment_and_that_one_s_base(home):
    """Otherwise a program from pip would not find its modules or its interpreter."""
    base = home / "pythons/3.12"
    python = program(base / "bin/python3")
    program(base / "lib/python3.12/os.py", "#")
    environment = home / "project/.venv"
    script = program(environment / "bin/tool", f"#!{environment}/bin/python")
    (environment / "bin/python").symlink_to(python)
    (environment / "pyvenv.cfg").write_text(f"home = {base}/bin\n")
    found = installation_of(script, "/usr/bin")
    assert beyond_python(found, home) == {"project/.venv", "pythons/3.12"}


def test_a_script_for_one_user_comes_with_its_modules_alone(home):
    """Otherwise it would not start, or show everything that lies in `.local`."""
    program(home / ".local/lib/python3.11/site-packages/tool.py", "#")
    script = program(home / ".local/bin/tool", "#!/usr/bin/python3")
    found = installation_of(script, "/usr/bin")
    assert beyond_python(found, home) == {".local/bin/tool", ".local/lib/python3.11"}


def test_links_in_a_circle_end(home):
    """Otherwise a broken installation would stop the worker."""
    (home / "a").symlink_to(home / "b")
    (home / "b").symlink_to(home / "a")
    assert beyond_python(installation_of(home / "a", "/usr/bin"), home) == {"a", "b"}


def test_the_systems_own_need_nothing():
    """Otherwise folders that are visible anyway would be mounted twice, at a cost for each process."""
    assert not any(path.is_relative_to("/usr") for path in installation_of(Path("/usr/bin/env"), "/usr/bin"))
