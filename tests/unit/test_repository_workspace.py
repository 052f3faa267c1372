"""Workspaces: written byte for byte, reused cheaply, claimed by name, whatever an agent left in them."""

import os
import shutil
import socket
import stat
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository_support import changed, git, land, open_folder, pool, repo, run_as_nobody

from shiftwork.errors import Conflict, NotFound, RepositoryError
from shiftwork.repository import TreeEntry
from shiftwork.repository.editing import edit_tree
from shiftwork.repository.git import EMPTY_TREE
from shiftwork.repository.objects import FIXED_DATE, BlobSpool, commit_tree

__all__ = ["open_folder", "pool", "repo"]


async def write_commit(repo, files: dict[str, tuple[str, bytes]]) -> str:
    """A commit of exactly these paths, each with a mode and a content."""
    spool = BlobSpool(repo.git)
    entries = {path: TreeEntry(mode, spool.add(data)) for path, (mode, data) in files.items()}
    await spool.write()
    base = await repo.tip()
    tree = await edit_tree(repo.git, EMPTY_TREE, entries)
    return await commit_tree(repo.git, tree, [base], "c", FIXED_DATE)


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file below a folder, its `.git` left out."""
    found = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not (name == ".git" and Path(root) == folder)]
        for name in [*files, *(name for name in folders if (Path(root) / name).is_symlink())]:
            path = Path(root) / name
            mode = path.lstat().st_mode
            data = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes()
            found[str(path.relative_to(folder))] = (mode, data)
    return found


FILES = {
    "plain": ("100644", b"text\r\n"),
    "run.sh": ("100755", b"#!/bin/sh\n"),
    "link": ("120000", b"/etc/passwd"),
    "deep/er/file": ("100644", b"\0\xff"),
    "filtered.txt": ("100644", b"a\nb\n$Id$\n"),
    ".gitattributes": ("100644", b"*.txt text eol=crlf ident filter=evil\n"),
    os.fsdecode(b"caf\xe9"): ("100644", b"latin"),
    "new\nline\t'\"": ("100644", b"odd"),
    "empty": ("100644", b""),
}


async def test_a_workspace_holds_exactly_the_commit(repo, pool):
    """Filters, line endings or modes would make a checkout differ from what was committed."""
    commit = await write_commit(repo, FILES)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=False)
    kinds = {"100644": stat.S_IFREG | 0o644, "100755": stat.S_IFREG | 0o755, "120000": stat.S_IFLNK | 0o777}
    assert listing(workspace.path) == {path: (kinds[mode], data) for path, (mode, data) in FILES.items()}
    assert not (workspace.path / ".git").exists()


async def test_an_agent_finds_a_clean_repository_it_can_use(repo, pool):
    """An agent would see changes it did not make, or could not look back or commit."""
    for session in range(1, 4):
        await land(repo, {f"f{session}": "x"}, session)
    commit = await write_commit(repo, FILES)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=True)
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "log", "--format=%s").splitlines()[1] == "Add feature 3"
    (workspace.path / "plain").write_text("changed")
    assert "+changed" in git(workspace.path, "diff")
    git(workspace.path, "commit", "-qam", "mine")
    assert git(workspace.path, "status", "--porcelain") == ""
    git(workspace.path, "fsck", "--strict")


async def test_a_long_history_is_cut_off(repo, pool):
    """A workspace's `.git` would grow with the project, or be broken where it is cut."""
    parent = await repo.tip()
    for session in range(1, 61):
        parent = await commit_tree(repo.git, await repo.tree_of(parent), [parent], f"c{session}", FIXED_DATE)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, parent, with_git=True)
    assert len(git(workspace.path, "log", "--format=%s").splitlines()) == 50
    git(workspace.path, "fsck", "--strict")


async def test_nothing_of_a_workspace_shares_an_inode_with_the_repository(repo, pool):
    """An agent that writes into its `.git` would corrupt the harness's repository or the next workspace."""
    commit = await land(repo, {f"f{n}": str(n) for n in range(150)}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=True)
    files = [path for path in workspace.path.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_nlink == 1 for path in files)
    ours = {path.stat().st_ino for path in repo.path.rglob("*")}
    assert not ours & {path.stat().st_ino for path in files}
    assert not (workspace.path / ".git/objects/info/alternates").exists()


async def test_a_used_workspace_becomes_the_next_commit(repo, pool):
    """What one attempt left would reach the next."""
    first = await land(repo, {"a": "1", "d/b": "2", "gone": "3", "was_file": "f"}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, first, with_git=True)
    (workspace.path / "a").write_text("agent")
    (workspace.path / "d/b").unlink()
    (workspace.path / "new/deep").mkdir(parents=True)
    (workspace.path / "new/deep/file").touch()
    (workspace.path / ".git/hooks").mkdir()
    await workspace.release()
    commit = await write_commit(
        repo, {"a": ("100644", b"1"), "d": ("100755", b"now a file"), "was_file/x": ("100644", b"")}
    )
    again = await pool.acquire("s2-a1")
    await again.prepare(repo, commit, with_git=True)
    assert {path: data for path, (_, data) in listing(again.path).items()} == {
        "a": b"1",
        "d": b"now a file",
        "was_file/x": b"",
    }
    assert not (again.path / "new").exists()
    assert not (again.path / ".git/hooks").exists()
    assert git(again.path, "status", "--porcelain") == ""


