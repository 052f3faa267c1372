"""Folders for attempts: claimed by name, filled from a commit, given back and used again."""

import errno
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shiftwork.errors import Conflict, NotFound, RepositoryError
from shiftwork.repository import statcache
from shiftwork.repository.checkout import Checkout
from shiftwork.repository.files import FOLDER_MODE, empty, open_folder, remove
from shiftwork.repository.objects import TreeEntry, fetch_blobs, list_tree
from shiftwork.repository.statcache import Known, StatCache
from shiftwork.repository.threads import forget, in_thread
from shiftwork.repository.throwaway import History, write_git

if TYPE_CHECKING:
    from shiftwork.repository.private import PrivateRepository

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FREE = ".free"
_TRASH = ".trash"


class Workspace:
    """A claimed folder. `path` is where an agent works; what lies beside it is the harness's own.

    Not safe for two callers at once: its name belongs to one attempt. One that is made to judge in is never
    used again, and each preparation of it is a new folder.
    """

    def __init__(self, pool: "WorkspacePool", name: str, *, to_judge: bool = False) -> None:
        self.name = name
        self._to_judge = to_judge
        self._pool = pool
        self._container = pool.folder / name
        self.path = self._container / "files"
        """The folder an agent works in."""
        self._looked_at = self._container / "stat.json"
        self._written = self._container / "written.json"
        """What the last preparation left; a folder without can't be used again."""

    async def prepare(
        self, repo: "PrivateRepository", commit: str, *, with_git: bool, owner: int | None = None
    ) -> None:
        """Make the folder hold the commit's files, byte for byte, and nothing else.

        Whoever worked here before leaves nothing: what they touched, however, is a new file or folder. No
        process may be in it any more.

        Args:
            repo: the repository that has the commit.
            commit: a commit's full id.
            with_git: whether it gets a `.git` of its own, in which an agent can look back and commit.
            owner: the user that gets it all, but for the `.git`; None: our own.

        Raises:
            RepositoryError: the commit does not exist, or the folder holds what can't be removed; then
                `discard()` it.
        """
        entries = await list_tree(repo.git, commit)
        checkout = await in_thread(lambda: self._clean(entries, owner))
        if checkout.needs:
            with tempfile.TemporaryFile(dir=self._container) as stream:
                blobs = await fetch_blobs(repo.git, checkout.needs, stream)
                await in_thread(lambda: self._guarded(lambda: checkout.write(blobs)))
        history = History(self._container / "packs")
        shallow = await history.update(repo.git, commit) if with_git else None
        await in_thread(
            lambda: self._guarded(lambda: self._finish(checkout, entries, commit, history, shallow))
        )

    def known_files(self) -> StatCache:
        """What is known of its files: since they were looked at, or else written."""
        if self._looked_at.exists():
            return StatCache.load(self._looked_at)
        return StatCache.load(self._written, settled=True)

    def remember_files(self, known: Mapping[str, Known]) -> None:
        """Keep what is known of its files, now that they were looked at."""
        statcache.save(self._looked_at, known)

    def _clean(self, entries: dict[str, TreeEntry], owner: int | None) -> Checkout:
        written = StatCache() if self._to_judge else StatCache.load(self._written, settled=True)
        checkout = Checkout(self.path, self._trash, entries, written, owner)

        def work() -> None:
            self._looked_at.unlink(missing_ok=True)
            self._trash.mkdir(exist_ok=True)
            self.path.mkdir(exist_ok=True)
            checkout.clean()
            checkout.make_folders()

        self._guarded(work)
        forget(written.known)
        return checkout

    def _finish(
        self,
        checkout: Checkout,
        entries: dict[str, TreeEntry],
        commit: str,
        history: History,
        shallow: frozenset[str] | None,
    ) -> None:
        with open_folder(self._trash) as trash, open_folder(self.path) as root:
            if os.path.lexists(self.path / ".git"):
                remove(".git", root, trash)
        if shallow is not None:
            draft = Path(tempfile.mkdtemp(dir=self._trash))
            draft.chmod(FOLDER_MODE)
            write_git(
                draft,
                commit,
                shallow=shallow,
                history=history,
                entries=entries,
                stats=checkout.stats,
            )
            draft.rename(self.path / ".git")
        if not self._to_judge:
            checkout.finish()
            statcache.save(self._written, checkout.known, settle=True)
        forget(checkout.known, checkout.stats, checkout.needs, entries)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ValueError) as error:  # a ValueError for a link's target with a NUL in it
            why = error.strerror if isinstance(error, OSError) else error
            raise RepositoryError(
                f"Workspace {str(self.path)!r} can't be prepared ({why or error}); discard it."
            ) from error

    @property
    def _trash(self) -> Path:
        return self._container / "trash"

    async def release(self) -> None:
        """Give the folder back to the pool, to be used again; one that can't be is removed."""
        if not self._written.exists():
            await self.discard()
            return
        self._container.rename(self._pool.free / secrets.token_hex(8))

    async def discard(self) -> None:
        """Remove the folder and everything in it; fine if it is gone already."""
        await self._pool.remove(self._container)


