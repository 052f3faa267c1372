"""How much a program writes into its folders, looked at from outside."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from shiftwork.runner.measure import Size, size_of

_PAUSE = 2.0
"""Seconds between two looks, at least."""

_SHARE = 20
"""A look may take one part in so many of the time between two."""

_MOST_MOVED = 5
"""Looks in a row during which folders that lie very deep may be moved."""


async def watch_disk(
    folders: Iterable[Path],
    limit_mb: float,
    breach: "asyncio.Future[str]",
    pids: Callable[[], Iterable[int]] = tuple,
) -> None:
    """Settle `breach` once the folders have grown by more than the limit.

    Args:
        folders: what the program may write to.
        limit_mb: in millions of bytes.
        breach: is given a sentence.
        pids: tells the processes of the program, whose deleted files count too; called in a thread.
    """
    watched = tuple(folders)
    before = (await asyncio.to_thread(size_of, watched)).bytes
    pause = _PAUSE
    moved = 0
    while not breach.done():
        await asyncio.sleep(pause)
        begun = time.monotonic()
        size = await asyncio.to_thread(lambda: size_of(watched, pids()))
        pause = max(_PAUSE, _SHARE * (time.monotonic() - begun))
        moved = 0 if size.whole else moved + 1
        sentence = _judge(size, before, limit_mb, moved)
        if sentence is not None and not breach.done():
            breach.set_result(sentence)


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
