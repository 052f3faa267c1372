"""The harness's own walk through a workspace: what of it belongs into a commit.

The folder is hostile: names, links, pipes, sizes and nesting are whatever an agent made them.
"""

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path

from shiftwork.errors import SnapshotRefused
from shiftwork.repository.collisions import note_collisions
from shiftwork.repository.deadline import Deadline, Tick, refuse
from shiftwork.repository.files import names, open_folder, read_regular
from shiftwork.repository.limits import SnapshotLimits
from shiftwork.repository.names import (
    MAX_DEPTH,
    MAX_PATH,
    folders_of,
    is_git_name,
    is_gitmodules,
    length,
    parents,
    shown,
)
from shiftwork.repository.objects import BlobSpool, TreeEntry, blob_id
from shiftwork.repository.rules import RuleBook, Rules
from shiftwork.repository.statcache import Known, StatCache, record
from shiftwork.repository.threads import forget, in_order

MAX_NOTES = 50
_MOVED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE}
"""What is said of a name that stands for something else than it did a moment before."""
_WORKS = "changed while it was read: a process still works in the workspace"
_BARE = {"HEAD", "config", "objects", "refs"}


class Walk:
    """One walk; afterwards `found` is the content of the commit.

    Attributes:
        found: the entry of every path that belongs into the commit.
        known: records for the stat cache.
        notes: a sentence for each thing that was left out or looks wrong.
    """

    def __init__(
        self,
        base: Mapping[str, TreeEntry],
        *,
        base_ignores: Mapping[str, bytes],
        exclude: Iterable[str],
        cache: StatCache,
        spool: BlobSpool,
        limits: SnapshotLimits,
        deadline: Deadline,
        look: Callable[[str, bytes, Tick], None] | None = None,
    ) -> None:
        self.found: dict[str, TreeEntry] = {}
        self.known: dict[str, Known] = {}
        self.notes: list[str] = []
        self._base = base
        self._base_oids = {entry.oid for entry in base.values()}
        self._base_folders = folders_of(base)
        self._rules = RuleBook(base_ignores, deadline.tick, self._note)
        self._exclude = frozenset(path.strip("/") for path in exclude)
        self._cache = cache
        self._spool = spool
        self._limits = limits
        self._look = look
        self._owner = -1
        self._visited = self._path_bytes = self._new_files = self._new_bytes = 0
        self._deadline = deadline

    def run(self, folder: Path) -> None:
        """Walk the folder; raises `SnapshotRefused` naming what is too much, or can't be read."""
        try:
            with open_folder(folder) as root:
                self._owner = os.fstat(root).st_uid
                self._folder(root, (), Rules(), only_tracked=False)
        except OSError as error:
            raise SnapshotRefused(
                f"The workspace can't be read ({error.strerror or error}); discard it."
            ) from error
        self._keep_from_base()
        note_collisions(self._base, self.found, self._note, self._deadline.tick)
        forget(self._cache.known)

    def _folder(self, folder: int, parts: tuple[str, ...], rules: Rules, *, only_tracked: bool) -> None:
        if len(parts) > MAX_DEPTH:
            refuse("/".join(parts[:3]), f"holds folders nested more than {MAX_DEPTH} deep")
        rules = self._rules.of_base(parts, rules)
        inside = self._inside(folder)
        there = {entry.name for entry in inside}
        if parts and there.issuperset(_BARE):
            self._note(
                "/".join(parts), "looks like a bare repository: git, run in it, obeys its configuration"
            )
        if ".gitignore" in there:
            rules = self._rules.of_agent(folder, parts, rules)
        inside.reverse()
        while inside:  # emptied on the way: see `forget`
            entry = inside.pop()
            here = (*parts, entry.name)
            try:
                self._entry(folder, entry, here, rules, only_tracked=only_tracked)
            except OSError as error:
                why = _WORKS if error.errno in _MOVED else f"can't be read ({error.strerror or error})"
                refuse("/".join(here), why)

    def _inside(self, folder: int) -> list[os.DirEntry[str]]:
        """The folder's entries by name; of too many, enough to be refused."""
        most = self._limits.visited - self._visited + 1
        with os.scandir(folder) as entries:
            return in_order(itertools.islice(entries, most), key=attrgetter("name"))

    def _entry(
        self,
        folder: int,
        entry: os.DirEntry[str],
        parts: tuple[str, ...],
        rules: Rules,
        *,
        only_tracked: bool,
    ) -> None:
        path = "/".join(parts)
        self._count_visit(path)
        if path == ".git" or path in self._exclude:
            return
        found = entry.stat(follow_symlinks=False)
        is_folder = stat.S_ISDIR(found.st_mode)
        tracked = path in self._base_folders if is_folder else path in self._base
        hidden = only_tracked
        if not hidden and (is_folder or not tracked):
            hidden = self._rules.ignored(parts, rules, folder=is_folder)
        if hidden and not tracked:
            return
        if is_git_name(entry.name) and not tracked:
            self._note(path, "is left out: nested repositories are stored as plain files")
        elif not is_folder:
            self._leaf(folder, entry.name, path, found)
        elif self._is_gitlink(path):
            self._note_submodule(folder, entry.name, path)
        else:
            with open_folder(entry.name, folder) as inner:
                self._folder(inner, parts, rules, only_tracked=hidden)

    def _leaf(self, folder: int, name: str, path: str, found: os.stat_result) -> None:
        if length(path) > MAX_PATH:
            refuse(path, f"has a path of more than {MAX_PATH} bytes")
        if stat.S_ISLNK(found.st_mode):
            self._link(folder, name, path)
        elif stat.S_ISREG(found.st_mode):
            self._file(folder, name, path, found)
        else:
            self._note(path, "is left out: it is neither a file, a folder nor a symbolic link")

    def _link(self, folder: int, name: str, path: str) -> None:
        if is_gitmodules(name):
            self._note(path, "is left out: git refuses it as a symbolic link")
            return
        self._take(path, "120000", os.fsencode(os.readlink(name, dir_fd=folder)))

    def _file(self, folder: int, name: str, path: str, found: os.stat_result) -> None:
        if found.st_nlink > 1 and found.st_uid != self._owner:
            # The walk may be allowed to read what the agent is not.
            refuse(path, "is a hard link to a file of another user")
        mode = "100755" if found.st_mode & 0o100 else "100644"
        oid = self._cache.untouched(path, found)
        if oid is None or not self._is_there(path, oid):
            if found.st_size > self._limits.file_bytes:
                refuse(path, f"is {found.st_size:,} bytes, more than {self._limits.file_bytes:,}")
            data = read_regular(name, folder, found.st_size)
            if data is None or len(data) != found.st_size:
                refuse(path, _WORKS)
            oid = self._take(path, mode, data)
        self.found[path] = TreeEntry(mode, oid)
        self.known[path] = record(found, oid)

    def _take(self, path: str, mode: str, data: bytes) -> str:
        """Store content that may be new, and have it looked at where it was not; returns its id."""
        oid = blob_id(data)
        is_new = oid not in self._base_oids
        if is_new:
            self._count_new(path, len(data))
        if self._look is not None and not self._is_there(path, oid):
            self._look(path, data, self._deadline.looking_at(path))
        if is_new:
            self._spool.put(oid, data)
        self.found[path] = TreeEntry(mode, oid)
        return oid

    def _is_there(self, path: str, oid: str) -> bool:
        """Whether the base has this content under this very name: elsewhere the name would be new."""
        entry = self._base.get(path)
        return entry is not None and entry.oid == oid

    def _count_new(self, path: str, size: int) -> None:
        self._new_files += 1
        self._new_bytes += size
        if self._new_files > self._limits.files:
            refuse(path, f"is one of more than {self._limits.files:,} new or changed files")
        if self._new_bytes > self._limits.total_bytes:
            refuse(path, f"brings the changed files to more than {self._limits.total_bytes:,} bytes")

    def _is_gitlink(self, path: str) -> bool:
        entry = self._base.get(path)
        return entry is not None and entry.kind == "commit"

    def _note_submodule(self, folder: int, name: str, path: str) -> None:
        with open_folder(name, folder) as inner:
            if names(inner):
                self._note(path, "is a submodule: what was put into it is left out")

    def _keep_from_base(self) -> None:
        """Excluded paths stay what they were, and submodules unless something else has their name."""
        for path, entry in self._base.items():
            self._deadline.tick()
            excluded = bool(self._exclude) and not self._exclude.isdisjoint((path, *parents(path)))
            if excluded or (entry.kind == "commit" and path not in self.found):
                self.found[path] = entry

    def _count_visit(self, path: str) -> None:
        self._visited += 1
        if self._visited > self._limits.visited:
            refuse(path, f"is one of more than {self._limits.visited:,} files and folders")
        self._path_bytes += length(path)
        if self._path_bytes > self._limits.path_bytes:
            most = self._limits.path_bytes
            refuse(path, f"brings the paths of all files and folders to more than {most:,} bytes")
        self._deadline.reaching(path)

    def _note(self, path: str, what: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"{shown(path)!r} {what}.")
        elif len(self.notes) == MAX_NOTES:
            self.notes.append("More paths were left out or look wrong.")
