"""Removing what dead attempts left in one state folder. Rows say what is dead, locks what still runs here."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from activities.kept import remove_kept
from activities.needed import Needed, look
from activities.services import ProjectFolder, Services
from shiftwork.agents.python.places import remove_left
from shiftwork.errors import NotFound, ShiftworkError
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import end_orphan, folders_in
from shiftwork.store.rows import ProjectRow

_ATTEMPT = re.compile(r"([te])(\d+)-a(\d+)")
"""How the folder of an attempt at a task, or at an episode, is called."""
_IMPORT = re.compile(r"p[0-9a-f]{12}-\d+")
_DRAFT = ".removing-"
"""How folders are called that a removal uses; see `remove_tree`."""

GRACE = timedelta(hours=1)
"""For how long after its end a session may still be cleared up by whoever did it."""

_OLD = 24 * 3600.0
"""Seconds after which what no row tells of is taken for dead, if nothing changes in it."""

log = logging.getLogger("shiftwork.maintenance")


class Clearing:
    """What can be removed below one state folder, which several hosts may share. Links are never followed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings

    async def tasks(self) -> int:
        """Remove the folders of attempts at tasks and episodes that have ended, or that others do; how many.

        And those that agents kept which are deleted.
        """
        count = await asyncio.to_thread(remove_left, self._settings.tasks)
        for folder in folders_in(self._settings.tasks):
            found = _ATTEMPT.fullmatch(folder.name)
            if found and await self._is_dead(found[1], int(found[2]), int(found[3])):
                count += await _remove(folder)
        count += await remove_kept(self._services) + await _remove_drafts(self._settings.agents)
        return count + await _remove_drafts(self._settings.tasks)

    async def projects(self) -> int:
        """Remove workspaces, run folders and homes that no session needs; how many.

        Folders of projects that there are no rows of are left alone: they hold what the project made.

        Raises:
            OSError, ShiftworkError: of a project, after all others were looked through.
        """
        return await self._of_each(self._clear_project)

    async def references(self) -> int:
        """Remove the candidates that nobody builds on any more; how many.

        Raises:
            OSError, ShiftworkError: of a project, after all others were looked through.
        """
        return await self._of_each(self._clear_references)

    async def _of_each(self, clear: Callable[[ProjectRow], Awaitable[int]]) -> int:
        count = 0
        errors: list[Exception] = []
        for project in await self._projects():
            try:
                count += await clear(project)
            except (OSError, ShiftworkError) as error:
                log.warning("project %r can't be cleared up: %s", project.name, error)
                errors.append(error)
        if errors:
            raise errors[0]
        return count

    async def _clear_project(self, project: ProjectRow) -> int:
        needed, folder = await self._needed(project), self._services.folder(project.id)
        count = await _clear_runs(folder, needed)
        count += await _clear_workspaces(folder, needed)
        return count + await _clear_homes(folder.root / "homes", needed)

    async def _clear_references(self, project: ProjectRow) -> int:
        repository = self._services.folder(project.id).repository
        if not repository.path.is_dir():
            return 0
        needed = await self._needed(project)
        return await repository.forget_candidates(needed.is_dead_candidate)

    async def _is_dead(self, kind: str, number: int, attempt: int) -> bool:
        try:
            async with self._services.store.transaction() as tx:
                row = await (tx.tasks.get(number) if kind == "t" else tx.episodes.get(number))
        except NotFound:
            return False  # of another database; who knows what it is to them
        return row.status.ended or row.attempt > attempt

    async def _projects(self) -> list[ProjectRow]:
        """Those that have a folder here; of one that can't be read nobody knows what it needs."""
        async with self._services.store.transaction() as tx:
            found, unreadable = await tx.projects.readable()
        for each in unreadable:
            log.warning("its folder is left alone: %s", each)
        rows = {row.id: row for row in found}
        return [rows[folder.name] for folder in folders_in(self._settings.projects) if folder.name in rows]

    async def _needed(self, project: ProjectRow) -> Needed:
        async with self._services.store.transaction() as tx:
            return await look(tx, project, GRACE)


async def _clear_runs(folder: ProjectFolder, needed: Needed) -> int:
    count = 0
    for run in folders_in(folder.runs):
        if needed.is_dead(run.name) or (_IMPORT.fullmatch(run.name) and _is_old(run)):
            count += await _remove(run)
    return count + await _remove_drafts(folder.runs)


async def _clear_workspaces(folder: ProjectFolder, needed: Needed) -> int:
    """Give those back that dead attempts claim; of a project that has ended, remove all that are free."""
    count, pool = 0, folder.workspaces
    for name in pool.leftovers():
        claimed = pool.folder / name
        dead = needed.is_dead(name) or (_IMPORT.fullmatch(name) and _is_old(claimed))
        # While its run folder is there, something of it lives that could not be ended.
        if dead and not claimed.is_symlink() and not (folder.runs / name).exists():
            await folder.take_back(name)
            count += not needed.closed
    if needed.closed:
        count += len(folders_in(pool.free))
        await pool.purge()
    return count


async def _clear_homes(homes: Path, needed: Needed) -> int:
    count = 0
    for home in folders_in(homes):
        if needed.is_dead_home(home.name):
            await asyncio.to_thread(remove_tree, home)
            count += 1
    for note in homes.glob("*.attempt"):
        if needed.is_dead_home(note.stem):
            note.unlink(missing_ok=True)
    return count + await _remove_drafts(homes)


async def _remove(run_folder: Path) -> int:
    """Remove a run's folder, unless a worker that lives works there, or something can't be ended."""
    try:
        if not await end_orphan(run_folder):
            return 0
        await asyncio.to_thread(remove_tree, run_folder)
    except (OSError, ShiftworkError) as error:
        log.warning("%s can't be removed: %s", run_folder, error)
        return 0
    return 1


async def _remove_drafts(folder: Path) -> int:
    """What interrupted removals left."""
    old = [each for each in folders_in(folder) if each.name.startswith(_DRAFT) and _is_old(each)]
    for each in old:
        await asyncio.to_thread(remove_tree, each, ignore_errors=True)
    return len(old)


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.lstat().st_mtime > _OLD
    except OSError:
        return False
