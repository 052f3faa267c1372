"""How much a program writes into its folders, looked at from outside."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from shiftwork.runner.limits import Limits
from shiftwork.runner.measure import Size, size_of
from shiftwork.sandbox.confinement import Confinement

_PAUSE = 2.0
"""Seconds between two looks, at least."""

_SHARE = 20
"""A look may take one part in so many of a processor, on average."""

_WAITED = 3
"""Seconds to the next look for each that the last one took, when it was the disk that it waited for."""

_MOST_MOVED = 5
"""Looks in a row during which folders that lie very deep may be moved."""


def writable_folders(confinement: Confinement) -> tuple[Path, ...]:
    """What a program may write to."""
    return tuple(bind.source for bind in confinement.binds if bind.writable)


async def held_before(confinement: Confinement | None, limits: Limits) -> int:
    """Bytes that a program finds in its folders, where it may let them grow by so much; else 0.

    To be asked before it starts: what it had written by then would not count.
    """
    if confinement is None or limits.disk_mb is None:
        return 0
    return (await asyncio.to_thread(size_of, writable_folders(confinement))).bytes


async def watch_disk(
    folders: Iterable[Path],
    before: int,
    limit_mb: float,
    breach: "asyncio.Future[str]",
    pids: Callable[[], Iterable[int]] = tuple,
) -> None:
    """Settle `breach` once the folders have grown by more than the limit.

    Args:
        folders: what the program may write to.
        before: bytes that they held before it started.
        limit_mb: in millions of bytes.
        breach: is given a sentence.
        pids: tells the processes of the program, whose deleted files count too; called in a thread.
    """
    watched = tuple(folders)
    pause = _PAUSE
    moved = 0
    while not breach.done():
        await asyncio.sleep(pause)
        size, pause = await asyncio.to_thread(_look, watched, pids)
        moved = 0 if size.whole else moved + 1
        sentence = _judge(size, before, limit_mb, moved)
        if sentence is not None and not breach.done():
            breach.set_result(sentence)


def _look(folders: tuple[Path, ...], pids: Callable[[], Iterable[int]]) -> tuple[Size, float]:
    """How much there is, and the seconds to wait before the next look."""
    begun, worked = time.monotonic(), time.thread_time()
    size = size_of(folders, pids())
    return size, pause_after(time.monotonic() - begun, time.thread_time() - worked)


def pause_after(took: float, worked: float) -> float:
    """The seconds to wait after a look that took so many, and so many of a processor.

    A disk that is busy holds up a look for seconds: what fills it must not be left alone for minutes then.
    """
    return max(_PAUSE, _SHARE * worked, _WAITED * took)


def _judge(size: Size, before: int, limit_mb: float, moved: int) -> str | None:
    grown = size.bytes - before
    if grown > limit_mb * 1_000_000:
        return f"The limit disk_mb of {limit_mb:g} was breached: its folders grew by {grown / 1e6:.0f} MB."
    if moved >= _MOST_MOVED:
        return (
            f"The limit disk_mb of {limit_mb:g} can't be held: it keeps moving folders that lie too deep "
            "to be measured meanwhile."
        )
    return None
