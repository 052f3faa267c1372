"""A process that still works in the folder while it is read, and what remains in it when it is cleared."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shiftwork.errors import SnapshotRefused
from shiftwork.repository import SnapshotLimits
from shiftwork.repository.files import BATCH, read_regular, remove_tree
from tests.attacks.planted import SECRET
from tests.attacks.support import Stopwatch, naive
from tests.unit.repository_support import changed, run_as_nobody


@contextmanager
def meanwhile(work):
    """Do something again and again in another thread."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_folder_that_becomes_a_link_is_never_followed(ground, tmp_path):
    """An agent could swap a folder for a link between the look at it and its reading, and commit a secret."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("b", "secret"):
        (outside / name).write_bytes(SECRET)
    workspace = await ground.workspace()
    folder, kept, link = (workspace.path / name for name in ("d", "kept", "link"))
    link.symlink_to(outside)

    def swap() -> None:
        folder.rename(kept)
        link.rename(folder)
        folder.rename(link)
        kept.rename(folder)

    def falls_for_it() -> bool:
        with suppress(OSError):
            return not (workspace.path / "d").is_symlink() and (workspace.path / "d/b").read_bytes() == SECRET
        return False

    with meanwhile(swap):
        watch = Stopwatch()
        while not falls_for_it():
            assert watch.seconds < 60, "the attack does not work: it shows nothing"
        watch = Stopwatch()
        while watch.seconds < 1.5:
            with suppress(SnapshotRefused):
                taken = await ground.take(workspace)
                assert SECRET not in [data for _, data in (await ground.content(taken.commit)).values()]
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    await workspace.release()


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    """A commit could hold a mixture that was never on the disk."""
    path = tmp_path / "x"
    path.write_bytes(b"0" * 16_000_000)
    folder = os.open(tmp_path, os.O_RDONLY)
    numbers = iter(range(1_000_000))

    def write() -> None:
        with path.open("r+b") as file:
            file.write(b"%d" % (next(numbers) % 10) * 16_000_000)

    mixed = False
    with meanwhile(write):
        watch = Stopwatch()
        while not mixed:
            mixed = len(set(path.read_bytes())) > 1
            assert watch.seconds < 60, "the attack does not work: it shows nothing"
        while read_regular("x", folder, 1 << 30) is not None:
            assert watch.seconds < 60
    assert read_regular("x", folder, 1 << 30) == path.read_bytes()
    os.close(folder)


async def test_an_edit_at_once_is_seen(ground):
    """A file changed within a tick of the clock, at its old size, would be taken for the old one."""
    workspace = await ground.workspace()
    for number in range(5):
        (workspace.path / "a").write_text(f"{number}\n")
        taken = await ground.take(workspace)
        assert (await ground.content(taken.commit))["a"][1] == f"{number}\n".encode()
    await workspace.release()


async def test_folders_of_many_names_cost_bounded_memory(ground):
    """A folder with millions of names would be listed before it is refused, and fill the worker's memory."""
    workspace = await ground.workspace()
    (workspace.path / "many").mkdir()
    here = os.open(workspace.path / "many", os.O_RDONLY)
    for number in range(BATCH + 100):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    with pytest.raises(SnapshotRefused, match="more than 100 files and folders"):
        await ground.take(workspace, limits=SnapshotLimits(visited=100))
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    assert naive(workspace.path, "git status --porcelain; ls") == "a\nd\n"
    await workspace.release()


@pytest.fixture
def deep(tmp_path) -> Iterator[Path]:
    """A folder that no recursion reaches the end of."""
    folder = tmp_path / "home"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("n", dir_fd=here)
        below = os.open("n", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    yield folder
    assert os.spawnlp(os.P_WAIT, "rm", "rm", "-rf", str(folder)) == 0


def test_what_an_agent_leaves_elsewhere_can_be_removed(deep, tmp_path):
    """An agent's home or outbox, nested deeply enough, would fail every later attempt of its session."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    home = deep
    with suppress(RecursionError):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()  # newer versions of Python manage
    (home / "link").symlink_to(outside)
    (home / "closed").mkdir(0)
    os.mkfifo(home / "pipe")
    remove_tree(home)
    remove_tree(home)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "precious").exists()


def forbid_changes(*paths: Path) -> bool:
    """Whether the file system lets root forbid all changes to these."""
    return subprocess.run(["chattr", "+i", *paths], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can forbid itself to remove a file")
async def test_files_that_may_not_change_can_be_removed(ground):
    """A file with `chattr +i` would keep its folder from ever being used again, or discarded."""
    workspace = await ground.workspace()
    locked = [workspace.path / name for name in ("locked", "d/locked", "d")]
    for path in locked[:2]:
        path.write_text("x")
    if not forbid_changes(*locked):
        pytest.skip("this file system has no such attributes")
    with pytest.raises(PermissionError):
        locked[0].unlink()
    taken = await ground.take(workspace)
    assert await changed(ground.repo, taken) == ("d/locked", "locked")
    await workspace.prepare(ground.repo, ground.base, with_git=True)
    assert sorted(path.name for path in workspace.path.rglob("*locked*")) == []
    assert forbid_changes(workspace.path / "a", workspace.path / "d")
    await workspace.discard()
    assert not workspace.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_reads_what_was_closed():
    """Files without permissions would keep a harness that is not root from taking the work."""
    imports = """
import tempfile
from pathlib import Path
from shiftwork.repository.files import open_folder, read_regular
from shiftwork.repository.files import remove_tree
"""
    script = """
root = Path(tempfile.mkdtemp())
(root / "d").mkdir()
(root / "d/f").write_text("x")
(root / "d/f").chmod(0)
(root / "d").chmod(0)
try:
    (root / "d/f").read_text()
except PermissionError:
    print("closed")
with open_folder(root) as top, open_folder("d", top) as inner:
    print(read_regular("f", inner, 10))
(root / "d").chmod(0)
remove_tree(root)
print(root.exists())
"""
    assert run_as_nobody(imports, script) == "closed\nb'x'\nFalse\n"