class WorkspacePool:
    """The workspaces of one project: a folder of claimed ones by name, and of free ones.

    A claim is one rename, so two claims never get the same folder, and a folder whose worker was killed is
    still there under its name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free = folder / _FREE

    async def acquire(self, name: str, *, to_judge: bool = False) -> Workspace:
        """Claim a free folder, or a new one, under this name.

        Args:
            to_judge: what ran in a folder before must not have a say: only a new one will do.

        Raises:
            Conflict: the name is claimed already (see `reclaim`).
            RepositoryError: the name is not one of letters, digits, dots, dashes and underscores.
        """
        workspace = self._workspace(name, to_judge=to_judge)
        claimed = self.folder / name
        self.free.mkdir(parents=True, exist_ok=True)
        if claimed.exists():
            raise Conflict(f"Workspace {name!r} is in use; each attempt needs a name of its own.")
        for folder in () if to_judge else sorted(self.free.iterdir(), key=_age):
            if _moved(folder, claimed):
                return workspace
        fresh = Path(tempfile.mkdtemp(dir=self.folder, prefix=".new-"))
        fresh.chmod(FOLDER_MODE)
        (fresh / "files").mkdir()
        _moved(fresh, claimed)
        return workspace

    def leftovers(self) -> tuple[str, ...]:
        """The names of all claimed folders."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.folder.iterdir() if _NAME.fullmatch(path.name)))

    def reclaim(self, name: str) -> Workspace:
        """The folder that is claimed under this name, as it was left; raises `NotFound` if there is none."""
        workspace = self._workspace(name)
        if not (self.folder / name).is_dir():
            raise NotFound(f"There is no workspace {name!r} in {str(self.folder)!r}.")
        return workspace

    async def purge(self) -> None:
        """Remove every free folder, and what interrupted claims and removals left; claimed ones stay."""
        free = list(self.free.iterdir()) if self.free.is_dir() else []
        for folder in [*free, *self.folder.glob(".new-*")]:
            await self.remove(folder)
        await in_thread(self._empty_trash)

    async def remove(self, container: Path) -> None:
        """Remove one folder of the pool, first out of everybody's way; fine if it is gone already."""
        await in_thread(lambda: self._remove(container))

    def _remove(self, container: Path) -> None:
        trash_path = self.folder / _TRASH
        trash_path.mkdir(parents=True, exist_ok=True)
        with (
            suppress(FileNotFoundError),
            open_folder(trash_path) as trash,
            open_folder(container.parent) as here,
        ):
            remove(container.name, here, trash)

    def _empty_trash(self) -> None:
        with suppress(FileNotFoundError), open_folder(self.folder / _TRASH) as trash:
            empty(trash, trash)

    def _workspace(self, name: str, *, to_judge: bool = False) -> Workspace:
        if not _NAME.fullmatch(name):
            raise RepositoryError(
                f"{name!r} can't name a workspace; use letters, digits, dots, dashes and underscores."
            )
        return Workspace(self, name, to_judge=to_judge)


def _age(folder: Path) -> int:
    """Orders free folders by when they were given back, the latest first: it holds the newest files."""
    try:
        return -folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _moved(folder: Path, claimed: Path) -> bool:
    try:
        folder.rename(claimed)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise Conflict(
                f"Workspace {claimed.name!r} is in use; each attempt needs a name of its own."
            ) from None
        raise
    return True
