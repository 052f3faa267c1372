"""Root folders that are made once for many confined programs."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

if sys.platform == "linux":
    from shiftwork.sandbox.roots import Roots
    from shiftwork.sandbox.system import COPY, copies, system_steps

STEPS = (
    ("--ro-bind", "/usr", "/usr"),
    ("--symlink", "usr/lib", "/lib"),
    ("--dir", "/etc"),
    (*COPY, b"127.0.0.1 localhost\n", "/etc/hosts"),
    ("--size", "1000", "--perms", "1777", "--tmpfs", "/tmp"),
    ("--dir", "/home"),
    ("--bind", "/usr", "/home/agent"),
    ("--size", "1000", "--tmpfs", "/deep/within/folders"),
    ("--dir", "/tmp/within"),
    ("--ro-bind", "/usr/bin/env", "/tmp/within/env"),
    ("--ro-bind", "/usr/bin/env", "/tool"),
)

HOLDER = """
import sys, time
from pathlib import Path
from shiftwork.sandbox.roots import Roots
roots = Roots(Path(sys.argv[1]))
print(roots.prepared([("--dir", "/etc")])[0][1], flush=True)
sys.stdin.readline()
"""


def root_of(steps) -> Path:
    assert steps[0][0] == "--ro-bind"
    assert steps[0][2] == "/"
    return Path(steps[0][1])


def tree(root: Path) -> dict[str, str]:
    """What it holds, as modes or the targets of links."""
    found = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        content = path.readlink() if stat.S_ISLNK(mode) else f"{stat.filemode(mode)}"
        found[str(path.relative_to(root))] = str(content)
    return found


@pytest.fixture
def strict_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def holder(tmp_path):
    """Another process with a prepared root."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("strict_umask")
def test_a_root_holds_what_bubblewrap_would_make_and_the_rest_is_mounted(tmp_path):
    """Otherwise a program would miss a folder, could not enter one, or its mounts would lack their places."""
    roots = Roots(tmp_path)
    steps = roots.prepared(STEPS)
    root = root_of(steps)
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert tree(root) == {
        "usr": "drwxr-xr-x",
        "lib": "usr/lib",
        "etc": "drwxr-xr-x",
        "etc/hosts": "-rw-r--r--",
        "tmp": "drwxr-xr-x",
        "home": "drwxr-xr-x",
        "home/agent": "drwxr-xr-x",
        "tool": "-r--r--r--",
        "deep": "drwxr-xr-x",
        "deep/within": "drwxr-xr-x",
        "deep/within/folders": "drwxr-xr-x",
    }
    in_it = {step[-1] for step in steps[1:]}
    assert in_it == {
        "/usr",
        "/tmp",
        "/home/agent",
        "/tmp/within",
        "/tmp/within/env",
        "/tool",
        "/deep/within/folders",
    }


def test_nobody_else_gets_to_a_root(tmp_path):
    """Otherwise other users of the machine could look into it, or a program change what others see."""
    roots = Roots(tmp_path)
    root = root_of(roots.prepared(STEPS))
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700
    assert {path.lstat().st_uid for path in root.rglob("*")} == {os.geteuid()}


