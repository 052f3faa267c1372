"""What a confined program writes in all its folders together is bounded."""

import ctypes
import errno
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from shiftwork.runner.disk import pause_after
from shiftwork.runner.limits import Limits
from shiftwork.runner.measure import size_of
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.verification.shell import Shell
from tests.unit.process_support import keep_threads_busy

FILL = "for n in 1 2 3 4; do head -c 3000000 /dev/zero > $n; done; sleep 250"


async def test_folders_that_grow_too_much_end_the_program(tmp_path):
    """Otherwise an agent could fill the disk with files that are each small enough."""
    folders = {"cwd": tmp_path / "work", "scratch": tmp_path / "run" / "scratch"}
    folders["cwd"].mkdir()
    (folders["cwd"] / "before").write_bytes(os.urandom(9_000_000))  # was there, so it does not count
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=10))
    result = await shell.run(FILL, timeout=250, **folders)
    assert "disk_mb of 10 " in (result.breach or ""), result
    assert result.duration < 150
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=20))
    result = await shell.run(FILL.removesuffix("sleep 250"), timeout=100, **folders)
    assert (result.exit_status, result.breach) == (0, None)


async def test_what_is_written_at_once_counts(tmp_path):
    """Otherwise a program that writes before anybody has looked could fill the disk."""
    folders = {"cwd": tmp_path / "work", "scratch": tmp_path / "run" / "scratch"}
    folders["cwd"].mkdir()
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=10))
    keep_threads_busy(2)
    result = await shell.run(FILL, timeout=100, **folders)
    assert "disk_mb of 10 " in (result.breach or ""), result


@pytest.mark.parametrize(
    ("took", "worked", "pause"), [(0.01, 0.01, 2.0), (1.0, 1.0, 20.0), (5.0, 0.01, 15.0), (60.0, 0.2, 180.0)]
)
def test_a_busy_disk_puts_off_no_look_for_long(took, worked, pause):
    """Otherwise what fills a disk would be left alone for the longer, the more it keeps the disk busy."""
    assert pause_after(took, worked) == pause


HIDE = "exec 3>hidden; rm hidden; head -c 12000000 /dev/zero >&3; sleep 60"
MB = 1_000_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@linux
async def test_deleted_files_count_while_they_are_open(tmp_path):
    """Otherwise an agent could fill the disk with a file that no folder shows."""
    folders = {"cwd": tmp_path / "work", "scratch": tmp_path / "run" / "scratch"}
    folders["cwd"].mkdir()
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=10))
    result = await shell.run(HIDE, timeout=250, **folders)
    assert "disk_mb of 10 " in (result.breach or ""), result


def hide(folder: Path, size: int = 5 * MB) -> int:
    """Descriptor of a file in this folder that has no name any more."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(bytes(size))
        file.flush()
        return os.dup(file.fileno())


@linux
def test_a_deleted_file_counts_once(tmp_path):
    """Otherwise a program that has one open in ten processes would be ended for ten."""
    fd = hide(tmp_path)
    other = os.dup(fd)
    memory = os.memfd_create("shiftwork")
    os.write(memory, bytes(5 * MB))
    try:
        assert size_of([tmp_path]).bytes < MB
        assert 5 * MB <= size_of([tmp_path], [os.getpid(), os.getpid()]).bytes < 6 * MB
    finally:
        for one in (fd, other, memory):
            os.close(one)
    assert size_of([tmp_path], [os.getpid(), 1 << 30]).bytes < MB


def sees_mappings() -> bool:
    """Whether we are a user who may look at what is mapped."""
    folder = Path("/proc/self/map_files")
    try:
        return all(one.stat() for one in folder.iterdir())
    except OSError:
        return False


@pytest.mark.skipif(not sees_mappings(), reason="what is mapped may not be looked at")
def test_a_deleted_file_counts_while_it_is_mapped(tmp_path):
    """Otherwise a program could hide a file by closing it."""
    libc = ctypes.CDLL(None)  # Python's own keeps a descriptor
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    fd = hide(tmp_path)
    address = libc.mmap(None, 5 * MB, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    try:
        assert size_of([tmp_path], [os.getpid()]).bytes >= 5 * MB
    finally:
        assert libc.munmap(address, 5 * MB) == 0
    assert size_of([tmp_path], [os.getpid()]).bytes < MB


OWN_TABLE = """\
import ctypes, sys, tempfile, threading
def hide():
    assert ctypes.CDLL(None).unshare(0x400) == 0
    with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
        file.write(bytes(5_000_000))
        file.flush()
        print("hidden", flush=True)
        sys.stdin.read()
threading.Thread(target=hide).start()
"""


@linux
def test_threads_with_descriptors_of_their_own_count(tmp_path):
    """Otherwise a thread that shares none with the others could hide what it holds."""
    hidden = (sys.executable, "-c", OWN_TABLE, str(tmp_path))
    with subprocess.Popen(hidden, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"hidden\n"
        assert size_of([tmp_path], [process.pid]).bytes >= 5 * MB
        assert size_of([tmp_path]).bytes < MB


def test_a_size_counts_names_and_follows_no_link(tmp_path):
    """Otherwise millions of empty files would be free, and a link to / would be measured for ever."""
    (tmp_path / "up").symlink_to("/")
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert 51 * 4096 <= size_of([tmp_path, tmp_path / "none"]).bytes < MB


@pytest.fixture
def deep(tmp_path):
    """Folders in folders, with a file below that no path reaches, and one beside each of them."""
    root = tmp_path / "deep"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("beside", dir_fd=fd)
        os.mkdir("in", dir_fd=fd)
        below = os.open("in", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(file, bytes(5 * MB))
    os.close(file)
    os.close(fd)
    yield root
    assert os.spawnlp(os.P_WAIT, "rm", "rm", "-rf", str(root)) == 0


MEASURE = """\
import pathlib, sys
from shiftwork.runner.measure import size_of
print(size_of([pathlib.Path(sys.argv[1])]))
"""


def test_what_lies_deeper_than_paths_reach_counts(deep):
    """Otherwise a file below thousands of folders would be free, or looking at it take all descriptors."""
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        deep.joinpath(*["in"] * 2500, "file").stat()
    limited = ("sh", "-c", 'ulimit -n 90; exec "$@"', "sh", sys.executable, "-c", MEASURE, str(deep))
    done = subprocess.run(limited, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.startswith("Size("), done
    assert done.stdout == f"{size_of([deep])}\n"
    assert size_of([deep]).bytes >= 5 * MB + 5001 * 4096
    assert size_of([deep]).whole


def test_folders_that_move_while_they_are_measured_are_told(deep):
    """Otherwise an agent could move what lies deep from where it will be looked at to where it was."""
    over = threading.Event()

    def move() -> None:
        at = os.open("/".join((str(deep), *["in"] * 100)), os.O_RDONLY)
        while not over.is_set():
            for one, other in (("in", "beside/in"), ("beside/in", "in")):
                os.rename(one, other, src_dir_fd=at, dst_dir_fd=at)
        os.close(at)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        deadline = time.monotonic() + 100
        while size_of([deep]).whole:
            assert time.monotonic() < deadline
    finally:
        over.set()
        mover.join()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400, 0o100])
def test_what_a_program_closes_to_itself_counts(tmp_path, mode):
    """Otherwise a file in a folder that its owner may not read would be free."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(bytes(5 * MB))
    closed.chmod(mode)
    assert size_of([tmp_path]).bytes >= 5 * MB
    assert size_of([closed]).bytes >= 5 * MB
    assert closed.stat().st_mode & 0o777 == mode
    closed.chmod(0o700)
