"""Leaving a call that failed: what it left in the event loop ends, and then the environment is as it was."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode
from shiftwork.environments.failures import is_failure
from shiftwork.environments.guarding import Call, calls_in, this_call
from shiftwork.environments.protocol import HarnessStatus
from shiftwork.environments.restoring import Snapshot
from shiftwork.environments.undoing import set_aside

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

GOES_ON: Final = "what it began did not end when it was cancelled, so it could not be undone"
BROKEN: Final = "it could not be undone, and the environment is broken until the next reset"

_MOST_TO_END: Final = 5.0
"""Seconds in which what a failed call left has to be gone."""

_ROUNDS: Final = 3
"""Of the event loop, in which what was scheduled to be called soon is called, and what that schedules.

Where the event loop tells what it is to call, as asyncio's own does, it has as many as it takes."""


def noted(environment: "BaseHarness", episode: Episode | None) -> Snapshot | None:
    """What it holds before a call; the episode lasts no longer by that."""
    with nullcontext() if episode is None else episode.not_counted():
        return set_aside(environment)


async def leave(
    environment: "BaseHarness", episode: Episode | None, undo: Callable[[], Awaitable[None]]
) -> bool:
    """End what this call has left, and undo it; the episode lasts no longer by that.

    Returns:
        Whether it was undone. If not, what it left goes on, and the environment is broken.
    """
    interruption: BaseException | None = None
    with nullcontext() if episode is None else episode.not_counted():
        try:
            ended = await _end_leftovers(this_call(), _seconds_to_end(environment))
        except BaseException as error:  # noqa: BLE001 - raised below: whoever asked is cancelled once more
            ended, interruption = not _goes_on(this_call()), error
        if ended:
            await undo()
        else:
            environment.status = HarnessStatus.ERROR
    if interruption is not None:
        raise interruption
    return ended


def not_undone(environment: "BaseHarness", was: HarnessStatus, *, undone: bool) -> str:
    """What is to be put behind the sentence on a call that failed: nothing, if all is as it was."""
    if not undone:
        return f"; {GOES_ON}"
    broke = environment.status is HarnessStatus.ERROR and was is not HarnessStatus.ERROR
    return f"; {BROKEN}" if broke else ""


def _seconds_to_end(environment: "BaseHarness") -> float:
    seconds: object = environment.undo_seconds
    return min(seconds, _MOST_TO_END) if isinstance(seconds, int | float) else _MOST_TO_END


async def _end_leftovers(call: Call, seconds: float) -> bool:
    """End its tasks and async generators, and have run what it scheduled to be called soon.

    What is not the call's is not touched: tasks of whoever plays, and of calls before this one.

    Returns:
        Whether all of it has ended in time.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _all_ended(call)
    return not _goes_on(call)


async def _all_ended(call: Call) -> None:
    told: set[asyncio.Task[Any]] = set()
    while True:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        if tasks := _left_by(call):
            for task in tasks - told:
                if not _closes_a_generator(task):
                    task.cancel()
            told |= tasks
            await asyncio.wait(tasks)
            for task in tasks:
                _ = task.cancelled() or task.exception()  # nobody else asks for it
        elif generators := list(call.generators):
            call.generators.clear()
            for generator in generators:
                await _closed(generator)
        elif not _goes_on(call):
            return


async def _closed(generator: Any) -> None:
    try:
        await generator.aclose()
    except BaseException as error:  # whatever people's code raises
        if not is_failure(error):
            raise


def _goes_on(call: Call) -> bool:
    """Whether tasks that it has begun do, or something that it has scheduled is to be called now."""
    ready = list(getattr(asyncio.get_running_loop(), "_ready", ()))
    contexts = (getattr(each, "_context", None) for each in ready)
    known = (calls_in(each) for each in contexts if isinstance(each, Context))
    return bool(_left_by(call)) or any(each is call for calls in known for each in calls)


def _left_by(call: Call) -> set["asyncio.Task[Any]"]:
    """The tasks that go on of those that it has begun, and that these have begun."""
    task = asyncio.current_task()
    mine = None if task is None else _context_of(task)  # others may have begun tasks that share it
    return {
        each
        for each in asyncio.all_tasks()
        if each is not task
        and (context := _context_of(each)) is not None
        and context is not mine
        and any(known is call for known in calls_in(context))
    }


def _context_of(task: "asyncio.Task[Any]") -> Context | None:
    if sys.version_info >= (3, 12):
        return task.get_context()
    # What it refers to comes in this order: its own context, then those of who waits for it.
    held = (getattr(task, "_context", None), *gc.get_referents(task))
    return next((each for each in held if isinstance(each, Context)), None)


def _closes_a_generator(task: "asyncio.Task[Any]") -> bool:
    """Whether the event loop began it to close an async generator that nobody holds any more."""
    return type(task.get_coro()).__name__ == "async_generator_athrow"
