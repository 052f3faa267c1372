"""What an agent left decides neither how long the worker's loop stands still nor how much memory it takes."""

import os
import threading
from time import thread_time

import pytest
from repository_support import changed, land, pool, repo

from shiftwork.errors import SnapshotRefused
from shiftwork.repository import SnapshotLimits, TreeEntry, ignore, modules
from shiftwork.repository.collisions import note_collisions
from shiftwork.repository.deadline import Deadline
from shiftwork.repository.editing import Folders, edit_tree
from shiftwork.repository.ignore import IgnoreFile, chain_verdict
from shiftwork.repository.objects import blob_id
from shiftwork.repository.statcache import RECORDS, StatCache, save
from shiftwork.repository.threads import PIECE, in_order, in_pieces

__all__ = ["pool", "repo"]

OVER = Deadline.after(-1)
ENTRY = TreeEntry("100644", blob_id(b"1"))


@pytest.fixture
async def prepared(repo, pool):
    """A workspace of a commit, and that commit."""
    base = await land(repo, {"a": "1", "d/b": "2"}, 1)
    workspace = await pool.acquire("s1-a1")
    await workspace.prepare(repo, base, with_git=False)
    return workspace, base


class Turns:
    """A tick that remembers in which threads it was called."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self) -> None:
        self.threads.append(threading.get_ident())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("#" * (modules.MAX_BYTES + 1), "is 65,537 bytes, more than 65,536"),
        (f'[submodule "{"n" * 900}"]\n' + "a\n" * 30_000, "says more than 1,048,576 bytes"),
        (
            '[submodule "x"]\n path = -u\n',
            r"names a path that git could take for a command or a place outside \(x: -u\);",
        ),
    ],
)
async def test_gitmodules_that_harm_are_refused(repo, prepared, content, why):
    """A megabyte of one-letter settings would take gigabytes; or nobody would know what to correct."""
    workspace, base = prepared
    (workspace.path / ".gitmodules").write_text(content)
    with pytest.raises(SnapshotRefused, match=why) as caught:
        await repo.snapshot(workspace, base, "s1-a1")
    assert caught.value.paths == (".gitmodules",)


async def test_git_is_asked_once_for_equal_gitmodules_and_not_for_very_many(repo, prepared):
    """Fifty thousand small files would start as many processes, one after the other."""
    workspace, base = prepared
    for number in range(modules.MAX_FILES + 1):
        (workspace.path / f"{number}").mkdir()
        (workspace.path / f"{number}/.gitmodules").write_text("[a]\n")
    assert (await repo.snapshot(workspace, base, "same")).changed == modules.MAX_FILES + 1
    for number in range(modules.MAX_FILES + 1):
        (workspace.path / f"{number}/.gitmodules").write_text(f"[a{number}]\n")
    with pytest.raises(SnapshotRefused, match="one of more than 100 different"):
        await repo.snapshot(workspace, base, "different")


def folders(number: int) -> dict[str, TreeEntry]:
    """A tree of so many folders with a file each, as `list_tree` gives it with folders."""
    tree = TreeEntry("040000", "1" * 40, "tree")
    listing = {"deps": tree}
    for name in (f"deps/p{n}" for n in range(number)):
        listing |= {name: tree, f"{name}/index.js": ENTRY}
    return listing


def test_removing_folders_costs_what_adding_them_does():
    """Deleting dependencies that were tracked would take longer than an attempt's lease."""
    listing = folders(4_000)
    files = [path for path, entry in listing.items() if entry.kind == "blob"]
    full, empty = Folders(listing), Folders({})
    start = thread_time()
    for path in files:
        empty.put(path, ENTRY)
    added = thread_time()
    for path in files:
        full.remove(path)
    removed = thread_time()
    assert [entries for _, entries in full.rewritten()] == [{}]
    assert removed - added < 10 * (added - start)


def test_a_file_takes_a_folders_place_and_a_folder_a_files():
    """A tree would keep what lies below a file, or a file where a folder is."""
    tree = Folders(folders(3) | {"deps/p0/in": TreeEntry("040000", "1" * 40, "tree"), "deps/p0/in/x": ENTRY})
    tree.put("deps/p0", ENTRY)
    tree.put("deps/p0/in/y", ENTRY)
    tree.put("deps/p1", ENTRY)
    tree.remove("deps/p2/index.js")
    names = [sorted(entries) for _, entries in tree.rewritten()]
    assert names == [["y"], ["in"], ["p0", "p1"], ["deps"]]


async def test_trees_are_made_beside_the_loop_and_in_time(repo, prepared):
    """A tree of long paths would stop the worker's heartbeats, and go on when the time is over."""
    _, base = prepared
    changes = {"a": None, "n/e/w": ENTRY}
    turns = Turns()
    await edit_tree(repo.git, base, changes, turns)
    assert len(turns.threads) >= len(changes)
    assert threading.get_ident() not in turns.threads
    with pytest.raises(SnapshotRefused, match="takes more than -1 seconds"):
        await edit_tree(repo.git, base, changes, OVER.tick)


