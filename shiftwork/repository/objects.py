"""Reading and writing blobs, trees and commits of a private repository."""

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import intern
from typing import IO, NamedTuple

from shiftwork.errors import RepositoryError
from shiftwork.repository.git import Git
from shiftwork.repository.threads import in_thread

HARNESS_NAME = "Shiftwork"
HARNESS_EMAIL = "shiftwork@localhost"
_PIECE = 1 << 20
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
    return object_id("blob", data)


def object_id(kind: str, data: bytes) -> str:
    """The id that git gives an object of this kind (blob, tree, commit)."""
    made = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    made.update(data)
    return made.hexdigest()


async def list_tree(git: Git, treeish: str, *, folders: bool = False) -> dict[str, TreeEntry]:
    """Every path of a tree, in git's order; folders too if asked for. Names are as by `os.fsdecode`."""
    options = ("-r", "-t", "-z", "--full-tree") if folders else ("-r", "-z", "--full-tree")
    with tempfile.TemporaryFile(dir=git.where) as stream:
        await git.run("ls-tree", *options, "--end-of-options", treeish, stdout=stream)
        return await in_thread(lambda: dict(map(_tree_entry, records(stream))))


def _tree_entry(record: bytes) -> tuple[str, TreeEntry]:
    head, _, path = record.partition(b"\t")
    mode, kind, oid = head.decode().split(" ")
    return os.fsdecode(path), TreeEntry(intern(mode), oid, intern(kind))


def records(stream: IO[bytes]) -> Iterator[bytes]:
    """What git wrote into this file with `-z`."""
    stream.seek(0)
    rest = b""
    while piece := stream.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole


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


async def fetch_blobs(git: Git, oids: Collection[str], stream: IO[bytes]) -> BlobReader:
    """Fill `stream` with these blobs and return a reader of it."""
    request = await in_thread(lambda: _request(oids))
    await git.run("cat-file", "--batch", "--buffer", input=request, stdout=stream)
    stream.seek(0)
    return BlobReader(stream)


async def blob_sizes(git: Git, oids: Collection[str]) -> dict[str, int]:
    """The size of each of these blobs in bytes, without reading them."""
    request = await in_thread(lambda: _request(oids))
    options = ("--batch-check=%(objectname) %(objectsize)", "--buffer")
    out = await git.run("cat-file", *options, input=request)
    return await in_thread(lambda: dict(map(_size, out.decode().splitlines())))


def _size(line: str) -> tuple[str, int]:
    oid, _, size = line.partition(" ")
    if not size.isdecimal():
        raise RepositoryError(f"Object {oid} is damaged or missing in the project's repository.")
    return oid, int(size)


def _request(oids: Iterable[str]) -> bytes:
    return b"".join(b"%s\n" % oid.encode() for oid in oids)


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
