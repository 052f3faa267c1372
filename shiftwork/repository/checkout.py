"""Making the files of a folder those of a tree, byte for byte, writing only what differs.

No git runs here and no filter, attribute or hook counts: what the tree holds is what the folder gets.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from shiftwork.errors import RepositoryError
from shiftwork.repository.files import BATCH, FOLDER_MODE, empty, open_folder, read_regular, remove
from shiftwork.repository.limits import SnapshotLimits
from shiftwork.repository.names import MAX_DEPTH, folders_of, leaves_folder, parents, shown
from shiftwork.repository.objects import TreeEntry, blob_id
from shiftwork.repository.statcache import Known, StatCache, record
from shiftwork.repository.threads import in_order

FILE_MODES = {"100644": 0o644, "100755": 0o755}
MAX_COMPARED = SnapshotLimits().file_bytes
"""Bytes of a file that is read to find out whether it is right; a larger one, which costs an agent nothing
where it has holes, is written anew."""
MAX_LINK = 4096
"""Bytes of a symbolic link's target."""


class Checkout:
    """One preparation of a folder: `clean()` it, then `write()` the blobs it `needs`.

    Attributes:
        needs: the paths to write, by id of their content, in the order of the tree.
        stats: what each path of the tree is on disk, as far as it is right already.
        known: the same for the stat cache.
    """

    def __init__(
        self,
        folder: Path,
        trash: Path,
        target: Mapping[str, TreeEntry],
        keep: Iterable[str],
        cache: StatCache,
    ) -> None:
        self.stats: dict[str, os.stat_result] = {}
        self.known: dict[str, Known] = {}
        self.needs: dict[str, list[str]] = {}
        self._folder = folder
        self._trash_path = trash
        self._trash = -1
        self._target = target
        self._cache = cache
        self._keep = frozenset(path.strip("/") for path in keep)
        self._on_the_way_to_kept = {parent for path in self._keep for parent in parents(path)}
        self._folders = folders_of(target)
        self._folders.update((path, None) for path, entry in target.items() if entry.kind == "commit")
        self._known_places = (self._target, self._folders, self._keep, self._on_the_way_to_kept)
        too_deep = next((path for path in self._folders if path.count("/") >= MAX_DEPTH), None)
        outside = next((path for path in target if leaves_folder(path)), None)
        if outside is not None:
            raise RepositoryError(f"{shown(outside)!r} is no name that a folder can hold; rename it first.")
        if too_deep is not None:
            raise RepositoryError(
                f"{shown(too_deep)!r} lies more than {MAX_DEPTH} folders deep, which no workspace can hold."
            )

    def clean(self) -> None:
        """Remove what the tree does not have or has otherwise; leave what is right; fill `needs`."""
        with open_folder(self._trash_path) as self._trash, open_folder(self._folder) as root:
            empty(self._trash, self._trash)  # what a killed preparation left
            self._set_mode(root)
            self._clean(root, "", kept=False)
        for path, entry in self._target.items():
            if entry.kind == "blob" and path not in self.stats:
                self.needs.setdefault(entry.oid, []).append(path)

    def _clean(self, folder: int, prefix: str, *, kept: bool) -> None:
        found, strange = self._sorted(folder, prefix, kept=kept)
        while strange:
            for name in strange:
                remove(name, folder, self._trash)
            found, strange = self._sorted(folder, prefix, kept=kept)
        for entry in found:
            path = prefix + entry.name
            self._clean_entry(folder, entry, path, kept=kept or path in self._keep)

    def _sorted(self, folder: int, prefix: str, *, kept: bool) -> tuple[list[os.DirEntry[str]], list[str]]:
        """What may stay in a folder, and the names of what may not: some of them if there are very many."""
        found = []
        strange: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if path == ".git":
                    continue
                if kept or any(path in some for some in self._known_places):
                    found.append(entry)
                else:
                    strange.append(entry.name)
                if len(strange) == BATCH:
                    break
        return found, strange

    def _clean_entry(self, folder: int, entry: os.DirEntry[str], path: str, *, kept: bool) -> None:
        found = entry.stat(follow_symlinks=False)
        is_folder = stat.S_ISDIR(found.st_mode)
        on_the_way = is_folder and path in self._on_the_way_to_kept and path not in self._target
        if path in self._folders or on_the_way:
            if is_folder:
                with open_folder(entry.name, folder) as inner:
                    if path in self._folders:
                        self._set_mode(inner)
                    self._clean(inner, path + "/", kept=kept)
                return
            remove(entry.name, folder, self._trash)
        elif path in self._target:
            if not self._is_right(folder, entry.name, path, found):
                remove(entry.name, folder, self._trash)
        elif not kept:
            remove(entry.name, folder, self._trash)

    @staticmethod
    def _set_mode(folder: int) -> None:
        if stat.S_IMODE(os.fstat(folder).st_mode) != FOLDER_MODE:
            os.fchmod(folder, FOLDER_MODE)

    def _is_right(self, folder: int, name: str, path: str, found: os.stat_result) -> bool:
        entry = self._target[path]
        if entry.mode == "120000":
            right = stat.S_ISLNK(found.st_mode) and entry.oid == blob_id(
                os.fsencode(os.readlink(name, dir_fd=folder))
            )
        else:
            # A second name of the same inode may lie anywhere: such a file is never taken over.
            right = (
                stat.S_ISREG(found.st_mode)
                and stat.S_IMODE(found.st_mode) == FILE_MODES.get(entry.mode)
                and found.st_nlink == 1
                and self._content_of(folder, name, path, found) == entry.oid
            )
        if right:
            self._remember(path, found, entry.oid)
        return right

    def _content_of(self, folder: int, name: str, path: str, found: os.stat_result) -> str | None:
        oid = self._cache.untouched(path, found)
        if oid is not None:
            return oid
        if found.st_size > MAX_COMPARED:
            return None
        data = read_regular(name, folder, found.st_size)
        return None if data is None or len(data) != found.st_size else blob_id(data)

    def _remember(self, path: str, found: os.stat_result, oid: str) -> None:
        self.stats[path] = found
        self.known[path] = record(found, oid)

    def make_folders(self) -> None:
        """Make the folders of the tree that are missing, gitlinks as empty ones."""
        with open_folder(self._folder) as root:
            for path in in_order(self._folders, key=_depth):
                with _reach(root, path.split("/")[:-1]) as parent:
                    name = path.rpartition("/")[2]
                    with suppress(FileExistsError):
                        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
                    with open_folder(name, parent) as made:
                        self._set_mode(made)
                        if self._target.get(path) is not None:
                            self.stats[path] = os.fstat(made)

    def write(self, blobs: Iterable[tuple[str, bytes]]) -> None:
        """Write each blob to every path that needs it."""
        with open_folder(self._folder) as root, open_folder(self._trash_path) as drafts, ExitStack() as stack:
            opened: tuple[str, int] | None = None
            for oid, data in blobs:
                for path in self.needs[oid]:
                    parent, _, name = path.rpartition("/")
                    if opened is None or opened[0] != parent:
                        stack.close()
                        reach = _reach(root, parent.split("/") if parent else [])
                        opened = (parent, stack.enter_context(reach))
                    found = _write(name, opened[1], drafts, data, self._target[path].mode)
                    self._remember(path, found, oid)


def _depth(path: str) -> int:
    return path.count("/")


@contextmanager
def _reach(root: int, parts: Sequence[str]) -> Iterator[int]:
    """The descriptor of a folder inside another, reached step by step without following a link."""
    with ExitStack() as stack:
        at = root
        for part in parts:
            at = stack.enter_context(open_folder(part, at))
        yield at


def _write(name: str, folder: int, drafts: int, data: bytes, mode: str) -> os.stat_result:
    """Put a new inode in the place of whatever has the name, so that no other name of it is written to."""
    draft = "draft"
    if mode == "120000":
        os.symlink(data, os.fsencode(draft), dir_fd=drafts)
        os.rename(draft, name, src_dir_fd=drafts, dst_dir_fd=folder)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600, dir_fd=drafts)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fchmod(descriptor, FILE_MODES.get(mode, 0o644))
        os.rename(draft, name, src_dir_fd=drafts, dst_dir_fd=folder)
        return os.fstat(descriptor)
