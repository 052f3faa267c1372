"""Reading and writing blobs, trees and commits of a private repository."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, NamedTuple

from shiftwork.errors import RepositoryError
from shiftwork.repository.git import Git

HARNESS_NAME = "Shiftwork"
HARNESS_EMAIL = "shiftwork@localhost"
FIXED_DATE = datetime(2000, 1, 1, tzinfo=UTC)
"""The date of commits that are made of their content alone."""


class TreeEntry(NamedTuple):
    """One path of a tree.

    Attributes:
        mode: git's mode in octal: 100644, 100755, 120000 (symlink), 160000 (gitlink), 040000 (folder).
        oid: the object's id.
        kind: git's type of the object: blob, commit (a gitlink) or tree.
    """

    mode: str
    oid: str
    kind: str = "blob"


def blob_id(data: bytes) -> str:
    """The id that git gives this content."""
    return _object_id("blob", data)


def _object_id(kind: str, data: bytes) -> str:
    return hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(data), data), usedforsecurity=False).hexdigest()


async def list_tree(git: Git, treeish: str, *, folders: bool = False) -> dict[str, TreeEntry]:
    """Every path of a tree, in git's order; folders too if asked for. Names are as by `os.fsdecode`."""
    options = ("-r", "-t", "-z", "--full-tree") if folders else ("-r", "-z", "--full-tree")
    listing = await git.run("ls-tree", *options, "--end-of-options", treeish)
    entries = {}
    for record in listing.split(b"\0")[:-1]:
        head, _, path = record.partition(b"\t")
        mode, kind, oid = head.decode().split(" ")
        entries[os.fsdecode(path)] = TreeEntry(mode, oid, kind)
    return entries


