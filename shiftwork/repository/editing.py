"""Making a tree out of another one and what changed."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import IO

from shiftwork.errors import RepositoryError
from shiftwork.repository.deadline import Tick, untimed
from shiftwork.repository.git import Git
from shiftwork.repository.objects import TreeEntry, list_tree, object_id
from shiftwork.repository.threads import forget, in_thread

_EMPTY_FOLDER = "0" * 40  # replaced by the real id before anything is written
_Folder = dict[str, TreeEntry]


async def edit_tree(
    git: Git, treeish: str, changes: Mapping[str, TreeEntry | None], tick: Tick = untimed
) -> str:
    """The id of a tree like `treeish` with these paths set (or removed: None); only new folders are written.

    A path takes the place of whatever stands in its way: a folder of that name, or a file as its parent. It
    takes time in proportion to both trees, whatever changes, and ticks for each change and folder.
    """
    listing = await list_tree(git, treeish, folders=True)
    with tempfile.TemporaryFile(dir=git.where) as request, tempfile.TemporaryFile(dir=git.where) as answer:
        trees = await in_thread(lambda: _write_request(listing, changes, request, tick))
        if not trees:
            return await git.text("rev-parse", "--verify", "--end-of-options", f"{treeish}^{{tree}}")
        await git.run("mktree", "-z", "--batch", stdin=request, stdout=answer)
        if not await in_thread(lambda: _agrees(answer, trees)):
            raise RepositoryError(f"git mktree wrote other trees than asked for in {str(git.where)!r}.")
    return trees[-1]


def _write_request(
    listing: dict[str, TreeEntry],
    changes: Mapping[str, TreeEntry | None],
    request: IO[bytes],
    tick: Tick,
) -> list[str]:
    """Write what mktree shall make; returns the ids that must come of it, the root's last."""
    folders = Folders(listing)
    for path, entry in changes.items():
        tick()
        if entry is None:
            folders.remove(path)
    for path, entry in changes.items():
        tick()
        if entry is not None:
            folders.put(path, entry)
    trees = []
    for oid, entries in folders.rewritten():
        tick()
        trees.append(oid)
        request.writelines(_mktree_lines(entries))
    request.seek(0)
    forget(listing)
    return trees


def _agrees(answer: IO[bytes], trees: list[str]) -> bool:
    answer.seek(0)
    return [line.decode().strip() for line in answer] == trees


class Folders:
    """A tree as folders of names, of which the touched ones get new ids."""

    def __init__(self, listing: Mapping[str, TreeEntry]) -> None:
        self._folders: dict[str, _Folder] = {"": {}}
        self._touched: set[str] = set()
        for path, entry in listing.items():
            parent, _, name = path.rpartition("/")
            self._folders[parent][name] = entry
            if entry.kind == "tree":
                self._folders[path] = {}

    def remove(self, path: str) -> None:
        """Take a path out, and the folders that nothing is left in."""
        parent, _, name = path.rpartition("/")
        if self._folders.get(parent, {}).pop(name, None) is None:
            return
        self._drop(path)
        self._touch(parent)
        while parent and not self._folders[parent]:
            self._drop(parent)
            parent, _, name = parent.rpartition("/")
            del self._folders[parent][name]

    def put(self, path: str, entry: TreeEntry) -> None:
        """Set a path."""
        parent, _, name = path.rpartition("/")
        self._make(parent)
        self._drop(path)
        self._folders[parent][name] = entry
        self._touch(parent)

    def rewritten(self) -> Iterator[tuple[str, _Folder]]:
        """Id and entries of each touched folder, children before parents."""
        by_depth: dict[int, list[str]] = defaultdict(list)
        for folder in self._touched:
            by_depth[_depth(folder)].append(folder)
        for depth in sorted(by_depth, reverse=True):
            for folder in by_depth[depth]:
                entries = self._folders[folder]
                oid = object_id("tree", _tree_content(entries))
                if folder:
                    parent, _, name = folder.rpartition("/")
                    self._folders[parent][name] = TreeEntry("040000", oid, "tree")
                yield oid, entries

    def _touch(self, folder: str) -> None:
        while folder not in self._touched:
            self._touched.add(folder)
            if not folder:
                return
            folder = folder.rpartition("/")[0]

    def _make(self, folder: str) -> None:
        missing = []
        while folder not in self._folders:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for made in reversed(missing):
            parent, _, name = made.rpartition("/")
            self._folders[parent][name] = TreeEntry("040000", _EMPTY_FOLDER, "tree")
            self._folders[made] = {}

    def _drop(self, path: str) -> None:
        """Forget a folder and those in it; looks at nothing else."""
        waiting = [path] if path in self._folders else []
        while waiting:
            folder = waiting.pop()
            entries = self._folders.pop(folder)
            self._touched.discard(folder)
            waiting += [f"{folder}/{name}" for name, entry in entries.items() if entry.kind == "tree"]


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _tree_content(entries: Mapping[str, TreeEntry]) -> bytes:
    def order(name: str) -> bytes:
        return os.fsencode(name) + (b"/" if entries[name].kind == "tree" else b"")

    return b"".join(
        b"%s %s\0%s" % (entry.mode.lstrip("0").encode(), os.fsencode(name), bytes.fromhex(entry.oid))
        for name, entry in ((name, entries[name]) for name in sorted(entries, key=order))
    )


def _mktree_lines(entries: Mapping[str, TreeEntry]) -> Iterator[bytes]:
    for name, entry in entries.items():
        yield f"{entry.mode} {entry.kind} {entry.oid}\t".encode() + os.fsencode(name) + b"\0"
    yield b"\0"
