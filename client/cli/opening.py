"""How a command gets at the store or at a whole stack, and at the project it is about."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import ProgrammingError

from client.cli.output import excerpt
from client.patience import PatientStore, SilenceLines
from shiftwork.contracts.project import ProjectStatus
from shiftwork.errors import InvalidInput, NotFound, StackError, UnreadableRow
from shiftwork.settings import Settings
from shiftwork.store.rows import ProjectRow
from shiftwork.store.store import Store

_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)
_NO_TABLES = "42P01"


def reading(command: Callable[[PatientStore], Awaitable[int]]) -> int:
    """Run a command that only reads rows; Temporal is not even imported."""
    return asyncio.run(_reading(command))


async def _reading(command: Callable[[PatientStore], Awaitable[int]]) -> int:
    try:
        async with PatientStore(Settings.from_environment(), on_silence=SilenceLines()) as store:
            return await command(store)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_TABLES:
            raise
        raise StackError(
            "The database holds no Shiftwork tables yet; start a worker or a project."
        ) from error


def tell_unreadable(unreadable: Sequence[UnreadableRow]) -> None:
    """Say on standard error what a list leaves out, a line each."""
    for each in unreadable:
        print(f"warning: {excerpt(str(each), 1_000)}", file=sys.stderr)


async def newest(store: Store, ref: str | None) -> ProjectRow:
    """The project that was named, else the one that was started last: harmless where nothing is changed."""
    async with store.transaction() as tx:
        if ref is not None:
            return await tx.projects.find(ref)
        projects = [*await tx.projects.names()]
        if not projects:
            raise NotFound("There is no project yet; start one with `shiftwork start`.")
        return await tx.projects.get(projects[-1])


async def named_or_only(store: Store, ref: str | None) -> ProjectRow:
    """The project that was named, else the only one that is open.

    Raises:
        InvalidInput: none was named, and several are open.
        NotFound: there is no such project, or none was named and none is open.
    """
    async with store.transaction() as tx:
        if ref is not None:
            return await tx.projects.find(ref)
        found = await tx.projects.names(without=_CLOSED)
        if not found:
            raise NotFound("No project is open; name the one you mean (`shiftwork list` shows them all).")
        if len(found) > 1:
            names = ", ".join(f"{name!r}" for name in found.values())
            raise InvalidInput(f"Several projects are open ({names}); name the one you mean.")
        return await tx.projects.get(*found)
