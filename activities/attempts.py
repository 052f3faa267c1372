"""What every attempt has to do: end what earlier ones left, and end by itself when it is told to."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from temporalio import activity

from activities.alive import attempt_over, is_cancelled, worker_stopping
from shiftwork.errors import ShiftworkError
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import end_leftovers

Result = TypeVar("Result")


class Lease(Protocol):
    """The right of one attempt to its row."""

    async def give_back(self) -> None:
        """Write that this attempt was not lost, before another worker takes it up."""

    async def check(self) -> None:
        """Do nothing; raises `LeaseLost` if another attempt has the row."""


class UntilTold(Protocol):
    """Waits for the work of an attempt, and ends it when somebody wants that; see `until_told`."""

    async def __call__(self, work: "asyncio.Future[Result]", lease: Lease, /) -> Result | None: ...


async def until_told(
    work: "asyncio.Future[Result]", give_back: Callable[[], Awaitable[None]]
) -> Result | None:
    """What the work leaves; none if its activity was cancelled first. It has ended what it started by then.

    Args:
        give_back: writes that this attempt was not lost, before another worker takes it up.

    Raises:
        ApplicationError: the worker stops, or the attempt is over for another reason; it was given back.
    """
    shutdown = asyncio.ensure_future(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait((work, shutdown), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        await end(work)
        await give_back()
        raise worker_stopping()
    except asyncio.CancelledError:
        done = work.done()
        left = await end(work)
        if done or await is_cancelled():
            return left
        await give_back()
        raise attempt_over() from None
    finally:
        shutdown.cancel()


async def end_earlier(folders: Iterable[Path]) -> None:
    """End what lost attempts left on this host, and remove their folders."""
    for folder in folders:
        if folder.is_dir():
            await end_leftovers(folder)
            await asyncio.to_thread(remove_tree, folder, ignore_errors=True)


async def end(work: "asyncio.Future[Result]") -> Result | None:
    """End the work; what is left of it."""
    work.cancel()
    with suppress(asyncio.CancelledError, ShiftworkError):
        return await work
    return None
