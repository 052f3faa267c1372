"""The folders that registered agents keep from run to run, on one host."""

import asyncio
import fcntl
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from activities.services import Services
from shiftwork.contracts.agent import WorkspaceMode
from shiftwork.contracts.limits import AgentLimits
from shiftwork.errors import Conflict, NotFound
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import folders_in
from shiftwork.runner.measure import size_of
from shiftwork.store.agents import AgentRow

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile(r"a(\d+)-(\d+)")
_POLL = 0.1
"""Seconds between two tries to get a folder that another run still has."""

_MB = 1_000_000


class FolderTaken(Conflict):
    """Another run has the folder that an agent keeps."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What an agent keeps, for one run that alone has it.

    Attributes:
        path: where it works.
        user: whom it runs as; None: our own user.
        holds_mb: what lies there already, in millions of bytes.
    """

    path: Path
    user: int | None
    holds_mb: float

    def left(self, limits: AgentLimits) -> AgentLimits:
        """The limits, with what lies there counted as what it wrote."""
        if limits.disk_mb is None:
            return limits
        return limits.model_copy(update={"disk_mb": max(1.0, limits.disk_mb - self.holds_mb)})

    def too_full(self, limits: AgentLimits) -> str | None:
        """A sentence if it can't be written to any more, else None."""
        if limits.disk_mb is None or self.holds_mb < limits.disk_mb:
            return None
        return (
            f"The folder that the agent keeps holds {self.holds_mb:.0f} MB, and its limit disk_mb is "
            f"{limits.disk_mb:g}: raise that, or remove what is not needed from {str(self.path)!r}."
        )


def user_of(services: Services, agent: AgentRow) -> int | None:
    """Whom an agent's runs are; None: our own user. One for all: what a sandbox prepares it prepares once."""
    return services.user_at(services.settings.tasks / f"agent-{agent.id}", agent.config.sandbox.options)


@asynccontextmanager
async def kept_folder(services: Services, agent: AgentRow, patience: float) -> AsyncIterator[Kept | None]:
    """The folder that an agent keeps, as long as nobody else has it; None if it keeps none.

    Args:
        patience: seconds to wait for another run that still has it.

    Raises:
        FolderTaken: it did not give it back in that time.
    """
    if agent.config.workspace is WorkspaceMode.FRESH:
        yield None
        return
    user = user_of(services, agent)
    folder = services.settings.agent_folder(agent.id, agent.created_at)
    fd = await _taken(services, folder, user, patience)
    try:
        workspace = folder.resolve() / "workspace"
        workspace.mkdir(mode=0o700, exist_ok=True)
        size = await asyncio.to_thread(size_of, (workspace,))
        yield Kept(workspace, user, size.bytes / _MB)
    finally:
        os.close(fd)


async def remove_kept(services: Services) -> int:
    """Remove what deleted agents keep on this host, unless a run still works there; how many."""
    count = 0
    for folder in folders_in(services.settings.agents):
        found = _NAME.fullmatch(folder.name)
        if found and await _is_deleted(services, int(found[1]), int(found[2])):
            count += await asyncio.to_thread(_remove, folder)
    return count


async def _taken(services: Services, folder: Path, user: int | None, patience: float) -> int:
    """The lock on a folder, which is there; held until it is closed, or this process ends."""
    deadline = time.monotonic() + patience
    while (fd := _try(services, folder, user)) is None:
        if time.monotonic() > deadline:
            raise FolderTaken(f"Another run still works in {str(folder)!r}; try again when it has ended.")
        await asyncio.sleep(_POLL)
    return fd


def _try(services: Services, folder: Path, user: int | None) -> int | None:
    services.enclose_kept(folder, user)
    try:
        fd = os.open(folder, _FOLDER)
    except FileNotFoundError:  # removed in this moment
        return None
    if _lock(fd) and _is_at(fd, folder):
        return fd
    os.close(fd)
    return None


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, folder: Path) -> bool:
    """Whether it still has this name: a removal may have come before the lock."""
    try:
        return os.path.samestat(os.fstat(fd), folder.lstat())
    except FileNotFoundError:
        return False


async def _is_deleted(services: Services, agent_id: int, created: int) -> bool:
    try:
        async with services.store.transaction() as tx:
            agent = await tx.agents.identity(agent_id, deleted=True)
    except NotFound:
        return False  # of another database; who knows what it is to them
    return agent.deleted_at is not None and int(agent.created_at.timestamp()) == created


def _remove(folder: Path) -> bool:
    fd = os.open(folder, _FOLDER)
    try:
        if not _lock(fd):
            return False
        remove_tree(folder)
    finally:
        os.close(fd)
    return True