class BlobSpool:
    """Contents on their way into a repository, kept in a nameless file so that memory stays bounded."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=git.where)  # noqa: SIM115 - closed by `write`
        self._seen: set[str] = set()

    def add(self, data: bytes) -> str:
        """Take one content; returns its id."""
        oid = blob_id(data)
        self.put(oid, data)
        return oid

    def put(self, oid: str, data: bytes) -> None:
        """Take one content whose id is known."""
        if oid not in self._seen:
            self._seen.add(oid)
            self._file.write(b"blob\ndata %d\n" % len(data))
            self._file.write(data)
            self._file.write(b"\n")

    async def write(self) -> None:
        """Put everything into the repository: few blobs as loose objects, many as one pack."""
        with self._file as stream:
            if not self._seen:
                return
            stream.write(b"done\n")
            stream.seek(0)
            await self._git.run("fast-import", "--quiet", "--done", stdin=stream)

    def close(self) -> None:
        """Forget what was taken."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class BlobReader:
    """Blobs in the order they were asked for, read from a nameless file."""

    stream: IO[bytes]

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield id and content of each blob; raises `RepositoryError` for one that is missing."""
        while header := self.stream.readline():
            oid, _, rest = header.decode().strip().partition(" ")
            kind, _, size = rest.partition(" ")
            if kind != "blob":
                raise RepositoryError(f"Object {oid} is damaged or missing in the project's repository.")
            yield oid, self.stream.read(int(size))
            self.stream.read(1)


async def fetch_blobs(git: Git, oids: Sequence[str], stream: IO[bytes]) -> BlobReader:
    """Fill `stream` with these blobs and return a reader of it."""
    request = "".join(f"{oid}\n" for oid in oids).encode()
    await git.run("cat-file", "--batch", "--buffer", input=request, stdout=stream)
    stream.seek(0)
    return BlobReader(stream)


async def edit_tree(git: Git, treeish: str, changes: Mapping[str, TreeEntry | None]) -> str:
    """The id of a tree like `treeish` with these paths set (or removed: None); only new folders are written.

    A path takes the place of whatever stands in its way: a folder of that name, or a file as its parent.
    """
    folders = _Folders(await list_tree(git, treeish, folders=True))
    for path, entry in changes.items():
        if entry is None:
            folders.remove(path)
    for path, entry in changes.items():
        if entry is not None:
            folders.put(path, entry)
    trees = folders.rewritten()
    if not trees:
        return await git.text("rev-parse", "--verify", "--end-of-options", f"{treeish}^{{tree}}")
    request = b"".join(_mktree_record(entries) for _, entries in trees)
    written = (await git.run("mktree", "-z", "--batch", input=request)).decode().split()
    if written != [oid for oid, _ in trees]:
        raise RepositoryError(f"git mktree wrote other trees than asked for in {str(git.where)!r}.")
    return written[-1]


class _Folders:
    """A tree as folders of names, of which the touched ones get new ids."""

    def __init__(self, listing: Mapping[str, TreeEntry]) -> None:
        self._folders: dict[str, dict[str, TreeEntry]] = {"": {}}
        self._touched: set[str] = set()
        for path, entry in listing.items():
            parent, _, name = path.rpartition("/")
            self._folders[parent][name] = entry
            if entry.kind == "tree":
                self._folders[path] = {}

    def remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if self._folders.get(parent, {}).pop(name, None) is None:
            return
        self._touch(parent)
        if parent and not self._folders[parent]:
            self._drop(parent)
            self.remove(parent)

    def put(self, path: str, entry: TreeEntry) -> None:
        parent, _, name = path.rpartition("/")
        self._make(parent)
        if path in self._folders:
            self._drop(path)
        self._folders[parent][name] = entry
        self._touch(parent)

    def rewritten(self) -> list[tuple[str, dict[str, TreeEntry]]]:
        """Id and entries of each touched folder, children before parents."""
        trees = []
        for folder in sorted(self._touched, key=_depth, reverse=True):
            entries = self._folders[folder]
            oid = _object_id("tree", _tree_content(entries))
            trees.append((oid, entries))
            if folder:
                parent, _, name = folder.rpartition("/")
                self._folders[parent][name] = TreeEntry("040000", oid, "tree")
        return trees

    def _touch(self, folder: str) -> None:
        while folder not in self._touched:
            self._touched.add(folder)
            if not folder:
                return
            folder = folder.rpartition("/")[0]

    def _make(self, folder: str) -> None:
        if folder in self._folders:
            return
        parent, _, name = folder.rpartition("/")
        self._make(parent)
        self._folders[parent][name] = TreeEntry("040000", EMPTY_FOLDER, "tree")
        self._folders[folder] = {}

    def _drop(self, folder: str) -> None:
        inside = [path for path in self._folders if path == folder or path.startswith(folder + "/")]
        for path in inside:
            del self._folders[path]
            self._touched.discard(path)


EMPTY_FOLDER = "0" * 40  # replaced by the real id before anything is written


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _tree_content(entries: Mapping[str, TreeEntry]) -> bytes:
    def order(name: str) -> bytes:
        return os.fsencode(name) + (b"/" if entries[name].kind == "tree" else b"")

    return b"".join(
        b"%s %s\0%s" % (entry.mode.lstrip("0").encode(), os.fsencode(name), bytes.fromhex(entry.oid))
        for name, entry in ((name, entries[name]) for name in sorted(entries, key=order))
    )


def _mktree_record(entries: Mapping[str, TreeEntry]) -> bytes:
    lines = [
        f"{entry.mode} {entry.kind} {entry.oid}\t".encode() + os.fsencode(name) + b"\0"
        for name, entry in entries.items()
    ]
    return b"".join(lines) + b"\0"


async def commit_tree(git: Git, tree: str, parents: Iterable[str], message: str, at: datetime) -> str:
    """A commit of the harness: what it is made of alone decides its id."""
    date = f"@{int(at.timestamp())} +0000"
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    out = await git.run(
        "commit-tree",
        tree,
        *arguments,
        "-F",
        "-",
        input=message.encode("utf-8", "replace"),
        env={
            "GIT_AUTHOR_NAME": HARNESS_NAME,
            "GIT_AUTHOR_EMAIL": HARNESS_EMAIL,
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": HARNESS_NAME,
            "GIT_COMMITTER_EMAIL": HARNESS_EMAIL,
            "GIT_COMMITTER_DATE": date,
        },
    )
    return out.decode().strip()
