"""The folders of `python` agents on this machine, and who owns them."""

import fcntl
import itertools
import os
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shiftwork.repository.files import remove_tree
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.cell import OUTBOX, TMP, WORKSPACE
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.levels import level_named
from shiftwork.sandbox.user import choose_user, hand_over

_PREFIX: Final = "python-"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder that an agent keeps from run to run; one run at a time has it.

    Attributes:
        path: of it; absolute, and no link.
        user: whom the interpreter runs as, and gets it; None: our own user.
    """

    path: Path
    user: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one interpreter, which no other uses at the same time.

    Attributes:
        number: of the place among those of its worker.
        root: what they lie in.
        user: who owns them, and whom the interpreter runs as; None: our own user.
        kept: where it starts, if that is no folder of its own.
    """

    number: int
    root: Path
    user: int | None
    kept: Path | None = None

    @property
    def workspace(self) -> Path:
        """Where it starts."""
        return self.kept or self.root / "workspace"

    def working_in(self, folder: OwnFolder | None) -> "Place":
        """The same, for an interpreter that starts in this folder; None: in its own."""
        return self if folder is None else replace(self, user=folder.user, kept=folder.path)

    @property
    def outbox(self) -> Path:
        """Where it leaves its handoff."""
        return self.root / "outbox"

    @property
    def scratch(self) -> Path:
        """Its home, and its temporary folder."""
        return self.root / "scratch"

    def binds(self) -> list[Bind]:
        """Where it sees them."""
        return [
            Bind(self.workspace, WORKSPACE, writable=True),
            Bind(self.outbox, OUTBOX, writable=True),
            Bind(self.scratch, TMP, writable=True),
        ]

    def make(self) -> None:
        """Make them anew, but for what is kept; blocks."""
        remove_tree(self.root)
        self.root.mkdir(mode=0o700 if self.user is None else 0o711)
        for folder in (self.workspace, self.outbox, self.scratch):
            if folder != self.kept:
                folder.mkdir(mode=0o700)
            if self.user is not None:
                hand_over(folder, self.user)


class Places:
    """Gives each interpreter a place, and each place under root a user of its own.

    A place is used again once nothing of it lives, because what a sandbox prepares for a user it prepares
    once. What lies there is a worker's own, and goes with it; what a lost one left, the next one removes.

    Args:
        folder: where they lie; made if need be.
        sandbox: what confines the interpreters.
    """

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self._folder = folder
        self._confines = "files" in level_named(sandbox.level).confines
        self._namespaces = sandbox.own_network
        self._own: Path | None = None
        self._lock: int | None = None
        self._taken: set[int] = set()
        self._choosing = threading.Lock()

    def take(self) -> Place:
        """A place that nobody uses, not made yet; blocks for a moment at the first time."""
        with self._choosing:
            own = self._own or self._claim()
            number = next(one for one in itertools.count() if one not in self._taken)
            self._taken.add(number)
        root = own / str(number)
        user = choose_user(root, namespaces=self._namespaces) if self._confines else None
        return Place(number, root, user)

    def give_back(self, place: Place) -> None:
        """Remove what lies there, and let others use it; blocks. Nothing of it may live."""
        remove_tree(place.root, ignore_errors=True)
        with self._choosing:
            self._taken.discard(place.number)

    def close(self) -> None:
        """Remove all; blocks."""
        if self._own is not None:
            remove_tree(self._own, ignore_errors=True)
            self._own = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self) -> Path:
        """A folder whose lock shows others that we live."""
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_left(self._folder)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._folder.resolve()))
        self._lock = os.open(own, _FOLDER)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        own.chmod(0o711)  # where nothing can be moved, other users go through it to what is theirs
        self._own = own
        return own


def remove_left(folder: Path) -> int:
    """Remove what workers left there that are gone; how many; blocks."""
    return sum(map(_remove_if_left, folder.glob(f"{_PREFIX}*")))


def _remove_if_left(folder: Path) -> bool:
    with suppress(OSError):  # somebody else's, or gone already
        fd = os.open(folder, _FOLDER)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(folder, ignore_errors=True)
            return True
        finally:
            os.close(fd)
    return False