async def test_hostile_leftovers_are_removed(repo, pool, tmp_path):
    """A pipe, a socket, a link out or a closed folder would hang or break every later attempt."""
    commit = await land(repo, {"a": "1", "d/b": "2"}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    root = workspace.path
    (root / "a").unlink()
    os.mkfifo(root / "a")
    (root / "d/b").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)
    shutil.rmtree(root / ".git")
    (root / ".git").symlink_to(outside)
    (root / "closed/inner").mkdir(parents=True)
    (root / "closed/inner/x").touch()
    (root / "closed/inner").chmod(0)
    (root / "closed").chmod(0o500)
    os.mkfifo(root / "closed2")
    here = os.open(root, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("n", dir_fd=here)
            below = os.open("n", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    with socket.socket(socket.AF_UNIX) as listener:
        with chdir(root):  # a socket's path is limited to 107 bytes
            listener.bind("sock")
        await workspace.prepare(repo, commit, with_git=True)
    assert sorted(path.name for path in root.iterdir()) == [".git", "a", "d"]
    assert (root / "d/b").read_text() == "2"
    assert (outside / "precious").read_text() == "kept"
    assert [path.name for path in outside.iterdir()] == ["precious"]


async def test_a_hard_link_out_is_never_written_through(repo, pool, tmp_path):
    """Preparing a workspace would overwrite a file elsewhere that an agent linked into it."""
    first = await land(repo, {"a": "1", "same": "s"}, 1)
    second = await land(repo, {"a": "2"}, 2)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, first, with_git=False)
    (workspace.path.parent.parent / "outside").write_text("precious")
    (workspace.path / "a").unlink()
    os.link(workspace.path.parent.parent / "outside", workspace.path / "a")
    os.link(workspace.path / "same", tmp_path / "second name")
    await workspace.prepare(repo, second, with_git=False)
    assert (workspace.path.parent.parent / "outside").read_text() == "precious"
    (tmp_path / "second name").write_text("changed later")
    assert (workspace.path / "same").read_text() == "s"


async def test_a_change_that_keeps_size_and_time_is_seen(repo, pool):
    """An edit with its old time put back would survive into the next attempt."""
    commit = await land(repo, {"a": "1", "b": "1"}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, commit, with_git=False)
    for name in ("a", "b"):
        path = workspace.path / name
        times = path.stat()
        path.write_text("2")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    taken = await repo.snapshot(workspace, commit, "s1-a1")
    assert await changed(repo, taken) == ("a", "b")
    await workspace.prepare(repo, commit, with_git=False)
    assert (workspace.path / "a").read_text() == "1"


async def test_claims_survive_their_worker(repo, pool):
    """A killed worker's workspace would be lost, or handed to somebody else."""
    first = await pool.acquire("s1-a1")
    with pytest.raises(Conflict, match="in use"):
        await pool.acquire("s1-a1")
    second = await pool.acquire("s2-a1")
    assert pool.leftovers() == ("s1-a1", "s2-a1")
    assert pool.reclaim("s1-a1").path == first.path
    with pytest.raises(NotFound):
        pool.reclaim("s9-a9")
    await second.release()
    await first.discard()
    await first.discard()
    assert pool.leftovers() == ()
    await pool.purge()
    assert [path for path in pool.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../x", ".free", "", "a/b"])
async def test_a_name_stays_in_the_pool(pool, name):
    """A name could claim a folder elsewhere."""
    with pytest.raises(RepositoryError):
        await pool.acquire(name)


async def test_a_missing_commit_is_an_error(repo, pool):
    """An attempt would start in an empty folder."""
    workspace = await pool.acquire("s1-a1")
    with pytest.raises(RepositoryError):
        await workspace.prepare(repo, "1" * 40, with_git=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_can_clear_closed_folders(open_folder):
    """A folder without permissions would stop a harness that is not root."""
    imports = """
import sys
from pathlib import Path
from shiftwork.repository.files import empty, open_folder
"""
    script = """
root = Path(sys.argv[1])
(root / "files/a/b").mkdir(parents=True)
(root / "files/a/b/f").touch()
(root / "files/a/b/f").chmod(0)
(root / "files/a/b").chmod(0)
(root / "files/a").chmod(0o100)
(root / "trash").mkdir()
with open_folder(root / "trash") as trash, open_folder(root / "files") as files:
    empty(files, trash)
print(os.listdir(root / "files"), os.listdir(root / "trash"))
"""
    assert run_as_nobody(imports, script, open_folder) == "[] []\n"


NAMES = st.sampled_from(["a", "b", "a.b", "a-b", "é", ".x", "A", "c d", ".gitignore", "lib"])
LEAF = st.one_of(
    st.tuples(st.sampled_from(["100644", "100755"]), st.binary(max_size=20)),
    st.tuples(st.just("120000"), st.sampled_from([b"a", b"../..", b"/x"])),
)
TREES = st.recursive(
    st.dictionaries(NAMES, LEAF, max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(LEAF, inner), max_size=4),
    max_leaves=12,
)


def flat(tree: dict, prefix: str = "") -> dict[str, tuple[str, bytes]]:
    """Paths of a nested dictionary."""
    found = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: value}
    return found


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(trees=st.lists(TREES, min_size=1, max_size=2))
async def test_what_is_prepared_is_what_is_taken(repo, pool, trees):
    """A session that changed nothing would change something."""
    for tree in trees:
        commit = await write_commit(repo, flat(tree))
        name = f"s{len(pool.leftovers())}"
        workspace = await pool.acquire(name)
        await workspace.prepare(repo, commit, with_git=True)
        assert git(workspace.path, "status", "--porcelain") == ""
        taken = await repo.snapshot(workspace, commit, name)
        assert taken.tree == await repo.tree_of(commit)
        assert taken.changed == 0
        await workspace.release()