def test_the_same_steps_share_a_root_and_others_do_not(tmp_path):
    """Otherwise each program would leave a folder, or see the settings of another."""
    roots = Roots(tmp_path)
    first = root_of(roots.prepared(STEPS))
    assert root_of(roots.prepared(STEPS)) == first
    changed = [(*COPY, b"127.0.0.2 localhost\n", "/etc/hosts") if "/etc/hosts" in s else s for s in STEPS]
    second = root_of(roots.prepared(changed))
    assert second != first
    assert (first / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert (second / "etc/hosts").read_text() == "127.0.0.2 localhost\n"


@pytest.mark.parametrize(
    "path", ["/lib/x", "/lib", "/home/../../../escaped", "/home/.."], ids=["over", "again", "up", "top"]
)
@pytest.mark.parametrize("step", [("--dir",), (*COPY, b""), ("--bind", "/usr"), ("--symlink", "x")])
def test_no_path_leads_out_of_a_root(tmp_path, step, path):
    """Otherwise a link or dots in a bind's target would have this process write anywhere on the machine."""
    assert Roots(tmp_path).prepared([*STEPS, (*step, path)]) is None
    assert [*tmp_path.iterdir()] == []


def test_their_number_is_bounded(tmp_path):
    """Otherwise a worker that runs for months would fill the disk."""
    roots = Roots(tmp_path, most=1)
    assert roots.prepared([("--dir", "/a")])
    assert roots.prepared([("--dir", "/b")]) is None
    assert roots.prepared([("--dir", "/a")])


def test_a_root_that_was_removed_is_made_again(tmp_path):
    """Otherwise whoever tidies temporary files would keep all programs of a worker from starting."""
    roots = Roots(tmp_path)
    root = root_of(roots.prepared(STEPS))
    subprocess.run(["rm", "-rf", str(root.parent)], check=True)
    assert (root_of(roots.prepared(STEPS)) / "etc/hosts").exists()


@pytest.mark.parametrize("lost", ["tool", "home/agent", "etc/hosts", "lib"])
def test_a_root_that_lost_something_is_made_again(tmp_path, lost):
    """Otherwise whoever tidies temporary files would keep a project's programs from starting for ever."""
    roots = Roots(tmp_path)
    first = root_of(roots.prepared(STEPS))
    subprocess.run(["rm", "-rf", str(first / lost)], check=True)
    second = root_of(roots.prepared(STEPS))
    assert second != first
    assert os.path.lexists(second / lost)
    assert root_of(roots.prepared(STEPS)) == second


def test_without_room_nothing_is_prepared(tmp_path):
    """Otherwise a machine whose folder for temporary files can't be used would run no program at all."""
    assert Roots(tmp_path / "missing").prepared(STEPS) is None


def test_roots_end_with_their_process(tmp_path, holder):
    """Otherwise each worker would leave folders behind."""
    assert Path(holder.stdout.readline().strip()).exists()
    holder.communicate("\n")
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path, holder):
    """Otherwise killed workers would fill the disk, or one worker take another's roots away."""
    left = Path(holder.stdout.readline().strip())
    ours = Roots(tmp_path)
    assert root_of(ours.prepared(STEPS)).exists()
    assert left.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    later = Roots(tmp_path)
    assert root_of(later.prepared(STEPS)).exists()
    assert not left.parent.exists()
    assert root_of(ours.prepared(STEPS)).exists()


def test_no_secret_of_the_machine_is_copied():
    """Otherwise programs would see passwords or keys that lie beside what they need."""
    copied = {step[-1] for step in system_steps(network=True) if "--file" in step}
    names = ("ld.so.cache", "localtime", "nsswitch.conf", "ssl/openssl.cnf", "hosts", "resolv.conf")
    assert copied <= {f"/etc/{name}" for name in names}
    assert all(Path(path).stat().st_mode & stat.S_IROTH for path in copied)


def test_what_changed_is_copied_again(tmp_path):
    """Otherwise a long-running worker would show programs settings that hold no more."""
    path = tmp_path / "hosts"
    path.write_text("before")
    path.chmod(0o644)
    assert [*copies([str(path)])] == [(*COPY, b"before", str(path))]
    path.write_text("behind")
    assert [*copies([str(path)])] == [(*COPY, b"behind", str(path))]
    other = tmp_path / "other"
    other.write_text("other!")
    other.chmod(0o644)
    other.replace(path)
    assert [*copies([str(path)])] == [(*COPY, b"other!", str(path))]


def test_what_not_everybody_may_read_is_not_copied(tmp_path):
    """Otherwise a worker that is root would show its programs what was kept from them."""
    path = tmp_path / "resolv.conf"
    path.write_text("private")
    path.chmod(0o640)
    assert [*copies([str(path), str(tmp_path / "missing")])] == []