def test_looking_for_collisions_ends_in_time():
    """Very long names would be compared for minutes after the walk's time is over."""
    with pytest.raises(SnapshotRefused, match="takes more than"):
        note_collisions({}, {"a": ENTRY}, lambda path, what: None, OVER.tick)


async def test_paths_are_bounded_in_all(repo, prepared):
    """Some thousand files with long paths would take gigabytes."""
    workspace, base = prepared
    for number in range(5):
        (workspace.path / "long" / f"{number}{'é' * 100}").mkdir(parents=True)
    limits = SnapshotLimits(path_bytes=1000)
    with pytest.raises(SnapshotRefused, match="paths of all files and folders to more than 1,000 bytes"):
        await repo.snapshot(workspace, base, "s1-a1", limits=limits)
    (workspace.path / "long" / f"0{'é' * 100}").rmdir()
    assert (await repo.snapshot(workspace, base, "s1-a1", limits=limits)).changed == 0


async def test_ignore_files_are_bounded_in_all(repo, prepared):
    """Rules take many times their room: a thousand files would take gigabytes."""
    workspace, base = prepared
    number = ignore.MAX_TOTAL // ignore.MAX_BYTES
    for name in range(number + 1):
        folder = workspace.path / f"n{name:02}"
        folder.mkdir()
        line = f"#{name:02}".ljust(ignore.MAX_BYTES - 3, "-")
        (folder / ".gitignore").write_text(f"{line}\nx\n"[: ignore.MAX_BYTES])
        (folder / "x").write_text("1")
    taken = await repo.snapshot(workspace, base, "s1-a1")
    assert [note for note in taken.notes if "comes after 4,194,304 bytes" in note] == list(taken.notes)
    assert [path for path in await changed(repo, taken) if path.endswith("/x")] == [f"n{number:02}/x"]


def test_the_clock_is_looked_at_for_each_ignore_file():
    """A hundred nested files of five thousand rules would be matched whatever the time is."""
    turns = Turns()
    chain = [(0, IgnoreFile.parse(b"y\n"))] * 7
    assert chain_verdict(chain, ("x",), folder=False, tick=turns) is None
    assert len(turns.threads) == 7


async def test_a_guard_works_beside_the_loop(repo, prepared):
    """Looking for secrets in what the base held would stop the worker's heartbeats."""
    workspace, base = prepared

    class Guard:
        suspects = ("a", "d/b", "new")

        def __init__(self) -> None:
            self.turns = Turns()
            self.excused: dict[str, bytes] = {}

        def look(self, path, data, tick):
            self.turns()
            tick()

        def excuse(self, path, before, tick):
            self.turns()
            tick()
            self.excused[path] = before

        def refuse(self):
            self.turns()

    for name in Guard.suspects:
        (workspace.path / name).write_text("changed")
    guard = Guard()
    await repo.snapshot(workspace, base, "s1-a1", guard=guard)
    assert guard.excused == {"a": b"1", "d/b": b"2"}
    assert len(guard.turns.threads) == 6
    assert threading.get_ident() not in guard.turns.threads


def test_records_of_very_many_files_and_of_any_name_are_kept(tmp_path):
    """Every file would be read again, or names that are no UTF-8 would take six times their room."""
    known = {f"{n}": (n, 1, 2, 3, 4, "f" * 40) for n in range(2 * RECORDS + 1)}
    strange = os.fsdecode(b"\xff" * 10_000) + '\n\r\x85\u2028"\\'
    known[strange] = (1, 1, 1, 1, 1, "0" * 40)
    save(tmp_path / "some", {strange: known[strange]})
    assert (tmp_path / "some").stat().st_size < 11_000
    save(tmp_path / "all", known)
    assert StatCache.load(tmp_path / "all").known == known


def test_very_many_things_are_sorted_in_pieces():
    """Sorting a million names in one call would keep the loop from running."""
    things = [n * 7919 % 50_021 for n in range(2 * PIECE + 3)]
    assert in_order(things, key=int) == sorted(things)
    assert in_order([], key=int) == []
    assert [len(some) for some in in_pieces(things, PIECE)] == [PIECE, PIECE, 3]


async def test_a_huge_file_in_place_of_a_small_one_is_not_read(repo, prepared):
    """A sparse terabyte that an agent left would be read into memory by the next preparation."""
    workspace, base = prepared
    with (workspace.path / "a").open("wb") as file:
        file.truncate(1 << 40)
    await workspace.prepare(repo, base, with_git=False)
    assert (workspace.path / "a").read_text() == "1"
