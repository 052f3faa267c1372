"""The `.git` of a workspace: made for one attempt, and read by nobody but its agent.

It is written without git, file by file: a few of the last commits as packs copied byte for byte (a hard
link or alternates would let the agent change ours), an index whose stat data makes `git status` quick and
clean, no hooks, no filters.
"""

import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from shiftwork.repository.git import Git
from shiftwork.repository.ignore import BUILT_IN
from shiftwork.repository.objects import TreeEntry
from shiftwork.repository.threads import in_order, in_thread

_TEN_NUMBERS = struct.Struct(">10L")

HISTORY = 50
"""Commits that an agent can look back."""
MAX_PACKS = 20
"""Each new tip adds a pack; past this number all are replaced by one."""

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[user]
\tname = Agent
\temail = agent@localhost
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


class History:
    """The packs of one workspace: pristine ones beside it, copied into each of its `.git` folders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def update(self, git: Git, commit: str) -> frozenset[str]:
        """Make the packs hold the last commits up to this one; returns the commits cut off from theirs."""
        options = ("--objects", "--no-object-names", "--parents", f"--max-count={HISTORY}")
        with tempfile.TemporaryFile(dir=git.where) as listing:
            await git.run("rev-list", *options, commit, stdout=listing)
            request, shallow = await in_thread(lambda: self._compare(listing))
        if request:
            await self._add(git, request)
        return shallow

    def _compare(self, listing: IO[bytes]) -> tuple[bytes, frozenset[str]]:
        """Of the wanted objects the missing ones, as git is asked for them; and the commits cut off."""
        held = self._held()
        listing.seek(0)
        lines = [line.decode().split() for line in listing]
        wanted = {line[0] for line in lines}
        cut = (line[0] for line in lines if any(parent not in wanted for parent in line[1:]))
        missing = (oid for oid in in_order(wanted, key=str) if oid not in held)
        return b"".join(b"%s\n" % oid.encode() for oid in missing), frozenset(cut)

    def _held(self) -> set[str]:
        """The objects that are there; of too many packs none."""
        packs = list(self._folder.glob("*.idx")) if self._folder.is_dir() else []
        if len(packs) > MAX_PACKS:
            shutil.rmtree(self._folder)
            packs = []
        self._folder.mkdir(exist_ok=True)
        return {oid for pack in packs for oid in _objects_of(pack)}

    async def _add(self, git: Git, request: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="new-") as new:
            pack = Path(new) / "pack"
            with pack.open("wb") as stream:
                await git.run(
                    "pack-objects", "--stdout", "--quiet", "--window=0", input=request, stdout=stream
                )
            index = pack.with_name("idx")
            name = (
                await git.text("-c", "core.fsync=none", "index-pack", "-o", str(index), str(pack))
            ).split()[-1]
            # The index goes last: a pack counts from the moment it has one.
            pack.replace(self._folder / f"pack-{name}.pack")
            index.replace(self._folder / f"pack-{name}.idx")

    def copy(self, target: Path) -> None:
        """Copy every pack into this folder."""
        for index in self._folder.glob("*.idx"):
            for source in (index.with_suffix(".pack"), index):
                shutil.copyfile(source, target / source.name)


def _objects_of(index: Path) -> Iterator[str]:
    """The ids in a pack's index of version 2: after a table of 256 counts they lie in a row."""
    data = index.read_bytes()
    count = int.from_bytes(data[1028:1032], "big")
    start = 1032
    return (data[at : at + 20].hex() for at in range(start, start + 20 * count, 20))


def write_git(
    folder: Path,
    commit: str,
    *,
    shallow: frozenset[str],
    history: History,
    entries: Mapping[str, TreeEntry],
    stats: Mapping[str, os.stat_result],
) -> None:
    """Write the `.git` folder of a workspace whose files are those of `entries`."""
    for inner in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (folder / inner).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
    (folder / "refs/heads/main").write_text(f"{commit}\n", encoding="ascii")
    (folder / "config").write_text(_CONFIG, encoding="ascii")
    (folder / "info/exclude").write_text(BUILT_IN, encoding="ascii")
    if shallow:
        (folder / "shallow").write_text("".join(f"{oid}\n" for oid in sorted(shallow)), encoding="ascii")
    history.copy(folder / "objects/pack")
    (folder / "index").write_bytes(_index(entries, stats))


def _index(entries: Mapping[str, TreeEntry], stats: Mapping[str, os.stat_result]) -> bytes:
    """An index of version 2 (gitformat-index): every path at stage 0, as it is on disk."""
    ordered = sorted((os.fsencode(path), path) for path in entries)
    parts = [b"DIRC" + (2).to_bytes(4, "big") + len(ordered).to_bytes(4, "big")]
    for name, path in ordered:
        entry = entries[path]
        fixed = _stat_fields(stats[path], int(entry.mode, 8)) + bytes.fromhex(entry.oid)
        head = fixed + min(len(name), 0xFFF).to_bytes(2, "big") + name
        parts.append(head + b"\0" * (8 - len(head) % 8))
    content = b"".join(parts)
    return content + hashlib.sha1(content, usedforsecurity=False).digest()


def _stat_fields(found: os.stat_result, mode: int) -> bytes:
    ctime = divmod(found.st_ctime_ns, 1_000_000_000)
    mtime = divmod(found.st_mtime_ns, 1_000_000_000)
    numbers = (*ctime, *mtime, found.st_dev, found.st_ino, mode, found.st_uid, found.st_gid, found.st_size)
    return _TEN_NUMBERS.pack(*(number & 0xFFFFFFFF for number in numbers))
