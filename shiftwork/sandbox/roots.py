"""Root folders for confined programs, made once: a single mount then does what took dozens of steps.

What a root holds is what the system shows to everybody, a list of two users, and empty folders and files for
other things to be mounted on. It is for programs of another user than ours, mounted read only; nobody else
gets through the folder that it lies in.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from shiftwork.sandbox.system import Step

_PREFIX: Final = "shiftwork-roots-"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_MAKES: Final = frozenset({"--dir", "--symlink", "--perms"})
"""How the steps begin that make a folder, a link or a file; those that mount begin otherwise."""

_MOUNTS_FILES: Final = frozenset({"--bind", "--ro-bind"})


class Roots:
    """The prepared roots of one process; nothing is made before the first is needed.

    A root stays as it is to the end of the process, because programs may live in it: changed settings of the
    system lead to another one, and so does whoever tidies temporary files and takes something out of it. So
    there is a most, beyond which roots are no longer prepared.

    Args:
        parent: where the folder for them goes; None: where temporary files go.
        most: how many there may be.
    """

    def __init__(self, parent: Path | None = None, *, most: int = 256) -> None:
        self._parent = Path(tempfile.gettempdir()) if parent is None else parent
        self._most = most
        self._folder: Path | None = None
        self._made: dict[tuple[Step, ...], _Root] = {}
        self._count = 0

    def prepared(self, steps: Sequence[Step]) -> tuple[Step, ...] | None:
        """The steps that are left where the root is a prepared one, the mount of that first.

        None if bubblewrap has to make it all: there are too many, there is no room for one, or a path in it
        leads over a link or upwards.
        """
        parts = _divided(steps)
        if parts is None:
            return None
        lasting, rest = parts
        root = self._made.get(lasting)
        if root is None or not root.is_whole():
            root = None
            if self._count >= self._most:
                return None
            with contextlib.suppress(OSError):
                root = self._made[lasting] = self._make(lasting)
        return None if root is None else (("--ro-bind", root.path, "/"), *rest)

    def _make(self, steps: Iterable[Step]) -> "_Root":
        if self._folder is None or not self._folder.exists():
            _sweep(self._parent)
            self._folder, fd = _claim(self._parent)
            weakref.finalize(self, _remove, self._folder, fd, os.getpid())
        root = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            root.chmod(0o755)
            for step in steps:
                _take(step, root)
        except OSError:
            shutil.rmtree(root)
            raise
        self._count += 1
        return _Root(root)


class _Root:
    """A root, and when the folders in it that hold something changed last: each entry counts."""

    def __init__(self, root: Path) -> None:
        self.path = str(root)
        holding = (folder for folder, names, files in os.walk(root) if names or files)
        self._changed = tuple((folder, os.lstat(folder).st_ctime_ns) for folder in holding)

    def is_whole(self) -> bool:
        """Whether all that was made is there; a mount that lacks its place would fail for ever."""
        try:
            return all(os.lstat(folder).st_ctime_ns == changed for folder, changed in self._changed)
        except OSError:
            return False


def _divided(steps: Iterable[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]] | None:
    """What a folder can hold, with what it takes to mount the rest on it, and that rest."""
    lasting: list[Step] = []
    rest: list[Step] = []
    mounts: set[str] = set()
    links: set[str] = set()
    for step in steps:
        path = str(step[-1])
        above = _above(path)
        if above is None or path in links or not links.isdisjoint(above):
            return None
        makes = step[0] in _MAKES
        if mounts.isdisjoint(above):
            lasting.append(step if makes else _mount_point(step, path))
            if step[0] == "--symlink":
                links.add(path)
        elif makes:
            rest.append(step)
        if not makes:
            rest.append(step)
            mounts.add(path)
    return tuple(lasting), tuple(rest)


@lru_cache(maxsize=256)
def _above(path: str) -> tuple[str, ...] | None:
    """The folders on the way, without the root; None if it is not the straight one."""
    names = path.split("/")
    if names[0] or {"", ".", ".."} & {*names[1:]}:
        return None
    return tuple("/".join(names[:end]) for end in range(2, len(names)))


def _mount_point(step: Step, path: str) -> Step:
    if step[0] in _MOUNTS_FILES and not os.path.isdir(step[1]):  # noqa: PTH112 - for each program
        return ("--perms", "0444", "--file", b"", path)
    return ("--dir", path)


def _take(step: Step, root: Path) -> None:
    """Do what bubblewrap would, which follows no link: none of them is above another path."""
    path = root / PurePosixPath(str(step[-1])).relative_to("/")
    _make_folder(path.parent)
    if step[0] == "--symlink":
        path.symlink_to(str(step[1]))
    elif step[0] == "--dir":
        _make_folder(path)
    else:
        path.write_bytes(step[-2] if isinstance(step[-2], bytes) else b"")
        path.chmod(int(step[1], 8))


def _make_folder(path: Path) -> None:
    """And those above, open to everybody whatever the umask."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _claim(parent: Path) -> tuple[Path, int]:
    """A folder for us alone, and the descriptor by whose lock others see that we live."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # Another process took it for one that was left.
            fd = os.open(folder, _FOLDER)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if folder.exists():
                return folder, fd
            os.close(fd)


def _sweep(parent: Path) -> None:
    """Remove what processes left behind that were killed; their programs ended with them."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # Somebody else's, or gone already.
            fd = os.open(folder, _FOLDER)
            try:
                if os.fstat(fd).st_uid == os.geteuid():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(fd)


def _remove(folder: Path, fd: int, owner: int) -> None:
    """A forked process closes its copy of the descriptor alone."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
    os.close(fd)
