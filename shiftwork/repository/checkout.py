"""Making the files of a folder those of a tree, byte for byte, writing only what differs.

No git runs here and no filter, attribute or hook counts: what the tree holds is what the folder gets.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shiftwork.errors import RepositoryError
from shiftwork.repository.files import BATCH, FOLDER_MODE, empty, into_trash, move_folder, open_folder, remove
from shiftwork.repository.names import MAX_DEPTH, folders_of, leaves_folder, shown
from shiftwork.repository.objects import TreeEntry
from shiftwork.repository.statcache import Known, StatCache, record
from shiftwork.repository.threads import in_order

FILE_MODES = {"100644": 0o644, "100755": 0o755}


class Checkout:
    """One preparation of a folder: `clean()` it, then `write()` the blobs it `needs`, then `finish()`.

    Nothing stays that anybody touched since a preparation wrote it: a file or a folder whose inode does not
    look exactly as it did then is replaced by a new one, so that no attribute, access list, flag or time
    that was left on it lives on. The change time, which no program can set, gives each of them away.

    Args:
        target: the paths of the tree.
        written: what the last preparation left; without any all is written anew.
        owner: the user that gets everything; None: our own.

    Attributes:
        needs: the paths to write, by id of their content, in the order of the tree.
        stats: what each path of the tree is on disk, as far as it is right already.
        known: the same for the next preparation, and folders, whose paths end with a slash.
    """

    def __init__(
        self,
        folder: Path,
        trash: Path,
        target: Mapping[str, TreeEntry],
        written: StatCache,
        owner: int | None = None,
    ) -> None:
        self.stats: dict[str, os.stat_result] = {}
        self.known: dict[str, Known] = {}
        self.needs: dict[str, list[str]] = {}
        self._folder = folder
        self._trash_path = trash
        self._trash = -1
        self._target = target
        self._written = written
        self._owner = owner
        self._folders = folders_of(target)
        self._folders.update((path, None) for path, entry in target.items() if entry.kind == "commit")
        too_deep = next((path for path in self._folders if path.count("/") >= MAX_DEPTH), None)
        outside = next((path for path in target if leaves_folder(path)), None)
        if outside is not None:
            raise RepositoryError(f"{shown(outside)!r} is no name that a folder can hold; rename it first.")
        if too_deep is not None:
            raise RepositoryError(
                f"{shown(too_deep)!r} lies more than {MAX_DEPTH} folders deep, which no workspace can hold."
            )

    def clean(self) -> None:
        """Remove what the tree does not have, has otherwise, or somebody touched; fill `needs`."""
        with open_folder(self._trash_path) as self._trash, open_folder(self._folder.parent) as above:
            empty(self._trash, self._trash)  # what a killed preparation left
            found = os.stat(self._folder.name, dir_fd=above, follow_symlinks=False)
            self._clean_folder(self._folder.name, above, "", touched=not self._is_ours("/", found))
        for path, entry in self._target.items():
            if entry.kind == "blob" and path not in self.stats:
                self.needs.setdefault(entry.oid, []).append(path)

    def _clean_folder(self, name: str, above: int, prefix: str, *, touched: bool) -> None:
        inner = self._renew(name, above, prefix) if touched else None
        with open_folder(name, above) as folder:
            if inner is None:
                inner = self._clean(folder, prefix)
            for one, one_touched in inner:
                self._clean_folder(one, folder, f"{prefix}{one}/", touched=one_touched)

    def _clean(self, folder: int, prefix: str) -> list[tuple[str, bool]]:
        """Remove what does not belong into a folder that stays; its folders, and whether they are touched."""
        while True:
            right, wrong = self._sorted(folder, prefix)
            for name in wrong:
                remove(name, folder, self._trash)
            if not wrong:
                return self._keep(folder, prefix, right)

    def _renew(self, name: str, above: int, prefix: str) -> list[tuple[str, bool]]:
        """Put a new folder in the place of one, with what may stay; its folders, as by `_clean`."""
        old = into_trash(name, above, self._trash)
        os.mkdir(name, FOLDER_MODE, dir_fd=above)
        found: list[tuple[str, bool]] = []
        with open_folder(name, above) as new:
            self._settle(new)
            if self._written.known:
                with open_folder(old, self._trash) as folder:
                    right, _ = self._sorted(folder, prefix, most=None)
                    for one, how in right:
                        if stat.S_ISDIR(how.st_mode):
                            move_folder(one, folder, new, one)
                        else:
                            os.rename(one, one, src_dir_fd=folder, dst_dir_fd=new)
                found = self._keep(new, prefix, right)
        remove(old, self._trash, self._trash)
        return found

    def _sorted(
        self, folder: int, prefix: str, most: int | None = BATCH
    ) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
        """What may stay in a folder, as it was found, and the names of what may not, so many at `most`."""
        right = []
        wrong: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if path == ".git":
                    continue
                if path in self._folders or path in self._target:
                    found = entry.stat(follow_symlinks=False)
                    if self._may_stay(path, found):
                        right.append((entry.name, found))
                        continue
                if most is not None:
                    wrong.append(entry.name)
                    if len(wrong) == most:
                        break
        return right, wrong

    def _may_stay(self, path: str, found: os.stat_result) -> bool:
        """Whether a file is as the tree has it; a folder, which is looked at later, only has to be one."""
        if path in self._folders:
            return stat.S_ISDIR(found.st_mode)
        entry = self._target[path]
        if entry.mode == "120000":
            right = stat.S_ISLNK(found.st_mode)
        else:
            right = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == FILE_MODES.get(entry.mode)
        return right and self._is_ours(path, found, entry.oid)

    def _is_ours(self, path: str, found: os.stat_result, oid: str = "") -> bool:
        owner = found.st_uid == (os.geteuid() if self._owner is None else self._owner)
        return owner and self._written.untouched(path, found) == oid

    def _keep(
        self, folder: int, prefix: str, right: list[tuple[str, os.stat_result]]
    ) -> list[tuple[str, bool]]:
        """Remember the files that stay, as they are now; the folders, and whether they were touched."""
        folders = []
        for name, found in right:
            path = prefix + name
            if path in self._folders:
                folders.append((name, not self._is_ours(path + "/", found)))
            else:
                now = os.stat(name, dir_fd=folder, follow_symlinks=False)
                self._remember(path, now, self._target[path].oid)
        return folders

    def _remember(self, path: str, found: os.stat_result, oid: str) -> None:
        self.stats[path] = found
        self.known[path] = record(found, oid)

    def _settle(self, folder: int) -> None:
        self._give(folder)
        os.fchmod(folder, FOLDER_MODE)  # whatever our umask is

    def _give(self, descriptor: int) -> None:
        if self._owner is not None:
            os.fchown(descriptor, self._owner, self._owner)

    def make_folders(self) -> None:
        """Make the folders of the tree that are missing, gitlinks as empty ones."""
        with open_folder(self._folder) as root:
            for path in in_order(self._folders, key=_depth):
                with _reach(root, path.split("/")[:-1]) as parent:
                    name = path.rpartition("/")[2]
                    try:
                        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
                    except FileExistsError:
                        pass
                    else:
                        with open_folder(name, parent) as made:
                            self._settle(made)
                    if path in self._target:
                        self.stats[path] = os.stat(name, dir_fd=parent, follow_symlinks=False)

    def write(self, blobs: Iterable[tuple[str, bytes]]) -> None:
        """Write each blob to every path that needs it."""
        with open_folder(self._folder) as root, ExitStack() as stack:
            opened: tuple[str, int] | None = None
            for oid, data in blobs:
                for path in self.needs[oid]:
                    parent, _, name = path.rpartition("/")
                    if opened is None or opened[0] != parent:
                        stack.close()
                        reach = _reach(root, parent.split("/") if parent else [])
                        opened = (parent, stack.enter_context(reach))
                    self._remember(path, self._write(name, opened[1], data, self._target[path].mode), oid)

    def _write(self, name: str, folder: int, data: bytes, mode: str) -> os.stat_result:
        """Make a new inode; nothing has the name any more."""
        if mode == "120000":
            os.symlink(data, os.fsencode(name), dir_fd=folder)
            if self._owner is not None:
                os.chown(name, self._owner, self._owner, dir_fd=folder, follow_symlinks=False)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
            self._give(descriptor)
            os.fchmod(descriptor, FILE_MODES.get(mode, 0o644))
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def finish(self) -> None:
        """Remember the folders as they are, when nothing will be changed in them any more."""
        with open_folder(self._folder) as root:
            self.known["/"] = record(os.fstat(root), "")
            for path in self._folders:
                found = os.stat(path, dir_fd=root, follow_symlinks=False)
                self.known[path + "/"] = record(found, "")


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
