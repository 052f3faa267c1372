"""What goes wrong inside an environment: told apart from what others ask of it, and put in words."""

import asyncio
import inspect
import time
import traceback
import types
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from pydantic import ValidationError

from shiftwork.text import one_line, printable, truncate

_Answer = TypeVar("_Answer")

_MOST_SAID: Final = 300


class TookTooLong(Exception):  # noqa: N818 - what is caught and told
    """An environment went beyond its time; a `TimeoutError` may be one of its own."""


async def within(
    seconds: float | None, doing: Awaitable[_Answer], now: Callable[[], float] = time.monotonic
) -> _Answer:
    """What comes of it, if it comes in time; what can't be interrupted is judged when it returns.

    Raises:
        TookTooLong: it did not.
    """
    began, task = now(), _task()
    try:
        async with asyncio.timeout(seconds) as limit:
            answer = await doing
    except GeneratorExit as error:
        if task is not None and _task() is task:
            raise RuntimeError("it raised GeneratorExit") from error
        raise  # whoever waits is not run any more, but dropped
    except TimeoutError as error:
        if limit.expired():
            raise TookTooLong from error
        raise
    if seconds is not None and now() - began > seconds:
        raise TookTooLong
    return answer


def _task() -> "asyncio.Task[object] | None":
    """That which runs, if one does: what is dropped may be ended where no event loop is."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def of_type(wanted: type[_Answer], method: str, answer: object) -> _Answer:
    """What a method returned; raises `TypeError` if that is something else than it has to be."""
    if not isinstance(answer, wanted):
        raise TypeError(f"{method} returned {type(answer).__name__}, not {wanted.__name__}")
    return answer


def is_failure(error: BaseException) -> bool:
    """Whether the environment failed: not so where somebody cancelled what asked it, or ends the process."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()  # else it is one of its own that escaped
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_failure, error.exceptions))
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)  # meant for what asked it


def let_go(error: BaseException) -> None:
    """Have nothing of the step that it left live on: what ends with that ends now, not after the undo.

    What whoever asked for the step was handling meanwhile is not the step's: the error tells of that, too,
    but it was caught by what is running still.
    """
    running = set(map(id, _stack()))
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen or (one is not error and id(_first_frame(one)) in running):
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        waiting += [one.__cause__, one.__context__]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else []


def _stack() -> Iterator[types.FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _first_frame(error: BaseException) -> types.FrameType | None:
    """That which caught it."""
    return None if error.__traceback__ is None else error.__traceback__.tb_frame


def why(error: BaseException) -> str:
    """What went wrong, in a few words on one line."""
    if isinstance(error, TookTooLong):
        return "it took too long"
    if isinstance(error, ValidationError):
        return _wrong_field(error)
    if isinstance(error, BaseExceptionGroup):
        others = len(error.exceptions) - 1
        return f"{why(error.exceptions[0])}" + (f" (and {others} more)" if others else "")
    text = one_line(truncate(said(error), _MOST_SAID))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def said(error: BaseException) -> str:
    """Its text, as it can be shown and stored; nothing where it can't even be asked for one."""
    try:
        return printable(str(error))
    except BaseException as another:  # whatever people's `__str__` raises
        if not is_failure(another):
            raise
        return ""


def _wrong_field(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in (error.title, *first["loc"]))
    given = first["input"]  # others than these may be told by an address, which differs each time
    told = f" is {truncate(repr(given), 100)}" if isinstance(given, str | int | float) else ""
    return one_line(truncate(f"{where}{told}: {first['msg']}", _MOST_SAID))
